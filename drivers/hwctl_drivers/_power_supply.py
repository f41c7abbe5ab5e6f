"""What the kernel says of a battery, for fuel gauges that it has taken, and for others.

Sources     Linux 6.1 Documentation/ABI/testing/sysfs-class-power (files, and their units: uV, uA,
            uW, tenths of a degree); drivers/power/supply/power_supply_sysfs.c (words),
            max17040_battery.c, max17042_battery.c and bq27xxx_battery.c (what each shows)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from hwctl.model.drivers import GaugeSample, Options, SysfsBus
from hwctl.model.errors import DeviceDataError, DeviceError, DeviceNotFoundError
from hwctl.model.units import Amps, Celsius, Ratio, Volts, Watts
from hwctl_drivers._hwmon import check_name

MICRO = 1e-6
"""Volts, amperes or watts per unit."""
TENTH = 0.1
"""Degrees Celsius per unit."""
OVERSHOOT = 1.1
"""A charge up to this is a full battery that its gauge did not expect. Untuned."""
CELSIUS = (-40.0, 125.0)
"""What a battery's temperature can be. Untuned."""
VOLTS_MAX = 90.0
"""No battery of a rig has more. Untuned."""
OUT, IN = "Discharging", "Charging"
STILL = frozenset({"Full", "Not charging"})
"""Of ``status``: nothing goes out of it. Linux' power_supply_sysfs.c."""


class Battery:
    """One folder of /sys/class/power_supply. Forward is out of the battery.

    Some kernel drivers give current and power a sign (into the battery is positive), others, as
    ACPI's, give none: then ``status`` says which way. Who has once said something negative has
    signs.

    :param folder: gives where the files are, and raises what ``probe`` is to raise.
    :param signed: whether the kernel's driver is known to give a sign.
    """

    def __init__(
        self, bus: SysfsBus, where: str, folder: Callable[[], str], *, signed: bool = False
    ) -> None:
        self._bus = bus
        self._where = where
        self._find = folder
        self._signed = signed
        self._folder = ""
        self.full = 100
        """What ``capacity`` says of a full one."""

    def probe(self) -> None:
        """Look for the files; nothing is written."""
        self._folder = self._find()
        # Asked for once, so that one that cannot be read fails here.
        self._bus.read(f"{self._folder}/type")

    def read(self, channel: int = 0) -> GaugeSample:
        """What the kernel says now, each value None where it says none.

        ``amps`` and ``watts`` are None, too, where nothing tells which way the current flows.

        :raises DeviceNotFoundError: the battery, or its driver, is gone.
        :raises DeviceDataError: a value that cannot be true.
        """
        del channel
        if not self._folder:
            self.probe()
        there = frozenset(self._bus.names(self._folder))
        if not there:
            raise DeviceNotFoundError(
                f"there is no {self._folder}",
                where=self._where,
                hint="`ls /sys/class/power_supply` lists them",
            )
        if self._number(there, "present") == 0:
            raise DeviceNotFoundError(
                "the kernel says that it is not there",
                where=self._where,
                hint="is the battery in, and connected?",
            )
        volts = self._volts(there)
        amps, watts = self._flow(there, volts)
        temp = self._number(there, "temp")
        celsius = None
        if temp is not None and CELSIUS[0] <= temp * TENTH <= CELSIUS[1]:
            celsius = Celsius(temp * TENTH)
        return GaugeSample(
            volts=volts,
            amps=amps,
            watts=watts,
            celsius=celsius,
            charge=self._charge(there),
        )

    def _volts(self, there: frozenset[str]) -> Volts | None:
        value = self._number(there, "voltage_now")
        if value is None:
            return None
        volts = Volts(value * MICRO)
        if not 0 < volts <= VOLTS_MAX:
            raise self._error(
                f"reads {volts:.3f} V, which no battery has",
                "is it connected? `dmesg` tells what its kernel driver complains of",
            )
        return volts

    def _flow(self, there: frozenset[str], volts: Volts | None) -> tuple[Amps | None, Watts | None]:
        """Out of the battery."""
        current, power = self._number(there, "current_now"), self._number(there, "power_now")
        if (current or 0) < 0 or (power or 0) < 0:
            self._signed = True
        status = self._bus.read(f"{self._folder}/status") if "status" in there else ""
        amps = self._outwards(current, status)
        watts = self._outwards(power, status)
        if volts is not None:
            if amps is None and watts is not None:
                amps = watts / volts
            elif amps is not None and watts is None:
                watts = volts * amps
        return (
            None if amps is None else Amps(amps),
            None if watts is None else Watts(watts),
        )

    def _outwards(self, value: int | None, status: str) -> float | None:
        if value is None:
            return None
        if self._signed or value == 0:
            return -value * MICRO + 0.0
        if status == OUT:
            return value * MICRO
        return -value * MICRO if status == IN or status in STILL else None

    def _charge(self, there: frozenset[str]) -> Ratio | None:
        percent = self._number(there, "capacity")
        if percent is not None:
            return self._ratio(percent / self.full)
        for what in ("energy", "charge"):
            now, full = (self._number(there, f"{what}_{end}") for end in ("now", "full"))
            if now is not None and full:
                return self._ratio(now / full)
        return None

    def _ratio(self, charge: float) -> Ratio:
        if not 0 <= charge <= OVERSHOOT:
            raise self._error(
                f"says that the battery is {charge:.0%} full",
                "`dmesg` tells what its kernel driver complains of",
            )
        return Ratio(min(charge, 1.0))

    def _number(self, there: frozenset[str], name: str) -> int | None:
        """None where there is no such file, or the kernel's driver has no such value now."""
        if name not in there:
            return None
        try:
            text = self._bus.read(f"{self._folder}/{name}")
        except DeviceNotFoundError:
            raise
        except DeviceError:
            return None
        try:
            return int(text)
        except ValueError as error:
            raise self._error(
                f"{name} says {text[:40]!r}, which is no number",
                "`dmesg` tells what its kernel driver complains of",
            ) from error

    def _error(self, what: str, hint: str) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)


@dataclass(frozen=True, slots=True)
class Taken:
    """How the kernel shows a fuel gauge on I2C that its driver has taken."""

    names: frozenset[str]
    """What the kernel may call the part."""
    signed: bool = False
    shunt_ohms: float | None = None
    """What its driver takes the shunt for, unless the firmware says otherwise; None where it
    knows no shunt."""
    shunt_property: str = ""
    """What the firmware says it by."""


class TakenBattery:
    """A fuel gauge, as the kernel shows it."""

    def __init__(self, bus: SysfsBus, options: Any, taken: Taken) -> None:  # noqa: ANN401
        self._bus = bus
        self._options = options
        self._taken = taken
        self._where = f"0x{options.address:02x}, through the kernel"
        self._battery = Battery(bus, self._where, self._folder, signed=taken.signed)

    def probe(self) -> None:
        check_name(self._bus, self._taken.names, self._where)
        double = getattr(self._options, "double_soc", False)
        if double and "maxim,double-soc" not in self._firmware():
            self._battery.full = 200
        self._battery.probe()

    def read(self, channel: int = 0) -> GaugeSample:
        """As :meth:`Battery.read`."""
        sample = self._battery.read(channel)
        sign = -1 if getattr(self._options, "reversed", False) else 1
        amps = None if sample.amps is None else Amps(sign * sample.amps * self._scale())
        watts = None
        if amps is not None and sample.volts is not None:
            watts = Watts(sample.volts * amps)
        return replace(sample, amps=amps, watts=watts)

    def _scale(self) -> float:
        """The kernel's idea of the shunt over the wiring's."""
        taken = self._taken
        if taken.shunt_ohms is None or taken.shunt_property in self._firmware():
            return 1.0
        return taken.shunt_ohms / float(self._options.shunt_ohms)

    def _firmware(self) -> list[str]:
        return self._bus.names("of_node")

    def _folder(self) -> str:
        found = self._bus.names("power_supply")
        if not found:
            raise DeviceNotFoundError(
                "has a kernel driver that shows no power supply",
                where=self._where,
                hint="`dmesg` tells why; is it the driver for this part?",
            )
        return f"power_supply/{found[0]}"


def gauge(
    names: Iterable[str],
    *,
    signed: bool = False,
    shunt_ohms: float | None = None,
    shunt_property: str = "",
) -> Callable[[SysfsBus, Options], TakenBattery]:
    """What a driver gives as ``kernel`` (see :class:`Taken`)."""
    taken = Taken(frozenset(names), signed, shunt_ohms, shunt_property)
    return lambda bus, options: TakenBattery(bus, options, taken)
