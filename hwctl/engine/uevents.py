"""What the kernel tells of its devices, as it happens: a battery's change, an adapter plugged in.

Polls find the same things out, later. Sources: Linux 6.1 lib/kobject_uevent.c (the messages, and
that group 1 is the kernel's own; udev repeats them in group 2), linux/netlink.h.
"""

import errno
import logging
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

NETLINK_KOBJECT_UEVENT = 15
KERNEL_GROUP = 1
LONGEST = 8192
"""Bytes of one message; the kernel's own buffer has 2048 (UEVENT_BUFFER_SIZE)."""
ROOM = 1 << 20
"""Of the socket: a hub that is plugged in makes a few hundred messages at once. Untuned."""

APPEARS_AS: dict[str, frozenset[str]] = {
    "i2c": frozenset({"i2c", "i2c-dev"}),
    "spi": frozenset({"spidev"}),
    "gpio": frozenset({"gpio"}),
    "serial": frozenset({"tty"}),
    "modbus": frozenset({"tty"}),
    "hid": frozenset({"hidraw"}),
    "sysfs": frozenset({"usb", "hwmon", "power_supply", "pwm"}),
}
"""By kind of bus: the subsystems in which it, or what is on it, appears."""
ANYTHING = "*"
"""Action or subsystem of an event that stands for those that were lost."""

log = logging.getLogger("hwctl")


@dataclass(frozen=True, slots=True)
class Uevent:
    """One message."""

    action: str
    """``add``, ``remove``, ``change``, ``bind``, ``unbind``, ..."""
    subsystem: str
    """``power_supply``, ``tty``, ..."""
    path: str = ""
    """Below /sys."""

    def brings(self, kind: str) -> bool:
        """Whether a bus of that kind, or something on it, may have appeared."""
        if self.action == ANYTHING:
            return True
        return self.action in ("add", "bind") and self.subsystem in APPEARS_AS[kind]

    def concerns(self, subsystems: frozenset[str]) -> bool:
        """Whether it may be news of a device in one of them."""
        return self.subsystem in subsystems or (bool(subsystems) and self.action == ANYTHING)


LOST = Uevent(ANYTHING, ANYTHING)


def parsed(message: bytes) -> Uevent | None:
    """``None`` for what is no message of the kernel's."""
    head, _, rest = message.partition(b"\0")
    if b"@" not in head:
        return None
    pairs = dict(
        line.partition("=")[::2] for line in rest.decode(errors="replace").split("\0") if line
    )
    if "ACTION" not in pairs or "SUBSYSTEM" not in pairs:
        return None
    return Uevent(pairs["ACTION"], pairs["SUBSYSTEM"], pairs.get("DEVPATH", ""))


class Uevents:
    """Calls ``heard`` for each message, from a thread of its own; it must not block."""

    def __init__(self, heard: Callable[[Uevent], None]) -> None:
        self._heard = heard
        self._thread: threading.Thread | None = None
        self._ours, self._theirs = socket.socketpair()
        """What ends the thread's waiting."""

    def start(self) -> bool:
        """:returns: whether the kernel can be listened to; without it everything is polled."""
        try:
            kernel = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT
            )
        except OSError as error:
            return self._deaf(error)
        try:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
            kernel.setblocking(False)
            kernel.bind((0, KERNEL_GROUP))
        except OSError as error:
            kernel.close()
            return self._deaf(error)
        self._thread = threading.Thread(
            target=self._listen, args=(kernel,), name="uevents", daemon=True
        )
        self._thread.start()
        return True

    def stop(self, timeout_s: float = 2.0) -> None:
        """Twice does no harm."""
        self._ours.close()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._theirs.close()

    def _deaf(self, error: OSError) -> bool:
        log.info("the kernel's news cannot be heard (%s): devices are only polled", error.strerror)
        return False

    def _listen(self, kernel: socket.socket) -> None:
        with kernel:
            while True:
                ready, _, _ = select.select([kernel, self._theirs], [], [])
                if self._theirs in ready:
                    return
                event = received(kernel)
                if event is not None:
                    self._heard(event)


def received(kernel: socket.socket) -> Uevent | None:
    """The next message of the kernel's; ``None`` for anybody else's."""
    try:
        message, (sender, _) = kernel.recvfrom(LONGEST)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == errno.ENOBUFS:
            return LOST  # more than there was room for
        raise
    # Processes have numbers; the kernel is 0. Nobody else is believed.
    return parsed(message) if sender == 0 else None
