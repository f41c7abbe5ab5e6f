"""Operations that switch a node's power: what comes next, and why it may.

Pure: :func:`step` looks at one operation and the facts of its node and says what the operation is
now and what is to be done. The engine journals each action before it does it and hands the
outcome back as a fact. An action is ordered once per step; what became of a switch is decided by
the read-back, never by what was ordered or by what the device said: a device that reports an
error may have switched all the same.

A feed is cut only when the halt is proven by the draw on that very feed, when the operator forced
it, or when a shutdown's deadline passed; the latter two are recorded as a risk in ``forced``.
"""

import math
from dataclasses import replace
from typing import Literal

from hwctl.model.rig import OpState, Os
from hwctl.policy.operation import (
    Action,
    Facts,
    Limits,
    Op,
    Outcome,
    Step,
    end,
    enter,
    fail,
    go_on,
)

RESTARTED = "hwctl was restarted meanwhile"
"""The outcome of an action that was ordered by a process which is gone."""
DEAD_VOLTS = 0.5
"""A feed below this has let go of its board (untuned)."""
DEAD_WATTS = 0.3
"""Above this a feed that reads back off is not off: a welded contact. Untuned."""
DRAIN_PATIENCE = 10.0
"""A feed is given so many times ``min_off_s`` to drain before it is switched on again. Untuned."""


def step(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, tuple[Action, ...]]:
    """Advance as far as the facts allow."""
    if op.state.ended:
        return op, ()
    if op.step is None:
        if now > op.expires:
            return end(op, wall, OpState.CANCELLED, "expired before it could begin"), ()
        op = replace(op, state=OpState.RUNNING, boot_before=facts.boot_id)
        already = _already(op, facts)
        if already is not None:
            return end(op, wall, OpState.DONE, note=already), ()
        if op.force and op.kind != "on":
            op = replace(op, forced=f"cut without a proven halt: forced by {op.by}")
        op = enter(op, op.plan[0], now, wall)
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
    if op.switched_on is not None:
        op = replace(op, switched_on=now)
    return replace(op, ordered=now, outcome=Outcome(at, RESTARTED))


def _already(op: Op, facts: Facts) -> str | None:
    if op.kind == "off" and facts.seen_off:
        return "the feed was off already"
    if op.kind == "on" and facts.outlet_on is True and not facts.assumed:
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
        case Step.CYCLE:
            return _cycle(op, now, wall, facts, limits)
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
    if op.step is Step.HALT and facts.seen_off:
        # Somebody cut it by hand; the rest of the plan finds that in order.
        return enter(op, Step.VERIFY_OFF, now, wall, "the feed was off already"), None
    watts = facts.draw
    silent = facts.os is not Os.UP and op.ordered is None
    if op.step is Step.HALT and silent and watts is not None and watts <= facts.halted_watts:
        return go_on(op, now, wall, "it had halted already, by its draw"), None
    if op.ordered is None and facts.waits_for is not None:
        if now > op.expires:
            why = f"expired while waiting for {facts.waits_for} to be down"
            return end(op, wall, OpState.CANCELLED, why), None
        return op, None
    if not facts.can_halt or (verb == "reboot" and not facts.can_reboot):
        problem = f"no way to ask {op.target} to {verb} is configured"
    elif op.ordered is None:
        action = Action(op.id, op.step or Step.HALT, verb, op.target, cause=op.reason)
        if facts.os is Os.UP and watts is not None and watts <= facts.halted_watts:
            op = replace(op, blind=True)
        asked = now if verb == "halt" else None
        return replace(op, ordered=now, outcome=None, asked=asked), action
    elif op.outcome is not None and op.outcome.error is not None:
        problem = op.outcome.error
    elif op.outcome is not None:
        return go_on(op, now, wall, "asked"), None
    elif now - (op.ordered or now) > limits.halt_s:
        problem = f"{op.target} did not answer the request to {verb}"
    if problem is None:
        return op, None
    if op.step is Step.HALT and op.cut_at_deadline:
        # The node may be halting all the same; the proof, or the deadline, will tell.
        return go_on(op, now, wall, problem), None
    return fail(op, wall, f"{problem}; nothing was cut"), None


def _prove(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    if facts.seen_off:
        # Of a timed cycle, too: its device will not cycle what is off, and switch-on does the rest.
        return enter(op, Step.VERIFY_OFF, now, wall, "the feed went off by itself"), None
    watts = None if op.blind else facts.draw
    # Silence proves nothing: the network falls silent long before the last write. The draw does.
    answers = op.quiet_since is not None and (facts.heard or 0.0) > op.quiet_since
    if watts is not None and watts <= facts.halted_watts and not answers:
        since = op.quiet_since if op.quiet_since is not None else now
        if facts.watts.taken - since >= limits.quiet_s:
            took = None if op.asked is None else now - op.asked
            note = f"its feed has drawn {watts:.2f} W or less for {limits.quiet_s:.0f} s"
            return go_on(replace(op, halt_took_s=took, quiet_since=None), now, wall, note), None
        op = replace(op, quiet_since=since)
    else:
        # Not known is not quiet either: the node may have come up again unseen.
        op = replace(op, quiet_since=None)
    if now - op.entered <= limits.halt_deadline_s:
        return op, None
    if op.blind:
        why = (
            f"nothing proves that {op.target} has halted: its meter showed next to nothing while "
            "it was up, so it is broken or another feed's"
        )
    elif watts is not None:
        why = f"{op.target} still draws {watts:.1f} W {limits.halt_deadline_s:.0f} s after the call"
    else:
        why = f"nothing proves that {op.target} has halted: its feed's draw is not known"
    if op.cut_at_deadline:
        return go_on(replace(op, forced=f"cut at the deadline: {why}"), now, wall, why), None
    return fail(op, wall, f"{why}; nothing was cut"), None


def _switch(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits, *, on: bool
) -> tuple[Op, Action | None]:
    step_now = Step.SWITCH_ON if on else Step.CUT
    if op.outlet is None:
        return fail(op, wall, f"{op.target} has no outlet"), None
    if op.ordered is None:
        if on and op.timed and op.switched_on is None:
            # The device does it by itself; it is helped only if it does not.
            if facts.seen_since(op.entered) is True:
                return go_on(op, now, wall, "the device switched on by itself"), None
            if now - op.entered <= _off_s(limits) + limits.verify_s:
                return op, None
        if on and not facts.admitted:
            if op.timed:
                return op, None
            return enter(op, Step.ADMIT, now, wall, "the rail's headroom was taken"), None
        if not on and _too_late(op, now, limits):
            return fail(op, wall, "its time is long over; nothing was cut"), None
        cause = op.forced or op.reason
        action = Action(op.id, step_now, "switch", op.outlet, on=on, cause=cause)
        op = replace(op, ordered=now, outcome=None)
        if on and op.switched_on is None:
            op = replace(op, switched_on=now)
        return op, action
    if op.outcome is not None and op.outcome.error is None:
        return go_on(op, now, wall), None
    if op.outcome is None and now - op.ordered <= 2 * limits.verify_s + facts.takes_s:
        return op, None
    # It failed, or nobody knows: only a reading taken since tells whether it was carried out.
    error = op.outcome.error if op.outcome is not None else None
    problem = error or f"{op.outlet} did not answer the order"
    undelivered = op.outcome is not None and op.outcome.undelivered
    waited = now - op.ordered
    seen = None if facts.assumed else facts.seen_since(math.nextafter(op.ordered, math.inf))
    if seen is on:
        return go_on(op, now, wall, f"carried out, although: {problem}"), None
    if facts.assumed and not undelivered and (result := _lost(op, now, wall, facts, limits, on=on)):
        return result, None
    if on and op.cuts and waited > limits.verify_s and (undelivered or seen is False):
        # hwctl itself has cut it: it is tried again as long as a boot may take.
        first = op.switched_on if op.switched_on is not None else op.ordered
        if now - first <= limits.boot_s:
            again = enter(op, Step.SWITCH_ON, now, wall, f"{problem}; tried again")
            return replace(again, switched_on=first), None
    if undelivered and not (on and op.cuts):
        return fail(op, wall, f"{problem}; nothing was switched"), None
    lost = error != RESTARTED and facts.unread_at is not None and facts.unread_at > op.ordered
    if seen is None and lost and op.plan[-1] is not Step.CAME_BACK:
        return fail(op, wall, f"{problem}; it cannot be read back either"), None
    if waited <= (limits.verify_s if seen is not None else _patience(op, limits)):
        return op, None
    if seen is None:
        return fail(op, wall, f"{problem}; {op.outlet} cannot be read back"), None
    if error != RESTARTED:
        return fail(op, wall, problem), None
    if not on and now > op.expires:
        return fail(op, wall, "expired while hwctl was down; nothing was cut"), None
    if on and op.timed:
        return enter(op, Step.SWITCH_ON, now, wall, "not carried out before the restart"), None
    back = Step.ADMIT if on else (Step.CUT if op.forced else Step.PROVE_HALT)
    return enter(op, back, now, wall, "not carried out before the restart"), None


def _lost(op: Op, now: float, wall: float, facts: Facts, limits: Limits, *, on: bool) -> Op | None:
    """What becomes of an order that may have been carried out, where nothing can be read back.

    The draw tells, where it is measured; else, after a restart or where hwctl itself has cut, the
    order is given again, which changes nothing if it had been carried out.
    """
    restarted = op.outcome is not None and op.outcome.error == RESTARTED
    newer = op.ordered is not None and facts.watts.taken > op.ordered
    if facts.draw is not None and newer and (facts.draw > DEAD_WATTS) is on and not op.blind:
        return go_on(op, now, wall, f"its feed draws {facts.draw:.1f} W")
    if not facts.repeatable:
        return None
    if not on and restarted and now > op.expires:
        return fail(op, wall, "expired while hwctl was down; it is not ordered again")
    first = op.switched_on if op.switched_on is not None else now
    waited = now - (op.ordered or now) > limits.verify_s
    if on and (restarted or op.cuts) and waited and now - first <= limits.boot_s:
        again = enter(op, Step.SWITCH_ON, now, wall, "ordered again: it cannot be read back")
        return replace(again, switched_on=first)
    if not on and restarted:
        back = Step.CUT if op.forced else Step.PROVE_HALT
        return enter(op, back, now, wall, "looked at again: it cannot be read back")
    return None


def _too_late(op: Op, now: float, limits: Limits) -> bool:
    """Whether even a command that began at the last moment would have cut by now."""
    return now > op.expires + limits.halt_s + limits.halt_deadline_s + 2 * limits.verify_s


def _off_s(limits: Limits) -> float:
    """How long a device that cycles by itself stays off: long enough to be seen off."""
    return max(limits.min_off_s, 2 * limits.verify_s)


def _cycle(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    if op.outlet is None:
        return fail(op, wall, f"{op.target} has no outlet"), None
    if op.ordered is None:
        if _too_late(op, now, limits):
            return fail(op, wall, "its time is long over; nothing was cut"), None
        if not facts.admitted:
            return enter(op, Step.ADMIT, now, wall, "the rail's headroom was taken"), None
        cause = op.forced or op.reason
        action = Action(op.id, Step.CYCLE, "cycle", op.outlet, off_s=_off_s(limits), cause=cause)
        return replace(op, ordered=now, outcome=None), action
    if op.outcome is not None and op.outcome.error is None:
        return go_on(op, now, wall), None
    if op.outcome is None and now - op.ordered <= 2 * limits.verify_s + facts.takes_s:
        return op, None
    error = op.outcome.error if op.outcome is not None else None
    problem = error or f"{op.outlet} did not answer the order"
    if op.outcome is not None and op.outcome.undelivered:
        return fail(op, wall, f"{problem}; nothing was switched"), None
    seen = facts.seen_since(math.nextafter(op.ordered, math.inf))
    if seen is False and not facts.assumed:
        return go_on(op, now, wall, f"carried out, although: {problem}"), None
    # On: either it has not begun, or it is over. The node's boot tells which.
    heard = facts.heard is not None and facts.heard > op.ordered
    if heard and facts.boot_id is not None and facts.boot_id != op.boot_before:
        return enter(op, Step.CAME_BACK, now, wall, "it has booted anew meanwhile"), None
    waited = now - op.ordered
    # A board that had been switched on anew would boot, and draw more.
    quiet = facts.draw is not None and facts.draw <= facts.halted_watts
    over = waited > _off_s(limits) + limits.verify_s
    if (heard or quiet) and over and error == RESTARTED:
        if now > op.expires:
            return fail(op, wall, "expired while hwctl was down; nothing was cut"), None
        back = Step.ADMIT if op.forced else Step.PROVE_HALT
        return enter(op, back, now, wall, "not carried out before the restart"), None
    if waited <= (limits.boot_s if facts.can_be_seen else _off_s(limits) + limits.verify_s):
        return op, None
    return fail(op, wall, f"{problem}; whether it was cycled cannot be told"), None


def _patience(op: Op, limits: Limits) -> float:
    """Seconds until an outlet must be readable.

    Longer where the node is to come on again: giving up in between would leave it off.
    """
    return limits.boot_s if op.plan[-1] is Step.CAME_BACK else 2 * limits.verify_s


def _verify(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits, *, on: bool
) -> tuple[Op, Action | None]:
    waited = now - op.entered
    if facts.assumed:
        return _assume(op, now, wall, facts, limits, on=on), None
    since = op.switched if op.switched is not None else op.entered
    seen = facts.seen_since(since)
    if seen is not on and op.timed and not on and waited > limits.verify_s and facts.can_be_seen:
        return go_on(op, now, wall, "it was not seen off; its boot will tell"), None
    if seen is not on:
        if waited <= (limits.verify_s if seen is not None else _patience(op, limits)):
            return op, None
        order = f"{op.outlet} was switched {'on' if on else 'off'}"
        said = {True: "on", False: "off", None: "not at all"}[seen]
        return fail(op, wall, f"{order} but reads back {said}"), None
    watts = facts.draw
    if not on and watts is not None:
        # The read-back is that of a coil or a pin; the current shows what the contact does.
        newer = facts.watts.taken > since
        if waited <= limits.verify_s and (not newer or watts > DEAD_WATTS):
            return op, None
        if newer and watts > DEAD_WATTS:
            why = f"{op.outlet} reads back off, but {watts:.1f} W still flow through it"
            return fail(op, wall, why), None
    return go_on(op, now, wall, "read back " + ("on" if on else "off")), None


def _assume(op: Op, now: float, wall: float, facts: Facts, limits: Limits, *, on: bool) -> Op:
    """The device cannot tell; the draw on the feed can, where it is measured."""
    watts = facts.draw
    if watts is None:
        return go_on(op, now, wall, "assumed: this outlet cannot be read back")
    newer = facts.watts.taken > op.entered
    if newer and (watts > DEAD_WATTS) is on:
        return go_on(op, now, wall, f"its feed draws {watts:.1f} W")
    if now - op.entered <= limits.verify_s:
        return op
    if not on:
        order = f"{op.outlet} was switched off"
        return fail(op, wall, f"{order}, but {watts:.1f} W still flow through it")
    return go_on(op, now, wall, "assumed: this outlet cannot be read back, and nothing flows")


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
        return go_on(op, now, wall, note), None
    note = f"dead for {dead_for:.0f} s" if volts is None else f"down to {volts:.2f} V"
    return go_on(op, now, wall, note), None


def _admit(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    if facts.shutting_down and op.timed and not op.cuts:
        return end(op, wall, OpState.CANCELLED, "the rig is being shut down"), None
    # A node that hwctl itself has cut comes on however late it has become.
    if now > op.expires and not op.cuts:
        what = facts.waits_for or "headroom"
        return end(op, wall, OpState.CANCELLED, f"expired while waiting for {what}"), None
    if facts.off_since is not None and now - facts.off_since < limits.min_off_s:
        return op, None
    if not facts.admitted or (facts.waits_for is not None and not op.cuts):
        return op, None
    return go_on(op, now, wall), None


def _came_back(
    op: Op, now: float, wall: float, facts: Facts, limits: Limits
) -> tuple[Op, Action | None]:
    watts = facts.draw
    if facts.can_be_seen:
        heard = facts.heard is not None and facts.heard > op.entered
        new_boot = facts.boot_id is not None and facts.boot_id != op.boot_before
        if heard and new_boot:
            return end(op, wall, OpState.DONE, note=_answers(op)), None
        if heard and facts.boot_id is None and op.boot_before is None:
            return end(op, wall, OpState.DONE, note="answers; it tells no boot id"), None
    elif watts is not None and watts > facts.halted_watts:
        return end(op, wall, OpState.DONE, note=f"draws {watts:.1f} W; it cannot be asked"), None
    elif facts.watts.value is None and facts.outlet_on:
        return end(op, wall, OpState.DONE, note="its feed is on; no more can be told"), None
    if facts.seen_off and op.kind != "reset":
        return fail(op, wall, f"{op.outlet} went off again"), None
    if now - op.entered > limits.boot_s:
        return fail(op, wall, f"{op.target} did not come back within {limits.boot_s:.0f} s"), None
    return op, None


def _answers(op: Op) -> str:
    if op.boot_before is None and Step.CUT not in op.plan:
        return "answers; which boot it was before is not known, so it may not have rebooted"
    return "answers, with a new boot"
