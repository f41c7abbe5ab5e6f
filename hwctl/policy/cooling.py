"""How fast the fans turn, and why. One zone: every fan follows the node that needs most.

- More air at once, less air slowly (``fall_per_s``).
- A node whose temperature cannot be believed asks for the safe duty (:mod:`hwctl.policy.heat`);
  only a node that is read back as off asks for nothing.
- A fan that stands still although it is driven is kicked, and the others take over.
- A duty set by hand gives way to heat and to faults.

Thresholds are untuned unless a source is given.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hwctl.model.settings import CoolingSettings
from hwctl.policy.heat import Demand, NodeInput, NodeMemory, curve, judge

STALL_S = 3.0
"""A tachometer may say 0 for so long while a driven fan starts. Untuned."""
STAND_S = 1.0
"""The same for a fan driven below its start duty, where standing still is no defect."""
KICK_S = 1.0
"""Full power for a fan that stands still; Intel's 4-wire specification allows for a start-up
surge of 1 s (the specification itself was not seen: unverified)."""
START_KICK_S = 0.5
"""Full power for a fan that is to start below its start duty. Klipper's default is 0.1 s."""
START_HOLD_S = 2.0
"""After that kick it stays at its start duty for so long. Untuned."""
SILENT_S = 3.0
"""A fan that could not be read for so long counts as one that stands still. Untuned."""
HOT_CELSIUS = 75.0
"""From here on a duty set by hand may not fall below the curve; 5 °C below the Pi's soft limit."""
DUTY_STEP = 0.01
"""Controllers round a duty; two that differ by less are the same (8 bits: 0.004)."""


@dataclass(frozen=True, slots=True)
class FanInput:
    """What is known of one fan now."""

    id: str
    start_duty: float
    rpm: float | None
    """0: seen to stand still. ``None``: no tachometer."""
    driven: float | None
    """Duty that the device last accepted."""
    read_ok: bool
    """Whether the last attempt to read it succeeded."""
    taken: float | None = None
    """When it was read; ``None``: now. An old sample seen again is no proof of standing still."""


@dataclass(frozen=True, slots=True)
class Manual:
    """A duty set by hand, until a moment on the engine's clock."""

    duty: float
    until: float


@dataclass(frozen=True, slots=True)
class CoolingInputs:
    nodes: tuple[NodeInput, ...]
    fans: tuple[FanInput, ...]
    manual: Mapping[str, Manual] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FanOrder:
    """Drive ``fan`` at ``duty`` (0..1). Given at every step, changed or not."""

    fan: str
    duty: float
    cause: str
    mode: Literal["auto", "manual"]


@dataclass(frozen=True, slots=True)
class FanMemory:
    duty: float | None = None
    """Last ordered, kicks not counted."""
    raised: float = 0.0
    """What a duty set by hand may not fall below; it too decays."""
    standing_since: float | None = None
    silent_since: float | None = None
    stalled: bool = False
    kick_until: float = -math.inf
    hold_until: float = -math.inf
    least: float = 0.0
    """Its start duty, once it was found to stop below it; starting and stopping all the time is
    what annoys people (raspberrypi/linux#4218)."""


@dataclass(frozen=True, slots=True)
class CoolingState:
    """Start with ``CoolingState()``."""

    nodes: Mapping[str, NodeMemory] = field(default_factory=dict)
    fans: Mapping[str, FanMemory] = field(default_factory=dict)
    at: float | None = None
    faults: tuple[str, ...] = ()
    """What is wrong now, in words that do not change while it stays so: log the differences."""


@dataclass(frozen=True, slots=True)
class _Zone:
    duty: float
    cause: str
    insists: bool
    """Whether it overrides a duty set by hand: heat, or a fault."""


def step(
    state: CoolingState, now: float, inputs: CoolingInputs, settings: CoolingSettings
) -> tuple[CoolingState, tuple[FanOrder, ...]]:
    """The orders for every fan at ``now``, in seconds on the engine's clock."""
    nodes, demands = _judge_all(state, now, inputs, settings)
    fans = {fan.id: _observe(state.fans.get(fan.id, FanMemory()), fan, now) for fan in inputs.fans}
    faults = [demand.fault for demand in demands if demand.fault is not None]
    faults += [text for id_, memory in fans.items() if (text := _fan_fault(id_, memory, now))]
    zone = _zone(inputs, demands, faults, settings)
    fall = settings.fall_per_s * max(0.0, now - state.at) if state.at is not None else 0.0
    orders = []
    for fan in inputs.fans:
        manual = inputs.manual.get(fan.id)
        if manual is not None and not now < manual.until:
            manual = None
        fans[fan.id], order = _drive(fans[fan.id], fan, now, fall, zone, manual)
        orders.append(order)
    return CoolingState(nodes, fans, now, tuple(faults)), tuple(orders)


def _judge_all(
    state: CoolingState, now: float, inputs: CoolingInputs, settings: CoolingSettings
) -> tuple[dict[str, NodeMemory], list[Demand]]:
    by_heat, by_load = curve(settings.curve), curve(settings.load_curve)
    memories: dict[str, NodeMemory] = {}
    demands = []
    for node in inputs.nodes:
        if node.power_on is False:
            continue  # and is forgotten: it may come back with another sensor, and cold
        before = state.nodes.get(node.id, NodeMemory())
        memories[node.id], demand = judge(before, node, now, settings, by_heat, by_load)
        demands.append(demand)
    return memories, demands


def _zone(
    inputs: CoolingInputs, demands: list[Demand], faults: list[str], settings: CoolingSettings
) -> _Zone:
    if not inputs.nodes:
        return _Zone(settings.safe_duty, "no node is known", insists=False)
    if demands:
        worst = max(demands, key=lambda demand: demand.duty)
        duty, cause = worst.duty, worst.cause
    else:
        duty, cause = settings.idle_duty, "every node is off"
    if faults and duty < settings.safe_duty:
        # Only a fan's fault gets here: a node's has asked for the safe duty itself.
        duty, cause = settings.safe_duty, faults[-1]
    hot = any(demand.celsius is not None and demand.celsius >= HOT_CELSIUS for demand in demands)
    return _Zone(duty, cause, insists=hot or bool(faults))


def _observe(memory: FanMemory, fan: FanInput, now: float) -> FanMemory:
    """What the fan's tachometer says about it, and whether it must be kicked."""
    if not fan.read_ok:
        silent = now if memory.silent_since is None else memory.silent_since
        return replace(memory, silent_since=silent, standing_since=None)
    memory = replace(memory, silent_since=None)
    if fan.rpm is None or not math.isfinite(fan.rpm):
        return replace(memory, standing_since=None)
    if fan.rpm > 0:
        return replace(memory, standing_since=None, stalled=False)
    seen = now if fan.taken is None else fan.taken
    if not fan.driven or seen < memory.kick_until:
        return replace(memory, standing_since=None)
    since = seen if memory.standing_since is None else memory.standing_since
    if fan.driven >= fan.start_duty - DUTY_STEP:
        if seen - since >= STALL_S:
            return replace(memory, standing_since=None, stalled=True, kick_until=now + KICK_S)
    elif seen - since >= STAND_S:
        return replace(
            memory, standing_since=None, kick_until=now + START_KICK_S, least=fan.start_duty
        )
    return replace(memory, standing_since=since)


def _fan_fault(fan: str, memory: FanMemory, now: float) -> str | None:
    if memory.stalled:
        return f"fan {fan} stands still"
    if memory.silent_since is not None and now - memory.silent_since >= SILENT_S:
        return f"fan {fan} does not answer"
    return None


def _drive(
    memory: FanMemory, fan: FanInput, now: float, fall: float, zone: _Zone, manual: Manual | None
) -> tuple[FanMemory, FanOrder]:
    mode: Literal["auto", "manual"] = "auto" if manual is None else "manual"
    raised = max(zone.duty if zone.insists else 0.0, memory.raised - fall)
    if manual is None:
        duty, cause = zone.duty, zone.cause
        if memory.duty is not None and duty < memory.duty - fall:
            duty, cause = memory.duty - fall, f"{cause}, slowing"
    else:
        duty, cause = _sane(manual.duty), "manual"
        if duty < raised:
            duty, cause = raised, f"manual, raised: {zone.cause}"
    stopped = not memory.duty and not (fan.rpm is not None and fan.rpm > 0)
    if stopped and 0 < duty < fan.start_duty:
        memory = replace(
            memory,
            kick_until=now + START_KICK_S,
            hold_until=now + START_KICK_S + START_HOLD_S,
        )
    duty = _sane(duty)
    if 0 < duty < fan.start_duty:
        duty = max(duty, memory.least, fan.start_duty if now < memory.hold_until else 0.0)
    memory = replace(memory, duty=duty, raised=_sane(raised))
    if now < memory.kick_until:
        doing = "stands still" if memory.stalled else "starting"
        return memory, FanOrder(fan.id, 1.0, f"{doing}, kicked; {cause}", mode)
    if memory.stalled:
        cause = f"stands still; {cause}"
    return memory, FanOrder(fan.id, duty, cause, mode)


def _sane(duty: float) -> float:
    """Between 0 and 1; what is no number is full, as too much air harms nobody."""
    return max(0.0, min(duty, 1.0)) if math.isfinite(duty) else 1.0
