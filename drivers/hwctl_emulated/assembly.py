"""From the wiring file to chips on buses: one virtual part for each device that is wired."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hwctl.model.errors import ConfigError, UnknownTargetError
from hwctl.model.wiring import DeviceEntry, Wiring
from hwctl_emulated.emc230x import WATCHDOG_S, Emc230x
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.i2c import Chip, EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.ina228 import Ina228
from hwctl_emulated.pins import board_revision, line_of
from hwctl_emulated.seeds import stream
from hwctl_emulated.spi import EmulatedSpi
from hwctl_emulated.strip import Strip

MOST_LEDS = 100_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Relay:
    """One channel of a relay board: on while its line has the active level."""

    lines: GpioLines
    line: int
    active_low: bool

    @property
    def on(self) -> bool:
        return self.lines.level(self.line) != self.active_low


@dataclass(slots=True)
class Parts:
    """Everything that is wired, by bus or by device."""

    revision: int | None = None
    i2c: dict[str, EmulatedI2c] = field(default_factory=dict)
    gpio: dict[str, GpioLines] = field(default_factory=dict)
    spi: dict[str, EmulatedSpi] = field(default_factory=dict)
    gauges: dict[str, Ina219 | Ina228] = field(default_factory=dict)
    relays: dict[str, Relay] = field(default_factory=dict)
    fans: dict[str, Emc230x] = field(default_factory=dict)
    strips: dict[str, Strip] = field(default_factory=dict)
    addresses: dict[str, tuple[EmulatedI2c, int]] = field(default_factory=dict)


class _Assembler:
    def __init__(
        self, wiring: Wiring, seed: int, clock: Callable[[], float], watchdog_s: float
    ) -> None:
        self.parts = Parts()
        self._wiring = wiring
        self._seed = seed
        self._clock = clock
        self._watchdog_s = watchdog_s

    def assemble(self) -> Parts:
        parts = self.parts
        for name, bus in self._wiring.bus.items():
            match bus.kind:
                case "i2c":
                    parts.i2c[name] = EmulatedI2c(name)
                case "gpio":
                    parts.gpio[name] = GpioLines()
                case "spi":
                    parts.spi[name] = EmulatedSpi(self._clock)
        if parts.gpio:
            board = self._wiring.board
            parts.revision = board_revision(board.model, board.revision)
        makers = {
            "ina219": self._gauge,
            "ina228": self._gauge,
            "emc230x": self._fans,
            "gpio_relay": self._relay,
            "ws281x_spi": self._strip,
        }
        for name, entry in self._wiring.device.items():
            if entry.driver not in makers:
                raise ConfigError(
                    f"there is no emulated part for driver {entry.driver!r}",
                    where=f"device.{name}",
                    hint=f"emulated are {', '.join(sorted(makers))}; "
                    "run without --emulate for others",
                )
            makers[entry.driver](name, entry)
        return parts

    def _gauge(self, name: str, entry: DeviceEntry) -> None:
        ohms = _number(name, entry, "shunt_ohms", 0.1)
        flip = _flag(name, entry, "reversed", default=False)
        rng = stream(self._seed, f"device/{name}")
        part = Ina228 if entry.driver == "ina228" else Ina219
        chip = part(ohms, rng, reversed_shunt=flip)
        self._place(name, entry, chip, 0x40)
        self.parts.gauges[name] = chip

    def _fans(self, name: str, entry: DeviceEntry) -> None:
        channels = [fan.channel for fan in self._wiring.fan.values() if fan.device == name]
        if any(not 1 <= channel <= 5 for channel in channels):
            raise ConfigError(
                "an EMC230x has fan channels 1 to 5",
                where=f"device.{name}",
                hint="correct the `channel` of the fans on it",
            )
        rng = stream(self._seed, f"device/{name}")
        chip = Emc230x(max(channels, default=1), self._clock, rng, watchdog_s=self._watchdog_s)
        # The EMC2301 has one address; the EMC2302-1 and its like sit at 0x2E.
        self._place(name, entry, chip, 0x2F if chip.product_fans == 1 else 0x2E)
        self.parts.fans[name] = chip

    def _place(self, name: str, entry: DeviceEntry, chip: Chip, default: int) -> None:
        bus = self.parts.i2c.get(entry.bus or "")
        if bus is None:
            raise _no_bus(name, entry, "i2c")
        address = int(_number(name, entry, "address", default))
        bus.place(address, chip, f"device.{name}")
        self.parts.addresses[name] = (bus, address)

    def _relay(self, name: str, entry: DeviceEntry) -> None:
        lines = self.parts.gpio.get(entry.bus or "")
        if lines is None or self.parts.revision is None:
            raise _no_bus(name, entry, "gpio")
        pin = str(entry.options.get("pin", ""))
        line = line_of(pin, self.parts.revision)
        if line is None:
            raise ConfigError(
                f"pin {pin!r} is no GPIO of {self._wiring.board.model}",
                where=f"device.{name}",
                hint='write "J8:11" or "GPIO17"; `pinout` draws the header',
            )
        self.parts.relays[name] = Relay(
            lines, line, _flag(name, entry, "active_low", default=False)
        )

    def _strip(self, name: str, entry: DeviceEntry) -> None:
        bus = self.parts.spi.get(entry.bus or "")
        if bus is None:
            raise _no_bus(name, entry, "spi")
        leds = int(_number(name, entry, "leds", 1))
        if not 1 <= leds <= MOST_LEDS:
            raise ConfigError(
                f"{leds} LEDs cannot be emulated, only 1 to {MOST_LEDS}",
                where=f"device.{name}",
                hint="count the LEDs again",
            )
        strip = Strip(leds, str(entry.options.get("order", "GRB")))
        bus.listeners.append(strip)
        self.parts.strips[name] = strip


def assemble(
    wiring: Wiring, seed: int, clock: Callable[[], float], watchdog_s: float = WATCHDOG_S
) -> Parts:
    """Build what is wired. :raises ConfigError: naming the device and what is wrong with it."""
    return _Assembler(wiring, seed, clock, watchdog_s).assemble()


def check_references(wiring: Wiring, parts: Parts) -> None:
    """:raises ConfigError: the wiring names a part, rail or node that there is not."""
    wanted: list[tuple[str, str, Collection[str]]] = []
    for name, outlet in wiring.outlet.items():
        wanted.append((f"outlet.{name}", outlet.device, parts.relays))
        wanted.append((f"outlet.{name}", outlet.rail, wiring.rail))
        if outlet.node:
            wanted.append((f"outlet.{name}", outlet.node, wiring.node))
    wanted += [(f"rail.{n}", rail.supply, wiring.supply) for n, rail in wiring.rail.items()]
    wanted += [(f"fan.{n}", fan.device, parts.fans) for n, fan in wiring.fan.items()]
    for name, strip in wiring.strip.items():
        wanted.append((f"strip.{name}", strip.device, parts.strips))
        if strip.rail:
            wanted.append((f"strip.{name}", strip.rail, wiring.rail))
    for where, what, there in wanted:
        if what not in there:
            raise ConfigError(
                f"{what!r} is not wired as that",
                where=where,
                hint=f"choose one of {', '.join(sorted(there)) or '(none)'}",
            )


def named(things: Mapping[str, T], name: str, kind: str) -> T:
    """:raises UnknownTargetError: there is no such thing."""
    if name not in things:
        raise UnknownTargetError(
            f"there is no {kind} {name!r}",
            where="emulated world",
            hint=f"there are {', '.join(sorted(things)) or 'none'}",
        )
    return things[name]


def _no_bus(name: str, entry: DeviceEntry, kind: str) -> ConfigError:
    return ConfigError(
        f"bus {entry.bus!r} is no {kind} bus",
        where=f"device.{name}",
        hint=f'name a [bus.…] of kind = "{kind}"',
    )


def _number(name: str, entry: DeviceEntry, key: str, default: float) -> float:
    value = entry.options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, key, "a number")
    return float(value)


def _flag(name: str, entry: DeviceEntry, key: str, *, default: bool) -> bool:
    value = entry.options.get(key, default)
    if not isinstance(value, bool):
        raise _wrong(name, key, "true or false")
    return value


def _wrong(name: str, key: str, wanted: str) -> ConfigError:
    return ConfigError(
        f"{key} must be {wanted}", where=f"device.{name}", hint="`hwctl check` names the line"
    )
