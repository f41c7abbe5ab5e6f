"""Outlets on the network as real sockets on loopback: HTTP, lines over TCP, SNMP, datagrams.

A device without power, or made silent, takes connections and never answers.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from hwctl.model.errors import ConfigError, HostError
from hwctl_emulated.http_end import Answer, HttpConnection, Request
from hwctl_emulated.net_parts import NetKind, NetPart, NetParts
from hwctl_emulated.snmp_end import answer as snmp_answer

LOOPBACK = "127.0.0.1"
TCP = frozenset({"http", "line"})


@dataclass(frozen=True, slots=True)
class _Place:
    kind: NetKind
    host: str
    port: int
    sock: socket.socket
    community: str


class DevicesNet:
    """All their ports, bound from the first moment on.

    :param catch_up: lets the world's time follow the clock, before anything is answered.
    :raises ConfigError: a device that only a rehearsal can have.
    """

    def __init__(self, parts: NetParts, catch_up: Callable[[], None]) -> None:
        self._parts = parts
        self._catch_up = catch_up
        self._places: dict[tuple[str, int], _Place] = {}
        self._servers: list[asyncio.Server | asyncio.BaseTransport] = []
        self._clients: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        for one in parts.all:
            if (one.host, one.port) not in self._places:
                self._places[one.host, one.port] = _place(one)

    def addresses(self) -> list[tuple[str, int, str, int]]:
        """(configured host, configured port, host, port)"""
        return [
            (place.host, place.port, LOOPBACK, place.sock.getsockname()[1])
            for place in self._places.values()
        ]

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for place in self._places.values():
            self._servers.append(await self._open(loop, place))

    async def _open(
        self, loop: asyncio.AbstractEventLoop, place: _Place
    ) -> asyncio.Server | asyncio.BaseTransport:
        if place.kind == "http":
            return await loop.create_server(
                lambda: HttpConnection(lambda request: self._ask(place, request), self._clients),
                sock=place.sock,
            )
        if place.kind == "line":
            return await asyncio.start_server(self._visitor(place), sock=place.sock)
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self, place), sock=place.sock
        )
        return transport

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for client in tuple(self._clients):
            client.close()
        for task in tuple(self._tasks):
            task.cancel()

    def _ask(self, place: _Place, request: Request) -> Answer | None:
        self._catch_up()
        try:
            status, headers, body = self._parts.http(
                place.host, place.port, request.method, request.target,
                request.headers, request.body,
            )  # fmt: skip
        except HostError:
            return None
        others = {name.lower(): value for name, value in headers.items()}
        return Answer(status, others.pop("content-type", ""), body, headers=others)

    def _visitor(
        self, place: _Place
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._serve_lines(place, reader, writer)
            except HostError:
                await reader.read()  # the visitor waits, and leaves when it has had enough
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass  # it left, or speaks something else
            finally:
                writer.close()

        def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(visited(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return met

    async def _serve_lines(
        self, place: _Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            line = await reader.readuntil(b"\n")
            self._catch_up()
            answer = self._parts.line(place.host, place.port, line.decode().rstrip("\r\n"))
            writer.write(answer.encode() + b"\n")
            await writer.drain()

    def datagram(self, place: _Place, data: bytes) -> bytes | None:
        """One that came; what is sent back."""
        self._catch_up()
        if place.kind == "datagram":
            self._parts.datagram(place.host, place.port, data)
            return None
        try:
            return snmp_answer(
                data,
                place.community,
                lambda oid: self._parts.snmp_get(place.host, place.port, oid),
                lambda oid, value: self._parts.snmp_set(place.host, place.port, oid, value),
            )
        except HostError:
            return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, net: DevicesNet, place: _Place) -> None:
        self._net = net
        self._place = place
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Before Python 3.12 asyncio's own is no DatagramTransport by name.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._net.datagram(self._place, data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def _place(one: NetPart) -> _Place:
    if one.secured:
        raise ConfigError(
            "SNMPv3 is not emulated on real sockets",
            where=f"device.{one.device}",
            hint="leave out `user` while emulating, or rehearse it by a drill",
        )
    kind = socket.SOCK_STREAM if one.kind in TCP else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind((LOOPBACK, 0))
    if one.kind not in TCP:
        sock.setblocking(False)
    return _Place(one.kind, one.host, one.port, sock, one.community)
