"""Outlets on I2C and on GPIO lines: one line per driver in the tables.

Each maker also says how its channels are switched as somebody had switched them before the world
began: by the part's own protocol, so that the part is what it would be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hwctl.model.errors import ConfigError
from hwctl_emulated import atx, power_button
from hwctl_emulated.clusterctrl import COMMAND, DATA0, GCR, OCR, ON, ClusterCtrl, ClusterHat
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.mcp230xx import IODIR, OLAT, Mcp230xx
from hwctl_emulated.part import Site, Switch
from hwctl_emulated.parts import PoweredChip
from hwctl_emulated.pcf8574 import Pcf8574
from hwctl_emulated.pins import line_of
from hwctl_emulated.power_button import pin_line
from hwctl_emulated.seeed_relay import SET_RELAYS, SeeedRelay
from hwctl_emulated.sequent_relay import CONFIG, MASKS, OUTPUT, SequentRelay
from hwctl_emulated.workshop import SettlingI2c, Workshop


@dataclass(frozen=True, slots=True)
class Contact:
    """The contacts of relays whose coils are switched."""

    coils: Switch
    normally_closed: bool

    def relay(self, channel: int) -> bool:
        """Whether the feed is on."""
        return self.coils.relay(channel) is not self.normally_closed

    def power_on(self) -> None:
        self.coils.power_on()


def is_normally_closed(site: Site) -> bool:
    return site.text("contact", "normally-open") == "normally-closed"


# --- I2C ------------------------------------------------------------------------------------------


class SwitchChip(PoweredChip, Switch, Protocol):
    """Both what the bus sees, and what the feeds see."""


Left = Callable[[set[int]], list[bytes]]
"""Of the channels whose coils are pulled in: transfers that make it so."""
Made = tuple[int, SwitchChip, Left]
"""Address if the wiring names none, part, and how it had been left."""


def _pcf8574(shop: Workshop, site: Site) -> Made:
    del shop
    low = site.flag("active_low", default=True)
    return 0x20, Pcf8574(active_low=low), lambda coils: [bytes([_port(coils, 0, low)])]


def _mcp230xx(shop: Workshop, site: Site) -> Made:
    del shop
    low = site.flag("active_low", default=False)
    ports = 1 if site.text("part", "MCP23017") == "MCP23008" else 2
    # What the pins float to while they are inputs releases the coils.
    chip = Mcp230xx(ports, active_low=low, floating=low)

    def left(coils: set[int]) -> list[bytes]:
        # Latches before directions, so that no coil moves in between.
        latches = [
            bytes([OLAT * ports + port, _port(coils, 8 * port, low)]) for port in range(ports)
        ]
        return latches + [bytes([IODIR * ports + port, 0x00]) for port in range(ports)]

    return 0x20, chip, left


def _port(coils: set[int], first: int, low: bool) -> int:
    """Eight pins from ``first`` on, as bits."""
    return sum(((first + bit in coils) is not low) << bit for bit in range(8))


def _seeed_relay(shop: Workshop, site: Site) -> Made:
    del shop
    released = site.text("at_start", "unknown") == "released"

    def left(coils: set[int]) -> list[bytes]:
        return [] if released else [bytes([SET_RELAYS, sum(1 << one - 1 for one in coils)])]

    return 0x11, SeeedRelay(int(site.number("address", 0x11))), left


def _sequent_relay(shop: Workshop, site: Site) -> Made:
    del shop, site

    def left(coils: set[int]) -> list[bytes]:
        return [bytes([OUTPUT, sum(MASKS[one - 1] for one in coils)]), bytes([CONFIG, 0x00])]

    return 0x3F, SequentRelay(), left


def _clusterctrl(shop: Workshop, site: Site) -> Made:
    if site.text("board", "ctrl") == "hat":
        return 0x20, ClusterHat(), lambda ports: [
            bytes([OCR, sum(1 << one - 1 for one in ports)]), bytes([GCR, 0x00])
        ]  # fmt: skip
    chip = ClusterCtrl(max([3, *shop.channels(site)]))
    return (
        0x20,
        chip,
        lambda ports: [
            frame for one in sorted(ports) for frame in (bytes([DATA0, one]), bytes([COMMAND, ON]))
        ],
    )


I2C: dict[str, Callable[[Workshop, Site], Made]] = {
    "pcf8574": _pcf8574,
    "mcp230xx": _mcp230xx,
    "seeed_relay": _seeed_relay,
    "sequent_relay": _sequent_relay,
    "clusterctrl": _clusterctrl,
}


def make_on_i2c(shop: Workshop, site: Site) -> None:
    default, chip, left = I2C[site.entry.driver](shop, site)
    bus, address = shop.place(site, chip, default)
    closed = is_normally_closed(site)

    def begin(on: Sequence[int]) -> None:
        coils = set(shop.channels(site)) - set(on) if closed else set(on)
        for data in left(coils):
            bus.transact([(address, data)])

    if isinstance(bus, SettlingI2c):
        bus.settles = True
    shop.parts.switches[site.name] = Contact(chip, closed)
    shop.parts.begin[site.name] = begin


# --- GPIO -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GpioRelay:
    """One relay, with its coil on a line and its board fed by the head."""

    lines: GpioLines
    line: int
    active_low: bool
    normally_closed: bool

    def relay(self, channel: int = 0) -> bool:
        """Whether the feed is on."""
        del channel
        pulled_in = self.lines.powered and self.lines.level(self.line) != self.active_low
        return pulled_in is not self.normally_closed

    def switch(self, on: bool) -> None:
        """As whoever holds the line does it."""
        pulled_in = on is not self.normally_closed
        self.lines.drive(self.line, pulled_in is not self.active_low)

    def power_on(self) -> None:
        """Nothing is remembered: the coil follows the line."""


def _gpio_relay(shop: Workshop, site: Site) -> None:
    lines, revision = shop.lines(site)
    pin = site.text("pin", "")
    line = line_of(pin, revision)
    if line is None:
        raise ConfigError(
            f"pin {pin!r} is no GPIO of {shop.wiring.board.model}",
            where=f"device.{site.name}",
            hint='write "J8:11" or "GPIO17"; `pinout` draws the header',
        )
    low = site.flag("active_low", default=False)
    relay = GpioRelay(lines, line, low, is_normally_closed(site))
    shop.parts.switches[site.name] = relay
    shop.parts.begin[site.name] = lambda on: relay.switch(bool(on))
    lines.watch(line, lambda _level: shop.settle())


def _power_button(shop: Workshop, site: Site) -> None:
    lines, revision = shop.lines(site)
    line = pin_line(site, "pin", revision)
    # Nobody presses while the world begins, whatever the line's pull would do.
    lines.drive(line, site.flag("active_low", default=False))
    button = power_button.make(site, lines, revision)
    shop.parts.switches[site.name] = shop.parts.buttons[site.name] = button
    shop.parts.begin[site.name] = lambda on: None if on else button.switch_off()
    shop.parts.fed_by_rail.add(site.name)
    lines.watch(line, lambda _level: shop.settle())


def _atx(shop: Workshop, site: Site) -> None:
    lines, revision = shop.lines(site)
    line = pin_line(site, "pin", revision)
    low = site.flag("active_low", default=False)
    shop.parts.switches[site.name] = atx.make(site, lines, revision)
    shop.parts.begin[site.name] = lambda on: lines.drive(line, bool(on) is not low)
    shop.parts.fed_by_rail.add(site.name)
    lines.watch(line, lambda _level: shop.settle())


GPIO: dict[str, Callable[[Workshop, Site], None]] = {
    "gpio_relay": _gpio_relay,
    "power_button": _power_button,
    "atx": _atx,
}
