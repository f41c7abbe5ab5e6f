"""Fans on the head's own PWM outputs, on emulated files; `make lab` has Linux' own."""

import errno
import os
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.world_ports import EmulatedSysfs
from hwctl.model.errors import (
    DeviceBusyError,
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
)
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.pwm_fan import DRIVER, PwmFanOptions
from hwctl_emulated.part import Site
from hwctl_emulated.pwm_fan import PwmFan, make
from hwctl_emulated.wires import Files

CHIP = "class/pwm/pwmchip0"


class Kernel:
    """Emulated parts behind one bus, and what was written."""

    def __init__(self, *parts):
        self.written = []
        self.files = Files(lambda: None, set(), {str(n): part for n, part in enumerate(parts)})
        self.bus = EmulatedSysfs(self, "/sys", "sys")
        self.read, self.names = self.files.read, self.files.names

    def write(self, path, text):
        self.files.write(path, text)
        self.written.append((path.removeprefix(f"{CHIP}/"), text))


def opened(*parts, chip="fe20c000.pwm", **options):
    kernel = Kernel(*parts)
    return DRIVER.open(kernel.bus, PwmFanOptions(chip=chip, **options)), kernel


def test_probing_and_reading_change_nothing():
    fans, kernel = opened(PwmFan(2))
    fans.probe()
    sample = fans.read(0)
    assert (sample.rpm, sample.duty) == (None, None)
    assert kernel.written == []


def test_a_fan_is_exported_set_to_25_kilohertz_and_driven():
    part = PwmFan(2)
    fans, kernel = opened(part)
    fans.probe()
    fans.drive(1, 0.6)
    assert kernel.written == [
        ("export", "1"), ("pwm1/period", "40000"), ("pwm1/duty_cycle", "24000"),
        ("pwm1/enable", "1"),
    ]  # fmt: skip
    assert part.duty(1) == 0.6
    assert part.duty(0) == 1.0, "nobody drives it: its pull-up does"
    kernel.written.clear()
    fans.drive(1, 0.25)
    assert kernel.written == [("pwm1/duty_cycle", "10000"), ("pwm1/enable", "1")]
    assert (fans.read(1).duty, fans.read(1).rpm) == (0.25, None)


def test_what_an_earlier_hwctl_drove_goes_on_until_the_first_order():
    part = PwmFan(1)
    opened(part)[0].drive(0, 0.7)
    fans, kernel = opened(part)
    fans.probe()
    assert fans.read(0).duty == pytest.approx(0.7)
    fans.drive(0, 0.8)
    assert kernel.written == [("pwm0/duty_cycle", "32000"), ("pwm0/enable", "1")]


@pytest.mark.parametrize("duty", [0.0, 1e-5, 1 / 3, 0.99999, 1.0])
def test_no_fan_is_driven_slower_than_it_was_told(duty):
    part = PwmFan(1)
    fans, _ = opened(part)
    fans.drive(0, duty)
    assert duty - 1e-9 <= part.duty(0) <= duty + 1 / 40_000


def test_a_longer_period_of_before_is_shortened_although_its_duty_does_not_fit():
    part = PwmFan(1)
    opened(part, period_us=1000)[0].drive(0, 0.9)
    fans, _ = opened(part)
    fans.drive(0, 0.5)
    assert part.outputs[0].period == 40_000
    assert part.duty(0) == 0.5


def test_a_transistor_in_between_turns_the_signal_round():
    part = PwmFan(1)
    fans, kernel = opened(part, polarity="inversed")
    fans.drive(0, 0.75)
    assert part.duty(0) == 0.25
    assert ("pwm0/polarity", "inversed") in kernel.written
    assert fans.read(0).duty == 0.75
    # One that runs the other way round is stopped first, as the kernel wants it.
    other, _ = opened(part)
    other.drive(0, 0.75)
    assert part.duty(0) == 0.75


def test_an_output_that_somebody_has_taken_away_is_exported_again():
    part = PwmFan(1)
    fans, _ = opened(part)
    fans.drive(0, 0.5)
    part.power_on()
    assert fans.read(0).duty is None
    fans.drive(0, 0.5)
    assert part.duty(0) == 0.5


def test_an_output_of_another_kernel_driver_is_busy():
    part = PwmFan(1)
    part.outputs[0].taken = True
    fans, _ = opened(part)
    with pytest.raises(DeviceBusyError, match="output 0") as caught:
        fans.drive(0, 0.5)
    assert "/sys/kernel/debug/pwm" in caught.value.hint


def test_a_chip_that_can_have_one_period_only():
    part = PwmFan(1, fixed_ns=5_079_040)
    fans, _ = opened(part)
    with pytest.raises(DeviceMismatchError, match="period of 40 us") as caught:
        fans.drive(0, 0.5)
    assert "period_us" in caught.value.hint
    opened(part, period_us=5079.04)[0].drive(0, 0.5)
    assert part.duty(0) == pytest.approx(0.5)


@pytest.mark.parametrize("chip", ["pwmchip0", "fe20c000.pwm"])
def test_a_chip_is_found_by_either_name(chip):
    fans, _ = opened(PwmFan(4), chip=chip)
    fans.probe()
    fans.read(3)


def test_a_chip_or_an_output_that_is_not_there():
    fans, _ = opened(PwmFan(2), chip="pwmchip7")
    with pytest.raises(DeviceNotFoundError, match="only pwmchip0") as caught:
        fans.probe()
    assert "dtoverlay" in caught.value.hint
    fans, _ = opened(PwmFan(2))
    for channel in (-1, 2):
        with pytest.raises(DeviceMismatchError, match="outputs 0 to 1"):
            fans.drive(channel, 1.0)


def test_duties_that_are_none_and_outputs_that_do_not_keep_theirs():
    class Held(PwmFan):
        def store(self, path, text):
            super().store(path, "100" if path.endswith("duty_cycle") else text)

    fans, kernel = opened(PwmFan(1))
    for duty in (-0.1, 1.1, float("nan")):
        with pytest.raises(DeviceDataError, match="cannot drive"):
            fans.drive(0, duty)
    assert kernel.written == []
    fans, _ = opened(Held(1))
    with pytest.raises(DeviceDataError, match="keeps 100"):
        fans.drive(0, 0.5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chip": "../pwm"},
        {"chip": "a/b"},
        {"chip": "x", "period_us": 0},
        {"chip": "x", "polarity": "odd"},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        PwmFanOptions(**options)


def test_the_emulated_one_is_made_of_its_table_and_refuses_as_the_kernel():
    site = Site("f", DeviceEntry(driver="pwm_fan", chip="1-0040"), lambda: 0.0, Random(0))
    part = make(site, outputs=3)
    assert part.read(f"{CHIP}/npwm") == "3\n"
    assert part.names("bus/i2c/devices/1-0040/pwm") == ["pwmchip0"]
    part.write(f"{CHIP}/export", "1")
    for path, text, code in (
        ("export", "1", errno.EBUSY),
        ("export", "3", errno.ENODEV),
        ("unexport", "2", errno.ENODEV),
        ("npwm", "9", errno.EACCES),
        ("pwm1/enable", "1", errno.EINVAL),
        ("pwm1/duty_cycle", "1", errno.EINVAL),
        ("pwm1/period", "0", errno.EINVAL),
        ("pwm1/polarity", "odd", errno.EINVAL),
        ("pwm0/period", "1", errno.ENOENT),
    ):
        with pytest.raises(OSError, match=os.strerror(code)):
            part.write(f"{CHIP}/{path}", text)
