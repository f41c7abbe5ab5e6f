"""A node's ssh server on a real TCP port, and the keys of all of them."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from hwctl_emulated.files import SSH_PORT, Endpoint

CLIENT_KEY, KNOWN_HOSTS = "id_ed25519", "known_hosts"

Command = Callable[[str], tuple[int, str] | None]
"""Run this line; ``None``: nobody is at home any more."""


@dataclass(frozen=True, slots=True)
class Keys:
    """One host key for each node, and the key that may log in."""

    hosts: dict[str, asyncssh.SSHKey]
    client: asyncssh.SSHKey


def make_keys(directory: Path, endpoints: Iterable[Endpoint]) -> Keys:
    """Make fresh keys; the client's and a ``known_hosts`` go to ``directory``."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = asyncssh.generate_private_key("ssh-ed25519", comment="emulated world")
    private = directory / CLIENT_KEY
    private.unlink(missing_ok=True)
    private.touch(mode=0o600)
    private.write_bytes(client.export_private_key())
    hosts: dict[str, asyncssh.SSHKey] = {}
    lines: list[str] = []
    for end in endpoints:
        key = hosts.setdefault(end.node, asyncssh.generate_private_key("ssh-ed25519"))
        name = end.host if end.port == SSH_PORT else f"[{end.host}]:{end.port}"
        lines.append(f"{name} {key.export_public_key().decode().strip()}\n")
    (directory / KNOWN_HOSTS).write_text("".join(lines))
    return Keys(hosts, client)


class SshEnd:
    """The open server of one node."""

    def __init__(self, acceptor: asyncssh.SSHAcceptor, alive: set["_Login"]) -> None:
        self._acceptor = acceptor
        self._alive = alive

    @classmethod
    async def open(cls, sock: socket.socket, node: str, keys: Keys, command: Command) -> "SshEnd":
        alive: set[_Login] = set()

        def handle(process: "asyncssh.SSHServerProcess[str]") -> None:
            done = command(process.command or "")
            if done is None:
                return
            status, text = done
            (process.stderr if status else process.stdout).write(text)
            process.exit(status)

        acceptor = await asyncssh.listen(
            sock=sock,
            server_factory=lambda: _Login(alive),
            process_factory=handle,
            server_host_keys=[keys.hosts[node]],
            authorized_client_keys=asyncssh.import_authorized_keys(
                keys.client.export_public_key().decode()
            ),
            gss_host=None,
            config=[],
        )
        return cls(acceptor, alive)

    async def close(self, *, cut: bool) -> None:
        """Listen no more. ``cut``: connections break without a word of the protocol."""
        self._acceptor.close()
        for login in tuple(self._alive):
            login.end(cut=cut)
        await asyncio.sleep(0)


class _Login(asyncssh.SSHServer):
    """Keeps track of one client."""

    def __init__(self, alive: set["_Login"]) -> None:
        self._alive = alive
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._alive.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._alive.discard(self)

    def end(self, *, cut: bool) -> None:
        if self._connection is None:
            return
        if cut:
            self._connection.abort()
        else:
            self._connection.close()
