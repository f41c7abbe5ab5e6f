"""Operations on one node, against a board, a relay and a gauge that go wrong in every way."""

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.readings import ABSENT, Quality, Reading, ok
from hwctl.model.rig import OpState, Os
from hwctl.policy.admission import RailLoad, admit
from hwctl.policy.operation import PLANS, TIMED, Action, Facts, Limits, Op, Outcome, Step, cancel
from hwctl.policy.power import resume, step

LIMITS = Limits(
    halt_s=15.0, halt_deadline_s=60.0, quiet_s=5.0, verify_s=3.0, min_off_s=5.0, boot_s=60.0
)
LONGEST_S = 400.0
"""Longer than any operation may take with these limits, headroom given."""
WATTS = {"up": 4.0, "halting": 3.0, "halted": 1.1, "booting": 4.5, "off": 0.0}


@dataclass
class Board:
    """A node behind a relay and a meter. ``faults`` name what is wrong with it."""

    assumed: bool | None = None
    """What was ordered last, of an outlet that cannot be read back."""
    undelivered: bool = False
    """Whether a dead relay is one that was not reached at all."""
    waits_for: str | None = None
    shutting_down: bool = False
    takes_s: float = 0.0
    repeatable: bool = True

    faults: set[str] = field(default_factory=set)
    on: bool = True
    state: str = "up"
    now: float = 100.0
    since: float = 0.0
    boot: int = 1
    heard: float | None = None
    dirty: int = 0
    edges: list[bool] = field(default_factory=list)
    off_since: float | None = None
    admitted: bool = True
    on_at: float | None = None
    """When an outlet that cycles by itself switches on again."""
    pending: list[Action] = field(default_factory=list)
    """Ordered, and not yet carried out."""
    asked: list[str] = field(default_factory=list)

    def facts(self) -> Facts:
        watts = (
            0.1
            if "foreign meter" in self.faults
            else 0.0
            if not self.on and "welded" not in self.faults
            else WATTS[self.state]
        )
        volts = 5.1 if self.on or {"welded", "backfed"} & self.faults else 0.0
        meter = "no meter" not in self.faults
        seen = not self.on if "opposite" in self.faults else self.on
        blind = self.assumed is not None
        unread = "unreadable" in self.faults
        return Facts(
            outlet_on=self.assumed if blind else None if unread else seen,
            read_back_at=None if unread or blind else self.now,
            watts=ok(watts, self.now) if meter else ABSENT,
            volts=ok(volts, self.now) if meter else ABSENT,
            os=Os.UP if self.state == "up" and "deaf" not in self.faults else Os.UNREACHABLE,
            boot_id=str(self.boot),
            heard=self.heard,
            can_halt="no control" not in self.faults,
            can_be_seen="no exporter" not in self.faults,
            halted_watts=1.6,
            admitted=self.admitted,
            off_since=self.off_since,
            assumed=blind,
            unread_at=self.now if unread else None,
            waits_for=self.waits_for,
            shutting_down=self.shutting_down,
            takes_s=self.takes_s,
            repeatable=self.repeatable,
        )

    def live(self, dt: float) -> None:
        self.now += dt
        if self.on_at is not None and self.now >= self.on_at:
            self.on_at = None
            self.switch(True)
        age = self.now - self.since
        if self.state == "halting" and age >= 8 and "hang" not in self.faults:
            self._enter("booting" if "reboots" in self.faults or self._reboot else "halted")
        elif self.state == "booting" and age >= 20:
            self.boot += 1
            self._enter("up")
        if self.state == "up" and "deaf" not in self.faults:
            self.heard = self.now

    _reboot: bool = False

    def carry_out(self) -> list[Outcome]:
        done = []
        for action in self.pending:
            error = self._do(action)
            if self.assumed is not None and error is None and action.on is not None:
                self.assumed = action.on
            done.append(Outcome(action.step, error, error is not None and self.undelivered))
        self.pending = []
        return done

    def _do(self, action: Action) -> str | None:
        if action.verb == "cycle":
            return self.cycle(action.off_s)
        if action.verb != "switch":
            self.asked.append(action.verb)
            if self.state != "up" or "deaf" in self.faults:
                return "connection refused"
            self._reboot = action.verb == "reboot"
            self._enter("halting")
            return None
        if "dead relay" in self.faults:
            return "does not answer"
        if "stuck relay" not in self.faults:
            self.switch(bool(action.on))
        return "says no, but does" if "lying relay" in self.faults else None

    def cycle(self, off_s: float) -> str | None:
        """Off, and on again by itself."""
        if "dead relay" in self.faults:
            return "does not answer"
        self.switch(False)
        self.on_at = None if "forgets to switch on" in self.faults else self.now + off_s
        return None

    def switch(self, on: bool) -> None:
        if on == self.on:
            return
        self.on = on
        self.edges.append(on)
        self.off_since = None if on else self.now
        if "welded" in self.faults:
            return
        if on:
            self._enter("booting")
            return
        self.dirty += self.state in ("up", "halting", "booting")
        self._enter("off")

    def _enter(self, state: str) -> None:
        self.state = state
        self.since = self.now


def new(kind="cycle", **kwargs) -> Op:
    base = Op(
        id="op-1", kind=kind, target="pi1", outlet="feed1", force=False, by="ann", reason="why",
        started_wall=1e9, expires=700.0,
    )  # fmt: skip
    return replace(base, **kwargs)


def tick(op: Op, board: Board, dt: float = 0.5) -> Op:
    """One tick: the world moves, outcomes arrive, the policy speaks, orders go out."""
    for outcome in board.carry_out():
        if op.step is outcome.step and op.ordered is not None:
            op = replace(op, outcome=outcome)
    board.live(dt)
    op, actions = step(op, board.now, 1e9 + board.now, board.facts(), LIMITS)
    switches = [a for a in (*board.pending, *actions) if a.verb in ("switch", "cycle")]
    assert len(switches) <= 1, "a second order to switch while the first is unresolved"
    board.pending += actions
    return op


def run(op: Op, board: Board, most_s: float = LONGEST_S) -> Op:
    end = board.now + most_s
    while not op.state.ended:
        assert board.now < end, f"{op.kind} still at {op.step}"
        op = tick(op, board)
    return op


def run_to(op: Op, board: Board, to: Step) -> Op:
    """To the end of the tick that entered ``to``, which is made to last that long."""
    return approach(op, board, to)[1]


def approach(op: Op, board: Board, to: Step) -> tuple[Op, Op]:
    """(as it was a tick before, as it is at the step)."""
    end = board.now + LONGEST_S
    before = op
    while op.step is not to:
        assert not op.state.ended
        assert board.now < end
        if to is Step.ADMIT:
            board.admitted = False
        if to is Step.VERIFY_ON and op.step is Step.SWITCH_ON:
            board.faults.add("unreadable")
        before, op = op, tick(op, board)
    board.faults.discard("unreadable")
    return before, op


def names(op: Op) -> list[str]:
    return [record.name for record in op.steps]


# --- as it should go -------------------------------------------------------------------------


def test_cycle_tells_its_story():
    board = Board()
    op = run(new(), board)
    assert op.state is OpState.DONE
    assert names(op) == list(PLANS["cycle", False])
    assert [r.note for r in op.steps][:4] == [
        "asked", "its feed has drawn 1.10 W or less for 5 s", "", "read back off",
    ]  # fmt: skip
    assert op.steps[-1].note == "answers, with a new boot"
    assert all(r.finished is not None and r.finished >= r.started for r in op.steps)
    assert board.edges == [False, True]
    assert board.dirty == 0
    assert op.forced is None


def test_off_and_on_and_reset():
    board = Board()
    assert run(new("off"), board).state is OpState.DONE
    assert (board.on, board.dirty) == (False, 0)
    assert run(new("on"), board).state is OpState.DONE
    assert board.state == "up"
    boots = board.boot
    assert run(new("reset"), board).state is OpState.DONE
    assert (board.boot, board.edges) == (boots + 1, [False, True])


@pytest.mark.parametrize(("kind", "on"), [("off", False), ("on", True)])
def test_what_is_so_already_is_left_alone(kind, on):
    board = Board(on=on, state="up" if on else "off")
    op = run(new(kind), board)
    assert op.state is OpState.DONE
    assert board.edges == []


def test_cycle_of_a_node_that_is_off_turns_it_on():
    board = Board(on=False, state="off", off_since=0.0)
    op = run(new(), board)
    assert op.state is OpState.DONE
    assert board.asked == []
    assert "off already" in op.steps[0].note


def test_a_node_that_has_halted_already_is_not_asked_and_its_halt_is_not_timed():
    board = Board(state="halted", heard=50.0)
    op = run(new("off"), board)
    assert op.state is OpState.DONE
    assert board.asked == []
    assert op.halt_took_s is None


def test_a_halt_is_timed_from_the_request():
    board = Board()
    op = run(new("off"), board)
    # 8 s until it has halted, then 5 s of quiet.
    assert op.halt_took_s == pytest.approx(13.5, abs=1.0)


def test_drain_waits_for_the_volts_and_the_time():
    board = Board()
    op = run_to(new(), board, Step.DRAIN)
    began = board.now
    op = run_to(op, board, Step.SWITCH_ON)
    assert board.off_since is not None
    assert board.now - board.off_since >= LIMITS.min_off_s
    assert board.now - began <= LIMITS.min_off_s + 1


def test_a_feed_that_keeps_its_volts_comes_on_again_and_says_so():
    board = Board(faults={"backfed"})
    op = run(new(), board)
    assert op.state is OpState.DONE
    drain = next(r for r in op.steps if r.name == Step.DRAIN)
    assert "5.10 V remain" in drain.note
    assert drain.finished is not None
    assert drain.finished - drain.started == pytest.approx(10 * LIMITS.min_off_s, abs=1)


# --- proofs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang", "reboots", "no meter", "deaf", "no control"])
@pytest.mark.parametrize("kind", ["off", "cycle"])
def test_without_proof_nothing_is_cut(kind, fault):
    board = Board(faults={fault})
    op = run(new(kind), board)
    assert op.state is OpState.FAILED
    assert "nothing was cut" in (op.error or "")
    assert board.edges == []
    assert op.forced is None


@pytest.mark.parametrize("fault", ["hang", "reboots", "no meter", "deaf", "no control"])
def test_a_shutdown_cuts_at_the_deadline_and_says_at_what_risk(fault):
    board = Board(faults={fault})
    began = board.now
    op = run(new("off", cut_at_deadline=True), board)
    assert op.state is OpState.DONE
    assert "at the deadline" in (op.forced or "")
    assert board.now - began > LIMITS.halt_deadline_s
    assert board.edges == [False]


def test_force_cuts_at_once_and_says_who_forced_it():
    board = Board(faults={"hang"})
    op = run(new("off", force=True), board)
    assert op.state is OpState.DONE
    assert op.forced == "cut without a proven halt: forced by ann"
    assert names(op) == ["cut", "verify-off"]
    assert board.asked == []


def test_a_node_that_answers_has_not_halted_however_little_it_draws():
    board = Board(faults={"hang"})
    op = run_to(new("off"), board, Step.PROVE_HALT)
    while not op.state.ended:
        board.pending, board.heard = [], board.now
        board.now += 0.5
        facts = replace(board.facts(), watts=ok(1.0, board.now))
        op, actions = step(op, board.now, board.now, facts, LIMITS)
        assert not actions
    assert op.state is OpState.FAILED


def test_two_low_readings_with_nothing_known_between_are_no_proof():
    board = Board()
    op = run_to(new("off"), board, Step.PROVE_HALT)
    low, lost = ok(1.0, board.now), ABSENT
    op, _ = step(op, board.now, 0.0, replace(board.facts(), watts=low), LIMITS)
    for _ in range(20):
        board.now += 1.0
        op, _ = step(op, board.now, 0.0, replace(board.facts(), watts=lost), LIMITS)
    op, actions = step(op, board.now, 0.0, replace(board.facts(), watts=ok(1.0, board.now)), LIMITS)
    assert op.step is Step.PROVE_HALT
    assert not actions


def test_a_frozen_gauge_is_no_proof():
    board = Board()
    op = run_to(new("off"), board, Step.PROVE_HALT)
    frozen = ok(1.0, board.now)
    for _ in range(40):
        board.now += 1.0
        op, _ = step(op, board.now, 0.0, replace(board.facts(), watts=frozen), LIMITS)
        assert op.step is Step.PROVE_HALT


@pytest.mark.parametrize("watts", [-4.0, float("nan"), float("-inf")])
def test_a_gauge_that_is_wired_backwards_or_mad_is_no_proof(watts):
    board = Board(faults={"hang"})
    op = run_to(new("off"), board, Step.PROVE_HALT)
    while not op.state.ended:
        board.now += 1.0
        facts = replace(board.facts(), watts=ok(watts, board.now))
        op, actions = step(op, board.now, 0.0, facts, LIMITS)
        assert not actions
    assert op.state is OpState.FAILED


# --- what the relay does, and says ------------------------------------------------------------


def test_an_outlet_that_reads_back_the_opposite_fails_it():
    board = Board()
    op = run_to(new("off"), board, Step.CUT)
    board.faults.add("stuck relay")
    op = run(op, board)
    assert op.state is OpState.FAILED
    assert op.error == "feed1 was switched off but reads back on"


def test_a_welded_contact_is_seen_by_its_current():
    board = Board(faults={"welded"})
    op = run(new("off"), board)
    assert op.state is OpState.FAILED
    assert op.error == "feed1 reads back off, but 1.1 W still flow through it"


def test_a_sample_from_before_the_cut_does_not_clear_a_welded_contact():
    board = Board()
    op = run_to(new("off"), board, Step.VERIFY_OFF)
    old = replace(board.facts(), watts=Reading(0.0, op.entered - 0.3, Quality.OK))
    op, _ = step(op, op.entered + 0.1, 0.0, replace(old, read_back_at=op.entered + 0.1), LIMITS)
    assert op.step is Step.VERIFY_OFF
    assert not op.state.ended


@pytest.mark.parametrize("kind", ["off", "cycle"])
def test_d1_an_order_that_failed_is_a_failure(kind):
    """pdudaemon answers "OK - accepted" whatever its command returned (measured on 0.0.8.58)."""
    board = Board()
    op = run_to(new(kind), board, Step.PROVE_HALT)
    board.faults.add("dead relay")
    op = run(op, board)
    assert op.state is OpState.FAILED
    assert "does not answer" in (op.error or "")
    assert board.on


def test_a_relay_that_says_no_but_switches_does_not_leave_the_node_off():
    board = Board(faults={"lying relay"})
    op = run(new(), board)
    assert op.state is OpState.DONE
    assert (board.on, board.state) == (True, "up")
    assert "although" in next(r.note for r in op.steps if r.name == Step.CUT)


def test_an_order_that_nobody_answers_ends():
    board = Board()
    op = run_to(new("off"), board, Step.CUT)
    board.pending = []
    op = run(op, board)
    assert op.state is OpState.FAILED
    assert "did not answer" in (op.error or "")


@pytest.mark.parametrize("at", [Step.CUT, Step.VERIFY_OFF, Step.SWITCH_ON, Step.VERIFY_ON])
def test_an_outlet_that_cannot_be_read_for_a_while_does_not_leave_the_node_off(at):
    board = Board()
    op = run_to(new(), board, at)
    board.faults.add("unreadable")
    for _ in range(60):
        op = tick(op, board)
    board.faults.discard("unreadable")
    op = run(op, board)
    assert op.state is OpState.DONE
    assert (board.on, board.dirty) == (True, 0)


def test_an_outlet_that_can_never_be_read_ends_it():
    board = Board()
    op = run_to(new(), board, Step.VERIFY_OFF)
    board.faults.add("unreadable")
    op = run(op, board)
    assert op.state is OpState.FAILED
    assert "not at all" in (op.error or "")


def test_a_node_that_does_not_come_back_fails():
    board = Board()
    op = run_to(new(), board, Step.CAME_BACK)
    board.faults.add("deaf")
    op = run(op, board)
    assert op.error == "pi1 did not come back within 60 s"


def test_a_reset_that_does_not_reboot_fails_and_is_not_asked_twice():
    board = Board()
    op = run_to(new("reset"), board, Step.REBOOT)
    board.pending = []
    op = resume(replace(op, outcome=None), board.now)
    op = run(op, board)
    assert op.state is OpState.FAILED
    assert "did not come back" in (op.error or "")
    assert board.asked == []


# --- inrush, expiry, cancelling ---------------------------------------------------------------


def test_admission():
    rail = RailLoad(budget_amps=5.0, drawn_amps=2.0, reserved_amps=1.5)
    assert admit(rail, 1.5)
    assert not admit(rail, 1.6)


def test_on_waits_for_headroom_and_looks_again_before_it_orders():
    board = Board(on=False, state="off", off_since=0.0, admitted=False)
    op = new("on")
    for _ in range(20):
        op = tick(op, board)
    assert op.step is Step.ADMIT
    op = replace(op, step=Step.SWITCH_ON)
    op = tick(op, board)
    assert op.step is Step.ADMIT
    assert board.edges == []
    board.admitted = True
    assert run(op, board).state is OpState.DONE


def test_on_that_waits_too_long_expires():
    board = Board(on=False, state="off", off_since=0.0, admitted=False)
    op = run(new("on", expires=130.0), board)
    assert op.state is OpState.CANCELLED
    assert board.edges == []


def test_a_pending_command_that_has_expired_is_never_begun():
    board = Board(now=701.0)
    op = run(new("off", force=True), board)
    assert op.state is OpState.CANCELLED
    assert "expired" in (op.error or "")
    assert (board.edges, board.asked) == ([], [])


def test_a_cycle_that_has_cut_comes_on_however_late():
    board = Board(admitted=False)
    op = run_to(new(expires=130.0), board, Step.ADMIT)
    for _ in range(800):
        op = tick(op, board)
    assert op.step is Step.ADMIT
    board.admitted = True
    assert run(op, board).state is OpState.DONE


@pytest.mark.parametrize("at", PLANS["cycle", False])
def test_cancel_at_every_step(at):
    board = Board()
    op = run_to(new(), board, at)
    after = cancel(op, 1e9, "bob")
    if at in {Step.HALT, Step.PROVE_HALT}:  # and no more once it has been cut
        assert after is not None
        assert after.state is OpState.CANCELLED
        assert "cancelled by bob" in (after.error or "")
        assert "asked to halt" in (after.error or "")
        assert step(after, board.now, 0.0, board.facts(), LIMITS) == (after, ())
    else:
        assert after is None


def test_what_has_ended_cannot_be_cancelled_and_stays_as_it_is():
    op = run(new("off"), Board())
    assert cancel(op, 0.0, "bob") is None
    assert resume(op, 5.0) is op


# --- hwctl is killed --------------------------------------------------------------------------


def crash(op_before: Op, op: Op, board: Board, how: str, away: float) -> Op:
    """What the next hwctl takes up. ``how``: how far the last tick's effects had come."""
    stored = op_before if how == "lost" else op
    if how == "done":
        board.carry_out()
    board.pending = []
    board.live(min(away, 8.0))
    board.live(max(0.0, away - 8.0))
    # Engine times of a new process: shifted to its own zero, which here is the same one.
    return resume(stored, board.now)


@pytest.mark.parametrize("how", ["lost", "saved", "done"])
@pytest.mark.parametrize("at", PLANS["cycle", False])
def test_d4_killed_at_every_step_a_cycle_ends_with_the_node_on(at, how):
    """A pdudaemon that is killed leaves the node off for ever (read in its source)."""
    board = Board()
    before, op = approach(new(), board, at)
    board.admitted = True
    op = run(crash(before, op, board, how, 1.0), board)
    assert (board.on, board.dirty) == (True, 0)
    if op.state is OpState.FAILED:
        # Whether it had been asked to halt was not known, and it was not asked twice.
        assert at is Step.HALT
        assert board.edges == []
    else:
        assert board.edges == [False, True]


@pytest.mark.parametrize("how", ["lost", "saved", "done"])
def test_a_shutdown_asks_again_after_a_restart(how):
    board = Board()
    op = new("off", cut_at_deadline=True)
    before, op = op, tick(op, board)
    assert op.step is Step.HALT
    op = run(crash(before, op, board, how, 1.0), board)
    assert op.state is OpState.DONE
    assert (op.forced, board.dirty) == (None, 0)


@pytest.mark.parametrize("how", ["saved", "done"])
@pytest.mark.parametrize("deadline", [True, False])
def test_a_cut_that_is_found_hours_later_is_not_made_up_for(how, deadline):
    board = Board(faults={"hang"})
    op = new("off", force=not deadline, cut_at_deadline=deadline)
    op = run_to(op, board, Step.PROVE_HALT if deadline else Step.CUT)
    op = run(crash(op, op, board, how, 9000.0), board)
    assert op.state is (OpState.DONE if how == "done" and not deadline else OpState.FAILED)
    assert board.edges == ([False] if op.state is OpState.DONE else [])


def test_the_words_of_a_device_are_not_taken_for_a_restart():
    board = Board()
    op = run_to(new("off"), board, Step.CUT)
    board.pending = []
    op = replace(op, outcome=Outcome(Step.CUT, "hub: restarted meanwhile"))
    assert run(op, board).state is OpState.FAILED


# --- a cycle that the device performs by itself -----------------------------------------------


def test_a_timed_cycle_is_left_to_the_device():
    board = Board()
    op = run(new(timed=True), board)
    assert op.state is OpState.DONE
    assert names(op) == list(TIMED["cycle", False])
    assert board.edges == [False, True]
    assert board.dirty == 0
    assert "by itself" in next(r.note for r in op.steps if r.name == Step.SWITCH_ON)


def test_a_timed_cycle_wants_its_headroom_before_the_cut():
    board = Board(admitted=False)
    op = new(timed=True)
    for _ in range(200):
        op = tick(op, board)
    assert op.step is Step.ADMIT
    assert board.edges == []
    assert cancel(op, 0.0, "bob") is not None


def test_a_device_that_forgets_to_switch_on_is_helped():
    board = Board(faults={"forgets to switch on"})
    op = run(new(timed=True), board)
    assert op.state is OpState.DONE
    assert board.edges == [False, True]


@pytest.mark.parametrize("how", ["lost", "saved", "done"])
@pytest.mark.parametrize("away", [1.0, 30.0])
@pytest.mark.parametrize("at", TIMED["cycle", False])
def test_killed_at_every_step_of_a_timed_cycle(at, how, away):
    board = Board()
    before, op = approach(new(timed=True), board, at)
    board.admitted = True
    op = run(crash(before, op, board, how, away), board)
    assert (board.on, board.dirty) == (True, 0)
    if op.state is OpState.FAILED:
        assert at is Step.HALT
    else:
        assert op.state is OpState.DONE
        assert board.edges == [False, True]


def test_a_forced_reset_is_a_timed_cycle_too():
    board = Board(faults={"hang"})
    op = run(new("reset", force=True, timed=True), board)
    assert op.state is OpState.DONE
    assert board.edges == [False, True]
    assert op.forced == "cut without a proven halt: forced by ann"


ASSUMED = (Step.VERIFY_OFF, Step.VERIFY_ON)
"""Steps that an outlet without read-back and meter passes at once."""

# --- an outlet that cannot be read back -------------------------------------------------------


def test_an_assumed_outlet_is_judged_by_the_draw():
    board = Board(assumed=True)
    op = run(new(), board)
    assert op.state is OpState.DONE
    assert board.edges == [False, True]
    assert "its feed draws 0.0 W" in [r.note for r in op.steps]


def test_an_assumed_outlet_without_a_meter_says_that_it_assumes():
    board = Board(assumed=True, faults={"no meter"})
    op = run(new("off", force=True), board)
    assert op.state is OpState.DONE
    assert op.steps[-1].note == "assumed: this outlet cannot be read back"
    assert board.on is False


def test_what_is_assumed_does_not_spare_an_order():
    board = Board(assumed=False)  # it is on, whatever was assumed
    op = run(new("off"), board)
    assert op.state is OpState.DONE
    assert board.edges == [False]


def test_an_assumed_outlet_that_did_not_cut_is_seen_by_its_current():
    board = Board(assumed=True, faults={"stuck relay"})
    op = run(new("off"), board)
    assert op.state is OpState.FAILED
    assert "still flow" in (op.error or "")


@pytest.mark.parametrize("how", ["lost", "saved", "done"])
@pytest.mark.parametrize("meter", [True, False])
@pytest.mark.parametrize("at", sorted({*PLANS["cycle", True]} - {*ASSUMED}))
def test_killed_at_every_step_with_an_outlet_that_cannot_be_read(at, meter, how):
    board = Board(assumed=True, faults=set() if meter else {"no meter"})
    before, op = approach(new(force=True), board, at)
    board.admitted = True
    op = run(crash(before, op, board, how, 1.0), board)
    assert op.state is OpState.DONE
    assert board.on
    assert board.edges == [False, True]


def test_a_button_that_nobody_can_read_is_not_pressed_twice():
    """The second press would ask the node that the first one started to halt."""
    board = Board(assumed=True, faults={"no meter"}, repeatable=False)
    op = run_to(new(force=True), board, Step.SWITCH_ON)
    op = run(crash(op, op, board, "done", 1.0), board)
    assert board.edges == [False, True]
    assert op.state is OpState.FAILED
    assert "cannot be read back" in (op.error or "")


def test_a_cut_that_cannot_be_read_back_is_not_ordered_again_once_it_has_expired():
    board = Board(assumed=True, faults={"no meter"})
    op = run_to(new("off", force=True), board, Step.CUT)
    op = run(crash(op, op, board, "saved", 9000.0), board)
    assert op.state is OpState.FAILED
    assert board.edges == []


def test_a_meter_that_shows_nothing_while_the_node_answers_proves_no_halt():
    board = Board(faults={"foreign meter"})
    op = run(new("off"), board)
    assert op.state is OpState.FAILED
    assert "another feed's" in (op.error or "")
    assert board.edges == []


def test_a_cut_is_not_made_hours_later_though_the_halt_is_proven():
    board = Board()
    op = run_to(new("off"), board, Step.PROVE_HALT)
    board.live(9000.0)
    op = run(resume(op, board.now), board)
    assert op.state is OpState.FAILED
    assert "long over" in (op.error or "")
    assert board.edges == []


def test_a_timed_cycle_that_has_not_cut_makes_way_for_a_shutdown():
    board = Board(admitted=False, shutting_down=True)
    op = run(new(timed=True), board)
    assert op.state is OpState.CANCELLED
    assert board.edges == []


def test_an_order_that_takes_long_is_waited_for():
    board = Board(takes_s=20.0)
    op = run_to(new("off", force=True), board, Step.CUT)
    pending, board.pending = board.pending, []
    for _ in range(30):
        op = tick(op, board)
    assert op.step is Step.CUT, "a button is held down for 15 s"
    board.pending = pending
    assert run(op, board).state is OpState.DONE
    assert board.edges == [False]


# --- a dead device ----------------------------------------------------------------------------


def test_what_was_not_delivered_fails_at_once_and_nothing_was_switched():
    board = Board(faults={"dead relay", "unreadable"}, undelivered=True)
    began = board.now
    op = run(new("cycle", force=True), board)
    assert op.error == "does not answer; nothing was switched"
    assert board.now - began <= 1.0
    assert board.edges == []


def test_a_device_that_answers_neither_order_nor_question_fails_soon():
    board = Board(faults={"dead relay", "unreadable"})
    began = board.now
    op = run(new("off", force=True), board)
    assert op.error == "does not answer; it cannot be read back either"
    assert board.now - began <= 2.0


@pytest.mark.parametrize("undelivered", [True, False])
def test_a_node_that_was_cut_is_switched_on_again_though_the_first_order_is_lost(undelivered):
    board = Board(undelivered=undelivered)
    op = run_to(new(), board, Step.ADMIT)
    board.admitted = True
    board.faults.add("dead relay")
    for _ in range(30):
        op = tick(op, board)
    board.faults.discard("dead relay")
    op = run(op, board)
    assert op.state is OpState.DONE
    assert board.on


def test_a_node_that_was_cut_and_whose_device_died_fails_in_the_end():
    board = Board(undelivered=True)
    op = run_to(new(), board, Step.ADMIT)
    board.admitted = True
    board.faults |= {"dead relay", "unreadable"}
    op = run(op, board)
    assert op.state is OpState.FAILED
    assert "does not answer" in (op.error or "")


# --- waiting for other nodes ------------------------------------------------------------------


def test_off_waits_until_those_that_need_it_are_down():
    board = Board(waits_for="pi2")
    op = new("off")
    for _ in range(50):
        op = tick(op, board)
    assert op.step is Step.HALT
    assert board.asked == []
    board.waits_for = None
    assert run(op, board).state is OpState.DONE


def test_on_waits_until_what_it_needs_is_up():
    board = Board(on=False, state="off", off_since=0.0, waits_for="switch")
    op = new("on")
    for _ in range(50):
        op = tick(op, board)
    assert op.step is Step.ADMIT
    board.waits_for = None
    assert run(op, board).state is OpState.DONE


@pytest.mark.parametrize("kind", ["on", "off"])
def test_waiting_for_others_ends(kind):
    on = kind == "off"
    board = Board(on=on, state="up" if on else "off", off_since=0.0, waits_for="pi9")
    op = run(new(kind, expires=150.0), board)
    assert op.state is OpState.CANCELLED
    assert "pi9" in (op.error or "")
    assert board.edges == []


# --- everything at once -----------------------------------------------------------------------

STEPS_S = st.sampled_from((0.25, 0.5, 1.0, 3.0, 9.0))
KINDS = st.sampled_from(sorted(PLANS))
FAULTS = st.sampled_from(
    ("hang", "deaf", "no meter", "unreadable", "dead relay", "lying relay", "stuck relay",
     "backfed", "reboots")
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    kind=KINDS,
    deadline=st.booleans(),
    start_on=st.booleans(),
    timed=st.booleans(),
    seed=st.integers(0, 2**32),
    crashes=st.integers(0, 6),
    data=st.data(),
)
def test_killed_at_random_moments_with_random_faults(
    kind, deadline, start_on, timed, seed, crashes, data
):
    """Never cut without proof unless forced; never two orders at once; always an end."""
    rng = random.Random(seed)
    board = Board(on=start_on, state="up" if start_on else "off", off_since=None)
    action, force = kind
    cut = deadline and action == "off"
    op = new(action, force=force, timed=timed, cut_at_deadline=cut, expires=1e9)
    faulty = data.draw(st.sets(FAULTS, max_size=2))
    only_crashes = not faulty
    end = board.now + 4 * LONGEST_S
    while not op.state.ended:
        assert board.now < end
        if faulty and rng.random() < 0.05:
            board.faults ^= {rng.choice(sorted(faulty))}
        if board.now > 400:
            board.faults.clear()
        dirty, before = board.dirty, op
        op = tick(op, board, rng.choice((0.25, 0.5, 1.0, 3.0)))
        if board.dirty > dirty:
            assert before.forced is not None
        if crashes and rng.random() < 0.1:
            crashes -= 1
            op = crash(before, op, board, rng.choice(("lost", "saved", "done")), rng.random() * 30)
            if board.dirty > dirty:
                assert op.forced is not None
    assert all(record.finished is not None for record in op.steps)
    assert op.state is OpState.DONE or op.error
    if only_crashes and action != "off":
        assert board.on or (not start_on and op.state is not OpState.DONE)
    if only_crashes and op.state is OpState.DONE:
        assert board.on is (action != "off")
