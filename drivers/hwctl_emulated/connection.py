"""One client's end of the world's socket: orders come in, answers and edges of lines go out."""

import asyncio
import errno
from collections.abc import Callable
from typing import Any, Protocol

from hwctl.model.errors import HwctlError
from hwctl_emulated.wire import Unpacker, pack


class Host(Protocol):
    """What the world's server does for its clients."""

    def joined(self, client: "Connection") -> None: ...

    def left(self, client: "Connection") -> None: ...

    def stop(self) -> None: ...

    def obey(self, order: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """Carry out one order that is done at once. :raises OSError: as the bus would."""
        ...

    def watch(self, bus: str, line: int, watcher: Callable[[bool], None]) -> Callable[[], None]:
        """Tell the edges of a line; what ends that."""
        ...

    async def keys_ready(self) -> None:
        """Wait for the nodes' ssh keys."""
        ...


class Connection(asyncio.Protocol):
    """One client, or one bus object of it."""

    def __init__(self, server: Host) -> None:
        self._server = server
        self._unpacker = Unpacker()
        self._transport: asyncio.Transport | None = None
        self._unwatch: Callable[[], None] | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        if self._unwatch:
            self._unwatch()
        self._server.left(self)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for order, blob in self._unpacker.feed(data):
                self._take(order, blob)
        except (ValueError, TypeError):
            self.close()  # not one of ours

    def _take(self, order: dict[str, Any], blob: bytes) -> None:
        match order:
            case {"op": "stop"}:
                self._send({})
                self._server.stop()
            case {"op": "files"}:
                task = asyncio.create_task(self._wait_for_keys())
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)
            case _:
                try:
                    answer, data = self._obey(order, blob)
                except HwctlError as error:
                    refused = {"what": error.what, "where": error.where, "hint": error.hint}
                    self._send({"refused": refused})
                except OSError as error:
                    self._send({"errno": error.errno or errno.EIO, "text": error.strerror or ""})
                else:
                    self._send(answer, data)

    def _obey(self, order: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        match order:
            case {"op": "watch", "bus": str(bus), "line": int(line)}:
                self._unwatch = self._server.watch(
                    bus, line, lambda level: self._send({"level": level})
                )
                return {}, b""
            case _:
                return self._server.obey(order, blob)

    async def _wait_for_keys(self) -> None:
        await self._server.keys_ready()
        self._send({})

    def _send(self, answer: dict[str, Any], data: bytes = b"") -> None:
        if self._transport:
            self._transport.write(pack(answer, data))
