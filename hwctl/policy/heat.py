"""How warm one node is, how far its temperature may be believed, and what duty that asks for.

A temperature that cannot be believed is never a reason for less air: it asks for the safe duty,
or for what the last believed value asks for, whichever is more. Thresholds are untuned unless a
source is given.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hwctl.model.readings import Quality, Reading
from hwctl.model.rig import Os
from hwctl.model.settings import CoolingSettings
from hwctl.model.units import clamp

LOWEST_CELSIUS = -20.0
HIGHEST_CELSIUS = 125.0
"""Outside of these a board does not run. Untuned."""
JUMP_PER_S = 15.0
"""No board warms or cools faster than this, in °C/s. Untuned."""
JUMP_LEAST_S = 1.0
JUMP_MOST_S = 3.0
"""A gap between readings counts as at least and at most so long when a jump is judged: the most
keeps a sensor that comes back after minutes with 0 °C from being believed."""
SETTLE_S = 30.0
"""After a jump a temperature must be steady, yet alive, for so long before it is believed."""
SETTLE_CHANGES = 2
"""Alive: it has changed so many times. A constant is no sensor."""
STUCK_LOAD_RANGE = 0.3
"""Load that moves by more than this must move the temperature. Untuned."""
WORST_RISE_PER_S = 0.1
"""A node that nobody can see is taken to warm by this, in °C/s, ... Untuned."""
WORST_RISE_MOST = 10.0
"""... up to this much above its last believed value; beyond, the safe duty is the answer."""

Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Where (rising), and the duty there (never falling)."""


@dataclass(frozen=True, slots=True)
class NodeInput:
    """What is known of one node now. Readings are as seen now: stale ones say so."""

    id: str
    power_on: bool | None
    """As read back from its outlet; ``None`` counts as on."""
    os: Os
    load: Reading
    """0..1"""
    celsius: Reading
    has_temperature: bool
    """Whether it has told a temperature since it booted."""


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """What must be remembered of a node that is on. Times are on the engine's clock."""

    told: bool = False
    """Whether it has ever told a temperature since its power came on."""
    celsius: float | None = None
    """Last believed."""
    taken: float = -math.inf
    seen: float | None = None
    """Last plausible value, believed or not."""
    seen_at: float = -math.inf
    same_since: float = -math.inf
    load_low: float = math.inf
    load_high: float = -math.inf
    """Of the load, since ``same_since``."""
    doubted_since: float | None = None
    changes: int = 0
    """How many times it changed since ``doubted_since``."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The duty that one node asks for."""

    duty: float
    cause: str
    celsius: float | None = None
    """The temperature that was reckoned with."""
    fault: str | None = None
    """What cannot be believed, without figures that change at every tick; ``None`` if all can."""


def curve(points: Iterable[tuple[float, float]]) -> Curve:
    """Points as a curve; sorted, and made to never fall: more heat is never a reason for less."""
    where: list[float] = []
    duty: list[float] = []
    for x, y in sorted((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)):
        where.append(x)
        duty.append(max(clamp(y, 0.0, 1.0), duty[-1] if duty else 0.0))
    return tuple(where), tuple(duty)


def duty_at(line: Curve, x: float) -> float:
    """The duty at ``x``, between points linearly; full if there is no curve or no number."""
    where, duty = line
    if not where or not math.isfinite(x):
        return 1.0
    right = bisect_right(where, x)
    if right == 0:
        return duty[0]
    if right == len(where):
        return duty[-1]
    left = right - 1
    share = (x - where[left]) / (where[right] - where[left])
    return duty[left] + share * (duty[right] - duty[left])


def judge(
    memory: NodeMemory,
    node: NodeInput,
    now: float,
    settings: CoolingSettings,
    by_heat: Curve,
    by_load: Curve,
) -> tuple[NodeMemory, Demand]:
    """What ``node``, which is not off, asks for at ``now``."""
    memory = _remember(memory, node)
    fault = _fault(memory, node, settings)
    value = node.celsius.value if memory.told else node.load.value
    if fault is not None or value is None:
        return memory, _without_trust(
            memory, node, now, fault or "has told nothing yet", settings.safe_duty, by_heat
        )
    if memory.told:
        return memory, Demand(duty_at(by_heat, value), f"{node.id}: {value:.1f} °C", value)
    return memory, Demand(duty_at(by_load, value), f"{node.id}: load {value:.0%}")


def _without_trust(
    memory: NodeMemory, node: NodeInput, now: float, fault: str, safe_duty: float, by_heat: Curve
) -> Demand:
    """The safe duty, or more, if what was last believed asks for more."""
    celsius = _worst_case(memory, now)
    if memory.doubted_since is not None and memory.seen is not None:
        # A jump upwards may be true: it costs only air to reckon with it.
        celsius = max(memory.seen, memory.seen if celsius is None else celsius)
    duty = safe_duty if celsius is None else max(safe_duty, duty_at(by_heat, celsius))
    return Demand(duty, f"{node.id}: {fault}{_since(node, now)}", celsius, f"{node.id}: {fault}")


def _remember(memory: NodeMemory, node: NodeInput) -> NodeMemory:
    reading = node.celsius
    if node.has_temperature and not memory.told:
        memory = replace(memory, told=True)
    if reading.quality is Quality.SUSPECT or (
        reading.value is not None and not _plausible(reading.value)
    ):
        if memory.doubted_since is None or reading.taken > memory.doubted_since:
            memory = replace(memory, told=True, doubted_since=reading.taken, changes=0)
    elif reading.value is not None and reading.taken > memory.seen_at:
        memory = _see(memory, reading.value, reading.taken)
    load = node.load.fresh
    if load is not None and not memory.load_low <= load <= memory.load_high:
        memory = replace(
            memory,
            load_low=min(memory.load_low, load),
            load_high=max(memory.load_high, load),
        )
    return memory


def _see(memory: NodeMemory, value: float, taken: float) -> NodeMemory:
    """Take in a new plausible value."""
    changed = value != memory.seen
    doubted, changes = memory.doubted_since, memory.changes
    if memory.seen is not None:
        gap = clamp(taken - memory.seen_at, JUMP_LEAST_S, JUMP_MOST_S)
        jumped = abs(value - memory.seen) > JUMP_PER_S * gap
        if jumped and not _near(value, memory.celsius, JUMP_PER_S):
            doubted, changes = taken, 0
        elif doubted is not None:
            changes += changed
            settled = taken - doubted >= SETTLE_S and changes >= SETTLE_CHANGES
            if settled or _near(value, memory.celsius, JUMP_PER_S):
                doubted, changes = None, 0
    believed = doubted is None
    return NodeMemory(
        told=True,
        celsius=value if believed else memory.celsius,
        taken=taken if believed else memory.taken,
        seen=value,
        seen_at=taken,
        same_since=taken if changed else memory.same_since,
        load_low=math.inf if changed else memory.load_low,
        load_high=-math.inf if changed else memory.load_high,
        doubted_since=doubted,
        changes=changes,
    )


def _fault(memory: NodeMemory, node: NodeInput, settings: CoolingSettings) -> str | None:
    """Why what the node tells cannot be acted upon; ``None`` if it can."""
    if node.os is Os.UNREACHABLE:
        return "unreachable"
    if not memory.told:
        load = node.load
        if load.value is None:
            return "has told nothing yet" if load.quality is Quality.ABSENT else "load implausible"
        if not math.isfinite(load.value):
            return "load implausible"
        return None if load.quality is Quality.OK else "load stale"
    celsius = node.celsius
    if celsius.quality is Quality.STALE:
        return "temperature stale"
    if celsius.quality is Quality.SUSPECT:
        return "temperature implausible"
    if celsius.value is None:
        return "temperature lost"
    if not _plausible(celsius.value):
        return "temperature implausible"
    if memory.doubted_since is not None:
        return "temperature jumped"
    stuck = memory.seen_at - memory.same_since >= settings.stuck_after_s
    if stuck and memory.load_high - memory.load_low > STUCK_LOAD_RANGE:
        return "temperature stuck"
    return None


def _worst_case(memory: NodeMemory, now: float) -> float | None:
    """The last believed temperature, and what it may have become since."""
    if memory.celsius is None:
        return None
    return memory.celsius + clamp((now - memory.taken) * WORST_RISE_PER_S, 0.0, WORST_RISE_MOST)


def _since(node: NodeInput, now: float) -> str:
    """ " for 7 s", where a reading is known to be old."""
    for reading in (node.celsius, node.load):
        if reading.value is not None and reading.quality is Quality.STALE:
            return f" for {max(0.0, reading.age(now)):.0f} s"
    return ""


def _plausible(value: float) -> bool:
    return LOWEST_CELSIUS <= value <= HIGHEST_CELSIUS  # false for NaN


def _near(value: float, other: float | None, limit: float) -> bool:
    return other is not None and abs(value - other) <= limit
