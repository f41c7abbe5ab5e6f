"""Outlets on the network, by the address that the wiring gives them.

The world's sockets lead here (:mod:`hwctl_emulated.devices_net`), and so does a rehearsal, without
any. Whoever has no power, or is made silent, does not answer: HostError.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hwctl.model.errors import ConfigError, HostError
from hwctl_emulated.part import DatagramPart, HttpPart, LinePart, SnmpPart
from hwctl_emulated.wires import Settle

NetKind = Literal["http", "line", "snmp", "datagram"]


class CommandPart(Protocol):
    """What stands for a user's programs."""

    def knows(self, argv: Sequence[str]) -> bool:
        """Whether it is one of its programs."""
        ...

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Exit status and output."""
        ...


@dataclass(frozen=True, slots=True)
class NetPart:
    """One part at one address."""

    device: str
    kind: NetKind
    host: str
    port: int
    part: Any
    community: str = ""
    """SNMP only."""
    secured: bool = False
    """SNMP only: by version 3."""


class NetParts:
    """All of them.

    :param alive: whether a device has power and is not silent.
    """

    def __init__(self, settle: Settle, alive: Callable[[str], bool]) -> None:
        self.all: list[NetPart] = []
        self.programs: dict[str, CommandPart] = {}
        self._settle = settle
        self._alive = alive

    @property
    def devices(self) -> dict[str, object]:
        """What is placed, by device."""
        return {**{one.device: one.part for one in self.all}, **self.programs}

    def at(self, host: str, port: int) -> NetPart | None:
        """The first that is placed there."""
        return next((one for one in self.all if (one.host, one.port) == (host, port)), None)

    def place(self, part: NetPart) -> None:
        """:raises ConfigError: another kind of device has that address."""
        other = self.at(part.host, part.port)
        if (
            other is not None
            and other.kind != part.kind
            and "datagram" not in (other.kind, part.kind)
        ):
            raise ConfigError(
                f"{part.host}:{part.port} is the address of device {other.device}",
                where=f"device.{part.device}",
                hint="mend one of the addresses",
            )
        self.all.append(part)

    def http(
        self, host: str, port: int, method: str, path: str,
        headers: Mapping[str, str], body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]:  # fmt: skip
        """:raises HostError: nobody answers there, as with all the others."""
        part: HttpPart = self._at(host, port, "http")[0]
        answer = part.request(method, path, headers, body)
        self._settle()
        return answer

    def line(self, host: str, port: int, text: str) -> str:
        """One line to a server; of several devices on one server, the first that knows better."""
        parts: list[LinePart] = self._at(host, port, "line")
        answers = [part.line(text) for part in parts]
        self._settle()
        return min(answers, key=lambda said: (said.startswith("ERR"), said == "ERR UNKNOWN-UPS"))

    def snmp_get(self, host: str, port: int, oid: str) -> int | None:
        """``None``: no such object."""
        parts: list[SnmpPart] = self._at(host, port, "snmp")
        return next((value for part in parts if (value := part.get(oid)) is not None), None)

    def snmp_set(self, host: str, port: int, oid: str, value: int) -> bool:
        """Whether it was taken."""
        parts: list[SnmpPart] = self._at(host, port, "snmp")
        taken = any(part.set(oid, value) for part in parts)
        self._settle()
        return taken

    def datagram(self, host: str, port: int, data: bytes) -> None:
        """Into the air: nobody answers, and nobody need be there."""
        for one in self.all:
            if (one.kind, one.host, one.port) == ("datagram", host, port) and self._alive(
                one.device
            ):
                part: DatagramPart = one.part
                part.datagram(data)
        self._settle()

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """What a user's program would do. :raises HostError: no outlet names it."""
        for device, program in self.programs.items():
            if self._alive(device) and program.knows(argv):
                done = program.run(argv)
                self._settle()
                return done
        raise HostError(
            "cannot be started: it is no outlet's program on the emulated rig",
            where=argv[0] if argv else "command",
            hint="with --emulate no program of yours is run",
        )

    def _at(self, host: str, port: int, kind: NetKind) -> list[Any]:
        found = [
            one.part
            for one in self.all
            if (one.kind, one.host, one.port) == (kind, host, port) and self._alive(one.device)
        ]
        if not found:
            raise HostError("no answer", where=f"{host}:{port}", hint="is it on?")
        return found
