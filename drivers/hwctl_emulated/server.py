"""The world as a process of its own, behind a unix socket.

One thread and one loop: every order is carried out whole, after the physics has caught up with
the clock, so that nothing needs a lock and no bus waits for another.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwctl_emulated.connection import Connection
from hwctl_emulated.devices_net import DevicesNet
from hwctl_emulated.files import Files, endpoints
from hwctl_emulated.nodes_net import NodesNet
from hwctl_emulated.orders import obey
from hwctl_emulated.ttys import Tty
from hwctl_emulated.wire import SOCKET, short_path
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

    # --- what its clients ask ------------------------------------------------------------------

    def joined(self, client: Connection) -> None:
        self._clients.add(client)

    def left(self, client: Connection) -> None:
        self._clients.discard(client)
        self._left_at = time.monotonic()

    def stop(self) -> None:
        self._over.set()

    def obey(self, order: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """Carry out one order that is done at once. :raises OSError: as the bus would."""
        self.catch_up()
        if order.get("op") == "hello":
            return self._hello(), b""
        return obey(self.world, order, blob)

    def _hello(self) -> dict[str, Any]:
        """What a client must know of this world, and where everything is."""
        return {
            **self._info,
            "addresses": self._net.addresses(),
            "devices": self._devices.addresses(),
            "buses": self.world.parts.buses,
            "ttys": {bus: tty.path for bus, tty in self._ttys.items()},
        }

    def watch(self, bus: str, line: int, watcher: Callable[[bool], None]) -> Callable[[], None]:
        return self.world.lines(bus).watch(line, watcher)

    async def keys_ready(self) -> None:
        await self._net.keys_ready.wait()


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
