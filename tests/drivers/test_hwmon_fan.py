"""Fans of hwmon drivers, on emulated files; `make lab` has Linux' own."""

import errno
import os
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.world_ports import EmulatedSysfs
from hwctl.model.errors import (
    BusError,
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
)
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.hwmon_fan import DRIVER, HwmonFanOptions
from hwctl_emulated.hwmon_fan import AUTOMATIC, BEFORE, MANUAL, HwmonFan, make
from hwctl_emulated.part import Site
from hwctl_emulated.wires import Files

CHIP = "class/hwmon/hwmon3"


class Kernel:
    """Emulated parts behind one bus, and what was written."""

    def __init__(self, *parts):
        self.written = []
        self.refused = {}
        """Errors by path, when it is written."""
        self.files = Files(lambda: None, set(), {str(n): part for n, part in enumerate(parts)})
        self.bus = EmulatedSysfs(self, "/sys", "sys")
        self.read, self.names = self.files.read, self.files.names

    def write(self, path, text):
        if path in self.refused:
            raise OSError(self.refused[path], os.strerror(self.refused[path]))
        self.files.write(path, text)
        self.written.append((path, text))


def opened(*parts, chip="nct6775", **options):
    kernel = Kernel(*parts)
    return DRIVER.open(kernel.bus, HwmonFanOptions(chip=chip, **options)), kernel


def test_probing_and_reading_change_nothing():
    part = HwmonFan("nct6775", 2)
    part.rpm = [1200.0, 0.0]
    fans, kernel = opened(part)
    fans.probe()
    assert (fans.read(1).rpm, fans.read(2).rpm) == (1200, 0)
    assert fans.read(1).duty == pytest.approx(128 / 255)
    assert kernel.written == []


def test_the_first_order_takes_over_and_the_next_ones_only_drive():
    part = HwmonFan("nct6775", 2)
    fans, kernel = opened(part)
    fans.probe()
    fans.drive(2, 0.6)
    assert part.duty(1) == pytest.approx(0.6)
    assert part.duty(0) == pytest.approx(128 / 255), "the other is left to the board"
    assert kernel.files.read(f"{CHIP}/pwm1_enable") == f"{AUTOMATIC}\n"
    assert kernel.files.read(f"{CHIP}/pwm2_enable") == f"{MANUAL}\n"
    kernel.written.clear()
    fans.drive(2, 0.4)
    assert kernel.written == [(f"{CHIP}/pwm2", "102")]
    assert fans.read(2).duty == pytest.approx(0.4)


@pytest.mark.parametrize("duty", [0.0, 0.001, 0.5, 0.501, 0.999, 1.0])
def test_no_fan_is_driven_slower_than_it_was_told(duty):
    part = HwmonFan("nct6775", 1)
    fans, _ = opened(part)
    fans.drive(1, duty)
    assert duty <= part.duty(0) < duty + 1 / 255 + 1e-9


def test_coarse_steps_and_one_setting_for_all_leave_none_slower():
    """As Linux 6.1's emc2305 does it."""
    random = Random(1)
    part = HwmonFan("emc2305", 3, steps=10, common=True)
    fans, _ = opened(part, chip="emc2305")
    asked = {}
    for _ in range(60):
        channel, duty = random.randint(1, 3), random.random()
        asked[channel] = duty
        fans.drive(channel, duty)
        for other, wanted in asked.items():
            assert part.duty(other - 1) >= wanted - 1e-9
        assert part.duty(0) <= max(asked.values()) + 0.11
        assert fans.read(channel).duty == part.duty(0)


def test_a_chip_without_a_switch_for_manual_is_just_driven():
    class Bare(HwmonFan):
        def files(self):
            return {path: text for path, text in super().files().items() if "enable" not in path}

    part = Bare("pwmfan", 1)
    part._enabled = [MANUAL]
    fans, kernel = opened(part, chip="pwmfan")
    fans.drive(1, 0.2)
    assert kernel.written == [(f"{CHIP}/pwm1", "51")]


def test_a_fan_without_a_tachometer_has_no_speed():
    class Deaf(HwmonFan):
        def files(self):
            return {path: text for path, text in super().files().items() if "fan" not in path[12:]}

    fans, _ = opened(Deaf("nct6775", 1))
    assert fans.read(1).rpm is None
    assert fans.read(1).duty is not None


def test_a_chip_is_found_by_its_name_whatever_its_number():
    other, wanted = HwmonFan("coretemp", 0, hwmon="hwmon0"), HwmonFan("nct6775", 1, hwmon="hwmon7")
    fans, _ = opened(other, wanted)
    fans.drive(1, 1.0)
    assert wanted.duty(0) == 1.0


def test_two_of_one_name_are_told_apart_by_where_they_hang():
    here = HwmonFan("emc2305", 1, device="1-002e", hwmon="hwmon1")
    there = HwmonFan("emc2305", 1, device="3-004c", hwmon="hwmon2")
    fans, _ = opened(here, there, chip="emc2305")
    with pytest.raises(DeviceMismatchError, match="2 chips") as caught:
        fans.probe()
    assert "`device`" in caught.value.hint
    fans, _ = opened(here, there, chip="emc2305", device="3-004c")
    fans.drive(1, 1.0)
    assert (here.duty(0), there.duty(0)) == (pytest.approx(128 / 255), 1.0)


def test_a_chip_that_is_not_there():
    fans, _ = opened(HwmonFan("coretemp", 0))
    with pytest.raises(DeviceNotFoundError, match="only coretemp") as caught:
        fans.probe()
    assert "cat /sys/class/hwmon" in caught.value.hint
    fans, kernel = opened(HwmonFan("nct6775", 1))
    fans.probe()
    kernel.files.parts.clear()
    for act in (fans.read, lambda n: fans.drive(n, 1.0)):
        with pytest.raises(DeviceNotFoundError, match="is gone"):
            act(1)


def test_a_chip_without_fans_and_a_fan_that_it_has_not():
    fans, _ = opened(HwmonFan("coretemp", 0), chip="coretemp")
    with pytest.raises(DeviceMismatchError, match="no pwm files"):
        fans.probe()
    fans, _ = opened(HwmonFan("nct6775", 2))
    for channel in (0, 3):
        with pytest.raises(DeviceMismatchError, match=f"no pwm{channel}") as caught:
            fans.read(channel)
        assert "channel" in caught.value.hint


@pytest.mark.parametrize("duty", [-0.1, 1.1, float("nan")])
def test_duties_that_are_none(duty):
    part = HwmonFan("nct6775", 1)
    fans, kernel = opened(part)
    with pytest.raises(DeviceDataError, match="cannot drive"):
        fans.drive(1, duty)
    assert kernel.written == []


def test_somebody_else_who_holds_the_fan_back_is_named():
    class Held(HwmonFan):
        def store(self, path, text):
            super().store(path, "60" if path.endswith("pwm1") else text)

    fans, _ = opened(Held("nct6775", 1))
    fans.drive(1, 0.5)
    assert fans.read(1).duty == pytest.approx(60 / 255), "it may be on its way"
    with pytest.raises(DeviceDataError, match="told to drive fan 1 at 128/255 and keeps 60") as got:
        fans.read(1)
    assert "another program" in got.value.hint


def test_a_chip_that_takes_its_time_is_no_fault():
    class Ramping(HwmonFan):
        def store(self, path, text):
            super().store(path, str(BEFORE) if path.endswith("pwm1") else text)

        def ramp(self, setting):
            self._settings[0] = setting

    part = Ramping("max31790", 1)
    fans, _ = opened(part, chip="max31790")
    fans.drive(1, 1.0)
    for setting in (128, 140, 170, 200, 228, 255, 255):
        part.ramp(setting)
        assert fans.read(1).duty == setting / 255


def test_files_that_belong_to_root():
    fans, kernel = opened(HwmonFan("nct6775", 1))
    kernel.refused[f"{CHIP}/pwm1_enable"] = errno.EACCES
    kernel.refused[f"{CHIP}/pwm1"] = errno.EACCES
    with pytest.raises(BusError, match="no permission") as caught:
        fans.drive(1, 0.5)
    assert "udev" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [{}, {"chip": ""}, {"chip": "a b"}, {"chip": "a/b"}, {"chip": "x", "device": "../x"}],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        HwmonFanOptions(**options)


def test_the_emulated_one_is_made_of_its_table_and_refuses_as_the_kernel():
    entry = DeviceEntry(driver="hwmon_fan", bus="sys", chip="it87", device="1-002d")
    part = make(Site("fans", entry, lambda: 0.0, Random(0)), fans=3)
    assert part.names("bus/i2c/devices/1-002d/hwmon") == ["hwmon3"]
    assert part.read(f"{CHIP}/name") == "it87\n"
    for path, text, code in (
        (f"{CHIP}/pwm1", "256", errno.EINVAL),
        (f"{CHIP}/pwm1", "x", errno.EINVAL),
        (f"{CHIP}/pwm1_enable", "9", errno.EINVAL),
        (f"{CHIP}/fan1_input", "1", errno.EACCES),
        (f"{CHIP}/pwm4", "1", errno.ENOENT),
    ):
        with pytest.raises(OSError, match=os.strerror(code)):
            part.write(path, text)
