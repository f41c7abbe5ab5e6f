"""ssh: halting and rebooting a node by a command that it allows.

Part        any machine with an ssh server and systemd
Sources     the sudoers line passes `visudo -c` of Debian 12
Set-up      on the node, once, with the head's public key in ~hwctl/.ssh/authorized_keys:

                adduser --disabled-password --gecos hwctl hwctl
                visudo -f /etc/sudoers.d/hwctl

            with this one line, and nothing more that the head could do:

                hwctl ALL=(root) NOPASSWD: /usr/bin/systemctl poweroff, /usr/bin/systemctl reboot

Quirks      - A node that halts may cut the link before it has told the exit status: that counts as
              agreed. Whether it has halted is for others to prove.
            - The host key must be known beforehand (`known_hosts`); a changed one is refused.
"""

from pathlib import Path

from pydantic import Field

from hwctl.model.drivers import Driver, Net, Options, SshLogin
from hwctl.model.errors import HostError

SUDOERS = "{user} ALL=(root) NOPASSWD: /usr/bin/systemctl poweroff, /usr/bin/systemctl reboot"
"""The line that lets the default commands through."""
SHOWN = 200
"""Characters of a node's answer that an error repeats."""


class SshOptions(Options):
    """What the settings file says of one node's ssh."""

    address: str = Field(min_length=1, max_length=253)
    port: int = Field(default=22, ge=1, le=65535)
    user: str = Field(min_length=1, max_length=32)
    key: Path = Path("/etc/hwctl/ssh/id_ed25519")
    known_hosts: Path = Path("/etc/hwctl/ssh/known_hosts")
    halt_command: str = Field(default="sudo systemctl poweroff", min_length=1)
    reboot_command: str = Field(default="sudo systemctl reboot", min_length=1)
    limit_s: float = Field(default=10.0, gt=0, le=120, description="for one command")


class Ssh:
    """One node."""

    def __init__(self, net: Net, options: SshOptions) -> None:
        self._net = net
        self._options = options
        self._login = SshLogin(
            options.address, options.port, options.user, options.key, options.known_hosts
        )

    async def halt(self) -> None:
        """Ask the node to halt and turn off. :raises HostError: it could not, or would not."""
        await self._run(self._options.halt_command)

    async def reboot(self) -> None:
        """Ask the node to reboot. :raises HostError: it could not, or would not."""
        await self._run(self._options.reboot_command)

    async def close(self) -> None:
        """Nothing is held: connections are the engine's."""

    async def _run(self, command: str) -> None:
        status, output = await self._net.ssh(self._login, command, limit_s=self._options.limit_s)
        if status in {0, None}:
            return
        lines = output.strip().splitlines() or ["it said nothing"]
        said = "".join(c if c.isprintable() else "?" for c in lines[0][:SHOWN])
        raise HostError(
            f"`{command}` ended with status {status}: {said}",
            where=f"{self._options.user}@{self._options.address}",
            hint=f"in /etc/sudoers.d/hwctl of the node: {SUDOERS.format(user=self._options.user)}",
        )


DRIVER = Driver(
    name="ssh",
    summary="halts and reboots any node that lets one user call systemctl",
    parts=("any machine with an ssh server and systemd",),
    bus="net",
    roles=frozenset({"control"}),
    options=SshOptions,
    open=Ssh,
    proof="every kind of ending, on a network that plays them",
)
