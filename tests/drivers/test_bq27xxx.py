"""Golden numbers: what Linux' own bq27xxx driver made of these registers of a bq27441 in the kernel
lab: StateOfCharge 66 is 66 %, AverageCurrent 0xfe3e is -450,000 uA (out of the battery), Voltage
0x0ce4 is 3,300,000 uV, Temperature 0x0baa is 25.5 °C. DEVICE_TYPE 0x0421: SparkFun's
BQ27441_Definitions.h.
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
from hwctl_drivers.bq27xxx import (
    DRIVER,
    TABLES,
    Bq27xxxOptions,
    amps_into_battery_from,
    celsius_from,
    charge_from,
    volts_from,
)
from hwctl_emulated.bq27xxx import Bq27xxx
from hwctl_emulated.i2c import EmulatedI2c

PARTS = list(TABLES)
SET_CFGUPDATE, RESET, SOFT_RESET = 0x13, 0x41, 0x42


@pytest.fixture
def battery():
    """battery("bq27441") gives the bus, the part on it with its settings, and hwctl's device."""

    def battery(part="bq27441", *, fitted=None, known=True, **options):
        wires = EmulatedI2c()
        chip = Bq27xxx(fitted or part)
        wires.place(0x55, chip, "device.gauge")
        if known:
            control(wires, SET_CFGUPDATE)
            control(wires, SOFT_RESET)
        settings = Bq27xxxOptions(part=part, **options)
        return wires, chip, DRIVER.open(SmbusI2c(wires, "i2c1"), settings)

    return battery


def control(wires, subcommand):
    wires.transact([(0x55, bytes([0x00, subcommand, 0x00]))])


def test_the_kernels_numbers(i2c):
    chip = i2c(
        0x55,
        {
            0x00: b"\x21\x04",
            0x02: b"\xaa\x0b",
            0x04: b"\xe4\x0c",
            0x06: b"\x09\x00",
            0x10: b"\x3e\xfe",
            0x1C: b"\x42\x00",
        },
        read_only=frozenset({0x00}),
    )
    gauge = DRIVER.open(chip, Bq27xxxOptions(part="bq27441"))
    gauge.probe()
    assert chip.log == [(b"\x00\x01\x00", 0), (b"\x00", 2)]
    sample = gauge.read()
    assert sample.volts == pytest.approx(3.3)
    assert sample.amps == pytest.approx(0.45)
    assert sample.watts == pytest.approx(1.485)
    assert sample.charge == pytest.approx(0.66)
    assert sample.celsius == pytest.approx(25.45)
    assert sample.energy is None
    assert len(chip.log) == 7


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("amps", [2.5, -1.25])
def test_each_part_says_what_is_true(battery, part, amps):
    _, chip, gauge = battery(part)
    chip.sense(3.7, amps, 0.5, -10.0)
    gauge.probe()
    sample = gauge.read()
    assert sample.volts == pytest.approx(3.7)
    assert sample.amps == pytest.approx(amps)
    assert sample.watts == pytest.approx(3.7 * amps)
    assert sample.charge == pytest.approx(0.5)
    assert sample.celsius == pytest.approx(-10.0, abs=0.0501)


def test_reversed_turns_the_current_round(battery):
    _, chip, gauge = battery(reversed=True)
    chip.sense(3.7, 0.5, 0.5, 20.0)
    assert gauge.read().amps == pytest.approx(-0.5)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_forgot_its_battery_says_no_charge(battery, part):
    """Only those with RAM forget: elsewhere that bit is another."""
    wires, chip, gauge = battery(part)
    control(wires, RESET)
    chip.sense(3.7, 0.5, 0.8, 20.0)
    sample = gauge.read()
    assert sample.charge == (None if part in {"bq27421", "bq27441"} else pytest.approx(0.8))
    assert sample.volts == pytest.approx(3.7)


def test_a_part_that_is_being_set_up_is_refused(battery):
    wires, chip, gauge = battery(known=False)
    chip.sense(3.7, 0.5, 0.8, 20.0)
    assert gauge.read().charge is None
    control(wires, SET_CFGUPDATE)
    with pytest.raises(DeviceDataError, match="being set up"):
        gauge.read()
    control(wires, SOFT_RESET)
    assert gauge.read().charge == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("part", "felt"), [("bq27441", True), ("bq27520-g4", True), ("bq27545", False)]
)
def test_a_battery_that_is_not_felt_is_said_where_the_part_can(battery, part, felt):
    _, chip, gauge = battery(part)
    chip.sense(3.7, 0.5, 0.8, 20.0)
    chip.battery = False
    if not felt:
        assert gauge.read().charge == pytest.approx(0.8)
        return
    with pytest.raises(DeviceDataError, match="no battery"):
        gauge.read()


@pytest.mark.parametrize(
    ("volts", "charge", "said"),
    [(0.0, 0.5, r"0\.000 V"), (6.001, 0.5, r"6\.001 V"), (4.1, 1.01, "101% full")],
)
def test_what_cannot_be_is_refused(battery, volts, charge, said):
    _, chip, gauge = battery()
    chip.sense(volts, 0.5, charge, 20.0)
    with pytest.raises(DeviceDataError, match=said) as caught:
        gauge.read()
    assert "bq27441 at 0x55" in caught.value.where
    assert caught.value.hint


def test_degrees_that_no_battery_has_are_not_known(battery):
    _, chip, gauge = battery()
    for celsius in (-273.15, -41.0, 126.0):
        chip.sense(3.7, 0.5, 0.8, celsius)
        assert gauge.read().celsius is None


@pytest.mark.parametrize(
    ("part", "fitted"),
    [("bq27441", "bq27520-g4"), ("bq27510-g3", "bq27441"), ("bq27500", "bq27421")],
)
def test_another_family_is_named(battery, part, fitted):
    _, _chip, gauge = battery(part, fitted=fitted)
    with pytest.raises(DeviceMismatchError, match=f"no {part}") as caught:
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
    wires.faults[0x55] = fault
    for call in (gauge.probe, gauge.read):
        with pytest.raises(error, match=said):
            call()
    wires.faults.clear()
    assert gauge.read().charge == pytest.approx(0.6)


@pytest.mark.parametrize("bad", [{}, {"part": "bq27510"}, {"part": "bq27441", "address": 0x54}])
def test_options_that_cannot_be_are_refused(bad):
    with pytest.raises(ValidationError):
        Bq27xxxOptions(**bad)


@settings(max_examples=50)
@given(st.integers(-0x8000, 0x7FFF))
def test_registers_decode_to_the_steps_they_hold(value):
    """The kernel's arithmetic: 1000 uV, 1000 uA, 1 %, and 0.1 K less 273.1 K."""
    raw = value.to_bytes(2, "little", signed=True)
    unsigned = value & 0xFFFF
    assert volts_from(raw) == pytest.approx(unsigned / 1000)
    assert amps_into_battery_from(raw) == pytest.approx(value / 1000)
    assert charge_from(raw) == pytest.approx(unsigned / 100)
    assert celsius_from(raw) == pytest.approx((unsigned - 2731) / 10, abs=0.0501)
