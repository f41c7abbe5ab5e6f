"""Bringing the rig down in order before the energy runs out, and up again afterwards.

    standby ──low, agreed──> confirming ──still low──> running ──all off──> down
       ^                         │ not low                │ mains back        │ mains back, and
       └─────────────────────────┘                        v                   │ charge enough
       ^                                              recovering <────────────┘
       └──────────────── all back, stage by stage ────────┘

Pure. It never touches an outlet: it begins and watches operations, which prove each halt.

A shutdown begins only when every supply that feeds the rig says, by fresh readings, that it is
discharging, and the pessimistic bound of what is left has fallen to what the rig needs, times a
margin; and when enough distinct samples have said so for long enough. One reading, a stale one,
none at all, or a source that contradicts begins nothing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from hwctl.model.readings import Quality
from hwctl.model.rig import Power, ShutdownState, SupplyStatus
from hwctl.model.settings import ShutdownSettings

HEAD_RESERVE_S = 30.0
"""For the head's own halt after the last node. Untuned."""
MAINS_STEADY_S = 30.0
"""Mains that comes and goes is not back. Untuned."""
CANCEL_HOLDS_TO = 1.0
"""A cancelled shutdown begins again when what is left falls to this times what is needed: a
person who cancels spends the margin, not the rig."""


class Phase(StrEnum):
    STANDBY = "standby"
    CONFIRMING = "confirming"
    RUNNING = "running"
    DOWN = "down"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class SupplyFact:
    """One supply. ``taken`` identifies the sample it rests on."""

    id: str
    status: SupplyStatus
    charge_low: float | None
    charge: float | None
    runtime_s: float | None
    runtime_low_s: float | None
    mains: bool | None
    quality: Quality
    taken: float


@dataclass(frozen=True, slots=True)
class NodeFact:
    """One node that the shutdown may bring down."""

    id: str
    role: str
    power: Power
    protected: bool
    has_outlet: bool
    halt_s: float
    """Learned, or the setting."""
    held_by: str | None
    """An operation under way, whoever began it."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin an operation on a node, as the shutdown."""

    kind: Literal["off", "on"]
    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Say:
    """Something worth an event."""

    kind: str
    text: str
    severity: str = "info"


@dataclass(frozen=True, slots=True)
class State:
    """Survives a restart of hwctl (the engine journals it)."""

    phase: Phase = Phase.STANDBY
    stage: int = 0
    cause: str = ""
    since: float = 0.0
    """Engine seconds at which this phase began to count."""
    samples: int = 0
    last_taken: float = float("-inf")
    begun: tuple[str, ...] = ()
    """Nodes of this stage for which an operation was begun."""
    stopped: tuple[str, ...] = ()
    """Nodes that this shutdown stopped: those, and no others, come back."""
    by_operator: bool = False
    """Begun, or released, by a person; mains coming back decides nothing then."""
    inhibited: bool = False
    """Cancelled by a person: stands until mains is back or the margin is spent."""
    mains_since: float | None = None
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    supplies: tuple[SupplyFact, ...]
    nodes: tuple[NodeFact, ...]
    command: Literal["start", "cancel"] | None = None
    by: str = ""
    reason: str = ""
    step_s: float = 13.0
    """What proving and verifying one halt takes beyond the halt itself."""


def stages(nodes: tuple[NodeFact, ...], settings: ShutdownSettings) -> tuple[tuple[str, ...], ...]:
    """Node ids, stage by stage; roles that no stage names go with the first."""
    named = {role for stage in settings.stages for role in stage}
    result = []
    for index, roles in enumerate(settings.stages):
        result.append(
            tuple(
                node.id
                for node in nodes
                if node.has_outlet
                and not node.protected
                and (node.role in roles or (index == 0 and node.role not in named))
            )
        )
    return tuple(result)


def needed_s(nodes: tuple[NodeFact, ...], settings: ShutdownSettings, step_s: float) -> float:
    """Seconds to bring down what is on now: stage after stage, each as slow as its slowest."""
    by_id = {node.id: node for node in nodes}
    total = HEAD_RESERVE_S
    for stage in stages(nodes, settings):
        on = [by_id[node] for node in stage if by_id[node].power is not Power.OFF]
        if on:
            total += max(node.halt_s for node in on) + step_s
    return total


def left(supplies: tuple[SupplyFact, ...]) -> tuple[float | None, float | None]:
    """(seconds, pessimistic seconds) left: the supply that lasts longest keeps the rig up."""
    times = [s.runtime_s for s in supplies if s.runtime_s is not None]
    lows = [s.runtime_low_s for s in supplies if s.runtime_low_s is not None]
    return (max(times) if times else None, max(lows) if lows else None)


def _low(inputs: Inputs, threshold: float, floor: float) -> str | None:
    """Why the rig must come down, if all its supplies agree on it by fresh readings."""
    if not inputs.supplies:
        return None
    for supply in inputs.supplies:
        if supply.quality is not Quality.OK or supply.status is not SupplyStatus.DISCHARGING:
            return None
        if supply.mains is True or supply.charge_low is None or supply.runtime_low_s is None:
            return None
    _, low_s = left(inputs.supplies)
    charge_low = max(s.charge_low or 0.0 for s in inputs.supplies)
    if low_s is not None and low_s <= threshold:
        return f"{low_s:.0f} s left at worst, {threshold:.0f} s wanted"
    if charge_low <= floor:
        return f"charge may be as low as {charge_low:.0%}, the floor is {floor:.0%}"
    return None


def _mains(inputs: Inputs) -> bool:
    return any(s.mains is True and s.quality is Quality.OK for s in inputs.supplies)


def step(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    """One tick."""
    mains_since = None
    if _mains(inputs):
        mains_since = state.mains_since if state.mains_since is not None else now
    state = replace(state, mains_since=mains_since)
    if inputs.command is not None:
        state, said = _command(state, now, inputs)
        return state, said
    match state.phase:
        case Phase.STANDBY | Phase.CONFIRMING:
            return _watch(state, now, inputs, settings)
        case Phase.RUNNING:
            return _run(state, now, inputs, settings)
        case Phase.DOWN:
            return _wait(state, now, inputs, settings)
        case Phase.RECOVERING:
            return _recover(state, now, inputs, settings)


def _command(state: State, now: float, inputs: Inputs) -> tuple[State, tuple[Say, ...]]:
    because = f" ({inputs.reason})" if inputs.reason else ""
    if inputs.command == "start":
        if state.phase in (Phase.RUNNING, Phase.DOWN):
            return state, ()
        begun = replace(
            state, phase=Phase.RUNNING, stage=0, since=now, begun=(), by_operator=True,
            cause=f"started by {inputs.by}{because}", inhibited=False,
        )  # fmt: skip
        return begun, (Say("shutdown.started", begun.cause, "critical"),)
    if state.phase in (Phase.STANDBY, Phase.CONFIRMING):
        quiet = replace(state, phase=Phase.STANDBY, inhibited=True, samples=0)
        return quiet, (Say("shutdown.inhibited", f"by {inputs.by}", "warning"),)
    released = replace(
        state, phase=Phase.DOWN, by_operator=True, inhibited=True, waiting=None, since=now,
        cause=f"cancelled by {inputs.by}{because}",
    )  # fmt: skip
    return released, (Say("shutdown.cancelled", released.cause, "warning"),)


def _watch(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    needed = needed_s(inputs.nodes, settings, inputs.step_s)
    inhibited = state.inhibited and state.mains_since is None
    factor, floor = settings.margin, settings.floor
    if inhibited:
        factor, floor = CANCEL_HOLDS_TO, 0.0
    why = _low(inputs, needed * factor, floor)
    if why is None:
        calm = replace(state, phase=Phase.STANDBY, samples=0, inhibited=inhibited, cause="")
        if state.phase is Phase.CONFIRMING:
            return calm, (Say("shutdown.averted", "the readings no longer agree on it"),)
        return calm, ()
    taken = max(s.taken for s in inputs.supplies)
    if state.phase is Phase.STANDBY:
        confirming = replace(
            state, phase=Phase.CONFIRMING, since=now, samples=1, last_taken=taken, cause=why,
            inhibited=inhibited,
        )  # fmt: skip
        return confirming, (Say("shutdown.confirming", why, "warning"),)
    samples = state.samples + (1 if taken > state.last_taken else 0)
    state = replace(state, samples=samples, last_taken=taken, cause=why, inhibited=inhibited)
    if samples < settings.confirm_samples or now - state.since < settings.confirm_s:
        return state, ()
    if not settings.armed:
        # It says so, every time, and does nothing: that is what "not armed" means.
        return replace(state, samples=0, since=now), (
            Say("shutdown.not-armed", f"{why}; `armed` is false, so nothing is done", "critical"),
        )
    running = replace(
        state, phase=Phase.RUNNING, stage=0, since=now, begun=(), by_operator=False,
        inhibited=False,
    )  # fmt: skip
    return running, (Say("shutdown.started", why, "critical"),)


def _run(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    plan = stages(inputs.nodes, settings)
    steady = state.mains_since is not None and now - state.mains_since >= MAINS_STEADY_S
    by_id = {node.id: node for node in inputs.nodes}
    if state.stage < len(plan):
        stage = plan[state.stage]
        open_nodes = [by_id[n] for n in stage if by_id[n].power is not Power.OFF]
        begun = set(state.begun)
        if steady and not state.by_operator:
            # Those that are halting are let finish; no other is asked any more.
            if not any(node.held_by for node in open_nodes if node.id in begun):
                down = replace(state, phase=Phase.DOWN, since=now, waiting=None)
                return down, (Say("shutdown.stopped", "mains is back: no further stage begins"),)
            return state, ()
        actions: list[Begin | Say] = [
            Begin("off", node.id, f"shutdown: {state.cause}")
            for node in open_nodes
            if node.id not in begun and node.held_by is None
        ]
        new = tuple(a.node for a in actions if isinstance(a, Begin))
        stopped = tuple(dict.fromkeys((*state.stopped, *new)))
        state = replace(state, begun=(*state.begun, *new), stopped=stopped)
        settled = all(
            node.id in state.begun and node.held_by is None and node.id not in new
            for node in open_nodes
        )
        if not settled:
            return state, tuple(actions)
        actions += [
            Say("shutdown.node-left", f"{node.id} could not be brought down", "critical")
            for node in open_nodes
        ]
        return replace(state, stage=state.stage + 1, begun=(), since=now), tuple(actions)
    down = replace(state, phase=Phase.DOWN, since=now, waiting=None)
    return down, (Say("shutdown.down", "all stages are down", "warning"),)


def _wait(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    released = state.by_operator and state.inhibited
    waiting = _not_yet(state, now, inputs, settings, released=released)
    if waiting is not None:
        return replace(state, waiting=waiting), ()
    plan = stages(inputs.nodes, settings)
    up = replace(
        state, phase=Phase.RECOVERING, stage=len(plan) - 1, begun=(), since=now, waiting=None
    )
    return up, (Say("shutdown.recovering", "the charge allows the nodes that were stopped"),)


def _not_yet(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings, *, released: bool
) -> str | None:
    """Why the nodes stay down, or ``None``."""
    if state.by_operator and not released:
        return f"{state.cause}: stays down until `hwctl shutdown cancel`"
    lows = [s.charge_low for s in inputs.supplies if s.quality is Quality.OK]
    known = [low for low in lows if low is not None]
    if inputs.supplies and not known:
        return "the charge is not known"
    if known and max(known) < settings.restart_charge:
        return f"charge is {max(known):.0%} at worst, {settings.restart_charge:.0%} is wanted"
    if released or not inputs.supplies:
        return None
    if state.mains_since is None:
        return "mains is not back"
    if now - state.mains_since < MAINS_STEADY_S:
        return f"mains must be steady for {MAINS_STEADY_S:.0f} s"
    return None


def _recover(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    plan = stages(inputs.nodes, settings)
    by_id = {node.id: node for node in inputs.nodes}
    if state.mains_since is None and not state.by_operator:
        needed = needed_s(inputs.nodes, settings, inputs.step_s)
        why = _low(inputs, needed * settings.margin, settings.floor)
        if why is not None:
            # Mains went again before all were up; what is up is watched like any rig.
            calm = replace(state, phase=Phase.STANDBY, samples=0, begun=(), waiting=None)
            return calm, (Say("shutdown.recovery-stopped", why, "warning"),)
    if state.stage >= 0:
        stage = [n for n in plan[state.stage] if n in state.stopped]
        actions: list[Begin | Say] = [
            Begin("on", node, "recovery after the shutdown")
            for node in stage
            if node not in state.begun
            and by_id[node].power is Power.OFF
            and by_id[node].held_by is None
        ]
        new = tuple(a.node for a in actions if isinstance(a, Begin))
        state = replace(state, begun=(*state.begun, *new))
        busy = [n for n in stage if n in new or by_id[n].held_by is not None]
        waiting = [n for n in stage if by_id[n].power is Power.OFF and n not in state.begun]
        if busy or waiting:
            return state, tuple(actions)
        return replace(state, stage=state.stage - 1, begun=(), since=now), tuple(actions)
    standby = replace(
        State(inhibited=state.inhibited and state.mains_since is None),
        mains_since=state.mains_since,
    )
    return standby, (Say("shutdown.recovered", "the nodes that were stopped are back"),)


def view(
    state: State, inputs: Inputs, settings: ShutdownSettings, restart_charge: float
) -> ShutdownState:
    """As the snapshot shows it."""
    needed = needed_s(inputs.nodes, settings, inputs.step_s)
    left_s, low_s = left(inputs.supplies)
    plan = settings.stages
    running = state.phase in (Phase.RUNNING, Phase.RECOVERING) and 0 <= state.stage < len(plan)
    return ShutdownState(
        state=state.phase.value,
        needed_s=needed,
        left_s=left_s,
        left_low_s=low_s,
        threshold_s=needed * (CANCEL_HOLDS_TO if state.inhibited else settings.margin),
        stage="+".join(plan[state.stage]) if running else None,
        stages=tuple("+".join(roles) for roles in plan),
        armed=settings.armed,
        cause=state.waiting or state.cause or None,
        restart_charge=restart_charge,
    )
