"""Operations as the engine runs them: admitted, journalled, stepped, ordered, resumed.

One operation holds a node from its first step to its last; a second command is refused with the
id of the first. The rules of each step are :mod:`hwctl.policy.power`'s.
"""

import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hwctl.engine.clock import Clock
from hwctl.engine.journal import Journal
from hwctl.engine.power_facts import SHUTDOWN
from hwctl.engine.writer import Writer
from hwctl.model.errors import (
    HwctlError,
    JournalUnavailableError,
    NotPossibleError,
    RequestError,
    TargetBusyError,
    UnknownTargetError,
)
from hwctl.model.rig import OperationState, OpState
from hwctl.policy import power
from hwctl.policy.operation import Action, Facts, Kind, Limits, Op, Outcome, Step, cancel

KEPT_ENDED = 200
HOUR_S = 3600.0

Done = Callable[[HwctlError | None], None]
Order = Callable[[Action, Done], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A node, its outlet, and whether that performs a cycle by itself."""

    node: str
    outlet: str | None
    timed: bool = False


class Emit(Protocol):
    def __call__(self, kind: str, subject: str, text: str, severity: str = "info") -> None: ...


def _asked(kind: Kind, nodes: Sequence[str], force: bool) -> str:
    """What a command was, to be kept with its idempotency key."""
    return f"{kind} {' '.join(nodes)} {force}"


class Desk:
    """All operations of the rig."""

    def __init__(
        self, clock: Clock, journal: Journal, writer: Writer, order: Order, emit: Emit
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._writer = writer
        self._order = order
        self._emit = emit
        self._lock = threading.Lock()
        self._ops: dict[str, Op] = {}
        self._held: dict[str, str] = {}
        self._outcomes: list[tuple[str, Outcome]] = []
        self._cuts: dict[str, list[float]] = {}

    # --- from any thread ---

    def begin(
        self,
        kind: Kind,
        targets: Sequence[Target],
        *,
        force: bool,
        by: str,
        reason: str,
        expiry_s: float,
        cycles_per_hour: int,
        origin: str = "",
        key: str | None = None,
    ) -> list[Op]:
        """Journal new operations, one per node, and take them up at the next tick; all or none.

        ``key``: kept with them, for :meth:`again`.

        :raises TargetBusyError: another operation holds one of the nodes.
        :raises NotPossibleError: one has been cycled too often.
        :raises JournalUnavailableError: they could not be written, so they do not begin.
        """
        asked = _asked(kind, [target.node for target in targets], force)
        now, wall = self._clock.now(), self._clock.wall()
        ops = [
            Op(
                id=f"op-{secrets.token_hex(5)}",
                kind=kind,
                target=target.node,
                outlet=target.outlet,
                force=force,
                by=by,
                reason=reason,
                started_wall=wall,
                expires=now + expiry_s,
                origin=origin,
                timed=target.timed,
                cut_at_deadline=by == SHUTDOWN,
            )
            for target in targets
        ]
        with self._lock:
            for op in ops:
                self._check_free(op.target)
                # Off and on by two commands are a cycle, too; off alone is never refused.
                spared = kind == "off" or by == SHUTDOWN or (kind == "on" and force)
                if not spared:
                    self._check_rate(op.target, now, cycles_per_hour)
            # The nodes are held from here on, and the disk is waited for without the lock.
            self._held.update({op.target: op.id for op in ops})
        try:
            self._journal.save(ops, wall - now, None if key is None else (key, asked))
        except JournalUnavailableError:
            with self._lock:
                for op in ops:
                    del self._held[op.target]
            raise
        with self._lock:
            self._ops.update({op.id: op for op in ops})
        for op in ops:
            self._tell_begun(op)
        return ops

    def again(self, kind: Kind, nodes: Sequence[str], force: bool, key: str) -> list[Op] | None:
        """The operations that this very command has begun before, by its idempotency key.

        :raises RequestError: the key was another command's.
        :raises UnknownTargetError: that was so long ago that they are forgotten.
        """
        known = self._journal.by_key(key)
        if known is None:
            return None
        if known[1] != _asked(kind, nodes, force):
            raise RequestError(
                "this Idempotency-Key was used for another command",
                hint="a new command needs a new key",
            )
        return [self.get(operation) for operation in known[0].split()]

    def _check_free(self, node: str) -> None:
        holder = self._held.get(node)
        if holder is not None:
            kind = f"{self._ops[holder].kind} " if holder in self._ops else ""
            raise TargetBusyError(
                f"{node} is held by {kind}operation {holder}",
                operation=holder,
                where=node,
                hint=f"wait for it, or cancel it: DELETE /api/v1/operations/{holder}",
            )

    def _check_rate(self, node: str, now: float, cycles_per_hour: int) -> None:
        recent = [at for at in self._cuts.get(node, []) if now - at < HOUR_S]
        if len(recent) >= cycles_per_hour:
            raise NotPossibleError(
                f"{node} was cycled {len(recent)} times within the hour",
                where=node,
                hint="`power.cycles_per_hour` in the settings file is the limit",
            )

    def begin_unjournalled(self, node: str, outlet: str | None, reason: str, expiry_s: float) -> Op:
        """The shutdown's way while the journal cannot be written: the halt is asked for, since it
        saves data and harms nothing if it is forgotten; the cut will be refused."""
        now, wall = self._clock.now(), self._clock.wall()
        op = Op(
            id=f"op-{secrets.token_hex(5)}", kind="off", target=node, outlet=outlet, force=False,
            by=SHUTDOWN, reason=reason, started_wall=wall, expires=now + expiry_s,
            cut_at_deadline=True,
        )  # fmt: skip
        with self._lock:
            self._held[node] = op.id
            self._ops[op.id] = op
        self._tell_begun(op)
        return op

    def get(self, operation: str) -> Op:
        """:raises UnknownTargetError:"""
        with self._lock:
            op = self._ops.get(operation)
        if op is None:
            raise UnknownTargetError(
                f"no operation `{operation}`", hint="GET /api/v1/operations lists the latest"
            )
        return op

    def latest(self, limit: int) -> list[Op]:
        with self._lock:
            return list(self._ops.values())[::-1][:limit]

    def under_way(self) -> list[Op]:
        with self._lock:
            return [op for op in self._ops.values() if not op.state.ended]

    def holder(self, node: str) -> Op | None:
        with self._lock:
            held = self._held.get(node)
            return self._ops.get(held) if held is not None else None

    def cancel(self, operation: str, by: str) -> Op:
        """:raises NotPossibleError: it has ended, or its cut has been ordered."""
        with self._lock:
            op = self._ops.get(operation)
            if op is None:
                raise UnknownTargetError(f"no operation `{operation}`")
            cancelled = cancel(op, self._clock.wall(), by)
            if cancelled is None:
                why = (
                    f"it has ended ({op.state})"
                    if op.state.ended
                    else f"it is at `{op.step}`: once the feed is being switched it is carried "
                    "through, so that the node is not left in between"
                )
                raise NotPossibleError(f"{operation} cannot be cancelled: {why}", where=op.target)
            self._put(cancelled)
        self._ended(cancelled)
        return cancelled

    def view(self, op: Op) -> OperationState:
        return op.view(op.expires + self._clock.wall() - self._clock.now())

    # --- from the tick ---

    def step(
        self,
        facts_of: Callable[[Op], Facts],
        limits: Limits,
        switched_on: Callable[[Op, float], None],
    ) -> list[Op]:
        """Advance every operation under way. :returns: those that ended."""
        now, wall = self._clock.now(), self._clock.wall()
        self._take_outcomes()
        ended = []
        for op in self.under_way():
            after, actions = power.step(op, now, wall, facts_of(op), limits)
            if after is op:
                continue
            with self._lock:
                if self._ops.get(op.id) is not op:
                    continue  # cancelled in between: the cancellation stands
                self._put(after)
            changed = (after.step, after.state, after.ordered) != (op.step, op.state, op.ordered)
            if changed:
                self._save_later(after)
            for action in actions:
                if action.verb == "cycle" or (action.verb == "switch" and action.on):
                    switched_on(after, action.off_s)
                if action.step in (Step.CUT, Step.CYCLE):
                    self._cuts.setdefault(after.target, []).append(now)
                    self._tell_cut(after, action)
                self._act(after, action)
            if after.state.ended:
                self._ended(after)
                ended.append(after)
        return ended

    def resume(self, nodes: Collection[str], outlet_of: Mapping[str, str]) -> list[Op]:
        """Take up what was under way when the process ended.

        :param nodes: those that are wired.
        :param outlet_of: what feeds them now; an operation on another outlet would switch a node
            that nobody meant.

        :returns: the operations that go on, and those that had to end because their nodes are gone.
        """
        taken_up = []
        now, wall = self._clock.now(), self._clock.wall()
        node_of = {outlet: node for node, outlet in outlet_of.items()}
        for outlet, cut_wall in self._journal.cuts(wall - HOUR_S):
            if outlet in node_of:
                self._cuts.setdefault(node_of[outlet], []).append(cut_wall - wall + now)
        for stored in self._journal.load(wall - now, limit=KEPT_ENDED):
            op = stored
            moved = op.target not in nodes or op.outlet != outlet_of.get(op.target)
            if not op.state.ended and moved:
                gone = op.target not in nodes
                what = "is not in the wiring file any more" if gone else "has another outlet now"
                error = f"{op.target} {what}"
                op = replace(op, state=OpState.FAILED, error=error, finished_wall=wall)
                self._save_later(op)
                self._emit("power.failed", op.target, f"{op.kind} {op.id}: {error}", "critical")
                taken_up.append(op)
            elif not op.state.ended:
                op = power.resume(op, now)
                self._held[op.target] = op.id
                at = f" at {op.step}" if op.step else ""
                self._emit(
                    "power.resumed", op.target, f"{op.kind} {op.id} taken up again{at}", "warning"
                )
                taken_up.append(op)
            self._ops[op.id] = op
        return taken_up

    def wants(self, action: Action) -> bool:
        """Whether the operation still is at the step that ordered this; from any thread."""
        with self._lock:
            op = self._ops.get(action.operation)
            return op is not None and op.step is action.step and not op.state.ended

    def outcome(self, operation: str, outcome: Outcome) -> None:
        """What became of an action; from any thread."""
        with self._lock:
            self._outcomes.append((operation, outcome))

    # --- inside ---

    def _put(self, op: Op) -> None:
        self._ops[op.id] = op
        if op.state.ended:
            if self._held.get(op.target) == op.id:
                del self._held[op.target]
            ended = [key for key, other in self._ops.items() if other.state.ended]
            for key in ended[: max(0, len(ended) - KEPT_ENDED)]:
                del self._ops[key]

    def _take_outcomes(self) -> None:
        with self._lock:
            taken, self._outcomes = self._outcomes, []
            for operation, outcome in taken:
                op = self._ops.get(operation)
                if op is not None and op.step is outcome.step and op.ordered is not None:
                    self._ops[operation] = replace(op, outcome=outcome)

    def _save_later(self, op: Op) -> None:
        offset = self._clock.wall() - self._clock.now()

        def save() -> None:
            # As it is by now: a cancellation may have come between.
            with self._lock:
                latest = self._ops.get(op.id, op)
            try:
                self._journal.save([latest], offset)
            except JournalUnavailableError:
                return  # the snapshot shows the journal's problem; actions are refused one by one

        self._writer.submit(save)

    def _act(self, op: Op, action: Action) -> None:
        self._writer.submit(lambda: self._intend_and_order(op, action))

    def _intend_and_order(self, op: Op, action: Action) -> None:
        if not self.wants(action):
            return  # it waited too long for the journal, and its operation went on without it
        what = action.verb if action.on is None else f"switch {'on' if action.on else 'off'}"
        intent: int | None = None
        try:
            intent = self._journal.intent(
                op.id, action.step, f"{what} {action.target}", action.cause, self._clock.wall()
            )
        except JournalUnavailableError as error:
            if not (action.verb == "halt" and op.by == SHUTDOWN):
                self.outcome(op.id, Outcome(action.step, str(error)))
                return

        def done(error: HwctlError | None) -> None:
            said = None if error is None else str(error)
            undelivered = error is not None and error.undelivered
            if intent is not None:
                self._writer.submit(lambda: self._write_outcome(intent, said))
            self.outcome(op.id, Outcome(action.step, said, undelivered, self._clock.now()))

        self._order(action, done)

    def _write_outcome(self, intent: int, said: str | None) -> None:
        try:
            self._journal.outcome(intent, said or "done", self._clock.wall())
        except JournalUnavailableError:
            return

    def _ended(self, op: Op) -> None:
        self._save_later(op)
        severity = {OpState.DONE: "info", OpState.CANCELLED: "warning"}.get(op.state, "critical")
        text = f"{op.kind} {op.state}"
        if op.error:
            text += f": {op.error}"
        elif op.steps and op.steps[-1].note:
            text += f": {op.steps[-1].note}"
        self._emit(f"power.{op.state}", op.target, text, severity)

    def _tell_begun(self, op: Op) -> None:
        because = f": {op.reason}" if op.reason else ""
        forced = ", forced" if op.force else ""
        self._emit("power.begun", op.target, f"{op.kind}{forced} by {op.by}{because}")

    def _tell_cut(self, op: Op, action: Action) -> None:
        if op.forced:
            self._emit(
                "power.risk", op.target, f"{action.target} is cut at a risk: {op.forced}", "warning"
            )
