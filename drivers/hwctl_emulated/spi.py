"""An SPI device's data wire: every transfer, with its clock, goes to what is wired to MOSI."""

import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

BUFSIZ = 4096
"""Most bytes in one transfer: spidev's default ``bufsiz`` (its module parameter)."""
KEPT = 16
"""How many transfers are remembered."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What went over the wire in one piece, ``at`` seconds of the world's clock."""

    at: float
    speed_hz: int
    data: bytes


class Listener(Protocol):
    """Something that has its data input on MOSI."""

    def shift_in(self, transfer: Transfer) -> None: ...


class EmulatedSpi:
    """One bus and chip select: :class:`hwctl.model.drivers.SpiBus`, and what was sent."""

    max_transfer = BUFSIZ

    def __init__(self, clock: Callable[[], float]) -> None:
        self.transfers: deque[Transfer] = deque(maxlen=KEPT)
        self.listeners: list[Listener] = []
        self.powered = True
        self._clock = clock
        self._speed_hz = 500_000  # spidev's usual speed until it is set (unverified)

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        """Set the clock. :raises OSError: EINVAL for what no controller does."""
        if not 0 < speed_hz <= 125_000_000 or mode not in range(4):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._speed_hz = speed_hz

    def write(self, data: bytes) -> None:
        """One transfer. :raises OSError: EMSGSIZE for more than :attr:`max_transfer` bytes."""
        if len(data) > self.max_transfer:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if not self.powered:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        transfer = Transfer(self._clock(), self._speed_hz, bytes(data))
        self.transfers.append(transfer)
        for listener in self.listeners:
            listener.shift_in(transfer)

    def close(self) -> None:
        """Nothing is held open; here so that it can stand in for a device."""
