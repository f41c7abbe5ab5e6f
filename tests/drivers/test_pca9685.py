"""Golden numbers: NXP PCA9685 data sheet, revision 2 pages 21 and 23 (LEDn_OFF_H is 0x10 after
power-up; full off wins over full on), revision 3 page 12; Linux' pwm-pca9685, which for a period of
5 ms with 1.25 ms of duty set PRE_SCALE to 30 and OFF to 1024.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hwctl.engine.buses import SmbusI2c
from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError
from hwctl_drivers.pca9685 import (
    DRIVER,
    Pca9685Options,
    led_from,
    prescale_from,
    steps_from,
    steps_of,
)
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.pca9685 import Pca9685

ADDRESS = 0x40


@dataclass
class Rig:
    """One part behind hwctl's own bus, and what was written to it."""

    log: list[bytes] = field(default_factory=list)

    def __post_init__(self):
        self.raw = EmulatedI2c()
        self.chip = Pca9685()
        self.raw.place(ADDRESS, self.chip, "device.fans")
        self._bus = SmbusI2c(self.raw, "i2c1")

    def transfer(self, address, write, read=0):
        self.log.append(write)
        return self._bus.transfer(address, write, read)

    @property
    def writes(self):
        return [write.hex() for write in self.log if len(write) > 1]

    def poke(self, *data):
        self._bus.transfer(ADDRESS, bytes(data))

    def peek(self, register, length=1):
        return self._bus.transfer(ADDRESS, bytes([register]), length)

    def probed(self, **options):
        fans = DRIVER.open(self, Pca9685Options(address=ADDRESS, **options))
        fans.probe()
        return fans


@pytest.fixture
def rig():
    return Rig()


def test_opening_touches_nothing(rig):
    DRIVER.open(rig, Pca9685Options())
    assert rig.log == []


@pytest.mark.parametrize("mode", [0x11, 0x01, 0x21, 0x31])
def test_probing_changes_no_output_and_does_not_wake_the_part(rig, mode):
    rig.poke(0x00, 0x20)
    rig.poke(0x0A, 0x00, 0x00, 0x00, 0x08)
    rig.poke(0x00, mode)
    before = [rig.chip.duty(channel) for channel in range(16)]
    rig.probed()
    assert [rig.chip.duty(channel) for channel in range(16)] == before
    assert rig.peek(0x00)[0] & 0x7F == mode & 0x10 | 0x20
    assert [write for write in rig.writes if write[:2] != "00"] == []


def test_probing_twice_writes_nothing_more(rig):
    fans = rig.probed()
    assert rig.writes == ["0030"], "four bytes at once, no other address"
    rig.log.clear()
    fans.probe()
    assert rig.writes == []


@pytest.mark.parametrize(
    ("channel", "duty", "frame"),
    [
        (0, 0.0, "0600000010"),
        (3, 0.25, "1200000004"),
        (1, 0.5, "0a00000008"),
        (15, 1.0, "4200100000"),
        (2, 4095 / 4096, "0e0000ff0f"),
    ],
)
def test_golden_frames(rig, channel, duty, frame):
    fans = rig.probed()
    fans.drive(channel, duty)
    assert rig.writes[-1] == frame
    assert rig.chip.duty(channel) == duty
    assert (fans.read(channel).duty, fans.read(channel).rpm) == (duty, None)


def test_the_first_drive_sets_the_frequency_and_wakes_the_part(rig):
    fans = rig.probed(hz=200)
    rig.log.clear()
    fans.drive(0, 1.0)
    assert rig.writes == ["0020", "0600100000"], "200 Hz is what it has after power-up"
    assert rig.peek(0xFE) == b"\x1e"
    assert rig.chip.hz == pytest.approx(200, rel=0.02)
    rig.log.clear()
    fans.drive(1, 1.0)
    assert rig.writes == ["0a00100000"]


def test_to_set_another_frequency_the_part_has_to_sleep(rig):
    rig.poke(0x00, 0x20)
    fans = rig.probed(hz=1526)
    rig.log.clear()
    fans.drive(0, 1.0)
    assert rig.writes == ["0030", "fe03", "0020", "00a0", "0600100000"]
    assert rig.chip.hz == pytest.approx(1526, rel=0.001)


def test_a_new_frequency_does_not_leave_other_channels_cut_off(rig):
    first = rig.probed(hz=200)
    first.drive(4, 0.5)
    second = rig.probed(hz=1000)
    second.drive(5, 0.5)
    assert (rig.chip.duty(4), rig.chip.duty(5)) == (0.5, 0.5)
    assert rig.chip.hz == pytest.approx(1000, rel=0.05)


def test_a_transistor_turns_it_around_and_full_is_low(rig):
    fans = rig.probed(inverted=True)
    assert fans.read(7).duty == 1.0, "after power-up the outputs are low"
    fans.drive(7, 0.75)
    assert rig.chip.duty(7) == 0.25
    assert fans.read(7).duty == 0.75


@pytest.mark.parametrize("inverted", [False, True])
def test_a_part_that_inverts_by_itself_is_taken_as_found(rig, inverted):
    rig.poke(0x01, 0x14)
    fans = rig.probed(inverted=inverted)
    fans.drive(2, 0.75)
    assert rig.chip.duty(2) == (0.25 if inverted else 0.75)
    assert fans.read(2).duty == 0.75
    assert rig.peek(0x01) == b"\x14"


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("channel", [0, 15])
def test_full_is_one_plain_write(rig, channel, inverted):
    fans = rig.probed(inverted=inverted)
    fans.drive(channel, 0.1)
    rig.poke(*DRIVER.full(Pca9685Options(inverted=inverted), channel))
    assert fans.read(channel).duty == 1.0
    assert rig.chip.duty(channel) == (0.0 if inverted else 1.0)


def test_driving_one_channel_leaves_the_others(rig):
    fans = rig.probed()
    for channel in range(16):
        fans.drive(channel, channel / 16)
    fans.drive(8, 1.0)
    assert [rig.chip.duty(channel) * 16 for channel in range(16)] == [
        *range(8),
        16,
        *range(9, 16),
    ]


@pytest.mark.parametrize("sent", [None, (0x00, 0x30)])
def test_a_reset_or_a_part_put_to_sleep_is_noticed_and_the_fans_turn_again(rig, sent):
    fans = rig.probed(hz=100)
    fans.drive(0, 0.5)
    fans.drive(9, 1.0)
    rig.poke(*sent) if sent else rig.chip.power_on()
    assert rig.chip.duty(9) == 0
    with pytest.raises(DeviceDataError, match="was reset"):
        fans.read(0)
    assert (rig.chip.duty(0), rig.chip.duty(9)) == (0.5, 1.0)
    assert rig.chip.hz == pytest.approx(100, rel=0.02)
    assert fans.read(9).duty == 1.0


def test_a_part_that_was_away_and_is_probed_again_drives_again(rig):
    fans = rig.probed()
    fans.drive(9, 1.0)
    rig.chip.power_on()
    fans.probe()
    assert rig.chip.duty(9) == 1.0


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


class Same:
    """Some other part, which answers this whatever the register."""

    def __init__(self, value):
        self.value = value

    def start(self, read):
        return True

    def write(self, byte):
        return True

    def read(self):
        return self.value

    def stop(self):
        pass


@pytest.mark.parametrize("value", [0x01, 0x1E, 0x39, 0xA5])
def test_another_part_is_a_mismatch_and_is_not_written_to(rig, value):
    rig.raw.place(0x41, Same(value), "device.other")
    with pytest.raises(DeviceMismatchError, match="PCA9685"):
        DRIVER.open(rig, Pca9685Options(address=0x41)).probe()
    assert rig.writes == []


@pytest.mark.parametrize("channel", [-1, 16])
def test_there_are_sixteen_channels(rig, channel):
    fans = rig.probed()
    for call in (lambda: fans.drive(channel, 0.5), lambda: fans.read(channel)):
        with pytest.raises(DeviceMismatchError, match="channels 0 to 15"):
            call()


@pytest.mark.parametrize("duty", [-0.1, 1.1, float("nan")])
def test_a_duty_that_is_no_ratio_is_refused_and_not_written(rig, duty):
    fans = rig.probed()
    rig.log.clear()
    with pytest.raises(DeviceDataError, match="cannot drive"):
        fans.drive(1, duty)
    assert rig.log == []


@pytest.mark.parametrize("hz", [23, 1527, 25_000])
def test_a_frequency_that_cannot_be_reached_is_refused(hz):
    with pytest.raises(ValidationError):
        Pca9685Options(hz=hz)


@pytest.mark.parametrize(("hz", "prescale"), [(200, 30), (1526, 3), (24, 0xFD), (50, 121)])
def test_prescalers(hz, prescale):
    assert prescale_from(hz) == prescale


@given(st.floats(0, 1))
@settings(max_examples=50)
def test_steps_are_never_less_than_the_duty_and_less_than_one_more(duty):
    assert duty - 1e-6 <= steps_from(duty) / 4096 < duty + 1 / 4096


def test_every_step_survives_its_four_bytes_and_its_duty():
    for steps in range(4097):
        assert steps_of(led_from(steps)) == steps_from(steps / 4096) == steps


def test_full_off_wins_and_a_phase_does_not_matter():
    assert steps_of(b"\x00\x10\x00\x10") == 0
    assert steps_of(b"\x00\x08\x00\x04") == 3072  # on at 2048, off at 1024 of the next turn


# --- the emulated part by itself ------------------------------------------------------------


def test_the_emulated_parts_power_on_values(rig):
    assert rig.peek(0x00) == b"\x11"
    assert [rig.peek(0x06 + byte) for byte in range(4)] == [b"\0", b"\0", b"\0", b"\x10"]


def test_the_emulated_prescaler_is_blocked_while_awake_and_never_below_3(rig):
    rig.poke(0x00, 0x01)
    rig.poke(0xFE, 0x10)
    assert rig.peek(0xFE) == b"\x1e"
    rig.poke(0x00, 0x11)
    rig.poke(0xFE, 0x00)
    assert rig.peek(0xFE) == b"\x03"


def test_the_emulated_part_without_auto_increment_stays_where_it_is(rig):
    rig.poke(0x06, 0x01, 0x02)
    assert rig.peek(0x06, 2) == b"\x02\x02"
