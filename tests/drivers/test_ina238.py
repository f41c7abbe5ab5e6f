"""The worked example is TI's: INA237-Q1 datasheet, table 8-4 (16.2 mOhm, 6 A, 48 V, 25 °C), and the
negative shunt voltage of the text below it, 1011 0100 0001 0000. The registers' addresses:
SLYS026A, table 7-3. ADCRANGE is bit 4 of CONFIG, and 0xfb6a the word of Linux' ina238.c.
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
from hwctl_drivers.ina238 import (
    DRIVER,
    Ina238Options,
    celsius_from,
    shunt_volts_from,
    volts_from,
)
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina226 import Ina226
from hwctl_emulated.ina228 import Ina228
from hwctl_emulated.ina238 import Ina238

OHMS = 0.0162
EXAMPLE = {
    0x04: (19_440).to_bytes(2),
    0x05: (15_360).to_bytes(2),
    0x06: (200 << 4).to_bytes(2),
}


@pytest.fixture
def frames(i2c):
    """TI's example, byte for byte; a conversion is done."""
    fixed = {0x00: b"\x00\x00", 0x01: b"\xfb\x68", 0x0B: b"\x00\x03"}
    ids = {0x3E: b"\x54\x49", 0x3F: b"\x23\x81"}
    return i2c(0x42, fixed | ids | EXAMPLE, cleared_by_reading=frozenset({0x0B}))


@pytest.fixture
def bus():
    return EmulatedI2c()


@pytest.fixture
def chip(bus):
    chip = Ina238(OHMS)
    bus.place(0x42, chip, "device.meter")
    return chip


def probed(bus, **changes):
    """On a scripted bus, or on an emulated one through what hwctl puts before an adapter."""
    link = bus if hasattr(bus, "transfer") else SmbusI2c(bus, "i2c1")
    options = Ina238Options(**{"address": 0x42, "shunt_ohms": OHMS, "max_amps": 10, **changes})
    gauge = DRIVER.open(link, options)
    gauge.probe()
    return gauge


def register(bus, number, width=2):
    return SmbusI2c(bus, "i2c1").transfer(0x42, bytes([number]), width).hex()


# --- the driver, on TI's frames -------------------------------------------------------------


def test_the_worked_example(frames):
    sample = probed(frames).read()
    assert sample.volts == pytest.approx(48.0)
    assert sample.amps == pytest.approx(6.0)
    assert sample.watts == pytest.approx(288.0)
    assert sample.celsius == pytest.approx(25.0)
    assert (sample.charge, sample.energy) == (None, None)


@pytest.mark.parametrize(("flip", "amps"), [(False, -6.0), (True, 6.0)])
def test_the_worked_negative_example(frames, flip, amps):
    frames.registers[0x04] = int("1011010000010000", 2).to_bytes(2)
    assert probed(frames, reversed=flip).read().amps == pytest.approx(amps)


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (10.0, [b"\x00\x00\x00", b"\x01\xfb\x6a"]),
        (2.0, [b"\x00\x00\x10", b"\x01\xfb\x6a"]),
    ],
)
def test_probing_sets_the_range_once(frames, most, words):
    gauge = probed(frames, max_amps=most)
    gauge.probe()
    assert frames.writes == words


def test_the_fine_range_has_steps_of_a_quarter(frames):
    assert probed(frames, max_amps=2.0).read().amps == pytest.approx(1.5)


def test_a_sample_takes_five_transactions_and_the_first_one_more(frames):
    gauge = probed(frames)
    counts = []
    for _ in range(3):
        frames.log.clear()
        gauge.read()
        counts.append(len(frames.log))
    assert counts == [6, 5, 5]


@pytest.mark.parametrize(
    ("registers", "said", "hint"),
    [
        ({0x04: b"\x7f\xff"}, "beyond its range", "max_amps"),
        ({0x04: b"\x80\x00"}, "beyond its range", "10 A"),
        ({0x05: b"\x6a\x41"}, "85.0 V", "SDA"),
        ({0x05: b"\xff\xff"}, "can measure 0 to 85 V", "ground"),
        ({0x05: b"\x80\x00"}, "can measure 0 to 85 V", "ground"),
    ],
    ids=["shunt full", "shunt full, reversed", "above 85 V", "all ones", "below 0"],
)
def test_what_cannot_be_vouched_for_is_refused(frames, registers, said, hint):
    gauge = probed(frames)
    frames.registers.update(registers)
    with pytest.raises(DeviceDataError, match=said) as caught:
        gauge.read()
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("steps", "celsius"), [(-320, -40.0), (-1, -0.125), (1000, 125.0), (-321, None), (1001, None)]
)
def test_a_die_outside_its_range_has_no_temperature_and_the_rest_is_there(frames, steps, celsius):
    frames.registers[0x06] = (steps * 16).to_bytes(2, signed=True)
    sample = probed(frames).read()
    assert sample.celsius == celsius
    assert sample.amps == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("registers", "said"),
    [({0x3E: b"\x54\x50"}, "maker 0x5450"), ({0x3F: b"\x22\x81"}, "device 0x228, not 0x238")],
)
def test_another_part_is_named_and_nothing_is_written(frames, registers, said):
    frames.registers.update(registers)
    with pytest.raises(DeviceMismatchError, match=said) as caught:
        probed(frames)
    assert "0x42" in caught.value.where
    assert "part" in caught.value.hint
    assert frames.writes == []


def test_a_part_that_does_not_keep_its_configuration_is_another_part(frames):
    frames.read_only = frozenset({0x00})
    with pytest.raises(DeviceMismatchError, match="keeps 0x0000fb6a"):
        probed(frames, max_amps=2.0)


# --- the driver, on the emulated part --------------------------------------------------------


@pytest.mark.parametrize("most", [10.0, 2.0])
def test_measured_over_the_bus_in_both_ranges(bus, chip, most):
    gauge = probed(bus, max_amps=most)
    chip.sense(12.0, -1.5, 31.25)
    sample = gauge.read()
    assert sample.volts == pytest.approx(12.0)
    assert sample.amps == pytest.approx(-1.5, abs=5e-6 / OHMS)
    assert sample.watts == pytest.approx(-18.0, rel=1e-3)
    assert sample.celsius == 31.25


def test_an_ina237_has_no_device_id_and_says_so_to_an_ina238(bus):
    chip = Ina238(OHMS, part="INA237")
    bus.place(0x42, chip, "device.meter")
    with pytest.raises(DeviceMismatchError, match="not 0x238"):
        probed(bus)
    gauge = probed(bus, part="INA237")
    chip.sense(5.0, 1.0)
    assert gauge.read().volts == pytest.approx(5.0)


def test_before_the_first_conversion_there_is_no_reading(bus, chip):
    gauge = probed(bus)
    for _ in range(2):
        with pytest.raises(DeviceDataError, match="no reading ready"):
            gauge.read()
    chip.sense(12.0, 1.5)
    assert gauge.read().volts == pytest.approx(12.0)
    assert gauge.read().volts == pytest.approx(12.0)


def test_a_dead_feed_is_a_measurement(bus, chip):
    gauge = probed(bus)
    chip.sense(0.0, 0.0)
    sample = gauge.read()
    assert (sample.volts, sample.amps, sample.watts) == (0, 0, 0)


@pytest.mark.parametrize("most", [10.0, 2.0])
def test_a_brown_out_costs_its_samples_and_is_set_right(bus, chip, most):
    gauge = probed(bus, max_amps=most)
    chip.sense(12.0, 1.0)
    gauge.read()
    chip.power_on()
    with pytest.raises(DeviceDataError, match="lost its configuration"):
        gauge.read()
    with pytest.raises(DeviceDataError, match="no reading ready"):
        gauge.read()
    chip.sense(12.0, 1.5)
    assert gauge.read().amps == pytest.approx(1.5, abs=5e-6 / OHMS)


def test_another_range_set_by_somebody_else_is_noticed(bus, chip):
    gauge = probed(bus)
    chip.sense(12.0, 1.0)
    gauge.read()
    chip.store(0x00, 0x0010)
    with pytest.raises(DeviceDataError, match="lost its configuration"):
        gauge.read()


@pytest.mark.parametrize(("most", "amps"), [(10.0, 10.2), (10.0, -10.2), (2.0, 2.6)])
def test_too_much_current_is_an_error_and_no_number(bus, chip, most, amps):
    gauge = probed(bus, max_amps=most)
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
    bus.faults[0x42] = fault
    for call in (gauge.probe, gauge.read):
        with pytest.raises(error, match=said) as caught:
            call()
        assert "0x42" in caught.value.where
        assert caught.value.hint
    del bus.faults[0x42]
    assert gauge.read().volts == pytest.approx(12.0)


@pytest.mark.parametrize("other", [Ina226, Ina228])
def test_a_sister_is_no_ina238(bus, other):
    bus.place(0x42, other(OHMS), "device.meter")
    with pytest.raises((DeviceMismatchError, DeviceDataError)):
        probed(bus)


@pytest.mark.parametrize(
    "bad", [{"address": 0x50}, {"shunt_ohms": 0}, {"max_amps": 11}, {"part": "INA228"}]
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        Ina238Options(**{"shunt_ohms": OHMS, "max_amps": 10, **bad})


@settings(max_examples=50)
@given(st.integers(-32_768, 32_767), st.booleans(), st.integers(0, 15))
def test_registers_decode_to_the_steps_they_hold(steps, fine, low_bits):
    raw = steps.to_bytes(2, signed=True)
    assert shunt_volts_from(raw, fine=fine) == pytest.approx(steps * (1.25e-6 if fine else 5e-6))
    assert volts_from(raw) == pytest.approx(steps * 3.125e-3)
    die = (steps >> 4 << 4 | low_bits).to_bytes(2, signed=True)
    assert celsius_from(die) == (steps >> 4) * 0.125


# --- the emulated part itself ----------------------------------------------------------------


def test_the_part_works_the_example_out(bus, chip):
    """SHUNT_CAL 4050 for 10 A in 2^15 steps: CURRENT 19660, and 288 W to four digits."""
    chip.store(0x02, 4050)
    chip.sense(48.0, 6.0)
    values = [int(register(bus, number), 16) for number in (0x04, 0x05, 0x07)]
    assert values == [19_440, 15_360, 19_660]
    assert int(register(bus, 0x06), 16) >> 4 == 200
    power = int(register(bus, 0x08, 3), 16)
    assert power == pytest.approx(4_718_604, rel=1e-4)


def test_the_part_needs_four_times_the_calibration_in_the_fine_range(bus, chip):
    """SLYS025B: "For ADCRANGE = 1, the value of SHUNT_CAL must be multiplied by 4"."""
    chip.store(0x00, 0x0010)
    chip.store(0x02, 4 * 4050)
    chip.sense(48.0, 2.0)
    assert int(register(bus, 0x04), 16) == 25_920
    assert int(register(bus, 0x07), 16) == pytest.approx(2.0 / (10 / (1 << 15)), abs=1)


def test_the_part_shows_no_current_without_calibration(bus, chip):
    chip.store(0x02, 0)
    chip.sense(48.0, 6.0)
    assert (register(bus, 0x07), register(bus, 0x08, 3)) == ("0000", "000000")


def test_the_part_is_reset_by_rst_and_keeps_its_identity(bus, chip):
    chip.store(0x01, 0xFB6A)
    chip.sense(48.0, 6.0)
    assert int(register(bus, 0x0B), 16) == 0b11
    assert int(register(bus, 0x0B), 16) == 0b01  # reading cleared CNVRF
    chip.store(0x00, 0x8000)
    words = [register(bus, number) for number in (0x00, 0x01, 0x04, 0x05, 0x06, 0x3E, 0x3F)]
    assert words == ["0000", "fb68", "0000", "0000", "0000", "5449", "2381"]


@pytest.mark.parametrize(("mode", "volts"), [(0x0, 0), (0x8, 0), (0x7, 12), (0xF, 24), (0xA, 0)])
def test_the_part_converts_as_its_mode_says(bus, chip, mode, volts):
    """Shut down: not at all. Triggered: once. 0xA: the shunt only."""
    chip.store(0x01, mode << 12 | 0xB6A)
    chip.sense(12.0, 1.0)
    chip.sense(24.0, 1.0)
    assert int(register(bus, 0x05), 16) * 3.125e-3 == pytest.approx(volts)


@pytest.mark.parametrize("seed", range(5))
def test_errors_stay_within_the_specification(bus, seed):
    chip = Ina238(OHMS, Random(seed))
    bus.place(0x42, chip, "device.meter")
    gauge = probed(bus)
    for _ in range(20):
        chip.sense(12.0, 6.0)
        sample = gauge.read()
        assert sample.amps == pytest.approx(6.0, rel=0.001, abs=7.5e-6 / OHMS)
        assert sample.volts == pytest.approx(12.0, rel=0.001, abs=6.6e-3)
