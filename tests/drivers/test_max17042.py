"""Golden numbers: what Linux' own max17042 driver made of these registers of a MAX17047 in the
kernel lab: VCELL 0xc350 is 3,906,250 uV, RepSOC 0x5a00 is 90 %, Current 0xf000 is -640,000 uA with
10 mOhm (current out of the battery), Temp 0x1980 is 25.5 °C.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hwctl.engine.buses import SmbusI2c
from hwctl.model.errors import (
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)
from hwctl_drivers.max17042 import (
    DRIVER,
    Max17042Options,
    amps_into_battery_from,
    celsius_from,
    charge_from,
    volts_from,
)
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.max17042 import Max17042

PARTS = [part.lower() for part in DRIVER.parts]


@pytest.fixture
def battery():
    """battery("max17047") gives the bus, the part on it with a model, and hwctl's device."""

    def battery(part="max17047", *, fitted=None, turned=False, model=True, **options):
        wires = EmulatedI2c()
        chip = Max17042(fitted or part, options.get("shunt_ohms", 0.01), reversed_shunt=turned)
        wires.place(0x36, chip, "device.gauge")
        if model:
            put(wires, 0x00, 0x0000)
        settings = Max17042Options(part=part, **options)
        return wires, chip, DRIVER.open(SmbusI2c(wires, "i2c1"), settings)

    return battery


def put(wires, register, word):
    wires.transact([(0x36, bytes([register]) + word.to_bytes(2, "little"))])


def test_the_kernels_numbers(i2c):
    chip = i2c(
        0x36,
        {
            0x00: b"\x00\x00",
            0x06: b"\x00\x5a",
            0x08: b"\x80\x19",
            0x09: b"\x50\xc3",
            0x0A: b"\x00\xf0",
            0x21: b"\xac\x00",
            0x2B: b"\x70\x08",
        },
    )
    gauge = DRIVER.open(chip, Max17042Options(part="max17047"))
    gauge.probe()
    sample = gauge.read()
    assert sample.volts == pytest.approx(3.90625)
    assert sample.amps == pytest.approx(0.64)
    assert sample.watts == pytest.approx(2.5)
    assert sample.charge == pytest.approx(0.9)
    assert sample.celsius == 25.5
    assert sample.energy is None
    assert chip.writes == []
    assert len(chip.log) == 7


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("amps", [2.5, -1.25])
def test_each_part_says_what_is_true(battery, part, amps):
    _, chip, gauge = battery(part)
    chip.sense(3.7, amps, 0.5, -10.0)
    gauge.probe()
    sample = gauge.read()
    assert sample.volts == pytest.approx(3.7, abs=40e-6)
    assert sample.amps == amps
    assert sample.watts == pytest.approx(3.7 * amps, abs=1e-3)
    assert sample.charge == 0.5
    assert sample.celsius == -10.0


def test_another_shunt(battery):
    _, chip, gauge = battery(shunt_ohms=0.05)
    chip.sense(3.7, 0.5, 0.5, 20.0)
    assert gauge.read().amps == pytest.approx(0.5)


def test_a_shunt_the_other_way_round_is_turned_back(battery):
    _, chip, gauge = battery(turned=True, reversed=True)
    chip.sense(3.7, 0.5, 0.5, 20.0)
    assert gauge.read().amps == pytest.approx(0.5)


def test_without_a_model_the_charge_is_not_known(battery):
    wires, chip, gauge = battery(model=False)
    chip.sense(3.7, 0.5, 0.8, 20.0)
    sample = gauge.read()
    assert sample.charge is None
    assert sample.amps == pytest.approx(0.5)
    put(wires, 0x00, 0x0000)
    assert gauge.read().charge == 0.8
    chip.power_on()
    chip.sense(3.7, 0.5, 0.8, 20.0)
    assert gauge.read().charge is None


def test_without_a_shunt_there_is_no_current_and_the_charge_is_by_voltage(battery):
    wires, chip, gauge = battery()
    chip.sense(3.7, 0.5, 0.8, 20.0)
    put(wires, 0x2B, 0x0003)
    chip.sense(3.5, 0.5, 0.4, 20.0)
    sample = gauge.read()
    assert (sample.amps, sample.watts) == (None, None)
    assert sample.charge == 0.4
    put(wires, 0x2B, 0x0002)  # one of the two bits is something else
    assert gauge.read().charge == 0.8


def test_a_battery_that_is_gone_is_said(battery):
    _, chip, gauge = battery()
    chip.sense(3.7, 0.5, 0.8, 20.0)
    chip.remove_battery()
    with pytest.raises(DeviceDataError, match="no battery"):
        gauge.read()


def test_a_missing_thermistor_gives_no_degrees(battery):
    _, chip, gauge = battery()
    for celsius in (-128.0, -40.5, 125.5):
        chip.sense(3.7, 0.5, 0.8, celsius)
        assert gauge.read().celsius is None
    chip.sense(3.7, 0.5, 0.8, -40.0)
    assert gauge.read().celsius == -40.0


def test_before_the_first_measurement_nothing_is_said(battery):
    _, _chip, gauge = battery()
    with pytest.raises(DeviceDataError, match="measured nothing"):
        gauge.read()


@pytest.mark.parametrize(
    ("volts", "charge", "said"), [(5.05, 0.9, r"5\.05 V"), (4.1, 1.2, "120% full")]
)
def test_what_cannot_be_is_refused(battery, volts, charge, said):
    _, chip, gauge = battery()
    chip.sense(volts, 0.5, charge, 20.0)
    with pytest.raises(DeviceDataError, match=said) as caught:
        gauge.read()
    assert "MAX17047 at 0x36" in caught.value.where
    assert caught.value.hint


def test_a_little_more_than_full_is_full(battery):
    _, chip, gauge = battery()
    chip.sense(4.2, 0.0, 1.02, 20.0)
    assert gauge.read().charge == 1.0


@pytest.mark.parametrize(("part", "fitted"), [("max17042", "max17047"), ("max17047", "max17055")])
def test_another_part_is_named(battery, part, fitted):
    _, _chip, gauge = battery(part, fitted=fitted)
    with pytest.raises(DeviceMismatchError, match="calls itself 0x") as caught:
        gauge.probe()
    assert "`part`" in caught.value.hint


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("nak", DeviceNotFoundError, "nothing answers"),
        ("timeout", DeviceTimeoutError, "in time"),
        ("ones", DeviceDataError, "all ones"),
        ("zeros", DeviceDataError, "all zeros"),
    ],
)
def test_a_broken_wire_is_an_error(battery, fault, error, said):
    wires, chip, gauge = battery()
    chip.sense(3.9, 0.5, 0.6, 20.0)
    gauge.probe()
    wires.faults[0x36] = fault
    for call in (gauge.probe, gauge.read):
        with pytest.raises(error, match=said):
            call()
    wires.faults.clear()
    assert gauge.read().charge == 0.6


@pytest.mark.parametrize(
    "bad",
    [{}, {"part": "max17048"}, {"part": "max17047", "shunt_ohms": 0}, {"part": "max17047", "a": 1}],
)
def test_options_that_cannot_be_are_refused(bad):
    with pytest.raises(ValidationError):
        Max17042Options(**bad)


@settings(max_examples=50)
@given(st.integers(-0x8000, 0x7FFF), st.sampled_from([0.005, 0.01, 0.02]))
def test_registers_decode_to_the_steps_they_hold(value, ohms):
    """The kernel's arithmetic: value * 625 / 8 uV, * 1.5625 uV / shunt, / 256 °C, / 256 %."""
    raw = value.to_bytes(2, "little", signed=True)
    assert volts_from(raw) == pytest.approx((value & 0xFFFF) * 625 / 8 / 1e6)
    assert amps_into_battery_from(raw, ohms) == pytest.approx(value * 1.5625e-6 / ohms)
    assert celsius_from(raw) == value / 256
    assert charge_from(raw) == pytest.approx((value & 0xFFFF) / 25_600)
