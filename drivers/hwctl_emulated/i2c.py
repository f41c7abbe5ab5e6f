"""An I2C bus with chips on it, down to the acknowledge bit.

A chip sees what a real one sees: START with the direction, bytes, STOP. The same object can
therefore sit in this process, behind the world's socket, or behind an emulated USB adapter where
the kernel's own drivers read it.
"""

import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, get_args

from smbus2 import i2c_msg

from hwctl.model.errors import ConfigError

Fault = Literal["nak", "timeout", "ones", "zeros"]
"""``nak``: the address is not acknowledged. ``timeout``: the chip holds the clock. ``ones`` and
``zeros``: it acknowledges, takes nothing in, and the data line reads stuck."""
FAULTS: tuple[str, ...] = get_args(Fault)

Message = tuple[int, bytes | int]
"""(7-bit address, bytes to write or number of bytes to read)."""

_READ = 0x0001
"""I2C_M_RD of linux/i2c.h."""


class Chip(Protocol):
    """One slave, as the wires see it."""

    def start(self, read: bool) -> bool:
        """(Repeated) START with this chip's address. :returns: whether it acknowledges."""
        ...

    def write(self, byte: int) -> bool:
        """One byte from the master. :returns: whether it is acknowledged."""
        ...

    def read(self) -> int:
        """One byte to the master."""
        ...

    def stop(self) -> None:
        """STOP: the transaction is over."""
        ...


class EmulatedI2c:
    """One bus. ``i2c_rdwr`` and ``close`` are those of ``smbus2.SMBus``."""

    def __init__(self, name: str = "i2c") -> None:
        self.name = name
        self.powered = True
        """Without power nothing on the bus answers."""
        self.faults: dict[int, Fault] = {}
        self._chips: dict[int, Chip] = {}
        self._addressed: list[Chip] = []

    def place(self, address: int, chip: Chip, owner: str) -> None:
        """Put ``chip`` on the bus. :raises ConfigError: the address is taken or reserved."""
        if not 0x03 <= address <= 0x77:
            raise ConfigError(
                f"address 0x{address:02x} is outside 0x03..0x77",
                where=owner,
                hint="set `address` to what the part's address pins say",
            )
        if address in self._chips:
            raise ConfigError(
                f"address 0x{address:02x} on bus {self.name} is taken by another device",
                where=owner,
                hint="give one of the two another `address` or another `bus`",
            )
        self._chips[address] = chip

    def transact(self, messages: Sequence[Message]) -> bytes:
        """Run messages as one transaction, with repeated STARTs between them.

        :returns: what the read messages read, in their order, in one piece.
        :raises OSError: ENXIO for a missing acknowledge, ETIMEDOUT for a held clock. Bytes that
            went out before it have had their effect, as on a real bus.
        """
        try:
            return b"".join([self.message(address, what) for address, what in messages])
        finally:
            self.stop()

    def message(self, address: int, what: bytes | int) -> bytes:
        """One message of a transaction, from its (repeated) START on; :meth:`stop` ends it.

        :returns: what was read. :raises OSError: as :meth:`transact`.
        """
        fault = self.faults.get(address)
        chip = self._chips.get(address)
        if chip is None or not self.powered or fault == "nak":
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        if fault == "timeout":
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if fault is not None:
            stuck = b"\xff" if fault == "ones" else b"\x00"
            return stuck * what if isinstance(what, int) else b""
        if chip not in self._addressed:
            self._addressed.append(chip)
        return _exchange(chip, what)

    def stop(self) -> None:
        """STOP, which every chip hears that was addressed since the first START."""
        addressed, self._addressed = self._addressed, []
        for chip in addressed:
            chip.stop()

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        """As ``smbus2.SMBus.i2c_rdwr``: read messages are filled in place."""
        deliver(messages, self.transact(to_messages(messages)))

    def close(self) -> None:
        """Nothing is held open; here so that it can stand in for ``smbus2.SMBus``."""


def _exchange(chip: Chip, what: bytes | int) -> bytes:
    reading = isinstance(what, int)
    if not chip.start(reading):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    if isinstance(what, int):
        return bytes(chip.read() for _ in range(what))
    for byte in what:
        if not chip.write(byte):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    return b""


def to_messages(messages: Sequence[i2c_msg]) -> list[Message]:
    """What ``smbus2`` would have handed to the kernel."""
    return [
        (message.addr, message.len if message.flags & _READ else bytes(message))
        for message in messages
    ]


def deliver(messages: Sequence[i2c_msg], data: bytes) -> None:
    """Fill the read messages with ``data``, in order."""
    at = 0
    for message in _reads(messages):
        ctypes.memmove(message.buf, data[at : at + message.len], message.len)
        at += message.len


def _reads(messages: Sequence[i2c_msg]) -> Iterator[i2c_msg]:
    return (message for message in messages if message.flags & _READ)
