"""Is a node's operating system up, and how busy is it? From what it says, and from its silence.

    (off) ──feed on──> booting ──sample──> up <──sample── unreachable
                          │                 │ silent             ^
                          └──boot_s over────┴────────────────────┘

A value is kept with its age when its source falls silent; it never becomes 0. Load is the
quotient of CPU-second differences, so it depends on nobody's clock.
"""

from dataclasses import dataclass, replace

from hwctl.model.drivers import LoadSample
from hwctl.model.readings import ABSENT, Quality, Reading, ok
from hwctl.model.rig import Os

MIN_CPU_SECONDS = 0.05
"""Below this difference the quotient is noise: counters step by 0.01 s (USER_HZ 100)."""


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
    """Take in one good answer."""
    # A boot time that moves while the CPU counters go on is a clock that was set, not a boot.
    counted_on = (
        sample.total_s is not None and state.total_s is not None and sample.total_s >= state.total_s
    )
    booted = sample.boot_id is not None and sample.boot_id != state.boot_id and not counted_on
    load = state.load
    busy_s, total_s = state.busy_s, state.total_s
    if sample.load is not None:
        load = ok(sample.load, taken, source)
    elif sample.busy_s is not None and sample.total_s is not None:
        if busy_s is None or total_s is None or booted or sample.total_s < total_s:
            busy_s, total_s = sample.busy_s, sample.total_s
            if booted:
                load = ABSENT
        elif sample.total_s - total_s >= MIN_CPU_SECONDS:
            quotient = (sample.busy_s - busy_s) / (sample.total_s - total_s)
            load = ok(max(0.0, min(1.0, quotient)), taken, source)
            busy_s, total_s = sample.busy_s, sample.total_s
    told = sample.celsius is not None or (state.told_temperature and not booted)
    return replace(
        state,
        load=load,
        celsius=ok(sample.celsius, taken, source),
        throttled=sample.throttled,
        boot_id=sample.boot_id if booted else state.boot_id,
        told_temperature=told,
        heard=taken,
        busy_s=busy_s,
        total_s=total_s,
    )


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
    return replace(
        state,
        os=os,
        load=state.load.at(now, limits.stale_s),
        celsius=state.celsius.at(now, limits.stale_s),
        powered_since=since,
    )


def quality(state: Presence, now: float, limits: Limits) -> Quality:
    """Of what the node says of itself."""
    if state.heard is None:
        return Quality.ABSENT
    return Quality.OK if now - state.heard <= limits.stale_s else Quality.STALE
