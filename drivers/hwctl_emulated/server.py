"""The world as a process of its own, behind a unix socket.

One thread and one loop: every order is carried out whole, after the physics has caught up with
the clock, so that nothing needs a lock and no bus waits for another.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwctl.model.errors import HwctlError
from hwctl_emulated.devices_net import DevicesNet
from hwctl_emulated.files import Files, endpoints
from hwctl_emulated.nodes_net import NodesNet
from hwctl_emulated.ttys import Tty
from hwctl_emulated.wire import SOCKET, Unpacker, pack, short_path
from hwctl_emulated.world import STEP_S, World

FIRST_CLIENT_S = 60.0
NEXT_CLIENT_S = 30.0
"""Real seconds that the world waits for somebody before it ends."""


class Server:
    """:param speed: seconds of the world per real second.
    :param first_client_s: real seconds to wait for the first client, and
    :param next_client_s: for another one after the last has left.
    """

    def __init__(
        self,
        files: Files,
        *,
        state_dir: Path,
        speed: float,
        seed: int,
        scenario: str,
        first_client_s: float = FIRST_CLIENT_S,
        next_client_s: float = NEXT_CLIENT_S,
    ) -> None:
        self._zero = time.monotonic()
        self._speed = speed
        start_wall = time.time()
        self.world = World(
            files.wiring,
            files.settings,
            seed=seed,
            scenario=scenario,
            start_wall=start_wall,
            speed=speed,
        )
        self._info = {
            "pid": os.getpid(),
            "speed": speed,
            "seed": seed,
            "scenario": scenario,
            "digest": files.digest,
            "zero_monotonic": self._zero,
            "zero_sim": 0.0,
            "start_wall": start_wall,
            "revision": self.world.parts.revision,
        }
        self._state_dir = state_dir
        self._clients: set[Connection] = set()
        self._patience = next_client_s
        self._left_at = self._zero + first_client_s - next_client_s
        self._net = NodesNet(self.world, endpoints(files.settings), state_dir / "ssh")
        self._devices = DevicesNet(self.world.net, self.catch_up)
        self._ttys = {
            bus: Tty(lambda data, bus=bus: self._received(bus, data))  # type: ignore[misc]
            for bus in self.world.parts.wires
        }
        self._over = asyncio.Event()

    def catch_up(self) -> None:
        """Let the world's time follow the clock."""
        self.world.advance_to((time.monotonic() - self._zero) * self._speed)

    def _received(self, bus: str, data: bytes) -> bytes:
        self.catch_up()
        return self.world.tty(bus).received(data)

    async def serve(self) -> None:
        """Until nobody has been there for a while, SIGTERM, or an order to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        listener = _listen(self._state_dir)
        server = await loop.create_unix_server(lambda: Connection(self), sock=listener)
        await self._devices.open()
        for tty in self._ttys.values():
            tty.listen(loop)
        net = asyncio.create_task(self._net.run())
        pause = min(0.1, max(0.01, STEP_S / self._speed / 2))
        try:
            while not self._over.is_set() and not net.done():
                self.catch_up()
                if not self._clients and time.monotonic() - self._left_at > self._patience:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), pause)
        finally:
            (self._state_dir / SOCKET).unlink(missing_ok=True)
            server.close()
            self._devices.close()
            for tty in self._ttys.values():
                tty.close(loop)
            for client in tuple(self._clients):
                client.close()
            if not net.done():
                net.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await net

    # --- connections ---------------------------------------------------------------------------

    def joined(self, client: "Connection") -> None:
        self._clients.add(client)

    def left(self, client: "Connection") -> None:
        self._clients.discard(client)
        self._left_at = time.monotonic()

    def stop(self) -> None:
        self._over.set()

    # --- orders --------------------------------------------------------------------------------

    def obey(self, order: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """Carry out one order that is done at once. :raises OSError: as the bus would."""
        self.catch_up()
        world = self.world
        match order:
            case {"op": "i2c", "bus": str(bus), "m": list(shape)}:
                return {}, world.i2c(bus).transact(_messages(shape, blob))
            case {"op": "gpio", "bus": str(bus), "do": str(name), "a": [int(line), *rest]}:
                return {"value": self._gpio(bus, name, line, rest)}, b""
            case {"op": "spi", "bus": str(bus), "hz": int(speed_hz), "mode": int(mode)}:
                world.spi(bus).configure(speed_hz=speed_hz, mode=mode)
            case {"op": "spi", "bus": str(bus)}:
                world.spi(bus).write(blob)
            case {"op": "hid", "bus": str(bus), "do": str(name), "a": [int(report), int(length)]}:
                return {}, self._hid(bus, name, report, length, blob)
            case {"op": "sysfs", "bus": str(bus), "do": str(name), "path": str(path)}:
                return {"value": self._sysfs(bus, name, path, blob)}, b""
            case {"op": "run", "argv": list(argv)}:
                return {"value": world.net.run([str(one) for one in argv])}, b""
            case {"op": "hello"}:
                return {
                    **self._info,
                    "addresses": self._net.addresses(),
                    "devices": self._devices.addresses(),
                    "buses": world.parts.buses,
                    "ttys": {bus: tty.path for bus, tty in self._ttys.items()},
                }, b""
            case {"op": "control", "order": dict(inner)}:
                return {"value": world.control(inner)}, b""
            case _:
                raise OSError(errno.EINVAL, "no such order")
        return {}, b""

    def _gpio(self, bus: str, name: str, line: int, rest: list[Any]) -> Any:  # noqa: ANN401
        lines = self.world.lines(bus)
        match name, rest:
            case "level", []:
                return lines.level(line)
            case "function", []:
                return lines.function(line)
            case "pull", []:
                return lines.pull(line)
            case "drive", [bool(level)]:
                lines.drive(line, level)
            case "set_function", ["input" | "output" as function]:
                lines.set_function(line, function)
            case "set_pull", ["up" | "down" | "floating" as pull]:
                lines.set_pull(line, pull)
            case _:
                raise OSError(errno.EINVAL, "no such order for a line")
        return None

    def _hid(self, bus: str, name: str, report: int, length: int, blob: bytes) -> bytes:
        board = self.world.hid(bus)
        match name:
            case "get_feature":
                return board.get_feature(report, length)
            case "set_feature":
                board.set_feature(report, blob)
            case "write":
                board.write(report, blob)
            case _:
                raise OSError(errno.EINVAL, "no such order for an HID device")
        return b""

    def _sysfs(self, bus: str, name: str, path: str, blob: bytes) -> Any:  # noqa: ANN401
        files = self.world.sysfs(bus)
        match name:
            case "read":
                return files.read(path)
            case "write":
                files.write(path, blob.decode())
            case "names":
                return files.names(path)
            case _:
                raise OSError(errno.EINVAL, "no such order for a file")
        return None

    def watch(self, bus: str, line: int, watcher: Callable[[bool], None]) -> Callable[[], None]:
        return self.world.lines(bus).watch(line, watcher)

    async def keys_ready(self) -> None:
        await self._net.keys_ready.wait()


class Connection(asyncio.Protocol):
    """One client, or one bus object of it."""

    def __init__(self, server: Server) -> None:
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


def _messages(shape: list[Any], blob: bytes) -> list[tuple[int, bytes | int]]:
    """[[address, length, 1 to read or 0 to write], ...] and what is written, in one piece."""
    messages: list[tuple[int, bytes | int]] = []
    at = 0
    for address, length, reading in shape:
        if reading:
            messages.append((address, length))
        else:
            messages.append((address, blob[at : at + length]))
            at += length
    return messages


def _listen(directory: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (directory / SOCKET).unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        with short_path(directory) as path:
            listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(64)
    return listener
