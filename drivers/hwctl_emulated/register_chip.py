"""What simple expanders share: one-byte registers behind one pointer.

The first byte of a write sets the pointer, further bytes are stored; where the pointer goes then,
the part says (NXP PCA9554 and Microchip MCP23017 data sheets, bus transactions).
"""

from abc import ABC, abstractmethod


class RegisterChip(ABC):
    """The bus side; a part adds :meth:`load` and :meth:`store`."""

    def __init__(self) -> None:
        self._pointer = 0
        self._first = True

    @abstractmethod
    def load(self, register: int) -> int:
        """What the register reads now."""

    @abstractmethod
    def store(self, register: int, value: int) -> None:
        """Take a byte; read-only registers ignore it."""

    def after(self, register: int) -> int:
        """Where the pointer goes after a byte; it stays unless the part says otherwise."""
        return register

    def start(self, read: bool) -> bool:
        if not read:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        if self._first:
            self._pointer = byte
            self._first = False
        else:
            self.store(self._pointer, byte)
            self._pointer = self.after(self._pointer)
        return True

    def read(self) -> int:
        value = self.load(self._pointer)
        self._pointer = self.after(self._pointer)
        return value

    def stop(self) -> None:
        self._first = True
