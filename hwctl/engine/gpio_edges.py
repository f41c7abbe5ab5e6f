"""One thread that waits for the edges of all lines of a chip, and hands them out."""

import logging
import os
import select
import threading
from collections.abc import Callable

from hwctl.model.errors import BusError

log = logging.getLogger("hwctl")


class EdgeReader:
    """The thread begins with the first line watched, and ends with :meth:`close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._takers: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None
        self._wake = -1
        self._thread: threading.Thread | None = None

    def watch(self, fd: int, take: Callable[[], None]) -> None:
        """Call ``take``, on the reader's thread, whenever edges wait on ``fd``."""
        if self._epoll is None:
            self._epoll, self._wake = select.epoll(), os.eventfd(0, os.EFD_CLOEXEC)
            self._epoll.register(self._wake, select.EPOLLIN)
            self._thread = threading.Thread(
                target=self._run, args=(self._epoll, self._wake), name=self._name, daemon=True
            )
            self._thread.start()
        self._takers[fd] = take
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """No more calls for ``fd``; one that is under way on the reader's thread ends first."""
        if self._takers.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """End the thread; the next :meth:`watch` starts another."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._takers.clear()
        self._epoll = None
        os.eventfd_write(self._wake, 1)
        if thread is not threading.current_thread():
            thread.join()

    def _run(self, epoll: select.epoll, wake: int) -> None:
        running = True
        with epoll:
            while running:
                for fd, events in epoll.poll():
                    running = running and fd != wake
                    self._hand_out(fd, gone=bool(events & (select.EPOLLHUP | select.EPOLLERR)))
        os.close(wake)

    def _hand_out(self, fd: int, *, gone: bool) -> None:
        take = self._takers.get(fd)
        if take is None:
            return
        try:
            take()
        except BusError as error:
            gone = True
            log.warning("%s; its edges are no longer seen", error)
        except Exception:  # one device's handler must not stop the edges of the others
            log.exception("a handler of the %s failed", self._name)
        if gone:
            self.unwatch(fd)
