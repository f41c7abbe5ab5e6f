"""Outlets on serial ports, Modbus lines and USB HID: one line per driver in the tables.

``begin`` switches channels on by the part's own protocol, as somebody had before the world began.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from hwctl.model.errors import ConfigError
from hwctl_emulated import hid_relay, kmtronic, lcus, modbus_relay, numato
from hwctl_emulated.makers_outlets import is_normally_closed
from hwctl_emulated.part import SerialPart, Site, Switch
from hwctl_emulated.wires import HidBoard
from hwctl_emulated.workshop import Workshop, no_bus


class SerialSwitch(SerialPart, Switch, Protocol):
    """Both what the line sees, and what the feeds see."""


Frame = Callable[[Site, int, bool], bytes]
"""What switches a channel's feed."""


def _lcus(site: Site, channel: int, on: bool) -> bytes:
    del site
    return bytes([0xA0, channel, on, (0xA0 + channel + on) % 256])


def _kmtronic(site: Site, channel: int, on: bool) -> bytes:
    del site
    return bytes([0xFF, channel, on])


def _numato(site: Site, channel: int, on: bool) -> bytes:
    many = site.number("channels", 1) == 64
    name = f"{channel:02d}" if many else numato.DIGITS[channel]
    return f"relay {'on' if on else 'off'} {name}\r".encode()


def _modbus_relay(site: Site, channel: int, on: bool) -> bytes:
    coil = int(site.number("coil_base", 0)) + channel - 1
    value = 0x0000 if on is is_normally_closed(site) else 0xFF00
    frame = bytes([int(site.number("unit", 1)), 0x05]) + coil.to_bytes(2) + value.to_bytes(2)
    return frame + modbus_relay.checksum(frame)


SERIAL: dict[str, tuple[Callable[[Site], SerialSwitch], Frame]] = {
    "lcus": (lcus.make, _lcus),
    "kmtronic": (kmtronic.make, _kmtronic),
    "numato": (numato.make, _numato),
}
MODBUS: dict[str, tuple[Callable[[Site], SerialSwitch], Frame]] = {
    "modbus_relay": (modbus_relay.make, _modbus_relay),
}


def make_on_serial(shop: Workshop, site: Site) -> None:
    _on_wire(shop, site, "serial", *SERIAL[site.entry.driver])


def make_on_modbus(shop: Workshop, site: Site) -> None:
    _on_wire(shop, site, "modbus", *MODBUS[site.entry.driver])
    # Boards on RS-485 have a supply of their own.
    shop.parts.fed_by_rail.add(site.name)


def _on_wire(
    shop: Workshop, site: Site, kind: str, make: Callable[[Site], SerialSwitch], frame: Frame
) -> None:
    bus = site.entry.bus or ""
    if bus not in shop.parts.wires or shop.wiring.bus[bus].kind != kind:
        raise no_bus(site, kind)
    part = make(site)
    shop.parts.wires[bus].parts[site.name] = part

    def begin(on: Sequence[int]) -> None:
        for channel in shop.channels(site):
            part.received(frame(site, channel, channel in on))

    shop.parts.switches[site.name] = part
    shop.parts.begin[site.name] = begin


# --- USB ------------------------------------------------------------------------------------------


def make_on_hid(shop: Workshop, site: Site) -> None:
    name = site.entry.bus or ""
    if name not in shop.wiring.bus or shop.wiring.bus[name].kind != "hid":
        raise no_bus(site, "hid")
    if name in shop.parts.hid:
        raise ConfigError(
            f"bus {name!r} is one USB device, and is taken by {shop.parts.hid[name].name}",
            where=f"device.{site.name}",
            hint="give each board a [bus.…] of its own",
        )
    part = hid_relay.make(site)
    closed = is_normally_closed(site)

    def begin(on: Sequence[int]) -> None:
        for channel in shop.channels(site):
            pulled_in = (channel in on) is not closed
            command = hid_relay.Command.ON if pulled_in else hid_relay.Command.OFF
            part.set_feature(0, bytes([command, channel]))

    shop.parts.hid[name] = HidBoard(shop.settle, shop.parts.silent, site.name, part)
    shop.parts.switches[site.name] = part
    shop.parts.begin[site.name] = begin
