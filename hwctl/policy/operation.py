"""One operation on a node's power: its steps, what it has been told, and how it moves on.

    off     halt -> prove-halt -> cut -> verify-off
    on      admit -> switch-on -> verify-on -> came-back
    cycle   halt -> prove-halt -> cut -> verify-off -> drain -> admit -> switch-on -> verify-on
            -> came-back
    reset   reboot -> came-back
    forced  off and cycle begin at cut; reset is a forced cycle

A device that can go off and come on again by itself is left to do so, for that survives the death
of the head; the node's inrush is then admitted before the cut, and ``switch-on`` waits for the
device, and helps if it does not:

    cycle   halt -> prove-halt -> admit -> cycle -> verify-off -> switch-on -> verify-on
            -> came-back

What a step needs to go on is :mod:`hwctl.policy.power`'s.
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
    CYCLE = "cycle"
    VERIFY_OFF = "verify-off"
    DRAIN = "drain"
    ADMIT = "admit"
    SWITCH_ON = "switch-on"
    VERIFY_ON = "verify-on"
    REBOOT = "reboot"
    CAME_BACK = "came-back"


_OFF = (Step.HALT, Step.PROVE_HALT, Step.CUT, Step.VERIFY_OFF)
_TIMED = (
    Step.ADMIT,
    Step.CYCLE,
    Step.VERIFY_OFF,
    Step.SWITCH_ON,
    Step.VERIFY_ON,
    Step.CAME_BACK,
)
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
TIMED: dict[tuple[str, bool], tuple[Step, ...]] = {
    ("cycle", False): (*_OFF[:2], *_TIMED),
    ("cycle", True): _TIMED,
    ("reset", True): _TIMED,
}
"""The same where the outlet performs the cycle by itself."""

SWITCHING = frozenset({Step.CUT, Step.CYCLE, Step.VERIFY_OFF, Step.SWITCH_ON, Step.VERIFY_ON})
"""Steps that wait for what an outlet does or says."""
_CANCELLABLE = frozenset({Step.HALT, Step.PROVE_HALT, Step.ADMIT, Step.REBOOT})


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done for an operation, once."""

    operation: str
    step: Step
    verb: Literal["halt", "reboot", "switch", "cycle"]
    """``cycle``: off, and on again by the device itself."""
    target: str
    """A node for halt and reboot, an outlet for the others."""
    on: bool | None = None
    off_s: float = 0.0
    """Of a cycle."""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the action that the current step ordered."""

    step: Step
    error: str | None = None
    undelivered: bool = False
    """The device was not reached at all, so that it has certainly not switched."""
    at: float | None = None
    """When, on the engine's clock."""


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
    assumed: bool = False
    """The device cannot be read back: ``outlet_on`` is what was ordered last."""
    can_reboot: bool = True
    """Whether what can be asked to halt can be asked to reboot, too; a power button cannot."""
    unread_at: float | None = None
    """When its outlet was last asked in vain."""
    repeatable: bool = True
    """Whether the same order given twice does no more than once; a button pressed twice does."""
    takes_s: float = 0.0
    """How long an order to its outlet may take: a button is held down for seconds."""
    shutting_down: bool = False
    """A shutdown is under way, or has been: nothing comes on."""
    waits_for: str | None = None
    """Another node that must be up, or down, first; its operation is under way."""

    @property
    def draw(self) -> float | None:
        """Watts through its feed, whichever way the shunt was soldered in; ``None``: not known."""
        watts = self.watts.fresh
        return abs(watts) if watts is not None and math.isfinite(watts) else None

    def seen_since(self, moment: float) -> bool | None:
        """The read-back, if it was taken at ``moment`` or later."""
        late = self.read_back_at is not None and self.read_back_at >= moment
        return self.outlet_on if late else None

    @property
    def seen_off(self) -> bool:
        """Read back as off, by a device that can tell."""
        return self.outlet_on is False and not self.assumed


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
    origin: str = ""
    """Where its command came from; for the audit record."""
    timed: bool = False
    """Its outlet performs a cycle by itself."""
    cut_at_deadline: bool = False
    """Set by the shutdown: energy will not wait for a node that hangs."""
    state: OpState = OpState.PENDING
    step: Step | None = None
    entered: float = 0.0
    ordered: float | None = None
    """When the step's action was ordered."""
    outcome: Outcome | None = None
    switched: float | None = None
    """When the order of the step before was carried out."""
    quiet_since: float | None = None
    asked: float | None = None
    """When the node was asked to halt, by this process: halts are timed from here."""
    blind: bool = False
    """Its meter showed next to nothing while the node answered: it proves nothing."""
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
        if self.timed and (self.kind, self.force) in TIMED:
            return TIMED[self.kind, self.force]
        return PLANS[self.kind, self.force]

    @property
    def cuts(self) -> bool:
        """Whether it is one that has cut its node's feed, or is about to, to switch it on again."""
        at = self.plan.index(self.step) if self.step in self.plan else -1
        return any(step in self.plan[: at + 1] for step in (Step.CUT, Step.CYCLE))

    @property
    def cancellable(self) -> bool:
        if self.state.ended or (self.step is Step.ADMIT and self.cuts):
            return False
        return self.step is None or self.step in _CANCELLABLE

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


def cancel(op: Op, wall: float, by: str) -> Op | None:
    """The cancelled operation, or ``None`` where it is too late."""
    if not op.cancellable:
        return None
    note = f"cancelled by {by}"
    if op.step is Step.PROVE_HALT or (op.step is Step.HALT and op.ordered is not None):
        note += "; the node had been asked to halt"
    return end(op, wall, OpState.CANCELLED, note)


def enter(op: Op, to: Step, now: float, wall: float, note: str = "") -> Op:
    return replace(
        op,
        step=to,
        entered=now,
        ordered=None,
        outcome=None,
        switched=op.outcome.at if op.outcome is not None and op.outcome.error is None else None,
        quiet_since=None,
        steps=(*_close(op.steps, wall, note), StepRecord(to, wall)),
    )


def go_on(op: Op, now: float, wall: float, note: str = "") -> Op:
    plan = op.plan
    index = plan.index(op.step) + 1 if op.step in plan else len(plan)
    if index >= len(plan):
        return end(op, wall, OpState.DONE, note=note)
    return enter(op, plan[index], now, wall, note)


def end(op: Op, wall: float, state: OpState, error: str | None = None, note: str = "") -> Op:
    return replace(
        op,
        state=state,
        error=error,
        finished_wall=wall,
        steps=_close(op.steps, wall, note or (error or "")),
    )


def fail(op: Op, wall: float, error: str) -> Op:
    return end(op, wall, OpState.FAILED, error)


def _close(steps: tuple[StepRecord, ...], wall: float, note: str) -> tuple[StepRecord, ...]:
    if not steps or steps[-1].finished is not None:
        return steps
    last = replace(steps[-1], finished=wall, note=note)
    return (*steps[:-1], last)
