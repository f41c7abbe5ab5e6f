"""Golden numbers: TI INA229 datasheet SLYS023A, table 8-4 (the INA228's core on SPI): 10 A, 6 A
flowing, 48 V, 288 W for an hour, 25 degrees; the shunt shows 97.2 mV at 6 A, so it has 16.2 mOhm.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError
from hwctl_drivers import ina228
from hwctl_drivers.ina228 import DRIVER, Ina228Options

OPTIONS = {"address": 0x45, "shunt_ohms": 0.0162, "max_amps": 10.0}


@pytest.fixture
def chip(i2c):
    """As it powers up (SLYS022, section 7.6.1), measuring the datasheet's example."""
    return i2c(
        0x45,
        {
            0x00: b"\x00\x00",
            0x01: b"\xfb\x68",
            0x02: b"\x10\x00",
            0x05: (245760 << 4).to_bytes(3),
            0x06: (3200).to_bytes(2),
            0x07: (314572 << 4).to_bytes(3),
            0x09: (1061683200).to_bytes(5),
            0x3E: b"\x54\x49",
            0x3F: b"\x22\x81",
        },
    )


def opened(chip, **changes):
    return DRIVER.open(chip, Ina228Options(**{**OPTIONS, **changes}))


def probed(chip, **changes):
    gauge = opened(chip, **changes)
    gauge.probe()
    return gauge


def test_opening_touches_nothing(chip):
    opened(chip)
    assert chip.log == []


def test_the_datasheets_example_reads_as_the_datasheet_says(chip):
    sample = probed(chip).read()
    assert sample.volts == pytest.approx(48.0)
    assert sample.amps == pytest.approx(6.0, abs=2e-5)
    assert sample.watts == pytest.approx(288.0, abs=1e-3)
    assert sample.celsius == pytest.approx(25.0)
    assert sample.energy == pytest.approx(1_036_800.0)


def test_probing_sets_range_averaging_and_calibration(chip):
    probed(chip)
    assert chip.writes == [b"\x00\x00\x00", b"\x01\xfb\x6a", b"\x02" + (4050).to_bytes(2)]


def test_probing_leaves_the_energy_counter(chip):
    """RSTACC is bit 14 of CONFIG."""
    assert not any(write[0] == 0 and write[1] & 0x40 for write in probed(chip)._bus.writes)


def test_a_sample_takes_six_transactions(chip):
    gauge = probed(chip)
    chip.log.clear()
    gauge.read()
    assert len(chip.log) == 6


def test_current_against_the_arrow_is_negative(chip):
    chip.registers[0x07] = (-314572 << 4).to_bytes(3, signed=True)
    sample = probed(chip).read()
    assert (sample.amps, sample.watts) == (
        pytest.approx(-6.0, abs=2e-5),
        pytest.approx(-288.0, abs=1e-3),
    )


def test_a_reversed_shunt_is_turned_round(chip):
    sample = probed(chip, reversed=True).read()
    assert sample.amps == pytest.approx(-6.0, abs=2e-5)
    assert sample.watts == pytest.approx(-288.0, abs=1e-3)


def test_another_part_is_a_mismatch_that_names_both(chip):
    chip.registers[0x3F] = b"\x23\x81"
    with pytest.raises(DeviceMismatchError, match=r"0x238.*0x228") as caught:
        probed(chip)
    assert "0x45" in caught.value.where
    assert "wiring" in caught.value.hint


def test_nobody_there_is_the_buss_own_error(chip):
    with pytest.raises(DeviceNotFoundError):
        probed(chip, address=0x40)


@pytest.mark.parametrize(("stuck", "said"), [(0x00, "all zeros"), (0xFF, "all ones")])
def test_a_stuck_line_is_named_and_nothing_is_written(chip, stuck, said):
    gauge = probed(chip)
    chip.log.clear()
    chip.stuck = stuck
    with pytest.raises(DeviceDataError, match=said):
        gauge.read()
    with pytest.raises(DeviceDataError, match=said):
        gauge.probe()
    assert chip.writes == []


@pytest.mark.parametrize("value", [b"\x00", b"\xff"])
def test_flat_measurements_are_refused(chip, value):
    gauge = probed(chip)
    for register, width in ((0x05, 3), (0x06, 2), (0x07, 3)):
        chip.registers[register] = value * width
    with pytest.raises(DeviceDataError, match="answers all"):
        gauge.read()


def test_no_voltage_and_no_current_is_a_measurement(chip):
    chip.registers[0x05] = chip.registers[0x07] = bytes(3)
    sample = probed(chip).read()
    assert (sample.volts, sample.amps, sample.watts) == (0, 0, 0)


def test_a_voltage_beyond_the_part_is_refused(chip):
    chip.registers[0x05] = b"\xff\xff\xf0"
    with pytest.raises(DeviceDataError, match=r"204\.8 V"):
        probed(chip).read()


@pytest.mark.parametrize(
    "lost",
    [{0x01: b"\xfb\x68", 0x02: b"\x10\x00"}, {0x02: b"\x00\x00"}, {0x01: b"\xfb\x68"}],
    ids=["power-on values", "calibration", "averaging"],
)
def test_a_brown_out_costs_one_sample_and_is_set_right(chip, lost):
    gauge = probed(chip)
    chip.registers.update(lost)
    with pytest.raises(DeviceDataError, match="lost its calibration") as caught:
        gauge.read()
    assert caught.value.retryable
    assert gauge.read().amps == pytest.approx(6.0, abs=2e-5)


def test_a_range_that_the_shunt_cannot_have_is_refused():
    with pytest.raises(ValidationError, match=r"0\.200 V"):
        Ina228Options(shunt_ohms=0.01, max_amps=20)
    assert Ina228Options(shunt_ohms=0.002, max_amps=20).shunt_cal == 1000


@given(st.integers(-(1 << 19), (1 << 19) - 1), st.integers(0, 15))
def test_current_is_twenty_bits_with_sign_above_four_idle_ones(steps, idle):
    raw = (steps << 4 | idle).to_bytes(3, signed=True)
    assert ina228.amps_from(raw, 0.001) == pytest.approx(steps * 0.001)


@given(st.floats(1e-4, 0.1), st.floats(0.5, 100))
def test_rounding_the_calibration_costs_no_accuracy(shunt_ohms, max_amps):
    """The part's current is shunt steps * 4096 / SHUNT_CAL: with 16.2 mOhm and 10 A SHUNT_CAL is
    4050, and 311040 * 4096 / 4050 = 314572, as table 8-4 has it."""
    if max_amps * shunt_ohms > 0.16384:
        return
    options = Ina228Options(shunt_ohms=shunt_ohms, max_amps=max_amps)
    amps = max_amps / 2
    steps = amps * shunt_ohms / 312.5e-9 * 4096 / options.shunt_cal
    assert steps * options.current_lsb == pytest.approx(amps)
