"""Golden numbers: what Linux' own max17040 driver made of these registers of a MAX17048: VCELL
0xc350 is 3,906,250 uV, 0xa000 is 3,200,000 uV; SOC 0x5f80 is 95 %, 0x0a40 is 10 %.
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
from hwctl_drivers.max17040 import DRIVER, Max17040Options, charge_from, volts_from
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.max17040 import Max17040

PARTS = [part.lower() for part in DRIVER.parts]
FINE = ["max17048", "max17049", "max17058", "max17059"]


@pytest.fixture
def battery():
    """battery("max17048") gives the bus, the part on it, and hwctl's device."""

    def battery(part, *, fitted=None, **options):
        wires = EmulatedI2c()
        chip = Max17040(fitted or part, double_soc=options.get("double_soc", False))
        wires.place(0x36, chip, "device.gauge")
        settings = Max17040Options(part=part, **options)
        return wires, chip, DRIVER.open(SmbusI2c(wires, "i2c1"), settings)

    return battery


def put(wires, register, word):
    wires.transact([(0x36, bytes([register]) + word.to_bytes(2))])


@pytest.mark.parametrize(
    ("vcell", "volts", "soc", "charge"),
    [(b"\xc3\x50", 3.90625, b"\x5f\x80", 0.955), (b"\xa0\x00", 3.2, b"\x0a\x40", 0.1025)],
)
def test_the_kernels_numbers(i2c, vcell, volts, soc, charge):
    chip = i2c(0x36, {0x02: vcell, 0x04: soc, 0x08: b"\x00\x12", 0x0C: b"\x97\x1c"})
    gauge = DRIVER.open(chip, Max17040Options(part="max17048"))
    gauge.probe()
    sample = gauge.read()
    assert sample.volts == pytest.approx(volts)
    assert sample.charge == pytest.approx(charge)
    assert (sample.amps, sample.watts, sample.celsius, sample.energy) == (None,) * 4
    assert chip.writes == []
    assert len(chip.log) == 4


@pytest.mark.parametrize("part", PARTS)
def test_each_part_says_what_is_true(battery, part):
    _, chip, gauge = battery(part)
    cells = 2 if part in {"max17041", "max17044", "max17049", "max17059"} else 1
    chip.sense(3.7 * cells, charge=0.5)
    gauge.probe()
    sample = gauge.read()
    step = 78.125e-6 if part in FINE else 1.25e-3
    assert sample.volts == pytest.approx(3.7 * cells, abs=step * cells / 2)
    assert sample.charge == 0.5


def test_a_model_that_counts_in_halves(battery):
    _, chip, gauge = battery("max17043", double_soc=True)
    chip.sense(3.9, charge=0.75)
    assert gauge.read().charge == 0.75


def test_such_a_model_unknown_to_the_wiring_is_refused(battery):
    _, chip, gauge = battery("max17043")
    chip.sense(3.9, charge=1.5)
    with pytest.raises(DeviceDataError, match="150% full") as caught:
        gauge.read()
    assert "double_soc" in caught.value.hint


def test_a_little_more_than_full_is_full(battery):
    _, chip, gauge = battery("max17048")
    chip.sense(4.2, charge=1.03)
    assert gauge.read().charge == 1.0


def test_an_estimate_that_is_not_there_yet_is_no_empty_cell(battery):
    _, chip, gauge = battery("max17048")
    chip.sense(3.9)
    assert gauge.read().charge is None
    chip.sense(3.1, charge=0.0)
    assert gauge.read().charge == 0.0


def test_before_the_first_measurement_nothing_is_said(battery):
    _, _chip, gauge = battery("max17048")
    with pytest.raises(DeviceDataError, match="measured nothing"):
        gauge.read()


def test_a_part_that_sleeps_is_refused(battery):
    wires, chip, gauge = battery("max17043")
    chip.sense(3.9, charge=0.6)
    put(wires, 0x0C, 0x979C)
    chip.sense(3.4, charge=0.2)  # not seen any more
    with pytest.raises(DeviceDataError, match="sleeps"):
        gauge.read()
    put(wires, 0x0C, 0x971C)
    chip.sense(3.4, charge=0.2)
    assert gauge.read().charge == pytest.approx(0.2, abs=1e-4)


def test_the_oldest_keep_their_model_where_others_have_that_bit(battery):
    wires, chip, gauge = battery("max17040")
    put(wires, 0x0C, 0x97FF)
    chip.sense(3.9, charge=0.6)
    assert gauge.read().charge == pytest.approx(0.6, abs=1e-4)


def test_more_volts_than_a_cell_can_have_are_refused(battery):
    _, chip, gauge = battery("max17048")
    chip.sense(5.1, charge=0.9)
    with pytest.raises(DeviceDataError, match=r"5\.10 V"):
        gauge.read()


@pytest.mark.parametrize(
    ("part", "fitted"),
    [("max17043", "max17048"), ("max17048", "max17043"), ("max17049", "max17040")],
)
def test_another_generation_is_named(battery, part, fitted):
    _, _chip, gauge = battery(part, fitted=fitted)
    with pytest.raises(DeviceMismatchError, match="version 0x00") as caught:
        gauge.probe()
    assert part.upper() in caught.value.where
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
    wires, chip, gauge = battery("max17048")
    chip.sense(3.9, charge=0.6)
    gauge.probe()
    wires.faults[0x36] = fault
    for call in (gauge.probe, gauge.read):
        with pytest.raises(error, match=said):
            call()
    wires.faults.clear()
    assert gauge.read().charge == pytest.approx(0.6, abs=1e-4)


@pytest.mark.parametrize("bad", [{}, {"part": "max17042"}, {"part": "max17048", "address": 0x37}])
def test_options_that_cannot_be_are_refused(bad):
    with pytest.raises(ValidationError):
        Max17040Options(**bad)


@settings(max_examples=50)
@given(st.integers(0, 0xFFFF), st.sampled_from(PARTS))
def test_registers_decode_to_the_steps_they_hold(value, part):
    """The kernel's arithmetic: (value >> 4) * 1250 uV, or value * 625 / 8 uV; twice for two."""
    cells = 2 if part in {"max17041", "max17044", "max17049", "max17059"} else 1
    microvolts = value * 625 / 8 if part in FINE else (value >> 4) * 1250
    assert volts_from(value.to_bytes(2), part) == pytest.approx(microvolts * cells / 1e6)
    assert charge_from(value.to_bytes(2)) == pytest.approx(value / 25_600)


def test_a_reset_of_the_device_side_is_not_acknowledged(battery):
    """adafruit_max1704x.py takes the missing acknowledge as the proof of it."""
    wires, chip, _gauge = battery("max17048")
    chip.sense(3.9, charge=0.6)
    with pytest.raises(OSError, match="No such device"):
        put(wires, 0xFE, 0x5400)
    assert wires.transact([(0x36, b"\x04"), (0x36, 2)]) == b"\x00\x00"
    old, chip, _gauge = battery("max17040")
    chip.sense(3.9, charge=0.6)
    put(old, 0xFE, 0x0054)
    assert old.transact([(0x36, b"\x04"), (0x36, 2)]) == b"\x00\x00"
