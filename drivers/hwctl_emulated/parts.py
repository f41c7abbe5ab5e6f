"""What the rig's devices are made of: one virtual part for each, by the bus that reaches it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hwctl.model.errors import UnknownTargetError
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.i2c import Chip, EmulatedI2c
from hwctl_emulated.net_parts import NetParts
from hwctl_emulated.part import Switch
from hwctl_emulated.power_button import PowerButton
from hwctl_emulated.spi import EmulatedSpi
from hwctl_emulated.strip import Strip
from hwctl_emulated.wake_on_lan import WakeOnLan
from hwctl_emulated.wires import Files, HidBoard, Wire

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Felt:
    """What is true where a gauge sits."""

    volts: float = 0.0
    amps: float = 0.0
    pack_volts: float = 0.0
    """Of the supply's own battery, at its terminals."""
    pack_amps: float = 0.0
    """Out of that battery."""
    cell_volts: float = 0.0
    """The same of one of its cells,"""
    cell_amps: float = 0.0
    """as if all were in parallel."""
    charge: float = 0.0
    celsius: float = 25.0
    seconds: float = 0.0
    """For how long."""


class Resettable(Protocol):
    def power_on(self) -> None:
        """As after its own power came back."""
        ...


class PoweredChip(Chip, Resettable, Protocol):
    """A chip on I2C."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge's part, and how each of its channels is made to feel something."""

    part: Resettable
    feel: Callable[[int, Felt], None]
    channels: tuple[int, ...] = (0,)
    on_cells: bool = False
    """Whether it is fed by the battery that it measures, and not by the head."""

    def power_on(self) -> None:
        self.part.power_on()


@dataclass(frozen=True, slots=True)
class FanBoard:
    """A fan controller. Its fans are counted from 0 here."""

    part: Resettable
    first: int
    """The wiring's number of its first fan."""
    duty: Callable[[int], float]
    """What a fan is driven at, 0..1."""
    rpm: list[float] | None
    """What its tachometers feel; ``None`` if it has none."""

    def power_on(self) -> None:
        self.part.power_on()


@dataclass(slots=True)
class Parts:
    """Everything that is wired, by bus or by device."""

    net: NetParts
    silent: set[str]
    """Devices that answer nothing: a fault, made by whoever tests."""
    revision: int | None = None
    i2c: dict[str, EmulatedI2c] = field(default_factory=dict)
    gpio: dict[str, GpioLines] = field(default_factory=dict)
    spi: dict[str, EmulatedSpi] = field(default_factory=dict)
    wires: dict[str, Wire] = field(default_factory=dict)
    """Serial ports and Modbus lines."""
    hid: dict[str, HidBoard] = field(default_factory=dict)
    files: dict[str, Files] = field(default_factory=dict)
    gauges: dict[str, Gauge] = field(default_factory=dict)
    switches: dict[str, Switch] = field(default_factory=dict)
    begin: dict[str, Callable[[Sequence[int]], None]] = field(default_factory=dict)
    """By outlet device: switch these channels on, and the others off, as somebody had."""
    fed_by_rail: set[str] = field(default_factory=set)
    """Outlet devices that take their own power from the rail, and not from the head."""
    buttons: dict[str, PowerButton] = field(default_factory=dict)
    """Those of the switches that ask a node, too."""
    wakers: dict[str, WakeOnLan] = field(default_factory=dict)
    """Network cards that start a node."""
    fans: dict[str, FanBoard] = field(default_factory=dict)
    strips: dict[str, Strip] = field(default_factory=dict)
    addresses: dict[str, tuple[EmulatedI2c, int]] = field(default_factory=dict)

    @property
    def buses(self) -> list[str]:
        return [*self.i2c, *self.gpio, *self.spi, *self.wires, *self.hid, *self.files]

    @property
    def can_reset(self) -> dict[str, Resettable]:
        """Devices that forget something when their power is gone."""
        return {**self.switches, **self.gauges, **self.fans}

    @property
    def can_be_silent(self) -> dict[str, object]:
        """Devices that are neither on I2C nor on GPIO, by name."""
        wired = {name: part for wire in self.wires.values() for name, part in wire.parts.items()}
        folders = {name: part for one in self.files.values() for name, part in one.parts.items()}
        boards = {board.name: board for board in self.hid.values()}
        return {**wired, **folders, **boards, **self.net.devices}


def named(things: Mapping[str, T], name: str, kind: str) -> T:
    """:raises UnknownTargetError: there is no such thing."""
    if name not in things:
        raise UnknownTargetError(
            f"there is no {kind} {name!r}",
            where="emulated world",
            hint=f"there are {', '.join(sorted(things)) or 'none'}",
        )
    return things[name]
