"""A battery that the kernel shows by itself: a laptop's own, or that of a UPS board with a driver.

Part        whatever is in /sys/class/power_supply with a type of Battery or UPS
Sources     Linux 6.1 Documentation/ABI/testing/sysfs-class-power (files and units) and
            drivers/power/supply/power_supply_sysfs.c (words, ENODATA and ENODEV)
Bus         sysfs, with /sys as its folder
Ranges      what the battery's own gauge has; charge in 1 %
Accuracy    that of the battery's own gauge; the kernel does not say
Quirks      - Forward is out of the battery: amps are positive while it discharges.
            - The kernel's current is positive into the battery with some drivers, and without a
              sign with others (ACPI's, of laptops). Then ``status`` tells, and where it does not
              (Unknown), amps and watts are None. A driver that has once said something negative
              has signs.
            - Laptops tell power instead of current, or current instead of power: what lacks is
              calculated from the voltage.
            - Where there is no percentage it is what it holds over what it held when last full.
            - The kernel tells of a change at once, and the battery is read then; what hwctl asks
              in between may be as old as its driver allows (bq27xxx: 5 s and more).
            - A battery that is taken out stays in the list with some drivers (present is 0), and
              leaves it with others. Both are "not there".
"""

from collections.abc import Sequence

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, Options, SysfsBus
from hwctl.model.errors import DeviceMismatchError, DeviceNotFoundError
from hwctl.model.units import Amps, Watts
from hwctl_drivers._power_supply import Battery

FOLDER = "class/power_supply"
TYPES = frozenset({"Battery", "UPS"})
"""Others give power and hold none. power_supply_sysfs.c."""


class PowerSupplyOptions(Options):
    """What the wiring file says of a battery."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description='as `ls /sys/class/power_supply` has it: "BAT0", "battery"',
    )
    reversed: bool = Field(
        default=False, description="whether forward current is that into the battery"
    )

    def claims(self) -> Sequence[str]:
        return (f"power supply {self.name}",)


class PowerSupply:
    """One battery. ``channel`` is ignored: there is one."""

    def __init__(self, bus: SysfsBus, options: PowerSupplyOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"power supply {options.name}"
        self._battery = Battery(bus, self._where, self._folder)

    def probe(self) -> None:
        """Look for it; nothing is written.

        :raises DeviceMismatchError: it is no battery.
        """
        folder = self._folder()
        kind = self._bus.read(f"{folder}/type")
        if kind not in TYPES:
            raise DeviceMismatchError(
                f"is a supply of type {kind}, which holds nothing",
                where=self._where,
                hint=f"name one of type Battery: `grep . /sys/{FOLDER}/*/type` shows all",
            )
        self._battery.probe()

    def read(self, channel: int = 0) -> GaugeSample:
        """What the kernel says now, each value None where it says none.

        :raises DeviceNotFoundError: the battery, or its driver, is gone.
        :raises DeviceDataError: a value that cannot be true.
        """
        sample = self._battery.read(channel)
        if not self._options.reversed:
            return sample
        return GaugeSample(
            volts=sample.volts,
            amps=None if sample.amps is None else Amps(-sample.amps),
            watts=None if sample.watts is None else Watts(-sample.watts),
            celsius=sample.celsius,
            charge=sample.charge,
        )

    def _folder(self) -> str:
        there = self._bus.names(FOLDER)
        if self._options.name not in there:
            raise DeviceNotFoundError(
                f"the kernel has no such power supply, only {', '.join(there) or 'none at all'}",
                where=self._where,
                hint=f"`ls /sys/{FOLDER}` lists them; is its kernel driver loaded?",
            )
        return f"{FOLDER}/{self._options.name}"


DRIVER = Driver(
    name="power_supply",
    summary="A battery that the kernel knows: a laptop's, or a UPS board's with a kernel driver",
    parts=("batteries in /sys/class/power_supply",),
    bus="sysfs",
    roles=frozenset({"gauge"}),
    options=PowerSupplyOptions,
    open=PowerSupply,
    subsystems=frozenset({"power_supply"}),
    proof="Linux' test_power in the kernel lab: values, states, and its news at once",
)
