"""The engine's clock, injected everywhere. Nobody else reads the time.

At a speed above 1 the rig's time runs faster than the world's, but sockets, disks and threads do
not: whatever waits for real I/O is allowed half a real second more (:meth:`Clock.allow`), and
nothing is polled more often than a real machine can (:meth:`Clock.pace`).
"""

import time
from dataclasses import dataclass
from typing import Protocol

REAL_SLACK_S = 0.5
"""Real seconds that I/O may take beyond its limit when time is scaled."""
REAL_PACE_S = 0.025
"""Real seconds between two polls or ticks, at the least."""


class Clock(Protocol):
    """Seconds of the rig's time."""

    @property
    def speed(self) -> float: ...

    def now(self) -> float:
        """Monotonic; its zero means nothing."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...


def allow(clock: Clock, limit_s: float) -> float:
    """A limit on something that waits for real I/O, in the rig's seconds."""
    return limit_s + REAL_SLACK_S * (clock.speed - 1.0)


def pace(clock: Clock, period_s: float) -> float:
    """A polling period, in the rig's seconds."""
    return max(period_s, REAL_PACE_S * clock.speed)


@dataclass(frozen=True, slots=True)
class RealClock:
    """CLOCK_MONOTONIC and the system's clock."""

    speed: float = 1.0

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """The clock of an emulated world, which outlives this process."""

    speed: float
    zero_monotonic: float
    """CLOCK_MONOTONIC when the rig's time was ``zero_rig``; it is one for the whole machine."""
    zero_rig: float
    start_wall: float
    """Wall time at the rig's time 0."""

    def now(self) -> float:
        return self.zero_rig + (time.monotonic() - self.zero_monotonic) * self.speed

    def wall(self) -> float:
        return self.start_wall + self.now()


class ManualClock:
    """Stands still until it is told otherwise; for tests and rehearsals."""

    speed = 1.0

    def __init__(self, now: float = 0.0, start_wall: float = 1_750_000_000.0) -> None:
        self._now = now
        self._start_wall = start_wall

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._start_wall + self._now

    def advance(self, seconds: float) -> None:
        """Move on. :raises ValueError: backwards."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._now += seconds
