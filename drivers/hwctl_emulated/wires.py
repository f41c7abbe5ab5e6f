"""Serial lines, HID devices and kernel files of the head, with the parts that are on them.

Whatever could have switched something is followed by ``settle``, so that power is shared anew.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hwctl_emulated.part import FilesPart, HidPart, SerialPart

Settle = Callable[[], None]


@dataclass(slots=True)
class Wire:
    """A serial port, or an RS-485 line with several parts: all hear what is sent."""

    settle: Settle
    silent: set[str]
    parts: dict[str, SerialPart] = field(default_factory=dict)
    powered: bool = True

    def received(self, data: bytes) -> bytes:
        """Bytes from the host; what is answered at once."""
        if not self.powered:
            return b""
        try:
            return b"".join(
                [
                    part.received(data)
                    for name, part in self.parts.items()
                    if name not in self.silent
                ]
            )
        finally:
            self.settle()


@dataclass(slots=True)
class HidBoard:
    """One USB HID device. All methods raise OSError, as the kernel would."""

    settle: Settle
    silent: set[str]
    name: str
    part: HidPart
    powered: bool = True

    def get_feature(self, report: int, length: int) -> bytes:
        self._check()
        return self.part.get_feature(report, length)

    def set_feature(self, report: int, data: bytes) -> None:
        self._check()
        self.part.set_feature(report, data)
        self.settle()

    def write(self, report: int, data: bytes) -> None:
        self._check()
        self.part.write(report, data)
        self.settle()

    def _check(self) -> None:
        if not self.powered or self.name in self.silent:
            raise _gone(errno.ENODEV)


@dataclass(slots=True)
class Files:
    """One folder of the kernel, with the files of all its parts. Raises OSError as the kernel."""

    settle: Settle
    silent: set[str]
    parts: dict[str, FilesPart] = field(default_factory=dict)
    powered: bool = True

    def read(self, path: str) -> str:
        for part in self._alive():
            try:
                return part.read(path)
            except FileNotFoundError:
                continue
        raise _gone(errno.ENOENT)

    def write(self, path: str, text: str) -> None:
        for part in self._alive():
            try:
                part.write(path, text)
            except FileNotFoundError:
                continue
            self.settle()
            return
        raise _gone(errno.ENOENT)

    def names(self, path: str = "") -> list[str]:
        found: set[str] = set()
        for part in self._alive():
            try:
                found.update(part.names(path))
            except OSError:
                continue  # the folder is another part's
        return sorted(found)

    def _alive(self) -> Iterator[FilesPart]:
        if self.powered:
            yield from (part for name, part in self.parts.items() if name not in self.silent)


def _gone(number: int) -> OSError:
    # OSError's own constructor makes the subclass that fits the number.
    return OSError(number, os.strerror(number))
