"""systemd's notification socket (sd_notify(3)): ready, stopping, and the watchdog's food."""

import os
import socket


class Notifier:
    """Sends nothing where systemd did not ask (no ``NOTIFY_SOCKET``)."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address

    def send(self, *lines: str) -> None:
        """For example ``send("READY=1", "STATUS=...")``. A failure is not worth stopping for."""
        if not self._address:
            return
        # A leading @ stands for the zero byte of an abstract address.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.sendto("\n".join(lines).encode(), address)
        except OSError:
            return
