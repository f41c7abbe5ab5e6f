"""The head's GPIO lines, as the chip sees them: direction, latch, pull, what is wired outside.

The level of a line lives here and in nobody's program: a program that dies leaves its outputs as
they were latched, as a Pi's GPIO block does (unverified; on gpio-sim lgpio's close turned them
into inputs, as gpio-sim shows it).
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Function = Literal["input", "output"]
Pull = Literal["up", "down", "floating"]
Watcher = Callable[[bool], None]

LINES = 28
"""GPIO0..27: what a Pi's 40-pin header has."""


def default_pull(line: int) -> Pull:
    """What a Pi's pull is after power-up: up for GPIO0..8, down above (BCM2835 peripherals)."""
    return "up" if line <= 8 else "down"


@dataclass(slots=True)
class _Line:
    pull: Pull
    function: Function = "input"
    latch: bool = False
    outside: bool | None = None
    watchers: list[Watcher] = field(default_factory=list)

    @property
    def level(self) -> bool:
        if self.function == "output":
            return self.latch
        if self.outside is not None:
            return self.outside
        return self.pull == "up"


class GpioLines:
    """All lines of one chip."""

    def __init__(self) -> None:
        self.powered = True
        """Without power nobody can turn or drive a line."""
        self._lines = [_Line(default_pull(number)) for number in range(LINES)]

    def power_on(self) -> None:
        """Every line an input again, with its default pull."""
        for number, line in enumerate(self._lines):
            before = line.level
            line.function, line.latch, line.pull = "input", False, default_pull(number)
            self._settle(number, before)

    def level(self, number: int) -> bool:
        return self._line(number).level

    def function(self, number: int) -> Function:
        return self._line(number).function

    def set_function(self, number: int, function: Function) -> None:
        """Turn the line round. An output starts at the level that the line has now."""
        line = self._live(number)
        before = line.level
        if function == "output" and line.function == "input":
            line.latch = before
        line.function = function
        self._settle(number, before)

    def drive(self, number: int, level: bool) -> None:
        """Make the line an output at ``level``, in one step and without a glitch."""
        line = self._live(number)
        before = line.level
        line.latch, line.function = level, "output"
        self._settle(number, before)

    def pull(self, number: int) -> Pull:
        return self._line(number).pull

    def set_pull(self, number: int, pull: Pull) -> None:
        line = self._live(number)
        before = line.level
        line.pull = pull
        self._settle(number, before)

    def push(self, number: int, level: bool | None) -> None:
        """What is wired to the line drives it, or (``None``) lets go; felt by inputs only."""
        line = self._line(number)
        before = line.level
        line.outside = level
        self._settle(number, before)

    def watch(self, number: int, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with the new level at each change. :returns: a function to end it."""
        watchers = self._line(number).watchers
        watchers.append(watcher)

        def end() -> None:
            if watcher in watchers:
                watchers.remove(watcher)

        return end

    def _line(self, number: int) -> _Line:
        if not 0 <= number < LINES:
            raise OSError(errno.EINVAL, f"there is no GPIO{number}, only 0 to {LINES - 1}")
        return self._lines[number]

    def _live(self, number: int) -> _Line:
        if not self.powered:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._line(number)

    def _settle(self, number: int, before: bool) -> None:
        line = self._lines[number]
        if line.level != before:
            for watcher in tuple(line.watchers):
                watcher(line.level)
