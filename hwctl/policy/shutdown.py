"""Bringing the rig down in order before the energy runs out, and up again afterwards.

    standby ──low, agreed──> confirming ──still low──> running ──all off, or mains back──> down
       ^                         │ not low                ^                              │  ^  │
       └─────────────────────────┘                        └─low again, and nodes are up──┘  │  │
       ^                                                                       low again    │  │
       └──────────────── all back, stage by stage ──── recovering ──────────────────────────┘  │
                                                           ^─────mains back, charge enough─────┘

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


READ_BACK_S = 30.0
"""After a restart the outlets must be read before it is known which nodes are on. Untuned."""


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
    """Engine seconds at which this phase, or its confirmation, began to count."""
    samples: int = 0
    last_taken: float = float("-inf")
    begun: tuple[str, ...] = ()
    """Nodes for which an operation was begun in this phase."""
    stopped: tuple[str, ...] = ()
    """Nodes that this shutdown stopped: those, and no others, come back."""
    by_operator: bool = False
    """Begun, or released, by a person; mains coming back decides nothing then."""
    inhibited: bool = False
    """Cancelled by a person: stands until mains is back or the margin is spent."""
    mains_since: float | None = None
    waiting: str | None = None
    woke: float | None = None
    """When this process took its first step."""

    @property
    def released(self) -> bool:
        """Cancelled by a person once it was under way: the nodes may come back without mains."""
        return self.by_operator and self.inhibited


@dataclass(frozen=True, slots=True)
class Inputs:
    supplies: tuple[SupplyFact, ...]
    nodes: tuple[NodeFact, ...]
    command: Literal["start", "cancel"] | None = None
    by: str = ""
    reason: str = ""
    step_s: float = 13.0
    """What proving and verifying one halt takes beyond the halt itself."""
    refused: frozenset[str] = frozenset()
    """Nodes whose operation was not begun after all; it is asked for again."""


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


def _low(state: State, inputs: Inputs, settings: ShutdownSettings) -> str | None:
    """Why the rig must come down, if all its supplies agree on it by fresh readings."""
    if not inputs.supplies:
        return None
    factor, floor = settings.margin, settings.floor
    if state.inhibited and state.mains_since is None:
        factor, floor = CANCEL_HOLDS_TO, 0.0
    threshold = factor * needed_s(inputs.nodes, settings, inputs.step_s)
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
    woke = state.woke if state.woke is not None else now
    begun = tuple(node for node in state.begun if node not in inputs.refused)
    state = replace(state, mains_since=mains_since, woke=woke, begun=begun)
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
        state, phase=Phase.DOWN, by_operator=True, inhibited=True, samples=0, since=now,
        waiting=None, cause=f"cancelled by {inputs.by}{because}",
    )  # fmt: skip
    return released, (Say("shutdown.cancelled", released.cause, "warning"),)


def _watch(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    why = _low(state, inputs, settings)
    state = replace(state, inhibited=state.inhibited and state.mains_since is None)
    if why is None:
        calm = replace(state, phase=Phase.STANDBY, samples=0, cause="")
        if state.phase is Phase.CONFIRMING:
            return calm, (Say("shutdown.averted", "the readings no longer agree on it"),)
        return calm, ()
    if state.phase is Phase.STANDBY:
        state = replace(state, phase=Phase.CONFIRMING, samples=0)
    return _confirm(state, now, inputs, settings, why)


def _confirm(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings, why: str
) -> tuple[State, tuple[Begin | Say, ...]]:
    """One more look at low readings; begins when enough of them have agreed for long enough."""
    taken = max(s.taken for s in inputs.supplies)
    if state.samples == 0:
        begun = replace(state, since=now, samples=1, last_taken=taken, cause=why)
        return begun, (Say("shutdown.confirming", why, "warning"),)
    samples = state.samples + (1 if taken > state.last_taken else 0)
    state = replace(state, samples=samples, last_taken=taken, cause=why)
    if samples < settings.confirm_samples or now - state.since < settings.confirm_s:
        return state, ()
    if not settings.armed:
        # It says so, every time, and does nothing: that is what "not armed" means.
        return replace(state, samples=1, since=now), (
            Say("shutdown.not-armed", f"{why}; `armed` is false, so nothing is done", "critical"),
        )
    running = replace(
        state, phase=Phase.RUNNING, stage=0, since=now, samples=0, begun=(), waiting=None,
        by_operator=state.by_operator and not state.inhibited, inhibited=False,
    )  # fmt: skip
    return running, (Say("shutdown.started", why, "critical"),)


def _unsure(state: State, now: float, node: NodeFact) -> bool:
    """Whether its outlet may only not have been read yet. Later, what is unknown counts as on
    when going down, and as off when coming up: the order does no harm where it was wrong."""
    young = state.woke is not None and now - state.woke < READ_BACK_S
    return node.power is Power.UNKNOWN and node.held_by is None and young


def _run(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    plan = stages(inputs.nodes, settings)
    if state.stage >= len(plan):
        down = replace(state, phase=Phase.DOWN, since=now, samples=0, waiting=None)
        return down, (Say("shutdown.down", "all stages are down", "warning"),)
    by_id = {node.id: node for node in inputs.nodes}
    # Earlier stages too: a node that somebody held then may have come on again since.
    due = [by_id[node] for stage in plan[: state.stage + 1] for node in stage]
    up = [node for node in due if node.power is not Power.OFF]
    steady = state.mains_since is not None and now - state.mains_since >= MAINS_STEADY_S
    if steady and not state.by_operator:
        # Those that are halting are let finish; no other is asked any more.
        if any(node.held_by for node in up if node.id in state.begun):
            return state, ()
        down = replace(state, phase=Phase.DOWN, since=now, samples=0, waiting=None)
        return down, (Say("shutdown.stopped", "mains is back: no further stage begins"),)
    actions: list[Begin | Say] = [
        Begin("off", node.id, f"shutdown: {state.cause}")
        for node in up
        if node.id not in state.begun and node.held_by is None and not _unsure(state, now, node)
    ]
    new = tuple(a.node for a in actions if isinstance(a, Begin))
    settled = all(node.id in state.begun and node.held_by is None for node in up)
    stopped = tuple(dict.fromkeys((*state.stopped, *new)))
    state = replace(state, begun=(*state.begun, *new), stopped=stopped)
    if not settled:
        return state, tuple(actions)
    left_on = tuple(
        Say("shutdown.node-left", f"{node.id} could not be brought down", "critical")
        for node in up
        if node.id in plan[state.stage]
    )
    return replace(state, stage=state.stage + 1, since=now), left_on


def _wait(
    state: State, now: float, inputs: Inputs, settings: ShutdownSettings
) -> tuple[State, tuple[Begin | Say, ...]]:
    plan = stages(inputs.nodes, settings)
    why = _low(state, inputs, settings)
    fed = {node.id for node in inputs.nodes if node.power is not Power.OFF}
    if why is not None and any(node in fed for stage in plan for node in stage):
        # Some were let run, or could not be brought down, and the energy runs out again.
        return _confirm(state, now, inputs, settings, why)
    waiting = why or _not_yet(state, now, inputs, settings)
    if waiting is not None:
        return replace(state, samples=0, waiting=waiting), ()
    up = replace(
        state, phase=Phase.RECOVERING, stage=len(plan) - 1, begun=(), since=now, samples=0,
        waiting=None,
    )  # fmt: skip
    return up, (Say("shutdown.recovering", "the charge allows the nodes that were stopped"),)


def _not_yet(state: State, now: float, inputs: Inputs, settings: ShutdownSettings) -> str | None:
    """Why the nodes stay down, or ``None``."""
    if state.by_operator and not state.released:
        return f"{state.cause}: stays down until `hwctl shutdown cancel`"
    lows = [s.charge_low for s in inputs.supplies if s.quality is Quality.OK]
    known = [low for low in lows if low is not None]
    if inputs.supplies and not known:
        return "the charge is not known"
    if known and max(known) < settings.restart_charge:
        return f"charge is {max(known):.0%} at worst, {settings.restart_charge:.0%} is wanted"
    if state.released or not inputs.supplies:
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
    why = _low(state, inputs, settings)
    if why is not None:
        # Mains went again before all were up. What is up is watched there, and may be stopped.
        down = replace(state, phase=Phase.DOWN, samples=0, begun=(), waiting=why)
        return down, (Say("shutdown.recovery-stopped", why, "warning"),)
    at = min(state.stage, len(plan) - 1)
    if at >= 0:
        stage = [by_id[node] for node in plan[at] if node in state.stopped]
        missing = [n for n in stage if n.power in (Power.OFF, Power.UNKNOWN)]
        missing = [n for n in missing if n.id not in state.begun]
        actions = tuple(
            Begin("on", node.id, "recovery after the shutdown")
            for node in missing
            if node.held_by is None and not _unsure(state, now, node)
        )
        if missing or any(node.held_by for node in stage):
            new = (action.node for action in actions)
            return replace(state, begun=(*state.begun, *new)), actions
        return replace(state, stage=at - 1, since=now), ()
    off = [n for n in state.stopped if n in by_id and by_id[n].power is not Power.ON]
    standby = State(
        inhibited=state.inhibited and state.mains_since is None,
        mains_since=state.mains_since,
        woke=state.woke,
    )
    if off:
        said = Say("shutdown.recovered", f"did not come back: {', '.join(off)}", "critical")
    else:
        said = Say("shutdown.recovered", "the nodes that were stopped are back")
    return standby, (said,)


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
