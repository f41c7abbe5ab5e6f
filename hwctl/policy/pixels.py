"""What a strip is made of between two ticks, and how a frame is drawn from it.

A tick prepares the parts; a frame only joins them, and computes what moves. This is what keeps
300 LEDs at 60 frames a second below one hundredth of a core.

No part changes faster than 2 Hz: WCAG 2.3.1 allows three flashes a second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeGuard

from hwctl.policy import colour

ATTACK_S = 0.1
RELEASE_S = 1.0
"""Time constants of a bar that grows and one that shrinks; untuned."""
BREATH_HZ = 0.25
BREATH_LOW = 0.35
"""The least share of its value that a breathing pixel falls to. Untuned."""
CHASE_S = 2.0
"""Once through a segment: 0.5 Hz."""
FINE = 16
"""Steps between two pixels of a bar."""


class Moment:
    """What all parts of one frame share."""

    __slots__ = ("breath", "fall", "now", "rise")

    def __init__(self, now: float, since_tick: float) -> None:
        self.now = now
        # What is left of a bar's way, upwards and downwards.
        self.rise = math.exp(-since_tick / ATTACK_S)
        self.fall = math.exp(-since_tick / RELEASE_S)
        swing = 0.5 + 0.5 * math.cos(2 * math.pi * BREATH_HZ * now)
        self.breath = colour.dimmer(BREATH_LOW + (1 - BREATH_LOW) * swing)


class Part(Protocol):
    """Some neighbouring pixels."""

    def pixels(self, moment: Moment) -> bytes: ...

    def dimmed(self, table: bytes) -> "Part":
        """The same through a table of :func:`hwctl.policy.colour.dimmer`."""
        ...


@dataclass(frozen=True, slots=True)
class Still:
    """Does not change until the next tick."""

    rgb: bytes

    def pixels(self, moment: Moment) -> bytes:
        del moment
        return self.rgb

    def dimmed(self, table: bytes) -> "Still":
        return Still(self.rgb.translate(table))


@dataclass(frozen=True, slots=True)
class Breath:
    """Breathes at 0.25 Hz."""

    rgb: bytes

    def pixels(self, moment: Moment) -> bytes:
        return self.rgb.translate(moment.breath)

    def dimmed(self, table: bytes) -> "Breath":
        return Breath(self.rgb.translate(table))


@dataclass(frozen=True, slots=True)
class Blink:
    """Half of the time one, half of the time the other."""

    one: bytes
    other: bytes
    hz: float

    def pixels(self, moment: Moment) -> bytes:
        return self.other if int(moment.now * self.hz * 2) & 1 else self.one

    def dimmed(self, table: bytes) -> "Blink":
        return Blink(self.one.translate(table), self.other.translate(table), self.hz)


@dataclass(frozen=True, slots=True)
class Chase:
    """Something runs through it, once every two seconds."""

    frames: tuple[bytes, ...]

    def pixels(self, moment: Moment) -> bytes:
        return self.frames[int(moment.now % CHASE_S / CHASE_S * len(self.frames))]

    def dimmed(self, table: bytes) -> "Chase":
        return Chase(tuple(frame.translate(table) for frame in self.frames))


@dataclass(frozen=True, slots=True)
class Bar:
    """On its way from one level (0..1) to another. The base pixel is not part of it."""

    rgb: bytes
    """Its colour."""
    leds: int
    start: float
    target: float
    peak: int
    """The pixel that marks the peak; -1 for none."""

    def pixels(self, moment: Moment) -> bytes:
        left = moment.fall if self.start > self.target else moment.rise
        return bar(self.rgb, self.leds, self.target + (self.start - self.target) * left, self.peak)

    def dimmed(self, table: bytes) -> "Bar":
        return Bar(self.rgb.translate(table), self.leds, self.start, self.target, self.peak)


@lru_cache(maxsize=4096)
def _bar(rgb: bytes, leds: int, steps: int, peak: int) -> bytes:
    lit, part = divmod(steps, FINE)
    shown = rgb * lit
    if part:
        shown += rgb.translate(colour.dimmer(part / FINE))
    shown = shown.ljust(3 * leds, b"\0")
    if peak >= lit:
        shown = shown[: 3 * peak] + rgb + shown[3 * peak + 3 :]
    return shown


def bar(rgb: bytes, leds: int, level: float, peak: int = -1) -> bytes:
    """A bar of ``level`` (0..1), its last pixel dimmed by what is left over."""
    return _bar(rgb, leds, int(level * leds * FINE + 0.5), peak)


def dots(rgb: bytes, leds: int) -> bytes:
    """Every second pixel: not known."""
    return b"".join(rgb if index % 2 == 0 else colour.DARK for index in range(leds))


@lru_cache(maxsize=64)
def chase(leds: int, backwards: bool) -> Chase:
    """A pixel with a tail, four steps per pixel, that runs through ``leds``."""
    frames = []
    for step in range(4 * leds):
        head = step / 4
        shown = []
        for index in range(leds):
            behind = (head - index) % leds
            ahead = leds - behind
            share = max(1.0 - behind / 3, 1.0 - ahead, 0.0)
            shown.append(colour.PALE.translate(colour.dimmer(share)))
        frames.append(b"".join(reversed(shown) if backwards else shown))
    return Chase(tuple(frames))


def is_still(parts: Sequence[Part]) -> TypeGuard[Sequence[Still]]:
    return all(isinstance(part, Still) for part in parts)


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The same with neighbouring still parts made one, so that frames have less to join."""
    result: list[Part] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, Still) and isinstance(last, Still):
            result[-1] = Still(last.rgb + part.rgb)
        else:
            result.append(part)
    return tuple(result)
