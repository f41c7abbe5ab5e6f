"""A fan controller as a hwmon driver of the kernel shows it.

Source: Linux 6.1 Documentation/hwmon/sysfs-interface.rst (pwmN, pwmN_enable, fanN_input).
"""

import errno
import re
from collections.abc import Mapping

from hwctl_emulated.part import Site
from hwctl_emulated.sysfs_tree import SysfsTree, device_folder, number, refuse

MANUAL, AUTOMATIC = 1, 2
PWM = re.compile(r"pwm(\d+)(_enable)?")
BEFORE = 128
"""Of 255: what the board's own control drives a fan at."""


class HwmonFan(SysfsTree):
    """One chip; the world sets :attr:`rpm` and asks :meth:`duty`, which count fans from 0.

    :param device: where it hangs.
    :param hwmon: its folder in /sys/class/hwmon.
    :param steps: of the duty, from 0 to full; emc2305 has 10, others 255.
    :param common: whether one setting drives all fans, as with emc2305.
    """

    def __init__(
        self,
        chip: str,
        fans: int,
        *,
        device: str = "1-002e",
        hwmon: str = "hwmon3",
        steps: int = 255,
        common: bool = False,
    ) -> None:
        self._chip = chip
        self._device = device
        self._hwmon = hwmon
        self._steps = steps
        self._common = common
        self.rpm: list[float] = [0.0] * fans
        self.power_on()

    def power_on(self) -> None:
        """The board's own control drives."""
        self._settings = [BEFORE] * len(self.rpm)
        self._enabled = [AUTOMATIC] * len(self.rpm)

    def duty(self, fan: int) -> float:
        return self._settings[fan] / 255

    def files(self) -> Mapping[str, str]:
        there = {"name": self._chip}
        for fan, rpm in enumerate(self.rpm):
            there[f"pwm{fan + 1}"] = str(self._settings[fan])
            there[f"pwm{fan + 1}_enable"] = str(self._enabled[fan])
            there[f"fan{fan + 1}_input"] = str(round(rpm))
        # One folder, reached in two ways.
        ways = (
            f"class/hwmon/{self._hwmon}",
            f"{device_folder(self._device)}/hwmon/{self._hwmon}",
        )
        return {f"{way}/{name}": text for way in ways for name, text in there.items()}

    def store(self, path: str, text: str) -> None:
        found = PWM.fullmatch(path.rpartition("/")[2])
        if found is None:
            refuse(errno.EACCES)
        fan, value = int(found[1]) - 1, number(text)
        if found[2]:
            if value not in (0, MANUAL, AUTOMATIC):
                refuse(errno.EINVAL)
            self._enabled[fan] = value
            return
        if not 0 <= value <= 255:
            refuse(errno.EINVAL)
        if self._enabled[fan] == MANUAL:
            setting = round(round(value * self._steps / 255) * 255 / self._steps)
            for one in range(len(self.rpm)) if self._common else (fan,):
                self._settings[one] = setting


def make(site: Site, fans: int = 1, hwmon: str = "hwmon3") -> HwmonFan:
    """The chip of one device's table, with as many fans as are wired to it."""
    chip = site.text("chip", "")
    coarse = chip == "emc2305"
    return HwmonFan(
        chip,
        fans,
        device=site.text("device", "1-002e"),
        hwmon=hwmon,
        steps=10 if coarse else 255,
        common=coarse,
    )
