"""The nodes on the network: loopback ports that answer exactly while their node would.

A port belongs to its node for the world's whole life: a socket that is bound and never listens
keeps it, so that a client that asks a board without power is refused, as by nobody else.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hwctl.model.errors import HostError
from hwctl_emulated.files import Endpoint
from hwctl_emulated.http_end import Answer, HttpConnection
from hwctl_emulated.node import Node, State
from hwctl_emulated.world import World

if TYPE_CHECKING:
    from hwctl_emulated.ssh_end import Keys, SshEnd

LOOPBACK = "127.0.0.1"
LOOK_S = 0.02
"""Real seconds between two looks at what the nodes are doing."""


@dataclass(slots=True)
class _Port:
    """One endpoint, the port that is its own, and what listens there now."""

    end: Endpoint
    held: socket.socket
    http: asyncio.Server | None = None
    ssh: "SshEnd | None" = None
    clients: set[HttpConnection] = field(default_factory=set)
    boot_id: str = ""

    @property
    def number(self) -> int:
        number: int = self.held.getsockname()[1]
        return number

    @property
    def open(self) -> bool:
        return self.http is not None or self.ssh is not None


class NodesNet:
    """All ports of all nodes.

    :param directory: where the ssh keys and ``known_hosts`` go.
    """

    def __init__(self, world: World, endpoints: Sequence[Endpoint], directory: Path) -> None:
        self._world = world
        self._directory = directory
        self._ports = [_Port(end, _bound(0)) for end in endpoints if end.node in world.nodes]
        self._keys: Keys | None = None
        self.keys_ready = asyncio.Event()

    def addresses(self) -> list[tuple[str, int, str, int]]:
        """(configured host, configured port, host, port)"""
        return [(p.end.host, p.end.port, LOOPBACK, p.number) for p in self._ports]

    async def run(self) -> None:
        """Follow the nodes until cancelled."""
        try:
            await self._look()
            # The ssh library takes a third of a second to load: HTTP and the buses go first.
            module = await asyncio.to_thread(import_module, "hwctl_emulated.ssh_end")
            ends = [port.end for port in self._ports if port.end.kind == "ssh"]
            self._keys = module.make_keys(self._directory, ends)
            await self._look()
            self.keys_ready.set()
            while True:
                await asyncio.sleep(LOOK_S)
                await self._look()
        finally:
            for port in self._ports:
                await self._close(port, State.OFF)
                port.held.close()

    async def _look(self) -> None:
        for port in self._ports:
            node = self._world.nodes[port.end.node]
            wanted = node.reachable
            if port.end.kind == "http":
                wanted = wanted and "exporter-dead" not in node.faults
            elif self._keys is None:
                continue
            if wanted and port.open and port.boot_id != node.boot_id:
                await self._close(port, State.OFF)  # it went and came between two looks
            if wanted and not port.open:
                await self._open(port, node)
            elif port.open and not wanted:
                await self._close(port, node.state)

    async def _open(self, port: _Port, node: Node) -> None:
        same_boot = port.boot_id == node.boot_id
        for client in tuple(port.clients):
            if same_boot:
                client.wake()
            else:
                client.abort()
        port.boot_id = node.boot_id
        sock = _bound(port.number)
        if port.end.kind == "http":
            loop = asyncio.get_running_loop()
            port.http = await loop.create_server(
                lambda: HttpConnection(
                    lambda request: self._ask(port, request.target), port.clients
                ),
                sock=sock,
            )
        elif self._keys is not None:
            from hwctl_emulated.ssh_end import SshEnd  # noqa: PLC0415 - loaded by now

            name = port.end.node
            port.ssh = await SshEnd.open(
                sock, name, self._keys, lambda line: self._command(name, line)
            )

    async def _close(self, port: _Port, state: State) -> None:
        """Stop listening; a board that halts says so, one without power or cable does not."""
        halting = state in (State.HALTING, State.HALTED)
        unplugged = "unplugged" in self._world.nodes[port.end.node].faults
        if port.http is not None:
            port.http.close()
            port.http = None
            for client in tuple(port.clients):
                if (state is State.OFF) or unplugged:
                    client.silence()
                else:
                    client.close()
        if port.ssh is not None:
            ssh, port.ssh = port.ssh, None
            await ssh.close(cut=not halting)

    def _ask(self, port: _Port, target: str) -> Answer | None:
        node = self._world.nodes[port.end.node]
        if node.boot_id != port.boot_id:
            return None
        try:
            return self._world.answer(port.end.node, target)
        except HostError:
            return None

    def _command(self, node: str, line: str) -> tuple[int, str] | None:
        try:
            return self._world.command(node, line)
        except HostError:
            return None


def _bound(number: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((LOOPBACK, number))
    return sock
