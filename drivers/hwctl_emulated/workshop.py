"""Where parts are made: the wiring, the time, and the place of each part on its bus."""

from collections.abc import Callable

from hwctl.model.errors import ConfigError
from hwctl.model.wiring import DeviceEntry, Wiring
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.i2c import Chip, EmulatedI2c
from hwctl_emulated.net_parts import NetParts
from hwctl_emulated.part import Site
from hwctl_emulated.parts import Parts
from hwctl_emulated.pins import board_revision
from hwctl_emulated.seeds import stream
from hwctl_emulated.spi import EmulatedSpi
from hwctl_emulated.wires import Files, Settle, Wire

RUN_IN_SETTING = 0x80
"""Of 255: what the last hwctl had left in the fan controllers."""


class SettlingI2c(EmulatedI2c):
    """A bus with parts that switch something: each transaction may have."""

    def __init__(self, name: str, settle: Settle) -> None:
        super().__init__(name)
        self._settle = settle
        self.settles = False

    def stop(self) -> None:
        super().stop()
        if self.settles:
            self._settle()


class Workshop:
    """All buses of a wiring file, and what its makers need to know.

    :param settle: called after anything that could have switched an outlet.
    :param alive: whether a device on the network has power.
    """

    def __init__(
        self,
        wiring: Wiring,
        seed: int,
        clock: Callable[[], float],
        watchdog_s: float,
        settle: Settle,
        alive: Callable[[str], bool],
    ) -> None:
        self.wiring = wiring
        self.watchdog_s = watchdog_s
        self.settle = settle
        silent: set[str] = set()
        self.parts = Parts(
            NetParts(settle, lambda device: device not in silent and alive(device)), silent
        )
        self._seed = seed
        self._clock = clock
        for name, bus in wiring.bus.items():
            match bus.kind:
                case "i2c":
                    self.parts.i2c[name] = SettlingI2c(name, settle)
                case "gpio":
                    self.parts.gpio[name] = GpioLines()
                case "spi":
                    self.parts.spi[name] = EmulatedSpi(clock)
                case "serial" | "modbus":
                    self.parts.wires[name] = Wire(settle, silent)
                case "sysfs":
                    self.parts.files[name] = Files(settle, silent)
                case "hid":
                    pass  # comes with its only device
        if self.parts.gpio:
            self.parts.revision = board_revision(wiring.board.model, wiring.board.revision)

    def site(self, name: str, entry: DeviceEntry) -> Site:
        return Site(name, entry, self._clock, stream(self._seed, f"device/{name}"))

    def channels(self, site: Site) -> list[int]:
        """Those of its channels that are outlets."""
        return [one.channel for one in self.wiring.outlet.values() if one.device == site.name]

    def fans(self, site: Site, there: range) -> list[int]:
        """Those of its channels that have a fan. :raises ConfigError: it has no such channel."""
        channels = [fan.channel for fan in self.wiring.fan.values() if fan.device == site.name]
        for channel in channels:
            if channel not in there:
                raise ConfigError(
                    f"it has channels {there[0]} to {there[-1]}, and no channel {channel}",
                    where=f"device.{site.name}",
                    hint="correct the `channel` of the fans on it",
                )
        return channels

    def files(self, site: Site) -> Files:
        """The folder of the kernel that a device is in. :raises ConfigError: no such bus."""
        found = self.parts.files.get(site.entry.bus or "")
        if found is None:
            raise no_bus(site, "sysfs")
        return found

    def place(self, site: Site, chip: Chip, default: int) -> tuple[EmulatedI2c, int]:
        """Put a chip on its I2C bus. :raises ConfigError: no such bus, or no such place on it."""
        bus = self.parts.i2c.get(site.entry.bus or "")
        if bus is None:
            raise no_bus(site, "i2c")
        address = int(site.number("address", default))
        bus.place(address, chip, f"device.{site.name}")
        self.parts.addresses[site.name] = (bus, address)
        return bus, address

    def lines(self, site: Site) -> tuple[GpioLines, int]:
        """The chip that a device's line is on, and the board's revision.

        :raises ConfigError: no such bus.
        """
        lines = self.parts.gpio.get(site.entry.bus or "")
        if lines is None or self.parts.revision is None:
            raise no_bus(site, "gpio")
        return lines, self.parts.revision


def no_bus(site: Site, kind: str) -> ConfigError:
    """The device's bus is of another kind, or not there."""
    return ConfigError(
        f"bus {site.entry.bus!r} is no {kind} bus",
        where=f"device.{site.name}",
        hint=f'name a [bus.…] of kind = "{kind}"',
    )
