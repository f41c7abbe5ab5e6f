"""PWM outputs as the kernel shows them in /sys/class/pwm.

Source: Linux 6.1 drivers/pwm/sysfs.c (files, and what they refuse) and core.c (nothing is taken
without a period, and no duty beyond it; unverified).
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from hwctl_emulated.part import Site
from hwctl_emulated.sysfs_tree import SysfsTree, device_folder, number, refuse


@dataclass(slots=True)
class Output:
    """One output. Times are nanoseconds."""

    period: int = 0
    high: int = 0
    enabled: bool = False
    inversed: bool = False
    taken: bool = False
    """Whether another kernel driver uses it."""
    exported: bool = False


class PwmFan(SysfsTree):
    """One chip.

    :param device: what it belongs to.
    :param chip: its folder in /sys/class/pwm.
    :param fixed_ns: the only period it can have, of chips that have one for all outputs.
    :param inverter: whether a transistor between output and fan turns the signal round.
    """

    def __init__(
        self,
        outputs: int,
        *,
        device: str = "fe20c000.pwm",
        chip: str = "pwmchip0",
        fixed_ns: int | None = None,
        inverter: bool = False,
    ) -> None:
        self._device = device
        self._chip = chip
        self._fixed = fixed_ns
        self._inverter = inverter
        self.outputs = [Output() for _ in range(outputs)]

    def power_on(self) -> None:
        """After a reset of the head nothing is exported or driven."""
        self.outputs = [Output(taken=one.taken) for one in self.outputs]

    def duty(self, output: int) -> float:
        """The share of the time in which the fan's input is high; a pull-up holds it high while
        nothing drives it."""
        one = self.outputs[output]
        if not one.enabled or not one.period:
            return 1.0
        low = one.inversed is not self._inverter
        return (one.period - one.high if low else one.high) / one.period

    def files(self) -> Mapping[str, str]:
        there = {"npwm": str(len(self.outputs)), "export": "", "unexport": ""}
        for index, one in enumerate(self.outputs):
            if one.exported:
                there[f"pwm{index}/period"] = str(one.period)
                there[f"pwm{index}/duty_cycle"] = str(one.high)
                there[f"pwm{index}/enable"] = str(int(one.enabled))
                there[f"pwm{index}/polarity"] = "inversed" if one.inversed else "normal"
        # One folder, reached in two ways.
        ways = (
            f"class/pwm/{self._chip}",
            f"{device_folder(self._device)}/pwm/{self._chip}",
        )
        return {f"{way}/{name}": text for way in ways for name, text in there.items()}

    def store(self, path: str, text: str) -> None:
        folder, _, name = path.rpartition("/")
        if name in ("export", "unexport"):
            self._export(number(text), name == "export")
            return
        if name == "npwm":
            refuse(errno.EACCES)
        one = self.outputs[int(folder.rpartition("/pwm")[2])]
        if name == "polarity":
            if text not in ("normal", "inversed"):
                refuse(errno.EINVAL)
            if one.enabled:
                refuse(errno.EBUSY)
            if not one.period:
                refuse(errno.EINVAL)
            one.inversed = text == "inversed"
            return
        value = number(text)
        if name == "period":
            if value < max(one.high, 1) or self._fixed not in (None, value):
                refuse(errno.EINVAL)
            one.period = value
        elif name == "duty_cycle":
            if not 0 <= value <= one.period:
                refuse(errno.EINVAL)
            one.high = value
        else:
            if value not in (0, 1) or not one.period:
                refuse(errno.EINVAL)
            one.enabled = value == 1

    def _export(self, index: int, wanted: bool) -> None:
        if not 0 <= index < len(self.outputs):
            refuse(errno.ENODEV)
        one = self.outputs[index]
        if one.taken or one.exported is wanted:
            refuse(errno.EBUSY if wanted else errno.ENODEV)
        one.exported = wanted


def make(site: Site, outputs: int = 2, chip: str = "pwmchip0") -> PwmFan:
    """The chip of one device's table, which is ``chip`` where that names a device instead."""
    named = site.text("chip", chip)
    inverter = site.text("polarity", "normal") == "inversed"
    if named.startswith("pwmchip"):
        return PwmFan(outputs, chip=named, inverter=inverter)
    return PwmFan(outputs, device=named, chip=chip, inverter=inverter)
