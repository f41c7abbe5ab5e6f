"""What Texas Instruments' current monitors share: big-endian registers behind one pointer.

The first byte of a write sets the pointer, the next two are the new value. A read starts at the
register that the pointer names, most significant byte first; the pointer does not move (INA228-Q1
datasheet SLYS022, section 7.5.1.1; the INA219's protocol is the same).
"""

from abc import ABC, abstractmethod


class PointerChip(ABC):
    """The bus side; a part adds :meth:`load` and :meth:`store`."""

    def __init__(self) -> None:
        self._pointer = 0
        self._incoming: list[int] | None = None
        self._outgoing = b""
        self._sent = 0

    @abstractmethod
    def load(self, register: int) -> bytes:
        """What the register holds now, at its full width."""

    @abstractmethod
    def store(self, register: int, value: int) -> None:
        """Take a 16-bit value; read-only registers ignore it."""

    def start(self, read: bool) -> bool:
        if read:
            # The part latches all bytes of a register at once, so that they belong together.
            self._outgoing = self.load(self._pointer)
            self._sent = 0
        else:
            self._incoming = None
        return True

    def write(self, byte: int) -> bool:
        if self._incoming is None:
            self._pointer = byte
            self._incoming = []
        else:
            self._incoming.append(byte)
            if len(self._incoming) == 2:
                self.store(self._pointer, int.from_bytes(bytes(self._incoming)))
        return True

    def read(self) -> int:
        # Past the register's width nobody pulls the line down (unverified).
        byte = self._outgoing[self._sent] if self._sent < len(self._outgoing) else 0xFF
        self._sent += 1
        return byte

    def stop(self) -> None:
        self._incoming = None


def signed(value: float, bits: int) -> int:
    """``value`` rounded and held within ``bits`` bits of two's complement."""
    top = 1 << (bits - 1)
    return max(-top, min(top - 1, round(value)))


def word(value: int, width: int = 2) -> bytes:
    """``value`` in ``width`` bytes of two's complement, most significant first."""
    return (value & ((1 << (8 * width)) - 1)).to_bytes(width)
