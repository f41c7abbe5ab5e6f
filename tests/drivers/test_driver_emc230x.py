"""Golden numbers: power-on values of SMSC EMC2301 data sheet 1.1, table 5.1, and EMC2302 1.2; the
count that Linux' emc2305 driver turned into 12288 rpm with its multiplier of 2 (640).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl_drivers.emc230x import DRIVER, Emc230xOptions, rpm_from, setting_from

FAN = {
    0x30: 0x00,
    0x31: 0x01,
    0x32: 0x2B,
    0x33: 0x28,
    0x38: 0x66,
    0x3E: 0xFF,
    0x3F: 0xF8,
}


def powered_up(i2c, product=0x36, fans=2, **changes):
    values = {0x20: 0x40, 0x24: 0x00, 0x2C: 0x00, 0x2D: 0x00, 0xFD: product, 0xFE: 0x5D}
    for fan in range(fans):
        values |= {register + 0x10 * fan: value for register, value in FAN.items()}
    registers = {register: bytes([value]) for register, value in values.items()}
    return i2c(0x2E, registers, cleared_by_reading=frozenset({0x24}), **changes)


@pytest.fixture
def chip(i2c):
    """An EMC2302 as it powers up."""
    return powered_up(i2c)


def opened(chip):
    return DRIVER.open(chip, Emc230xOptions(address=0x2E))


def probed(chip):
    fans = opened(chip)
    fans.probe()
    return fans


def reg(chip, register):
    return chip.registers[register][0]


def test_opening_touches_nothing(chip):
    opened(chip)
    assert chip.log == []


def test_probing_arms_the_watchdog_before_anything_else(chip):
    probed(chip)
    assert chip.writes[0] == b"\x20\x60"


def test_probing_sets_direct_drive_at_26_khz_from_500_rpm_on(chip):
    chip.registers |= {0x2D: b"\x0f", 0x41: b"\x08", 0x33: b"\x68"}
    probed(chip)
    assert reg(chip, 0x2D) == 0x00
    for fan in (0x30, 0x40):
        assert reg(chip, fan + 1) == 1
        assert reg(chip, fan + 2) == 0b0_00_01_011  # direct, 500 rpm, 5 edges, 400 ms
        assert reg(chip, fan + 3) == 0x28  # no ramps, the rest as found
        assert reg(chip, fan + 8) == 0


def test_probing_writes_no_drive_and_twice_changes_nothing(chip):
    fans = probed(chip)
    assert not [write for write in chip.writes if write[0] in (0x30, 0x40)]
    chip.log.clear()
    fans.probe()
    assert chip.writes == []


@pytest.mark.parametrize("found", [0x00, 0x80, 0xFF])
def test_probing_leaves_each_fan_at_the_drive_it_has(chip, found):
    chip.registers[0x30] = bytes([found])
    probed(chip)
    assert reg(chip, 0x30) == found


def test_a_fan_that_its_own_algorithm_drove_is_not_slowed_by_taking_over(i2c):
    chip = powered_up(i2c)
    chip.registers |= {0x32: b"\xab", 0x30: b"\xc0"}
    transfer = chip.transfer

    class ForgetsItsDrive:
        """Puts the drive to 0 when the algorithm is switched off."""

        def transfer(self, address, write, read=0):
            if write[0] == 0x32 and len(write) > 1 and not write[1] & 0x80:
                chip.registers[0x30] = b"\x00"
            return transfer(address, write, read)

    DRIVER.open(ForgetsItsDrive(), Emc230xOptions(address=0x2E)).probe()
    assert reg(chip, 0x30) == 0xC0


@pytest.mark.parametrize(("product", "fans"), [(0x37, 1), (0x36, 2), (0x35, 3), (0x34, 5)])
def test_each_part_has_its_number_of_fans(i2c, product, fans):
    driver = probed(powered_up(i2c, product, fans))
    driver.drive(fans, 0.5)
    for channel in (0, fans + 1):
        with pytest.raises(DeviceMismatchError, match=f"fans 1 to {fans}, no fan {channel}"):
            driver.drive(channel, 0.5)


def test_the_base_frequency_of_fans_4_and_5_is_set_too(i2c):
    chip = powered_up(i2c, 0x34, 5)
    chip.registers[0x2C] = b"\x05"
    probed(chip)
    assert reg(chip, 0x2C) == 0


@pytest.mark.parametrize("ids", [{0xFE: b"\x5c"}, {0xFD: b"\x38"}])
def test_another_part_is_a_mismatch(chip, ids):
    chip.registers |= ids
    with pytest.raises(DeviceMismatchError, match="identifies as"):
        probed(chip)
    assert chip.writes == []


@pytest.mark.parametrize(("stuck", "said"), [(0x00, "all zeros"), (0xFF, "all ones")])
def test_a_stuck_line_is_named(chip, stuck, said):
    fans = probed(chip)
    chip.stuck = stuck
    with pytest.raises(DeviceDataError, match=said):
        fans.probe()
    with pytest.raises(DeviceDataError):
        fans.read(1)
    with pytest.raises(DeviceDataError):
        fans.drive(1, 0.5)


def test_driving_rounds_up_and_reads_back(chip):
    fans = probed(chip)
    chip.log.clear()
    fans.drive(2, 0.501)
    assert chip.log == [(b"\x40\x80", 0), (b"\x40", 1)]


def test_a_drive_that_is_not_kept_is_an_error(i2c):
    fans = probed(powered_up(i2c, read_only=frozenset({0x30})))
    with pytest.raises(DeviceDataError, match="keeps 0"):
        fans.drive(1, 0.5)


@pytest.mark.parametrize("duty", [-0.1, 1.1, float("nan")])
def test_a_duty_that_is_no_ratio_is_refused_and_not_written(chip, duty):
    fans = probed(chip)
    chip.log.clear()
    with pytest.raises(DeviceDataError):
        fans.drive(1, duty)
    assert chip.writes == []


def test_a_standing_fan_reads_0_and_a_turning_one_its_speed(chip):
    fans = probed(chip)
    assert fans.read(1).rpm == 0
    chip.registers |= {0x3E: b"\x14", 0x3F: b"\x00"}
    assert fans.read(1).rpm == pytest.approx(12288 / 2)


def test_the_tachs_high_byte_is_read_first(chip):
    fans = probed(chip)
    chip.log.clear()
    fans.read(2)
    assert [write[0] for write, _ in chip.log][-2:] == [0x4E, 0x4F]


def test_a_tach_count_of_0_is_refused(chip):
    fans = probed(chip)
    chip.registers |= {0x3E: b"\x00", 0x3F: b"\x07"}
    with pytest.raises(DeviceDataError, match="tach count of 0"):
        fans.read(1)


def test_an_expired_watchdog_shows_as_full_duty_until_the_fan_is_driven_again(chip):
    fans = probed(chip)
    fans.drive(1, 0.4)
    fans.drive(2, 0.4)
    chip.registers[0x24] = b"\x80"
    assert (fans.read(1).duty, fans.read(2).duty) == (1.0, 1.0)
    assert fans.read(1).duty == 1.0
    fans.drive(1, 0.4)
    assert (fans.read(1).duty, fans.read(2).duty) == (0.4, 1.0)


def test_an_expiry_from_before_the_start_is_no_news(chip):
    chip.registers[0x24] = b"\x80"
    fans = probed(chip)
    fans.drive(1, 0.4)
    assert fans.read(1).duty == 0.4


def test_a_reset_is_noticed_set_right_and_the_fans_turn_again(i2c):
    chip = powered_up(i2c)
    fans = probed(chip)
    fans.drive(1, 0.6)
    chip.registers = powered_up(i2c).registers
    with pytest.raises(DeviceDataError, match="was reset"):
        fans.read(1)
    assert (reg(chip, 0x20), reg(chip, 0x30), reg(chip, 0x40)) == (0x60, 153, 0)
    assert fans.read(1).duty == 0.6


def test_after_a_reset_a_fan_that_its_watchdog_drives_full_stays_full(i2c):
    chip = powered_up(i2c)
    fans = probed(chip)
    fans.drive(1, 0.6)
    chip.registers = powered_up(i2c).registers | {0x30: b"\xff"}
    fans.probe()
    assert reg(chip, 0x30) == 0xFF


def test_a_locked_part_says_so(i2c):
    with pytest.raises(DeviceDataError, match="does not keep its configuration") as caught:
        probed(powered_up(i2c, read_only=frozenset({0x20})))
    assert "locked" in caught.value.hint


@given(st.floats(0, 1))
def test_a_setting_is_never_less_than_the_duty_and_less_than_one_step_more(duty):
    assert duty - 1e-6 <= setting_from(duty) / 255 < duty + 1 / 255


@given(st.integers(0, 255))
def test_a_duty_that_was_read_drives_the_same_setting(setting):
    assert setting_from(setting / 255) == setting


@given(st.integers(1, 0x1FFF))
def test_speed_is_the_factor_by_the_count_or_0_below_500(count):
    rpm = rpm_from(count)
    assert rpm == (0 if count > 3_932_160 / 500 else pytest.approx(3_932_160 / count))


def test_only_its_six_addresses_are_allowed():
    with pytest.raises(ValidationError):
        Emc230xOptions(address=0x30)
