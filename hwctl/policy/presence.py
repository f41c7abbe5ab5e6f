"""Is a node's operating system up, and how busy is it? From what it says, and from its silence.

    (off) ──feed on──> booting ──sample──> up <──sample── unreachable
                          │                 │ silent             ^
                          └──boot_s over────┴────────────────────┘

A value is kept with its age when its source falls silent; it never becomes 0. Load is the
quotient of CPU-second differences, so it depends on nobody's clock.
"""

import math
from dataclasses import dataclass, replace

from hwctl.model.drivers import LoadSample
from hwctl.model.readings import ABSENT, Quality, Reading, ok
from hwctl.model.rig import Os

MIN_CPU_SECONDS = 0.05
"""Below this difference the quotient is noise: counters step by 0.01 s (USER_HZ 100)."""
MOST_LOAD = 1.02
"""A quotient may exceed 1 by rounding, and no further. Untuned."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of one node's operating system. Times are engine seconds."""

    os: Os = Os.UNKNOWN
    load: Reading = ABSENT
    celsius: Reading = ABSENT
    throttled: bool | None = None
    boot_id: str | None = None
    told_temperature: bool = False
    """Whether it has told a temperature since it booted."""
    heard: float | None = None
    """When it last answered well."""
    powered_since: float | None = None
    busy_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, already widened for the engine's speed."""

    stale_s: float
    unreachable_s: float
    boot_s: float


def hear(state: Presence, taken: float, sample: LoadSample, source: str) -> Presence:
    """Take in one good answer. A number that cannot be true counts as one that was not told."""
    busy_s, total_s = _finite(sample.busy_s), _finite(sample.total_s)
    booted = _booted(state, taken, sample, total_s)
    if booted:
        state = replace(
            state, boot_id=sample.boot_id, load=ABSENT, busy_s=None, total_s=None,
            told_temperature=False,
        )  # fmt: skip
    said = _finite(sample.load)
    if said is not None and 0.0 <= said <= 1.0:
        state = replace(state, load=ok(said, taken, source))
    elif busy_s is not None and total_s is not None:
        state = _count(state, taken, busy_s, total_s, source)
    celsius = _finite(sample.celsius)
    return replace(
        state,
        celsius=ok(celsius, taken, source),
        throttled=sample.throttled,
        told_temperature=celsius is not None or state.told_temperature,
        heard=taken,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _booted(state: Presence, taken: float, sample: LoadSample, total_s: float | None) -> bool:
    """Whether this is another boot than the last answer's.

    A boot time moves when a clock is set, too. Then the CPUs have counted on from what they had;
    after a boot they can have counted no more than has passed since the node was last heard.
    """
    if sample.boot_id is None or sample.boot_id == state.boot_id:
        return False
    if state.boot_id is None or total_s is None or state.total_s is None or state.heard is None:
        return True
    if total_s < state.total_s:
        return True
    return sample.cpus is not None and total_s <= sample.cpus * (taken - state.heard)


def _count(state: Presence, taken: float, busy_s: float, total_s: float, source: str) -> Presence:
    """Load from what the counters went on by; from one answer alone there is none."""
    counted = replace(state, busy_s=busy_s, total_s=total_s)
    if state.busy_s is None or state.total_s is None:
        return counted
    busy, total = busy_s - state.busy_s, total_s - state.total_s
    if busy < 0 or total < 0 or busy > total * MOST_LOAD + MIN_CPU_SECONDS:
        # Counters that ran backwards, or did more than there was time for, tell no load.
        return counted
    if total < MIN_CPU_SECONDS:
        return state
    return replace(counted, load=ok(min(1.0, busy / total), taken, source))


def step(
    state: Presence, now: float, *, powered: bool | None, asked_to_halt: bool, limits: Limits
) -> Presence:
    """The view at ``now``. ``powered``: the feed, read back; ``None``: not known or no outlet."""
    if powered is False:
        # Without its feed it runs nothing; what it said before says nothing about the next boot.
        return Presence(os=Os.HALTED, boot_id=state.boot_id)
    since = state.powered_since if state.powered_since is not None else now
    silent = now - state.heard if state.heard is not None else None
    if silent is not None and silent <= limits.unreachable_s:
        os = Os.HALTING if asked_to_halt else Os.UP
    elif asked_to_halt:
        os = Os.HALTING
    elif silent is None and now - since < limits.boot_s:
        os = Os.BOOTING if powered else Os.UNKNOWN
    else:
        os = Os.UNREACHABLE
    load, celsius = state.load.at(now, limits.stale_s), state.celsius.at(now, limits.stale_s)
    if (
        os is state.os
        and load is state.load
        and celsius is state.celsius
        and since == state.powered_since
    ):
        return state  # as mostly; a copy for each of a thousand nodes takes 3 ms of a tick
    return replace(state, os=os, load=load, celsius=celsius, powered_since=since)


def quality(state: Presence, now: float, limits: Limits) -> Quality:
    """Of what the node says of itself."""
    if state.heard is None:
        return Quality.ABSENT
    return Quality.OK if now - state.heard <= limits.stale_s else Quality.STALE
