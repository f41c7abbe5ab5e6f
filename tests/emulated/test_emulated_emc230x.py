"""EMC230x as the wires see it: identity, tachometer, watchdog, stall, lock.

In the kernel lab the kernel's emc2305 driver read 12288 rpm on i2c-stub. The stub had kept the
high byte only (its registers are words), so the count was 0x1400 >> 3 = 640.
"""

from random import Random

import pytest
from smbus2 import i2c_msg

from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus() -> EmulatedI2c:
    return EmulatedI2c()


@pytest.fixture
def chip(bus, clock) -> Emc230x:
    chip = Emc230x(2, clock)
    bus.place(0x2E, chip, "device.fans")
    return chip


def rpm(high: int, low: int, multiplier: int = 2) -> float:
    return 3_932_160 * multiplier / ((high << 8 | low) >> 3)


@pytest.mark.parametrize(
    ("fans", "product"), [(1, 0x37), (2, 0x36), (3, 0x35), (4, 0x34), (5, 0x34)]
)
def test_identity(bus, clock, read, fans, product):
    bus.place(0x2E, Emc230x(fans, clock), "device.fans")
    assert read(bus, 0x2E, 0xFD, 3) == bytes([product, 0x5D, 0x80])


def test_defaults(bus, chip, read):
    assert read(bus, 0x2E, 0x20, 1) == b"\x40"
    for base in (0x30, 0x40):
        assert read(bus, 0x2E, base, 16).hex() == "00012b28002a191066f50000f8fffff8"


def test_the_kernel_s_tachometer_arithmetic(bus, chip, read):
    chip.rpm[0] = 12288.0
    high, low = read(bus, 0x2E, 0x3E, 2)
    assert (high, low) == (0x14, 0x00)
    assert rpm(high, low) == 12288


@pytest.mark.parametrize("bits", range(4))
def test_range_bits_multiply_the_count(bus, chip, read, write, bits):
    write(bus, 0x2E, 0x42, 0x0B | bits << 5)
    chip.rpm[1] = 9000.0
    high, low = read(bus, 0x2E, 0x4E, 2)
    assert rpm(high, low, 1 << bits) == pytest.approx(9000, rel=0.01)


def test_a_standing_fan_and_a_very_slow_one_read_all_ones(bus, chip, read):
    assert read(bus, 0x2E, 0x3E, 2) == b"\xff\xf8"
    chip.rpm[0] = 500.0
    assert read(bus, 0x2E, 0x3E, 2) == b"\xff\xf8"


def test_block_reads_go_on_to_the_next_register_and_bytes_can_be_received(bus, chip, write):
    write(bus, 0x2E, 0x30, 0x12, 0x03)
    assert bus.transact([(0x2E, b"\x30"), (0x2E, 2)]) == b"\x12\x03"
    write(bus, 0x2E, 0x30)
    message = i2c_msg.read(0x2E, 1)
    bus.i2c_rdwr(message)
    assert bytes(message) == b"\x12"


def test_undefined_and_absent_fans_registers_read_zero_and_ignore_writes(bus, chip, read, write):
    write(bus, 0x2E, 0x50, 0xAA)
    write(bus, 0x2E, 0x99, 0xAA)
    write(bus, 0x2E, 0xFD, 0xAA)
    assert read(bus, 0x2E, 0x50, 1) == b"\0"
    assert read(bus, 0x2E, 0x99, 1) == b"\0"
    assert read(bus, 0x2E, 0xFD, 1) == b"\x36"


def test_power_up_watchdog_drives_all_fans_after_four_seconds(bus, chip, clock, read):
    clock.now = 3.9
    read(bus, 0x2E, 0x20, 1)  # reading feeds nothing at power-up
    assert chip.duty(0) == 0
    clock.now = 4.0
    assert (chip.duty(0), chip.duty(1)) == (1.0, 1.0)
    assert read(bus, 0x2E, 0x24, 1)[0] & 0x80
    assert not read(bus, 0x2E, 0x24, 1)[0] & 0x80
    assert chip.duty(0) == 1.0


def test_a_fan_setting_ends_the_power_up_watchdog(bus, chip, clock, write):
    clock.now = 3.0
    write(bus, 0x2E, 0x20, 0x40)  # "any other configuration registers will not"
    write(bus, 0x2E, 0x30, 0x80)
    clock.now = 1000.0
    assert chip.duty(0) == pytest.approx(0x80 / 255)
    assert chip.duty(1) == 0


def test_continuous_watchdog_is_fed_by_any_traffic_and_bites_again(bus, chip, clock, read, write):
    write(bus, 0x2E, 0x30, 0x40)
    write(bus, 0x2E, 0x20, 0x60)
    for _ in range(10):
        clock.now += 3.5
        read(bus, 0x2E, 0x3E, 2)
    assert chip.duty(0) == pytest.approx(0x40 / 255)
    clock.now += 4.0
    assert (chip.duty(0), chip.duty(1)) == (1.0, 1.0)
    assert read(bus, 0x2E, 0x24, 1)[0] & 0x80
    write(bus, 0x2E, 0x30, 0x40)
    clock.now += 4.0
    assert chip.duty(0) == 1.0


def test_a_stretched_watchdog(clock):
    chip = Emc230x(1, clock, watchdog_s=45.0)
    clock.now = 44.0
    assert chip.duty(0) == 0
    clock.now = 45.0
    assert chip.duty(0) == 1.0


def test_stall_is_seen_after_the_spin_up_and_cleared_by_reading_once_gone(
    bus, chip, clock, read, write
):
    write(bus, 0x2E, 0x30, 0xFF)
    clock.now = 1.9
    assert read(bus, 0x2E, 0x25, 1) == b"\0"
    clock.now = 2.1
    assert read(bus, 0x2E, 0x24, 1) == b"\x01"
    assert read(bus, 0x2E, 0x25, 1) == b"\x01"
    assert read(bus, 0x2E, 0x25, 1) == b"\x01"  # it still stands
    chip.rpm[0] = 3000.0
    read(bus, 0x2E, 0x25, 1)
    assert read(bus, 0x2E, 0x25, 1) == b"\0"


def test_the_lock_makes_limits_read_only_until_power_up(bus, chip, read, write):
    write(bus, 0x2E, 0xEF, 0x01)
    write(bus, 0x2E, 0x38, 0x10)
    write(bus, 0x2E, 0x20, 0x60)
    write(bus, 0x2E, 0x30, 0x33)
    assert read(bus, 0x2E, 0x38, 1) == b"\x66"
    assert read(bus, 0x2E, 0x20, 1) == b"\x40"
    assert read(bus, 0x2E, 0x30, 1) == b"\x33"
    chip.power_on()
    write(bus, 0x2E, 0x38, 0x10)
    assert read(bus, 0x2E, 0x38, 1) == b"\x10"


def test_tachometer_error_stays_within_half_a_percent(bus, clock, read):
    chip = Emc230x(1, clock, Random(7))
    bus.place(0x2E, chip, "device.fans")
    chip.rpm[0] = 4000.0
    high, low = read(bus, 0x2E, 0x3E, 2)
    assert rpm(high, low) == pytest.approx(4000, rel=0.006)
    assert rpm(high, low) != pytest.approx(4000, rel=1e-5)
