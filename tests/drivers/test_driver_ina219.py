"""Golden numbers: what Linux' own ina2xx driver made of these registers (10 mOhm shunt): 0x03e8 is
10 mV, 0xfc18 is -10 mV, 0x1f42 is 4000 mV. Flags and configuration: TI SBOS448F, pages 26 to 30.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl_drivers.ina219 import DRIVER, Ina219Options, shunt_volts_from, volts_from


@pytest.fixture
def chip(i2c):
    """As it powers up, with the kernel's numbers."""
    return i2c(0x44, {0x00: b"\x39\x9f", 0x01: b"\x03\xe8", 0x02: b"\x1f\x42"})


def probed(chip, **changes):
    gauge = DRIVER.open(chip, Ina219Options(**{"address": 0x44, "shunt_ohms": 0.01, **changes}))
    gauge.probe()
    return gauge


@pytest.mark.parametrize(("raw", "amps"), [(b"\x03\xe8", 1.0), (b"\xfc\x18", -1.0)])
def test_the_kernels_numbers(chip, raw, amps):
    chip.registers[0x01] = raw
    sample = probed(chip).read()
    assert sample.volts == pytest.approx(4.0)
    assert sample.amps == pytest.approx(amps)
    assert sample.watts == pytest.approx(4.0 * amps)
    assert (sample.celsius, sample.charge, sample.energy) == (None, None, None)


def test_a_reversed_shunt_is_turned_round(chip):
    assert probed(chip, reversed=True).read().amps == pytest.approx(-1.0)


@pytest.mark.parametrize(("volts", "word"), [(16, b"\x00\x1e\x67"), (32, b"\x00\x3e\x67")])
def test_probing_writes_the_configuration_once(chip, volts, word):
    gauge = probed(chip, bus_range=volts)
    assert chip.writes == [word]
    gauge.probe()
    assert chip.writes == [word]


def test_a_sample_takes_three_transactions(chip):
    gauge = probed(chip)
    chip.log.clear()
    gauge.read()
    assert len(chip.log) == 3


@pytest.mark.parametrize(("stuck", "said"), [(0x00, "all zeros"), (0xFF, "all ones")])
def test_a_stuck_line_is_named_and_nothing_is_written(chip, stuck, said):
    gauge = probed(chip)
    chip.log.clear()
    chip.stuck = stuck
    for call in (gauge.read, gauge.probe):
        with pytest.raises(DeviceDataError, match=said) as caught:
            call()
        assert "0x44" in caught.value.where
    assert chip.writes == []


def test_a_part_that_keeps_nothing_is_another_part(i2c):
    other = i2c(0x44, {0x00: b"\x41\x27"}, read_only=frozenset({0x00}))
    with pytest.raises(DeviceMismatchError, match=r"0x1e67.*0x4127"):
        probed(other)


def test_a_brown_out_costs_one_sample_and_is_set_right(chip):
    gauge = probed(chip)
    chip.registers[0x00] = b"\x39\x9f"
    with pytest.raises(DeviceDataError, match="lost its configuration"):
        gauge.read()
    assert gauge.read().amps == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("registers", "said", "hint"),
    [
        ({0x02: b"\x1f\x40"}, "no reading ready", "20 ms"),
        ({0x02: b"\x1f\x43"}, "beyond its range", "32 A"),
        ({0x01: (32000).to_bytes(2)}, "beyond its range", "shunt"),
        ({0x01: (-32000).to_bytes(2, signed=True)}, "beyond its range", "shunt"),
        ({0x02: (4000 << 3 | 2).to_bytes(2)}, "end of its range", "bus_range = 32"),
    ],
    ids=["not ready", "overflow", "shunt full", "shunt full, reversed", "bus full"],
)
def test_what_cannot_be_vouched_for_is_refused(chip, registers, said, hint):
    gauge = probed(chip)
    chip.registers.update(registers)
    with pytest.raises(DeviceDataError, match=said) as caught:
        gauge.read()
    assert hint in caught.value.hint


def test_a_dead_feed_is_a_measurement(chip):
    chip.registers.update({0x01: b"\x00\x00", 0x02: b"\x00\x02"})
    sample = probed(chip).read()
    assert (sample.volts, sample.amps, sample.watts) == (0, 0, 0)


@pytest.mark.parametrize("bad", [{"address": 0x50}, {"bus_range": 24}, {"shunt_ohms": 0}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        Ina219Options(**bad)


@given(st.integers(-32000, 32000), st.integers(0, 8000), st.integers(0, 7))
def test_registers_decode_to_the_steps_they_hold(shunt, bus, low_bits):
    assert shunt_volts_from(shunt.to_bytes(2, signed=True)) == pytest.approx(shunt * 1e-5)
    assert volts_from((bus << 3 | low_bits).to_bytes(2)) == pytest.approx(bus * 4e-3)
