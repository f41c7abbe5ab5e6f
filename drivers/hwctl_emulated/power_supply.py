"""A battery as the kernel shows it in /sys/class/power_supply.

Source: Linux 6.1 drivers/power/supply/power_supply_sysfs.c (words of type, status and health; how
values are written) and Documentation/ABI/testing/sysfs-class-power (units); drivers/acpi/battery.c
(current_now and power_now are the same rate, without a sign), as a patch to it quotes it.
"""

from collections.abc import Mapping

from hwctl_emulated.part import Site
from hwctl_emulated.sysfs_tree import SysfsTree

STILL_AMPS = 0.005
"""Below this nothing flows, for the word in ``status``."""


class PowerSupply(SysfsTree):
    """One battery.

    :param signed: whether its kernel driver gives the current a sign (into the battery is
        positive); ACPI's does not.
    :param power: whether it tells power instead of current.
    """

    def __init__(self, name: str, *, signed: bool = True, power: bool = False) -> None:
        self._name = name
        self._signed = signed
        self._power = power
        self.present = True
        self.sense(0.0, 0.0, 0.0)

    def power_on(self) -> None:
        """A battery has its own power, always."""

    def sense(self, volts: float, amps: float, charge: float, celsius: float = 25.0) -> None:
        """What is true at its terminals; ``amps`` out of it."""
        self._volts, self._amps, self._charge, self._celsius = volts, amps, charge, celsius

    def files(self) -> Mapping[str, str]:
        folder = f"class/power_supply/{self._name}"
        inwards = -self._amps if self._signed else abs(self._amps)
        flow = {"current_now": inwards}
        if self._power:
            flow = {"power_now": inwards * self._volts}
        there = {
            "type": "Battery",
            "present": str(int(self.present)),
            "status": self._status(),
            "technology": "Li-ion",
            "voltage_now": str(round(self._volts * 1e6)),
            **{name: str(round(value * 1e6)) for name, value in flow.items()},
            "capacity": str(round(self._charge * 100)),
            "temp": str(round(self._celsius * 10)),
        }
        return {f"{folder}/{name}": text for name, text in there.items()}

    def _status(self) -> str:
        if self._amps > STILL_AMPS:
            return "Discharging"
        if self._amps < -STILL_AMPS:
            return "Charging"
        return "Full" if self._charge >= 1 else "Not charging"


def make(site: Site) -> PowerSupply:
    """The battery of one device's table: BAT0 and the like are laptops', by ACPI."""
    name = site.text("name", "BAT0")
    acpi = name.startswith("BAT")
    return PowerSupply(name, signed=not acpi, power=acpi)
