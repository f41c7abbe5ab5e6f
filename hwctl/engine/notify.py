"""systemd's side of the service (sd_notify(3), sd_listen_fds(3)).

Readiness, the watchdog's food, and the descriptor store: systemd keeps the descriptors of GPIO
lines while hwctl is gone, so that the kernel never releases a line because hwctl ended.
"""

import os
import socket
from collections.abc import Mapping

FIRST_FD = 3
"""Where passed descriptors begin (SD_LISTEN_FDS_START)."""


class Notifier:
    """Sends nothing where systemd did not ask (no ``NOTIFY_SOCKET``)."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._stored: set[str] = set()

    def send(self, *lines: str, fd: int | None = None) -> bool:
        """For example ``send("READY=1", "STATUS=...")``; with ``fd``, that descriptor goes along.

        :returns: whether systemd was told. A failure is not worth stopping for.
        """
        if not self._address:
            return False
        # A leading @ stands for the zero byte of an abstract address.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)  # a tick calls this; it waits for nobody
                out.connect(address)
                socket.send_fds(out, ["\n".join(lines).encode()], [] if fd is None else [fd])
        except OSError:
            return False
        return True

    def keep(self, descriptors: Mapping[str, int]) -> None:
        """Have systemd keep those that it does not have yet; names have no colon."""
        for name, fd in descriptors.items():
            if name not in self._stored and self.send("FDSTORE=1", f"FDNAME={name}", fd=fd):
                self._stored.add(name)

    def kept(self, environ: Mapping[str, str], pid: int) -> dict[str, int]:
        """What systemd kept for this process, by name; it goes on keeping them."""
        if environ.get("LISTEN_PID") != str(pid):
            return {}
        count = environ.get("LISTEN_FDS", "")
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        if not count.isdigit() or int(count) != len(names):
            return {}
        found = {name: FIRST_FD + index for index, name in enumerate(names)}
        for fd in found.values():
            os.set_inheritable(fd, False)
        self._stored |= found.keys()
        return found
