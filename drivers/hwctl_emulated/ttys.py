"""Serial lines as ptys: the world holds one end, hwctl opens the other by its path."""

import asyncio
import os
import tty
from collections.abc import Callable
from contextlib import suppress

MOST = 4096


class Tty:
    """One line. The world keeps both ends open, so that it outlives whoever opens ``path``.

    :param received: given what was sent to the part, it gives what is answered.
    """

    def __init__(self, received: Callable[[bytes], bytes]) -> None:
        self._received = received
        self._near, self._far = os.openpty()
        tty.setraw(self._far)  # until somebody sets it up, it must not echo either
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self._near, self._read)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._near)
        os.close(self._near)
        os.close(self._far)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            answer = self._received(os.read(self._near, MOST))
            if answer:
                # Where nobody reads, the line's buffer fills, and the rest is lost as on a wire.
                os.write(self._near, answer)
