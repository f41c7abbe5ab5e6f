"""Golden numbers: power-on values of QEMU's max31790_fan_ctrl.h (25 % of 0x4000, DYNAMICS 0x4C);
the counts that LowLevelEmbedded's MAX31790.h quotes from the data sheet (2000 rpm with four
periods is 491, 1000 rpm is 983); 0x5000 of the tach, which Linux' max31790 turned into 384 rpm
while one period was counted; its pwm1 of 64, which it wrote as 0x4000.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.engine.buses import SmbusI2c
from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError
from hwctl_drivers.max31790 import (
    DRIVER,
    Max31790Options,
    rpm_from,
    setting_from,
    setting_of,
    word_from,
)
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.max31790 import Max31790

ADDRESS = 0x20


@dataclass
class Rig:
    """One part behind hwctl's own bus, and what was written to it."""

    now: float = 0.0
    log: list[bytes] = field(default_factory=list)

    def __post_init__(self):
        self.raw = EmulatedI2c()
        self.chip = Max31790(lambda: self.now)
        self.raw.place(ADDRESS, self.chip, "device.fans")
        self._bus = SmbusI2c(self.raw, "i2c1")

    def transfer(self, address, write, read=0):
        self.log.append(write)
        return self._bus.transfer(address, write, read)

    def written(self, low, high):
        """What was written to registers of that range."""
        return [write for write in self.log if len(write) > 1 and low <= write[0] < high]

    def poke(self, *data):
        self._bus.transfer(ADDRESS, bytes(data))

    def peek(self, register, length=1):
        return self._bus.transfer(ADDRESS, bytes([register]), length)

    def wait(self, seconds):
        """With the bus quiet."""
        self.now += seconds
        self.chip.poll()

    def probed(self, **options):
        fans = DRIVER.open(self, Max31790Options(address=ADDRESS, **options))
        fans.probe()
        return fans


@pytest.fixture
def rig():
    return Rig()


def test_opening_touches_nothing(rig):
    DRIVER.open(rig, Max31790Options())
    assert rig.log == []


@pytest.mark.parametrize("config", [0x00, 0x80, 0x60, 0x10])
def test_probing_changes_no_duty_no_frequency_and_no_mode(rig, config):
    rig.poke(0x02, config)
    rig.poke(0x46, 0x60, 0x00)
    rig.wait(100)
    before = [rig.chip.duty(fan) for fan in range(6)]
    rig.probed()
    assert [rig.chip.duty(fan) for fan in range(6)] == before
    assert rig.peek(0x01) == b"\x44"
    assert rig.peek(0x02)[0] == config | 0x08
    assert rig.written(0x40, 0x4C) == []


def test_probing_arms_the_watchdog_first_and_twice_changes_nothing(rig):
    fans = rig.probed()
    assert rig.written(0, 0x80)[0] == b"\x00\x24"
    rig.log.clear()
    fans.probe()
    assert rig.written(0, 0x80) == []


def test_an_unwatched_part_goes_to_full_and_comes_back(rig):
    fans = rig.probed()
    fans.drive(3, 0.25)
    rig.wait(10.0)
    assert rig.chip.duty(2) == 1.0
    assert fans.read(3).duty == setting_from(0.25) / 511
    assert rig.chip.duty(2) == setting_from(0.25) / 511


def test_the_first_drive_sets_frequency_mode_range_and_the_fastest_rate(rig):
    fans = rig.probed()
    rig.poke(0x00, 0xA4)
    rig.poke(0x06, 0x60 | 0x90)
    fans.drive(5, 1.0)
    assert rig.peek(0x00)[0] & 0x80 == 0, "out of standby"
    assert rig.peek(0x01) == b"\xb4", "25 kHz for fans 4 to 6 only"
    assert rig.peek(0x06) == b"\x68", "driven by TARGET; how it spins up as found"
    assert rig.peek(0x0C) == b"\x40", "four periods, no ramp"
    assert rig.chip.duty(4) == 1.0


def test_the_duty_goes_out_before_the_part_is_told_to_follow_it(rig):
    fans = rig.probed()
    rig.poke(0x02, 0x88)
    rig.log.clear()
    fans.drive(1, 0.5)
    assert rig.written(0, 0x80)[0] == b"\x40\x80\x00"
    assert rig.written(0x02, 0x03) == [b"\x02\x08"]


def test_a_low_frequency_for_transistors(rig):
    rig.probed(pwm_hz=30).drive(1, 0.5)
    assert rig.peek(0x01) == b"\x41"


@pytest.mark.parametrize(
    ("channel", "duty", "frame"),
    [
        (1, 0.0, "400000"),
        (1, 0.2504, "404000"),  # 128 of 511: what the kernel's driver writes for 64 of 255
        (2, 0.5, "428000"),
        (6, 1.0, "4aff80"),
    ],
)
def test_golden_frames(rig, channel, duty, frame):
    fans = rig.probed()
    fans.drive(channel, duty)
    assert rig.written(0x40, 0x4C)[-1].hex() == frame
    assert fans.read(channel).duty == pytest.approx(duty, abs=1 / 511)


def test_driving_one_fan_leaves_the_others(rig):
    fans = rig.probed()
    fans.drive(4, 0.9)
    assert [rig.chip.duty(fan) for fan in (0, 1, 2, 4, 5)] == [128 / 511] * 5


@pytest.mark.parametrize("channel", range(1, 7))
def test_full_is_one_plain_write(rig, channel):
    fans = rig.probed()
    fans.drive(channel, 0.1)
    rig.poke(*DRIVER.full(Max31790Options(), channel))
    assert rig.chip.duty(channel - 1) == 1.0


@pytest.mark.parametrize(("rpm", "count"), [(2000, 491), (1000, 983)])
def test_speeds_of_the_data_sheets_example(rig, rpm, count):
    fans = rig.probed()
    rig.chip.rpm[1] = float(rpm)
    assert int.from_bytes(rig.peek(0x1A, 2)) >> 5 == pytest.approx(count, abs=1)
    assert fans.read(2).rpm == pytest.approx(rpm, rel=0.002)


def test_the_speed_that_the_kernel_made_of_0x5000():
    assert rpm_from(b"\x50\x00", 0x00) == 384


def test_a_fan_that_stands_still_reads_0(rig):
    assert rig.probed().read(1).rpm == 0


def test_a_reset_is_noticed_set_right_and_the_fans_turn_again(rig):
    fans = rig.probed()
    fans.drive(1, 0.6)
    fans.drive(2, 0.1)
    rig.chip.power_on()
    with pytest.raises(DeviceDataError, match="was reset"):
        fans.read(1)
    rig.wait(5)
    assert rig.chip.duty(0) == setting_from(0.6) / 511
    assert rig.chip.duty(1) == 128 / 511, "not slower than the part made it"
    assert (rig.peek(0x00), rig.peek(0x01)) == (b"\x24", b"\x4b")
    assert fans.read(1).duty == setting_from(0.6) / 511


def test_a_part_that_was_away_and_is_probed_again_drives_again(rig):
    fans = rig.probed()
    fans.drive(1, 0.6)
    rig.chip.power_on()
    fans.probe()
    assert rig.chip.duty(0) == setting_from(0.6) / 511


@pytest.mark.parametrize(("fault", "said"), [("zeros", "all zeros"), ("ones", "all ones")])
def test_a_stuck_line_is_named(rig, fault, said):
    fans = rig.probed()
    rig.raw.faults[ADDRESS] = fault
    with pytest.raises(DeviceDataError, match=said):
        fans.probe()
    with pytest.raises(DeviceDataError):
        fans.read(1)
    with pytest.raises(DeviceDataError):
        fans.drive(1, 0.5)


def test_nobody_there(rig):
    rig.raw.faults[ADDRESS] = "nak"
    with pytest.raises(DeviceNotFoundError):
        rig.probed()


class Counting:
    """Some other part: each register reads its own number."""

    at = 0

    def start(self, read):
        return True

    def write(self, byte):
        self.at = byte
        return True

    def read(self):
        self.at += 1
        return self.at - 1

    def stop(self):
        pass


def test_another_part_is_a_mismatch_and_is_not_written_to(rig):
    rig.raw.place(0x21, Counting(), "device.other")
    with pytest.raises(DeviceMismatchError, match="MAX31790"):
        DRIVER.open(rig, Max31790Options(address=0x21)).probe()
    assert rig.written(0, 0x100) == []


@pytest.mark.parametrize("channel", [0, 7])
def test_there_are_six_fans(rig, channel):
    fans = rig.probed()
    for call in (lambda: fans.drive(channel, 0.5), lambda: fans.read(channel)):
        with pytest.raises(DeviceMismatchError, match="fans 1 to 6"):
            call()


@pytest.mark.parametrize("duty", [-0.1, 1.1, float("nan")])
def test_a_duty_that_is_no_ratio_is_refused_and_not_written(rig, duty):
    fans = rig.probed()
    with pytest.raises(DeviceDataError, match="cannot drive"):
        fans.drive(1, duty)
    assert rig.written(0x40, 0x4C) == []


@given(st.floats(0, 1))
@settings(max_examples=50)
def test_a_setting_is_never_less_than_the_duty_and_less_than_one_step_more(duty):
    assert duty - 1e-6 <= setting_from(duty) / 511 < duty + 1 / 511


def test_every_setting_survives_its_word_and_its_duty():
    for setting in range(512):
        assert setting_of(word_from(setting)) == setting_from(setting / 511) == setting


# --- the emulated part by itself ------------------------------------------------------------


def test_the_emulated_part_ramps_unless_from_or_to_standstill(rig):
    rig.poke(0x40, 0xFF, 0x80)
    rig.wait(383 / 128 / 2)  # half of the way at 7.8 ms a step
    assert rig.chip.duty(0) == pytest.approx((128 + 383 / 2) / 511, abs=1 / 511)
    rig.wait(10)
    assert rig.chip.duty(0) == 1
    for word, duty in (((0, 0), 0), ((0x80, 0), 256 / 511)):
        rig.poke(0x40, *word)
        assert rig.chip.duty(0) == duty


def test_the_emulated_part_writes_within_its_row_and_reads_on(rig):
    rig.poke(0x07, 0x11, 0x22)
    assert rig.peek(0x07, 2) == b"\x11\x4c"
    assert rig.peek(0x00) == b"\x22"
