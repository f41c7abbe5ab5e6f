"""The worked example is TI's: SBOS547, page 16, table 1 (2 mOhm, 10 A, 11.98 V). Power-on values
and identification: SBOS547B, table 7-1. 0xfc18 is -2.5 mV, by its steps of 2.5 uV.
"""

from random import Random

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
from hwctl_drivers.ina226 import DRIVER, Ina226Options, shunt_volts_from, volts_from
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.ina226 import Ina226

EXAMPLE = {0x01: b"\x1f\x40", 0x02: b"\x25\x70"}


@pytest.fixture
def frames(i2c):
    """TI's example, byte for byte; a conversion is done."""
    fixed = {0x00: b"\x41\x27", 0x06: b"\x00\x08", 0xFE: b"\x54\x49", 0xFF: b"\x22\x60"}
    return i2c(0x41, fixed | EXAMPLE, cleared_by_reading=frozenset({0x06}))


@pytest.fixture
def bus():
    return EmulatedI2c()


@pytest.fixture
def chip(bus):
    chip = Ina226(0.002)
    bus.place(0x41, chip, "device.meter")
    return chip


def probed(bus, **changes):
    """On a scripted bus, or on an emulated one through what hwctl puts before an adapter."""
    link = bus if hasattr(bus, "transfer") else SmbusI2c(bus, "i2c1")
    options = Ina226Options(**{"address": 0x41, "shunt_ohms": 0.002, **changes})
    gauge = DRIVER.open(link, options)
    gauge.probe()
    return gauge


def register(bus, number):
    return SmbusI2c(bus, "i2c1").transfer(0x41, bytes([number]), 2).hex()


# --- the driver, on TI's frames -------------------------------------------------------------


def test_the_worked_example(frames):
    sample = probed(frames).read()
    assert sample.volts == pytest.approx(11.98)
    assert sample.amps == pytest.approx(10.0)
    assert sample.watts == pytest.approx(119.8)
    assert (sample.celsius, sample.charge, sample.energy) == (None, None, None)


@pytest.mark.parametrize(("flip", "amps"), [(False, -1.25), (True, 1.25)])
def test_a_negative_current(frames, flip, amps):
    frames.registers[0x01] = b"\xfc\x18"
    assert probed(frames, reversed=flip).read().amps == pytest.approx(amps)


def test_probing_writes_the_configuration_once_and_nothing_else(frames):
    gauge = probed(frames)
    gauge.probe()
    assert frames.writes == [b"\x00\x45\x27"]


def test_a_sample_takes_three_transactions_and_the_first_one_more(frames):
    gauge = probed(frames)
    counts = []
    for _ in range(3):
        frames.log.clear()
        gauge.read()
        counts.append(len(frames.log))
    assert counts == [4, 3, 3]


@pytest.mark.parametrize(
    ("registers", "said", "hint"),
    [
        ({0x01: b"\x7f\xff"}, "beyond its range", "41 A"),
        ({0x01: b"\x80\x00"}, "beyond its range", "shunt"),
        ({0x02: b"\x70\x81"}, "36.001 V", "SDA"),
        ({0x02: b"\xff\xff"}, "81.919 V", "ground"),
    ],
    ids=["shunt full", "shunt full, reversed", "above 36 V", "one register all ones"],
)
def test_what_cannot_be_vouched_for_is_refused(frames, registers, said, hint):
    gauge = probed(frames)
    frames.registers.update(registers)
    with pytest.raises(DeviceDataError, match=said) as caught:
        gauge.read()
    assert hint in caught.value.hint


def test_36_volts_are_still_measured(frames):
    frames.registers[0x02] = (28_800).to_bytes(2)
    assert probed(frames).read().volts == pytest.approx(36.0)


def test_another_die_is_named(frames):
    frames.registers[0xFF] = b"\x22\x81"
    with pytest.raises(DeviceMismatchError, match=r"0x5449, die 0x228, not as") as caught:
        probed(frames)
    assert "0x41" in caught.value.where
    assert frames.writes == []


# --- the driver, on the emulated part --------------------------------------------------------


def test_measured_over_the_bus(bus, chip):
    gauge = probed(bus)
    chip.sense(12.0, -3.5)
    sample = gauge.read()
    assert (sample.volts, sample.amps) == (pytest.approx(12.0), pytest.approx(-3.5))
    assert sample.watts == pytest.approx(-42.0)


def test_before_the_first_conversion_there_is_no_reading(bus, chip):
    gauge = probed(bus)
    for _ in range(2):
        with pytest.raises(DeviceDataError, match="no reading ready"):
            gauge.read()
    chip.sense(12.0, 1.0)
    assert gauge.read().amps == pytest.approx(1.0)
    assert gauge.read().amps == pytest.approx(1.0)  # CVRF fell, and is not asked for again


def test_a_dead_feed_is_a_measurement(bus, chip):
    gauge = probed(bus)
    chip.sense(0.0, 0.0)
    sample = gauge.read()
    assert (sample.volts, sample.amps, sample.watts) == (0, 0, 0)


def test_a_brown_out_costs_its_samples_and_is_set_right(bus, chip):
    gauge = probed(bus)
    chip.sense(12.0, 1.0)
    gauge.read()
    chip.power_on()
    with pytest.raises(DeviceDataError, match="lost its configuration"):
        gauge.read()
    with pytest.raises(DeviceDataError, match="no reading ready"):
        gauge.read()
    chip.sense(12.0, 2.0)
    assert gauge.read().amps == pytest.approx(2.0)
    assert register(bus, 0x00) == "4527"


@pytest.mark.parametrize("amps", [41.0, -41.0])
def test_too_much_current_is_an_error_and_no_number(bus, chip, amps):
    gauge = probed(bus)
    chip.sense(12.0, amps)
    with pytest.raises(DeviceDataError, match="beyond its range"):
        gauge.read()


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("nak", DeviceNotFoundError, "nothing answers"),
        ("timeout", DeviceTimeoutError, "did not answer"),
        ("ones", DeviceDataError, "all ones"),
        ("zeros", DeviceDataError, "all zeros"),
    ],
)
def test_faults_of_the_wires(bus, chip, fault, error, said):
    gauge = probed(bus)
    chip.sense(12.0, 1.0)
    bus.faults[0x41] = fault
    for call in (gauge.probe, gauge.read):
        with pytest.raises(error, match=said) as caught:
            call()
        assert "0x41" in caught.value.where
        assert caught.value.hint
    del bus.faults[0x41]
    assert gauge.read().amps == pytest.approx(1.0)


def test_an_ina219_is_no_ina226(bus):
    bus.place(0x41, Ina219(0.1), "device.meter")
    with pytest.raises((DeviceMismatchError, DeviceDataError)):
        probed(bus)


@pytest.mark.parametrize("bad", [{"address": 0x50}, {"shunt_ohms": 0}, {"bus_range": 16}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        Ina226Options(**bad)


@settings(max_examples=50)
@given(st.integers(-32_768, 32_767), st.integers(0, 0xFFFF))
def test_registers_decode_to_the_steps_they_hold(shunt, steps):
    assert shunt_volts_from(shunt.to_bytes(2, signed=True)) == pytest.approx(shunt * 2.5e-6)
    assert volts_from(steps.to_bytes(2)) == pytest.approx(steps * 1.25e-3)


# --- the emulated part itself ----------------------------------------------------------------


def test_the_part_works_the_example_out(bus, chip):
    """Calibration 0x0a00 gives CURRENT 0x2710 and POWER 0x12b8."""
    chip.store(0x05, 0x0A00)
    chip.sense(11.98, 10.0)
    words = [register(bus, number) for number in (0x01, 0x02, 0x04, 0x03)]
    assert words == ["1f40", "2570", "2710", "12b8"]


def test_the_part_powers_up_as_published(bus, chip):
    numbers = (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xFE, 0xFF)
    words = [register(bus, number) for number in numbers]
    assert words == ["4127", *["0000"] * 7, "5449", "2260"]


def test_the_part_flags_an_overflow_and_is_reset_by_rst(bus, chip):
    chip.store(0x05, 0x7FFF)
    chip.sense(12.0, 30.0)
    assert int(register(bus, 0x06), 16) == 0b1100
    chip.store(0x00, 0x8000)
    assert [register(bus, number) for number in (0x00, 0x01, 0x05)] == ["4127", "0000", "0000"]


@pytest.mark.parametrize(("mode", "amps"), [(0b000, 0), (0b100, 0), (0b011, 1), (0b111, 2)])
def test_the_part_converts_as_its_mode_says(bus, chip, mode, amps):
    """Powered down: not at all. Triggered: once."""
    chip.store(0x00, 0x4520 | mode)
    chip.sense(12.0, 1.0)
    chip.sense(12.0, 2.0)
    assert int(register(bus, 0x01), 16) * 2.5e-6 / 0.002 == pytest.approx(amps)


@pytest.mark.parametrize("seed", range(5))
def test_errors_stay_within_the_specification(bus, seed):
    chip = Ina226(0.002, Random(seed))
    bus.place(0x41, chip, "device.meter")
    gauge = probed(bus)
    for _ in range(20):
        chip.sense(12.0, 10.0)
        sample = gauge.read()
        assert sample.amps == pytest.approx(10.0, rel=0.001, abs=10e-6 / 0.002)
        assert sample.volts == pytest.approx(12.0, rel=0.001, abs=7.5e-3)
