"""Operations that switch a node's power: what comes next, and why it may.

    off     halt -> prove-halt -> cut -> verify-off
    on      admit -> switch-on -> verify-on -> came-back
    cycle   halt -> prove-halt -> cut -> verify-off -> drain -> admit -> switch-on -> verify-on
            -> came-back
    reset   reboot -> came-back
    forced  off and cycle begin at cut; reset is a forced cycle

Pure: :func:`step` looks at one operation and the facts of its node and says what the operation is
now and what is to be done. The engine journals each action before it does it and hands the
outcome back as a fact. An action is ordered once per step; what became of a switch is decided by
the read-back, never by what was ordered or by what the device said: a device that reports an
error may have switched all the same.

A feed is cut only when the halt is proven by the draw on that very feed, when the operator forced
it, or when a shutdown's deadline passed; the latter two are recorded as a risk in ``forced``.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from hwctl.model.readings import Reading
from hwctl.model.rig import OperationState, OpState, Os, StepRecord

Kind = Literal["on", "off", "cycle", "reset"]


class Step(StrEnum):
    """Where an operation is."""

    HALT = "halt"
    PROVE_HALT = "prove-halt"
    CUT = "cut"
    VERIFY_OFF = "verify-off"
    DRAIN = "drain"
    ADMIT = "admit"
    SWITCH_ON = "switch-on"
    VERIFY_ON = "verify-on"
    REBOOT = "reboot"
    CAME_BACK = "came-back"


_OFF = (Step.HALT, Step.PROVE_HALT, Step.CUT, Step.VERIFY_OFF)
_ON = (Step.ADMIT, Step.SWITCH_ON, Step.VERIFY_ON, Step.CAME_BACK)
PLANS: dict[tuple[str, bool], tuple[Step, ...]] = {
    ("off", False): _OFF,
    ("off", True): _OFF[2:],
    ("on", False): _ON,
    ("on", True): _ON,
    ("cycle", False): (*_OFF, Step.DRAIN, *_ON),
    ("cycle", True): (*_OFF[2:], Step.DRAIN, *_ON),
    ("reset", False): (Step.REBOOT, Step.CAME_BACK),
    ("reset", True): (*_OFF[2:], Step.DRAIN, *_ON),
}
"""(kind, force) -> steps."""

_CANCELLABLE = frozenset({Step.HALT, Step.PROVE_HALT, Step.ADMIT, Step.REBOOT})
RESTARTED = "hwctl was restarted meanwhile"
"""The outcome of an action that was ordered by a process which is gone."""
DEAD_VOLTS = 0.5
"""A feed below this has let go of its board (untuned)."""
DEAD_WATTS = 0.3
"""Above this a feed that reads back off is not off: a welded contact. Untuned."""
DRAIN_PATIENCE = 10.0
"""A feed is given so many times ``min_off_s`` to drain before it is switched on again. Untuned."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done for an operation, once."""

    operation: str
    step: Step
    verb: Literal["halt", "reboot", "switch"]
    target: str
    """A node for halt and reboot, an outlet for switch."""
    on: bool | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the action that the current step ordered."""

    step: Step
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the operation's node."""

    outlet_on: bool | None
    """Read back, fresh; ``None``: not known."""
    read_back_at: float | None
    """When, on the engine's clock."""
    watts: Reading
    """Of its own feed."""
    volts: Reading
    os: Os
    boot_id: str | None
    heard: float | None
    """When it last answered well."""
    can_halt: bool
    can_be_seen: bool
    """Whether there is a load source, so that coming back can be seen."""
    halted_watts: float
    admitted: bool
    """Whether the rail has room for this node's inrush now (:func:`admit`)."""
    off_since: float | None
    """When its feed was last seen to go off."""

    @property
    def draw(self) -> float | None:
        """Watts through its feed, whichever way the shunt was soldered in; ``None``: not known."""
        watts = self.watts.fresh
        return abs(watts) if watts is not None and math.isfinite(watts) else None

    def seen_since(self, moment: float) -> bool | None:
        """The read-back, if it was taken at ``moment`` or later."""
        late = self.read_back_at is not None and self.read_back_at >= moment
        return self.outlet_on if late else None


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, already widened for the engine's speed."""

    halt_s: float
    halt_deadline_s: float
    quiet_s: float
    verify_s: float
    min_off_s: float
    boot_s: float


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. Times are engine seconds unless the name says wall."""

    id: str
    kind: Kind
    target: str
    outlet: str | None
    force: bool
    by: str
    reason: str
    started_wall: float
    expires: float
    cut_at_deadline: bool = False
    """Set by the shutdown: energy will not wait for a node that hangs."""
    state: OpState = OpState.PENDING
    step: Step | None = None
    entered: float = 0.0
    ordered: float | None = None
    """When the step's action was ordered."""
    outcome: Outcome | None = None
    quiet_since: float | None = None
    asked: float | None = None
    """When the node was asked to halt, by this process: halts are timed from here."""
    boot_before: str | None = None
    switched_on: float | None = None
    steps: tuple[StepRecord, ...] = ()
    error: str | None = None
    forced: str | None = None
    finished_wall: float | None = None
    halt_took_s: float | None = None
    """From the request to the proof; learned for the shutdown's budget."""

    @property
    def plan(self) -> tuple[Step, ...]:
        return PLANS[self.kind, self.force]

    @property
    def cancellable(self) -> bool:
        return not self.state.ended and (self.step is None or self.step in _CANCELLABLE)

    def view(self, wall_of_expiry: float) -> OperationState:
        """As the snapshot shows it."""
        return OperationState(
            id=self.id,
            kind=self.kind,
            target=self.target,
            state=self.state,
            step=self.step,
            steps=self.steps,
            started=self.started_wall,
            finished=self.finished_wall,
            error=self.error,
            forced=self.forced,
            by=self.by,
            reason=self.reason,
            expires=wall_of_expiry,
            cancellable=self.cancellable,
        )


# --- admission: inrush within the rail's budget ----------------------------------------------


@dataclass(frozen=True, slots=True)
class RailLoad:
    """A rail at one moment."""

    budget_amps: float
    drawn_amps: float
    """Measured, or the sum of what is known; never less than what is certainly there."""
    reserved_amps: float
    """For boards that were switched on a moment ago and whose inrush may still come."""


def admit(rail: RailLoad, inrush_amps: float) -> bool:
    """Whether a board with this inrush may be switched on now."""
    return rail.drawn_amps + rail.reserved_amps + inrush_amps <= rail.budget_amps


# --- the machine -----------------------------------------------------------------------------


def step(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, tuple[Action, ...]]:
    """Advance as far as the facts allow."""
    if op.state.ended:
        return op, ()
    if op.step is None:
        if now > op.expires:
            return _end(op, wall, OpState.CANCELLED, "expired before it could begin"), ()
        op = replace(op, state=OpState.RUNNING, boot_before=facts.boot_id)
        already = _already(op, facts)
        if already is not None:
            return _end(op, wall, OpState.DONE, note=already), ()
        if op.force and op.kind != "on":
            op = replace(op, forced=f"cut without a proven halt: forced by {op.by}")
        op = _enter(op, op.plan[0], now, wall)
    actions: list[Action] = []
    # One pass may cross several steps, but each at most once.
    for _ in range(len(op.plan) + 1):
        before = (op.step, op.state, op.ordered)
        op, action = _advance(op, now, wall, facts, limits)
        if action is not None:
            actions.append(action)
        if (op.step, op.state, op.ordered) == before or op.state.ended:
            break
    return op, tuple(actions)


def cancel(op: Op, wall: float, by: str) -> Op | None:
    """The cancelled operation, or ``None`` where it is too late."""
    if not op.cancellable:
        return None
    note = f"cancelled by {by}"
    if op.step is Step.PROVE_HALT or (op.step is Step.HALT and op.ordered is not None):
        note += "; the node had been asked to halt"
    if op.step is Step.ADMIT and Step.CUT in op.plan:
        note += "; its feed stays off"
    return _end(op, wall, OpState.CANCELLED, note)


def resume(op: Op, now: float) -> Op:
    """After a restart of hwctl. Whether an ordered action was carried out is not known.

    A request to halt or reboot is not repeated: its effect will be seen, or the limit passes. Only
    a shutdown asks again, since it would cut a node that was never asked. A switch is judged by
    its read-back; if that shows no change, the step before is taken up again, so that the halt is
    proven, or the rail has room, at the time of the new order.

    What has expired meanwhile cuts nothing without proof any more, whoever wanted it.
    """
    at = op.step
    if op.state.ended or at is None:
        return op
    op = replace(op, entered=now, quiet_since=None, asked=None)
    if now > op.expires:
        op = replace(op, cut_at_deadline=False)
    if op.ordered is None:
        return op
    if at is Step.HALT and op.cut_at_deadline:
        return replace(op, ordered=None, outcome=None)
    if at is Step.HALT or at is Step.REBOOT:
        return replace(op, ordered=now, outcome=Outcome(at))
    return replace(op, ordered=now, outcome=Outcome(at, RESTARTED))


def _already(op: Op, facts: Facts) -> str | None:
    if op.kind == "off" and facts.outlet_on is False:
        return "the feed was off already"
    if op.kind == "on" and facts.outlet_on is True:
        return "the feed was on already"
    return None


def _advance(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    match op.step:
        case Step.HALT | Step.REBOOT:
            return _ask(op, now, wall, facts, limits)
        case Step.PROVE_HALT:
            return _prove(op, now, wall, facts, limits)
        case Step.CUT:
            return _switch(op, now, wall, facts, limits, on=False)
        case Step.SWITCH_ON:
            return _switch(op, now, wall, facts, limits, on=True)
        case Step.VERIFY_OFF | Step.VERIFY_ON:
            return _verify(op, now, wall, facts, limits, on=op.step is Step.VERIFY_ON)
        case Step.DRAIN:
            return _drain(op, now, wall, facts, limits)
        case Step.ADMIT:
            return _admit(op, now, wall, facts, limits)
        case Step.CAME_BACK:
            return _came_back(op, now, wall, facts, limits)
        case None:
            return op, None


def _ask(op: Op, now: float, wall: float, facts: Facts, limits: Limits) -> tuple[Op, Action | None]:
    verb: Literal["halt", "reboot"] = "halt" if op.step is Step.HALT else "reboot"
    problem: str | None = None
    if op.step is Step.HALT and facts.outlet_on is False:
        # Somebody cut it by hand; the rest of the plan finds that in order.
        return _enter(op, Step.VERIFY_OFF, now, wall, "the feed was off already"), None
    watts = facts.draw
    silent = facts.os is not Os.UP and op.ordered is None
    if op.step is Step.HALT and silent and watts is not None and watts <= facts.halted_watts:
        return _next(op, now, wall, "it had halted already, by its draw"), None
    if not facts.can_halt:
        problem = f"no way to ask {op.target} to {verb} is configured"
    elif op.ordered is None:
        action = Action(op.id, op.step or Step.HALT, verb, op.target, cause=op.reason)
        asked = now if verb == "halt" else None
        return replace(op, ordered=now, outcome=None, asked=asked), action
    elif op.outcome is not None and op.outcome.error is not None:
        problem = op.outcome.error
    elif op.outcome is not None:
        return _next(op, now, wall, "asked"), None
    elif now - (op.ordered or now) > limits.halt_s:
        problem = f"{op.target} did not answer the request to {verb}"
    if problem is None:
        return op, None
    if op.step is Step.HALT and op.cut_at_deadline:
        # The node may be halting all the same; the proof, or the deadline, will tell.
        return _next(op, now, wall, problem), None
    return _fail(op, wall, f"{problem}; nothing was cut"), None


def _prove(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    if facts.outlet_on is False:
        return _enter(op, Step.VERIFY_OFF, now, wall, "the feed went off by itself"), None
    watts = facts.draw
    # Silence proves nothing: the network falls silent long before the last write. The draw does.
    answers = op.quiet_since is not None and (facts.heard or 0.0) > op.quiet_since
    if watts is not None and watts <= facts.halted_watts and not answers:
        since = op.quiet_since if op.quiet_since is not None else now
        if facts.watts.taken - since >= limits.quiet_s:
            took = None if op.asked is None else now - op.asked
            note = f"its feed has drawn {watts:.2f} W or less for {limits.quiet_s:.0f} s"
            return _next(replace(op, halt_took_s=took, quiet_since=None), now, wall, note), None
        op = replace(op, quiet_since=since)
    else:
        # Not known is not quiet either: the node may have come up again unseen.
        op = replace(op, quiet_since=None)
    if now - op.entered <= limits.halt_deadline_s:
        return op, None
    if watts is not None:
        why = f"{op.target} still draws {watts:.1f} W {limits.halt_deadline_s:.0f} s after the call"
    else:
        why = f"nothing proves that {op.target} has halted: its feed's draw is not known"
    if op.cut_at_deadline:
        return _next(replace(op, forced=f"cut at the deadline: {why}"), now, wall, why), None
    return _fail(op, wall, f"{why}; nothing was cut"), None


def _switch(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits, *, on: bool
) -> tuple[Op, Action | None]:
    step_now = Step.SWITCH_ON if on else Step.CUT
    if op.outlet is None:
        return _fail(op, wall, f"{op.target} has no outlet"), None
    if op.ordered is None:
        if on and not facts.admitted:
            return _enter(op, Step.ADMIT, now, wall, "the rail's headroom was taken"), None
        cause = op.forced or op.reason
        action = Action(op.id, step_now, "switch", op.outlet, on=on, cause=cause)
        op = replace(op, ordered=now, outcome=None)
        return (replace(op, switched_on=now) if on else op), action
    if op.outcome is not None and op.outcome.error is None:
        return _next(op, now, wall), None
    if op.outcome is None and now - op.ordered <= 2 * limits.verify_s:
        return op, None
    # It failed, or nobody knows: only a reading taken since tells whether it was carried out.
    error = op.outcome.error if op.outcome is not None else None
    problem = error or f"{op.outlet} did not answer the order"
    waited = now - op.ordered
    seen = facts.seen_since(math.nextafter(op.ordered, math.inf))
    if seen is on:
        return _next(op, now, wall, f"carried out, although: {problem}"), None
    if waited <= (limits.verify_s if seen is not None else _patience(op, limits)):
        return op, None
    if seen is None:
        return _fail(op, wall, f"{problem}; {op.outlet} cannot be read back"), None
    if error != RESTARTED:
        return _fail(op, wall, problem), None
    if not on and now > op.expires:
        return _fail(op, wall, "expired while hwctl was down; nothing was cut"), None
    back = Step.ADMIT if on else (Step.CUT if op.forced else Step.PROVE_HALT)
    return _enter(op, back, now, wall, "not carried out before the restart"), None


def _patience(op: Op, limits: Limits) -> float:
    """Seconds until an outlet must be readable.

    Longer where the node is to come on again: giving up in between would leave it off.
    """
    return limits.boot_s if op.plan[-1] is Step.CAME_BACK else 2 * limits.verify_s


def _verify(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits, *, on: bool
) -> tuple[Op, Action | None]:
    waited = now - op.entered
    seen = facts.seen_since(op.entered)
    if seen is not on:
        if waited <= (limits.verify_s if seen is not None else _patience(op, limits)):
            return op, None
        order = f"{op.outlet} was switched {'on' if on else 'off'}"
        said = {True: "on", False: "off", None: "not at all"}[seen]
        return _fail(op, wall, f"{order} but reads back {said}"), None
    watts = facts.draw
    if not on and watts is not None:
        # The read-back is that of a coil or a pin; the current shows what the contact does.
        newer = facts.watts.taken > op.entered
        if waited <= limits.verify_s and (not newer or watts > DEAD_WATTS):
            return op, None
        if newer and watts > DEAD_WATTS:
            why = f"{op.outlet} reads back off, but {watts:.1f} W still flow through it"
            return _fail(op, wall, why), None
    return _next(op, now, wall, "read back " + ("on" if on else "off")), None


def _drain(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    dead_for = now - (facts.off_since if facts.off_since is not None else op.entered)
    volts = facts.volts.fresh
    if dead_for < limits.min_off_s:
        return op, None
    if volts is not None and volts > DEAD_VOLTS:
        if now - op.entered <= DRAIN_PATIENCE * limits.min_off_s:
            return op, None
        # Left off it would help nobody; whether it has restarted, its next boot tells.
        note = f"{volts:.2f} V remain on the feed: the board may have kept running"
        return _next(op, now, wall, note), None
    note = f"dead for {dead_for:.0f} s" if volts is None else f"down to {volts:.2f} V"
    return _next(op, now, wall, note), None


def _admit(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    # A node that hwctl itself has cut comes on however late it has become.
    if now > op.expires and Step.CUT not in op.plan:
        return _end(op, wall, OpState.CANCELLED, "expired while waiting for headroom"), None
    if facts.off_since is not None and now - facts.off_since < limits.min_off_s:
        return op, None
    if not facts.admitted:
        return op, None
    return _next(op, now, wall), None


def _came_back(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    watts = facts.draw
    if facts.can_be_seen:
        heard = facts.heard is not None and facts.heard > op.entered
        new_boot = facts.boot_id is not None and facts.boot_id != op.boot_before
        if heard and new_boot:
            return _end(op, wall, OpState.DONE, note=_answers(op)), None
        if heard and facts.boot_id is None and op.boot_before is None:
            return _end(op, wall, OpState.DONE, note="answers; it tells no boot id"), None
    elif watts is not None and watts > facts.halted_watts:
        return _end(op, wall, OpState.DONE, note=f"draws {watts:.1f} W; it cannot be asked"), None
    elif facts.watts.value is None and facts.outlet_on:
        return _end(op, wall, OpState.DONE, note="its feed is on; no more can be told"), None
    if facts.outlet_on is False and op.kind != "reset":
        return _fail(op, wall, f"{op.outlet} went off again"), None
    if now - op.entered > limits.boot_s:
        return _fail(op, wall, f"{op.target} did not come back within {limits.boot_s:.0f} s"), None
    return op, None


def _answers(op: Op) -> str:
    if op.boot_before is None and Step.CUT not in op.plan:
        return "answers; which boot it was before is not known, so it may not have rebooted"
    return "answers, with a new boot"


def _enter(op: Op, to: Step, now: float, wall: float, note: str = "") -> Op:
    return replace(
        op,
        step=to,
        entered=now,
        ordered=None,
        outcome=None,
        quiet_since=None,
        steps=(*_close(op.steps, wall, note), StepRecord(to, wall)),
    )


def _next(op: Op, now: float, wall: float, note: str = "") -> Op:
    plan = op.plan
    index = plan.index(op.step) + 1 if op.step in plan else len(plan)
    if index >= len(plan):
        return _end(op, wall, OpState.DONE, note=note)
    return _enter(op, plan[index], now, wall, note)


def _end(op: Op, wall: float, state: OpState, error: str | None = None, note: str = "") -> Op:
    return replace(
        op,
        state=state,
        error=error,
        finished_wall=wall,
        steps=_close(op.steps, wall, note or (error or "")),
    )


def _fail(op: Op, wall: float, error: str) -> Op:
    return _end(op, wall, OpState.FAILED, error)


def _close(steps: tuple[StepRecord, ...], wall: float, note: str) -> tuple[StepRecord, ...]:
    if not steps or steps[-1].finished is not None:
        return steps
    last = replace(steps[-1], finished=wall, note=note)
    return (*steps[:-1], last)
