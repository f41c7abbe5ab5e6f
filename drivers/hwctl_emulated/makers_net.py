"""Outlets on the network, and programs that switch one: one line per driver in the table.

``begin`` switches channels on by the part's own protocol, as somebody had before the world began.
"""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from hwctl.model.errors import ConfigError
from hwctl_emulated import command, nut_outlet, shelly, snmp_poe, tasmota, wake_on_lan
from hwctl_emulated.net_parts import NetKind, NetPart
from hwctl_emulated.part import Site
from hwctl_emulated.workshop import Workshop


@dataclass(frozen=True, slots=True)
class _Way:
    """How a driver reaches its part."""

    kind: NetKind
    port: int
    """If the wiring names none."""
    make: Callable[[Site], Any]
    switch: Callable[[Any, Site, int, bool], None]
    """Switch one channel, as somebody did."""


def _tasmota(part: tasmota.Tasmota, site: Site, channel: int, on: bool) -> None:
    password = site.text("password", "")
    login = f"user=admin&password={quote(password, safe='')}&" if password else ""
    part.request("GET", f"/cm?{login}cmnd=Power{channel}%20{'On' if on else 'Off'}", {}, b"")


def _shelly(part: shelly.Shelly, site: Site, channel: int, on: bool) -> None:
    if site.number("generation", 2) == 1:
        method, path, body = "GET", f"/relay/{channel}?turn={'on' if on else 'off'}", b""
    else:
        flag = "true" if on else "false"
        params = f'{{"id":{channel},"on":{flag}}}'
        method, path = "POST", "/rpc"
        body = f'{{"id":1,"method":"Switch.Set","params":{params}}}'.encode()
    status, headers, _ = part.request(method, path, {}, body)
    if status == 401:
        login = _login(headers["www-authenticate"], site.text("password", ""), method, path)
        part.request(method, path, {"authorization": login}, body)


def _login(challenge: str, password: str, method: str, path: str) -> str:
    """RFC 7617 or RFC 7616, whichever is asked for."""
    if not challenge.startswith("Digest"):
        return "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm, nonce = said["realm"], said["nonce"]
    secret, asked = _hash(f"admin:{realm}:{password}"), _hash(f"{method}:{path}")
    response = _hash(f"{secret}:{nonce}:00000001:world:auth:{asked}")
    return (
        f'Digest username="admin", realm="{realm}", nonce="{nonce}", uri="{path}", qop=auth, '
        f'nc=00000001, cnonce="world", algorithm=SHA-256, response="{response}"'
    )


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _nut_outlet(part: nut_outlet.NutServer, site: Site, channel: int, on: bool) -> None:
    escaped = {key: site.text(key, "").replace("\\", "\\\\").replace('"', '\\"') for key in LOGIN}
    part.line(f'USERNAME "{escaped["user"]}"')
    part.line(f'PASSWORD "{escaped["password"]}"')
    part.line(f"INSTCMD {site.text('ups', '')} outlet.{channel}.load.{'on' if on else 'off'}")


LOGIN = ("user", "password")


def _snmp_poe(part: snmp_poe.SnmpPoe, site: Site, channel: int, on: bool) -> None:
    table = ".".join(map(str, snmp_poe.TABLE))
    oid = f"{table}.{snmp_poe.ADMIN_ENABLE}.{int(site.number('group', 1))}.{channel}"
    part.set(oid, snmp_poe.TRUE if on else snmp_poe.FALSE)


_WAYS = {
    "tasmota": _Way("http", 80, tasmota.make, _tasmota),
    "shelly": _Way("http", 80, shelly.make, _shelly),
    "nut_outlet": _Way("line", 3493, nut_outlet.make, _nut_outlet),
    "snmp_poe": _Way("snmp", 161, snmp_poe.make, _snmp_poe),
}


def _on_net(shop: Workshop, site: Site) -> None:
    way = _WAYS[site.entry.driver]
    host, port = _address(site, way.port)
    net = shop.parts.net
    # Two devices of one kind at one address are one device, of which each knows some channels.
    same = net.at(host, port) if way.kind == "http" else None
    part = way.make(site) if same is None else same.part
    if same is not None and shop.wiring.device[same.device].driver != site.entry.driver:
        raise ConfigError(
            f"{host}:{port} is the address of device {same.device}",
            where=f"device.{site.name}",
            hint="mend one of the addresses",
        )
    net.place(
        NetPart(
            site.name, way.kind, host, port, part,
            community=site.text("community", "private"),
            secured=way.kind == "snmp" and bool(site.text("user", "")),
        )
    )  # fmt: skip

    def begin(on: Sequence[int]) -> None:
        for channel in shop.channels(site):
            way.switch(part, site, channel, channel in on)

    shop.parts.switches[site.name] = part
    shop.parts.begin[site.name] = begin
    shop.parts.fed_by_rail.add(site.name)


@dataclass(frozen=True, slots=True)
class _Fed:
    """A feed without a switch."""

    def relay(self, channel: int) -> bool:
        del channel
        return True

    def power_on(self) -> None:
        """Nothing changes."""


def _wake_on_lan(shop: Workshop, site: Site) -> None:
    host, port = _address(site, 9, "255.255.255.255")
    card = wake_on_lan.make(site)
    shop.parts.net.place(NetPart(site.name, "datagram", host, port, card))
    shop.parts.wakers[site.name] = card
    shop.parts.switches[site.name] = _Fed()


def _command(shop: Workshop, site: Site) -> None:
    programs = command.make(site)
    shop.parts.net.programs[site.name] = programs
    shop.parts.switches[site.name] = programs
    shop.parts.begin[site.name] = lambda on: _start(programs, site, "on" if on else "off")
    shop.parts.fed_by_rail.add(site.name)


def _start(programs: command.Programs, site: Site, name: str) -> None:
    argv = site.entry.options.get(name)
    if isinstance(argv, list | tuple):
        programs.run([str(one) for one in argv])


def _address(site: Site, port: int, host: str = "") -> tuple[str, int]:
    return site.text("host", host), int(site.number("port", port))


NET: dict[str, Callable[[Workshop, Site], None]] = {
    **dict.fromkeys(_WAYS, _on_net),
    "wake_on_lan": _wake_on_lan,
    "command": _command,
}
"""Driver -> what makes its part."""
