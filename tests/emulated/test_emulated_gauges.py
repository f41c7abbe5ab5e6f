"""INA219 and INA228 as the wires see them: golden registers, flags, resets.

The INA219 words are those that the kernel's own ina219 driver decoded in the kernel lab:
shunt 0x03e8 is 10 mV, bus 0x1f42 is 4.000 V.
"""

from random import Random

import pytest

from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.ina228 import Ina228


@pytest.fixture
def bus() -> EmulatedI2c:
    return EmulatedI2c()


def ina219(bus: EmulatedI2c, ohms: float = 0.01, **options) -> Ina219:
    chip = Ina219(ohms, **options)
    bus.place(0x40, chip, "device.gauge")
    return chip


def ina228(bus: EmulatedI2c, ohms: float = 0.0162, **options) -> Ina228:
    chip = Ina228(ohms, **options)
    bus.place(0x41, chip, "device.gauge")
    return chip


# --- INA219 ---------------------------------------------------------------------------------


def test_ina219_words_that_the_kernel_decoded(bus, read):
    ina219(bus).sense(4.0, 1.0)
    assert read(bus, 0x40, 1, 2).hex() == "03e8"
    assert read(bus, 0x40, 2, 2).hex() == "1f42"


def test_ina219_negative_shunt_is_two_s_complement(bus, read):
    ina219(bus).sense(4.0, -1.0)
    assert read(bus, 0x40, 1, 2).hex() == "fc18"


def test_ina219_reversed_shunt(bus, read):
    ina219(bus, reversed_shunt=True).sense(4.0, 1.0)
    assert read(bus, 0x40, 1, 2).hex() == "fc18"


def test_ina219_calibrated_as_the_kernel_does(bus, read, write):
    """cal 0x1000, 10 mOhm: 1 mA and 20 mW a step."""
    chip = ina219(bus)
    chip.sense(4.0, 1.0)
    assert read(bus, 0x40, 4, 2) == b"\0\0"
    write(bus, 0x40, 5, 0x10, 0x00)
    assert int.from_bytes(read(bus, 0x40, 4, 2)) == 1000
    assert int.from_bytes(read(bus, 0x40, 3, 2)) == 200


def test_ina219_reset_values_and_reset(bus, read, write):
    ina219(bus)
    assert read(bus, 0x40, 0, 2).hex() == "399f"
    write(bus, 0x40, 0, 0x01, 0x9F)
    write(bus, 0x40, 5, 0x12, 0x35)
    assert read(bus, 0x40, 5, 2).hex() == "1234"  # bit 0 is void
    write(bus, 0x40, 0, 0x80, 0x00)
    assert read(bus, 0x40, 0, 2).hex() == "399f"
    assert read(bus, 0x40, 5, 2) == b"\0\0"


def test_ina219_conversion_ready_falls_with_power_and_config(bus, read, write):
    chip = ina219(bus)
    assert read(bus, 0x40, 2, 2)[1] & 2 == 0
    chip.sense(5.0, 0.1)
    assert read(bus, 0x40, 2, 2)[1] & 2
    read(bus, 0x40, 3, 2)
    assert read(bus, 0x40, 2, 2)[1] & 2 == 0
    chip.sense(5.0, 0.1)
    write(bus, 0x40, 0, 0x39, 0x9F)
    assert read(bus, 0x40, 2, 2)[1] & 2 == 0


def test_ina219_overflow_is_flagged(bus, read, write):
    chip = ina219(bus)
    write(bus, 0x40, 5, 0xFF, 0xFE)
    chip.sense(5.0, 20.0)
    assert read(bus, 0x40, 2, 2)[1] & 1


def test_ina219_ranges_clip(bus, read, write):
    chip = ina219(bus)
    write(bus, 0x40, 0, 0x01, 0x9F)  # 16 V, 40 mV
    chip.sense(20.0, 10.0)
    assert int.from_bytes(read(bus, 0x40, 1, 2)) == 4000
    assert int.from_bytes(read(bus, 0x40, 2, 2)) >> 3 == 4000


def test_ina219_powered_down_holds_its_last_values(bus, read, write):
    chip = ina219(bus)
    chip.sense(4.0, 1.0)
    write(bus, 0x40, 0, 0x39, 0x98)
    chip.sense(5.0, 2.0)
    assert read(bus, 0x40, 1, 2).hex() == "03e8"


def test_ina219_triggered_converts_once(bus, read, write):
    chip = ina219(bus)
    write(bus, 0x40, 0, 0x39, 0x9B)
    chip.sense(4.0, 1.0)
    chip.sense(4.0, 2.0)
    assert read(bus, 0x40, 1, 2).hex() == "03e8"


def test_the_pointer_stays_and_nothing_follows_the_register(bus, read):
    ina219(bus).sense(4.0, 1.0)
    assert read(bus, 0x40, 1, 4).hex() == "03e8ffff"
    from smbus2 import i2c_msg

    again = i2c_msg.read(0x40, 2)
    bus.i2c_rdwr(again)
    assert bytes(again).hex() == "03e8"


def test_half_a_word_changes_nothing(bus, read, write):
    ina219(bus)
    write(bus, 0x40, 5, 0x10)
    assert read(bus, 0x40, 5, 2) == b"\0\0"


# --- INA228 ---------------------------------------------------------------------------------

LSB = 10 / (1 << 19)
"""10 A in 2^19 steps, 16.2 mOhm, 48 V, 6 A: the datasheet's example (unverified)."""


def s24(data: bytes) -> int:
    return int.from_bytes(data, signed=True) >> 4


def test_ina228_ids_and_reset_values(bus, read):
    ina228(bus)
    assert read(bus, 0x41, 0x3E, 2) == b"TI"
    assert int.from_bytes(read(bus, 0x41, 0x3F, 2)) >> 4 == 0x228
    assert read(bus, 0x41, 0x01, 2).hex() == "fb68"
    assert read(bus, 0x41, 0x02, 2).hex() == "1000"
    assert int.from_bytes(read(bus, 0x41, 0x0B, 2)) & 1  # MEMSTAT


def test_ina228_worked_example(bus, read, write):
    chip = ina228(bus)
    cal = round(13107.2e6 * LSB * 0.0162)
    assert cal == 4050
    write(bus, 0x41, 0x02, *cal.to_bytes(2))
    chip.sense(48.0, 6.0, 0.25, 25.0)
    assert s24(read(bus, 0x41, 0x04, 3)) == 311_040
    assert s24(read(bus, 0x41, 0x05, 3)) == 245_760
    assert s24(read(bus, 0x41, 0x07, 3)) == pytest.approx(6 / LSB, abs=10)
    assert int.from_bytes(read(bus, 0x41, 0x08, 3)) * 3.2 * LSB == pytest.approx(288, rel=1e-4)
    assert int.from_bytes(read(bus, 0x41, 0x06, 2)) == 3200  # 25 degrees in 7.8125 mC


def test_ina228_energy_and_charge_add_up(bus, read, write):
    chip = ina228(bus)
    write(bus, 0x41, 0x02, *(4050).to_bytes(2))
    for _ in range(4 * 3600):
        chip.sense(48.0, -6.0, 0.25)
    energy = int.from_bytes(read(bus, 0x41, 0x09, 5)) * 16 * 3.2 * LSB
    charge = int.from_bytes(read(bus, 0x41, 0x0A, 5), signed=True) * LSB
    assert energy == pytest.approx(288 * 3600, rel=1e-4)
    assert charge == pytest.approx(-6 * 3600, rel=1e-4)
    write(bus, 0x41, 0x00, 0x40, 0x00)  # RSTACC
    assert int.from_bytes(read(bus, 0x41, 0x09, 5)) == 0
    assert read(bus, 0x41, 0x00, 2) == b"\0\0"


def test_ina228_current_is_zero_with_a_calibration_of_zero(bus, read, write):
    chip = ina228(bus)
    write(bus, 0x41, 0x02, 0, 0)
    chip.sense(5.0, 3.0, 0.25)
    assert read(bus, 0x41, 0x07, 3) == b"\0\0\0"
    assert read(bus, 0x41, 0x08, 3) == b"\0\0\0"
    assert s24(read(bus, 0x41, 0x04, 3)) > 0


def test_ina228_narrow_range(bus, read, write):
    """ADCRANGE 1: 78.125 nV a step, and a calibration of four times as much."""
    chip = ina228(bus, ohms=0.002)
    lsb = 20 / (1 << 19)
    write(bus, 0x41, 0x00, 0x00, 0x10)
    write(bus, 0x41, 0x02, *round(4 * 13107.2e6 * lsb * 0.002).to_bytes(2))
    chip.sense(5.0, 2.0, 0.25)
    assert s24(read(bus, 0x41, 0x04, 3)) == round(0.004 / 78.125e-9)
    assert s24(read(bus, 0x41, 0x07, 3)) * lsb == pytest.approx(2.0, rel=1e-3)


def test_ina228_waits_for_its_averages(bus, read, write):
    """1024 averages of three times 4120 us take 12.7 s."""
    chip = ina228(bus)
    write(bus, 0x41, 0x01, 0xFF, 0xFF)
    for _ in range(50):
        chip.sense(5.0, 1.0, 0.25)
    assert read(bus, 0x41, 0x05, 3) == b"\0\0\0"
    chip.sense(5.0, 1.0, 0.25)
    assert s24(read(bus, 0x41, 0x05, 3)) == 25_600


def test_ina228_shut_down_measures_nothing(bus, read, write):
    chip = ina228(bus)
    write(bus, 0x41, 0x01, 0x0B, 0x68)
    chip.sense(5.0, 1.0, 10.0)
    assert read(bus, 0x41, 0x05, 3) == b"\0\0\0"


def test_ina228_flags(bus, read, write):
    chip = ina228(bus)
    write(bus, 0x41, 0x0F, *round(4.5 / 3.125e-3).to_bytes(2))  # bus under-voltage
    chip.sense(5.0, 1.0, 0.25)
    flags = int.from_bytes(read(bus, 0x41, 0x0B, 2))
    assert flags & 0b10
    assert not flags & 0b1000
    assert not int.from_bytes(read(bus, 0x41, 0x0B, 2)) & 0b10  # reading clears CNVRF
    chip.sense(4.0, 1.0, 0.25)
    assert int.from_bytes(read(bus, 0x41, 0x0B, 2)) & 0b1000


def test_ina228_energy_wraps_at_40_bits_and_says_so(bus, read, write):
    chip = ina228(bus)
    write(bus, 0x41, 0x02, 0, 16)  # a step so small that the counter runs fast
    chip.sense(80.0, 3.0, 0.25)
    for _ in range(4):
        chip.sense(80.0, 3.0, 500_000.0)
    assert int.from_bytes(read(bus, 0x41, 0x0B, 2)) & 1 << 11
    read(bus, 0x41, 0x09, 5)
    assert not int.from_bytes(read(bus, 0x41, 0x0B, 2)) & 1 << 11


def test_ina228_brown_out_forgets_everything(bus, read, write):
    chip = ina228(bus)
    write(bus, 0x41, 0x02, *(4050).to_bytes(2))
    chip.sense(5.0, 1.0, 0.25)
    chip.power_on()
    assert read(bus, 0x41, 0x02, 2).hex() == "1000"
    assert read(bus, 0x41, 0x05, 3) == b"\0\0\0"


@pytest.mark.parametrize("seed", range(5))
def test_errors_stay_within_the_specification(bus, read, seed):
    chip = ina228(bus, ohms=0.002, rng=Random(seed))
    seen = set()
    for _ in range(50):
        chip.sense(5.1, 4.0, 0.25)
        shunt = s24(read(bus, 0x41, 0x04, 3)) * 312.5e-9
        assert shunt == pytest.approx(0.008, rel=0.0005, abs=2.5e-6)
        assert s24(read(bus, 0x41, 0x05, 3)) * 195.3125e-6 == pytest.approx(5.1, rel=0.0005)
        seen.add(shunt)
    assert len(seen) > 1
