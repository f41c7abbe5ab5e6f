"""An I2C adapter on USB, made of Python: the kernel's own drivers reach the emulated chips.

The device is an i2c-tiny-usb. It is plugged into the virtual host controller ``vhci_hcd`` through
a socket pair, in USB/IP's words; ``i2c_tiny_usb`` then makes a real ``/dev/i2c-N`` of it, and every
START, byte and STOP that anybody sends there reaches an :class:`~hwctl_emulated.i2c.EmulatedI2c`.
Needs root and ``modprobe -a vhci_hcd i2c_tiny_usb i2c-dev``, but no hardware and no network.

Sources: Linux 6.1 Documentation/usb/usbip_protocol.rst (headers), drivers/usb/usbip/vhci_sysfs.c
(``attach``, ``detach``), drivers/i2c/busses/i2c-tiny-usb.c (requests, status, identity). Numbers of
USB's own requests and descriptors: USB 2.0, chapter 9 (unverified, but Linux enumerates it).
"""

import errno
import socket
import struct
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

from hwctl_emulated.i2c import EmulatedI2c

VHCI = Path("/sys/devices/platform/vhci_hcd.0")
VENDOR, PRODUCT = 0x0403, 0xC631
FULL_SPEED = 2
"""``enum usb_device_speed``; a real one is a low-speed device, which is slower only."""
FUNCTIONS = 0x0EFF0009
"""I2C_FUNC_I2C and I2C_FUNC_SMBUS_EMUL of linux/i2c.h: all but the SMBus block read, whose length
only the chip knows."""


class Usb(IntEnum):
    """Standard requests."""

    GET_STATUS = 0
    GET_DESCRIPTOR = 6
    SET_CONFIGURATION = 9
    SET_INTERFACE = 11


class Tiny(IntEnum):
    """Requests of an i2c-tiny-usb; the low bits of ``IO`` are BEGIN and END."""

    GET_FUNC = 1
    SET_DELAY = 2
    GET_STATUS = 3
    IO = 4


IO_BEGIN, IO_END = 1, 2
IDLE, ACKNOWLEDGED, REFUSED = 0, 1, 2
"""What GET_STATUS answers."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The eight bytes ahead of a control transfer."""

    kind: int
    request: int
    value: int
    index: int
    length: int

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        return cls(*struct.unpack("<BBHHH", raw))

    @property
    def standard(self) -> bool:
        return self.kind & 0x60 == 0


class Silence(Exception):  # noqa: N818 - no error, but what a device does that answers nothing
    """The device does not answer; whoever waits gives up after a while."""


class TinyUsb:
    """The adapter: control transfers in, transactions on ``bus`` out.

    :param lock: held during each message, where others move the chips meanwhile.
    """

    def __init__(
        self,
        bus: EmulatedI2c,
        *,
        serial: str = "HWCTL",
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._bus = bus
        self._lock = nullcontext() if lock is None else lock
        self._status = IDLE
        self._strings = ("hwctl", f"emulated {bus.name}", serial)

    def control(self, setup: Setup, data: bytes) -> bytes | None:
        """One control transfer. :returns: the answer; ``None`` for a stall.

        :raises Silence: a chip holds the clock, and the adapter waits for it for ever.
        """
        if setup.standard:
            return self._standard(setup)
        if setup.request & Tiny.IO:
            return self._io(setup, data)
        match setup.request:
            case Tiny.GET_FUNC:
                return struct.pack("<I", FUNCTIONS)
            case Tiny.SET_DELAY:
                return b""
            case Tiny.GET_STATUS:
                return bytes([self._status])
            case _:
                return None

    def _standard(self, setup: Setup) -> bytes | None:
        match setup.request:
            case Usb.GET_DESCRIPTOR:
                return self._descriptor(setup.value >> 8, setup.value & 0xFF)
            case Usb.SET_CONFIGURATION | Usb.SET_INTERFACE:
                return b""
            case Usb.GET_STATUS:
                return b"\0\0"
            case _:
                return None

    def _descriptor(self, kind: int, number: int) -> bytes | None:
        match kind:
            case 1:  # device: USB 1.10, vendor's class, 8 bytes at endpoint 0, one configuration
                head = struct.pack("<BBHBBBB", 18, kind, 0x0110, 0xFF, 0, 0, 8)
                return head + struct.pack("<HHHBBBB", VENDOR, PRODUCT, 0x0105, 1, 2, 3, 1)
            case 2:  # configuration, 100 mA, with one interface that has no endpoint but 0
                interface = bytes([9, 4, 0, 0, 0, 0, 0, 0, 0])
                return struct.pack("<BBHBBBBB", 9, kind, 18, 1, 1, 0, 0x80, 50) + interface
            case 3 if number == 0:  # the languages: US English
                return bytes([4, kind, 0x09, 0x04])
            case 3 if number <= len(self._strings):
                text = self._strings[number - 1].encode("utf-16le")
                return bytes([2 + len(text), kind]) + text
            case _:
                return None

    def _io(self, setup: Setup, data: bytes) -> bytes:
        reading = bool(setup.kind & 0x80)
        with self._lock:
            if setup.request & IO_BEGIN:
                self._bus.stop()  # of a transaction that was broken off
            try:
                answer = self._bus.message(setup.index, setup.length if reading else data)
            except OSError as error:
                self._bus.stop()
                self._status = REFUSED
                if error.errno == errno.ETIMEDOUT:
                    raise Silence from error
                return bytes(setup.length) if reading else b""
            self._status = ACKNOWLEDGED
            if setup.request & IO_END:
                self._bus.stop()
        return answer


_SUBMIT, _UNLINK, _SUBMITTED, _UNLINKED = 1, 2, 3, 4
_HEADER = struct.Struct(">5I28s")
"""Command, number, device, direction, endpoint; 28 bytes more, by the command."""


def serve(link: socket.socket, device: TinyUsb) -> None:
    """Be ``device`` at the other end of ``link``, until that end is closed."""
    unanswered: set[int] = set()
    with suppress(ConnectionError, EOFError):
        while True:
            command, number, _id, inward, endpoint, rest = _HEADER.unpack(_receive(link, 48))
            if command == _UNLINK:
                (unlinked,) = struct.unpack_from(">I", rest)
                gone = unlinked in unanswered
                unanswered.discard(unlinked)
                status = -errno.ECONNRESET if gone else 0
                link.sendall(struct.pack(">5Ii24x", _UNLINKED, number, 0, 0, 0, status))
                continue
            if command != _SUBMIT:
                raise ConnectionAbortedError(f"no USB/IP command: {command}")
            (length,) = struct.unpack_from(">4xI", rest)
            data = b"" if inward else _receive(link, length)
            try:
                answer = device.control(Setup.unpack(rest[20:]), data) if endpoint == 0 else None
            except Silence:
                unanswered.add(number)
                continue
            status = -errno.EPIPE if answer is None else 0
            sent = (answer or b"")[:length] if inward else b""
            done = len(sent) if inward else length
            head = struct.pack(">5IiI20x", _SUBMITTED, number, 0, 0, 0, status, done)
            link.sendall(head + sent)


def _receive(link: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = link.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


class Plug:
    """A device in a port of the virtual host controller, until :meth:`unplug`.

    :raises OSError: no ``vhci_hcd``, no permission, or the port is taken.
    """

    def __init__(self, device: TinyUsb, port: int = 0) -> None:
        self._kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours = ours
        self.port = port
        try:
            # The port's number, the socket, an identity that nobody looks at, the speed.
            where = f"{port} {self._kernel.fileno()} {0x10000 + port + 1} {FULL_SPEED}"
            (VHCI / "attach").write_text(where, encoding="ascii")
        except OSError:
            self._kernel.close()
            ours.close()
            raise
        self._thread = threading.Thread(
            target=serve, args=(ours, device), name=f"usb-port-{port}", daemon=True
        )
        self._thread.start()

    def unplug(self) -> None:
        """Pull it out, whatever is going on. Again: nothing happens."""
        if self._ours.fileno() < 0:
            return
        # The kernel sees the end of the stream, as it does when the cable of a real one is cut.
        self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._ours.close()
        self._kernel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.unplug()
