"""The worked example is TI's: SBOS576B, page 27 (-80 mV is 0xc180, full scale 0x7ff8). 0x0fa0 and
0x2710 are 20 mV and 10 V by its steps of 40 uV and 8 mV. Power-on configuration 0x7127 and CVRF:
Linux' ina3221.c; identification: Zephyr's ina3221.h.
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
from hwctl_drivers.ina3221 import DRIVER, Ina3221Options, shunt_volts_from, volts_from
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina226 import Ina226
from hwctl_emulated.ina3221 import Ina3221

OHMS = (0.1, 0.01, 0.05)
CHANNELS = (1, 2, 3)


@pytest.fixture
def frames(i2c):
    """20 mV at 10 V, -80 mV at 5 V, and a dead feed; a conversion is done."""
    fixed = {0x00: b"\x71\x27", 0x0F: b"\x00\x03", 0xFE: b"\x54\x49", 0xFF: b"\x32\x20"}
    values = ("0fa0", "2710", "c180", "1388", "0000", "0000")
    inputs = {number: bytes.fromhex(value) for number, value in enumerate(values, 1)}
    return i2c(0x43, fixed | inputs, cleared_by_reading=frozenset({0x0F}))


@pytest.fixture
def bus():
    return EmulatedI2c()


@pytest.fixture
def chip(bus):
    chip = Ina3221(OHMS)
    bus.place(0x43, chip, "device.meters")
    return chip


def sense_all(chip, volts=12.0, amps=1.0):
    for channel in CHANNELS:
        chip.sense(volts, amps, channel)


def probed(bus, **changes):
    """On a scripted bus, or on an emulated one through what hwctl puts before an adapter."""
    link = bus if hasattr(bus, "transfer") else SmbusI2c(bus, "i2c1")
    options = Ina3221Options(**{"address": 0x43, "shunt_ohms": OHMS, **changes})
    gauge = DRIVER.open(link, options)
    gauge.probe()
    return gauge


def register(bus, number):
    return SmbusI2c(bus, "i2c1").transfer(0x43, bytes([number]), 2).hex()


# --- the driver, on published frames --------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "volts", "amps"), [(1, 10.0, 0.2), (2, 5.0, -8.0), (3, 0.0, 0.0)]
)
def test_each_channel_by_its_own_shunt(frames, channel, volts, amps):
    sample = probed(frames).read(channel)
    assert sample.volts == pytest.approx(volts)
    assert sample.amps == pytest.approx(amps)
    assert sample.watts == pytest.approx(volts * amps)
    assert (sample.celsius, sample.charge, sample.energy) == (None, None, None)


def test_each_channel_may_be_reversed(frames):
    gauge = probed(frames, reversed=(False, True, False))
    assert gauge.read(1).amps == pytest.approx(0.2)
    assert gauge.read(2).amps == pytest.approx(8.0)


def test_probing_writes_the_configuration_once_and_nothing_else(frames):
    gauge = probed(frames)
    gauge.probe()
    assert frames.writes == [b"\x00\x75\x27"]


def test_a_sample_takes_three_transactions_and_the_first_one_more(frames):
    gauge = probed(frames)
    counts = []
    for channel in CHANNELS:
        frames.log.clear()
        gauge.read(channel)
        counts.append(len(frames.log))
    assert counts == [4, 3, 3]


@pytest.mark.parametrize(
    ("registers", "said", "hint"),
    [
        ({0x01: b"\x7f\xf8"}, "beyond its range on channel 1", "1.64 A"),
        ({0x01: b"\x80\x00"}, "beyond its range", "shunt"),
        ({0x02: b"\x65\x98"}, "26.01 V on channel 1", "ground"),
        ({0x02: b"\x80\x00"}, "can measure 0 to 26 V", "ground"),
        ({0x02: b"\xff\xe8"}, "-0.02 V", "ground"),
        ({0x01: b"\xff\xff"}, "bits that are always 0", "SDA"),
        ({0x02: b"\xff\xff"}, "bits that are always 0", "SDA"),
    ],
    ids=["full", "full, reversed", "above 26 V", "full below 0", "below 0", "ones", "bus ones"],
)
def test_what_cannot_be_vouched_for_is_refused(frames, registers, said, hint):
    gauge = probed(frames)
    frames.registers.update(registers)
    with pytest.raises(DeviceDataError, match=said) as caught:
        gauge.read(1)
    assert hint in caught.value.hint
    assert gauge.read(2).volts == pytest.approx(5.0)  # the other channels go on


def test_an_offset_below_zero_is_passed_on(frames):
    frames.registers[0x06] = b"\xff\xf8"
    assert probed(frames).read(3).volts == pytest.approx(-0.008)


@pytest.mark.parametrize("channel", [0, 4, -1])
def test_there_are_channels_1_to_3(frames, channel):
    gauge = probed(frames)
    frames.log.clear()
    with pytest.raises(DeviceMismatchError, match=f"no channel {channel}") as caught:
        gauge.read(channel)
    assert "channel" in caught.value.hint
    assert frames.log == []


def test_another_die_is_named_and_nothing_is_written(frames):
    frames.registers[0xFF] = b"\x22\x60"
    with pytest.raises(DeviceMismatchError, match=r"die 0x2260, not as 0x5449, 0x3220") as caught:
        probed(frames)
    assert "0x43" in caught.value.where
    assert frames.writes == []


# --- the driver, on the emulated part --------------------------------------------------------


def test_measured_over_the_bus(bus, chip):
    gauge = probed(bus)
    wanted = {1: (5.0, 0.4), 2: (12.0, -3.0), 3: (3.296, 0.0)}
    for channel, (volts, amps) in wanted.items():
        chip.sense(volts, amps, channel)
    for channel, (volts, amps) in wanted.items():
        sample = gauge.read(channel)
        assert (sample.volts, sample.amps) == (pytest.approx(volts), pytest.approx(amps))


def test_a_reversed_shunt_is_turned_round(bus):
    chip = Ina3221(OHMS, reversed_shunts=(True, False, False))
    bus.place(0x43, chip, "device.meters")
    gauge = probed(bus, reversed=(True, False, False))
    sense_all(chip)
    assert [gauge.read(channel).amps for channel in CHANNELS] == pytest.approx([1.0] * 3)


def test_before_all_channels_are_converted_there_is_no_reading(bus, chip):
    gauge = probed(bus)
    chip.sense(12.0, 1.0, 1)
    chip.sense(12.0, 1.0, 3)
    for channel in CHANNELS:
        with pytest.raises(DeviceDataError, match="no reading ready"):
            gauge.read(channel)
    chip.sense(12.0, 1.0, 2)
    for channel in CHANNELS * 2:
        assert gauge.read(channel).amps == pytest.approx(1.0)


def test_a_brown_out_costs_its_samples_and_is_set_right(bus, chip):
    gauge = probed(bus)
    sense_all(chip)
    gauge.read(1)
    chip.power_on()
    with pytest.raises(DeviceDataError, match="lost its configuration"):
        gauge.read(2)
    with pytest.raises(DeviceDataError, match="no reading ready"):
        gauge.read(2)
    sense_all(chip)
    assert gauge.read(2).amps == pytest.approx(1.0)
    assert register(bus, 0x00) == "7527"


@pytest.mark.parametrize("amps", [1.7, -1.7])
def test_too_much_current_is_an_error_and_no_number(bus, chip, amps):
    gauge = probed(bus)
    sense_all(chip, amps=amps)
    with pytest.raises(DeviceDataError, match="beyond its range"):
        gauge.read(1)
    assert gauge.read(2).amps == pytest.approx(amps)


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
    sense_all(chip)
    bus.faults[0x43] = fault
    for call in (gauge.probe, lambda: gauge.read(1)):
        with pytest.raises(error, match=said) as caught:
            call()
        assert "0x43" in caught.value.where
        assert caught.value.hint
    del bus.faults[0x43]
    assert gauge.read(1).amps == pytest.approx(1.0)


def test_an_ina226_is_no_ina3221(bus):
    bus.place(0x43, Ina226(0.1), "device.meters")
    with pytest.raises(DeviceMismatchError, match="die 0x2260"):
        probed(bus)


@pytest.mark.parametrize(
    "bad",
    [
        {"address": 0x44},
        {"shunt_ohms": 0.1},
        {"shunt_ohms": [0.1, 0.1]},
        {"shunt_ohms": [0.1, 0.0, 0.1]},
        {"reversed": [True]},
    ],
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        Ina3221Options(**bad)


@settings(max_examples=50)
@given(st.integers(-4096, 4095), st.integers(0, 7))
def test_registers_decode_to_the_steps_they_hold(steps, low_bits):
    raw = (steps << 3 | low_bits).to_bytes(2, signed=True)
    assert shunt_volts_from(raw) == pytest.approx(steps * 40e-6)
    assert volts_from(raw) == pytest.approx(steps * 8e-3)


# --- the emulated part itself ----------------------------------------------------------------


def test_the_part_works_the_example_out(bus, chip):
    chip.sense(32.76, -8.0, 2)
    assert (register(bus, 0x03), register(bus, 0x04)) == ("c180", "7ff8")


def test_the_part_sums_the_shunts_that_it_is_told_to(bus, chip):
    """ina3221.c: SCC in bits 14..12 of MASK_ENABLE, the sum in bits 15..1."""
    chip.store(0x0F, 0x7000)
    sense_all(chip)
    steps = sum(round(ohms / 40e-6) for ohms in OHMS)
    assert int(register(bus, 0x0D), 16) >> 1 == steps
    chip.store(0x0F, 0x4000)
    assert int(register(bus, 0x0D), 16) >> 1 == 2500


def test_the_part_is_reset_by_rst_and_keeps_its_identity(bus, chip):
    chip.store(0x07, 0x1000)
    sense_all(chip)
    chip.store(0x00, 0x8000)
    words = [register(bus, number) for number in (0x00, 0x01, 0x06, 0x07, 0xFE, 0xFF)]
    assert words == ["7127", "0000", "0000", "7ff8", "5449", "3220"]


def test_the_part_flags_a_conversion_until_somebody_looks(bus, chip):
    for expected in (0b10, 0b11, 0b10):
        assert int(register(bus, 0x0F), 16) == expected
        if expected == 0b10:
            sense_all(chip)
    chip.store(0x00, 0x7127)
    assert int(register(bus, 0x0F), 16) == 0b10


@pytest.mark.parametrize(
    ("config", "amps"), [(0x7120, 0), (0x7124, 0), (0x7123, 1), (0x7127, 2), (0x5127, 0)]
)
def test_the_part_converts_as_its_configuration_says(bus, chip, config, amps):
    """Powered down: not at all. Triggered: once. 0x5127: without channel 2."""
    chip.store(0x00, config)
    sense_all(chip, amps=1.0)
    sense_all(chip, amps=2.0)
    assert shunt_volts_from(bytes.fromhex(register(bus, 0x03))) / 0.01 == pytest.approx(amps)


@pytest.mark.parametrize("seed", range(5))
def test_errors_stay_within_the_specification(bus, seed):
    chip = Ina3221(OHMS, Random(seed))
    bus.place(0x43, chip, "device.meters")
    gauge = probed(bus)
    for _ in range(20):
        sense_all(chip)
        for channel, ohms in zip(CHANNELS, OHMS, strict=True):
            sample = gauge.read(channel)
            assert sample.amps == pytest.approx(1.0, rel=0.0025, abs=120e-6 / ohms)
            assert sample.volts == pytest.approx(12.0, rel=0.0025, abs=20e-3)
