"""Several nodes at once, in order; and what charge and rail allow."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from hwctl.model.errors import (
    NotAllowedError,
    NotPossibleError,
    RequestError,
    TargetBusyError,
    UnknownTargetError,
)
from hwctl.model.rig import OpState

Make = Callable[..., Any]
COMPUTE = ("pi1", "pi2", "pi3")


def many(stage: Any, action: str, *wanted: str, **said: Any) -> list[Any]:
    return list(stage.engine.power_many(list(wanted), action, by="test", **said))


def ended(stage: Any, ops: list[Any]) -> bool:
    return all(stage.op(op).state.ended for op in ops)


def finish(stage: Any, ops: list[Any], most_s: float = 600) -> None:
    stage.run_until(lambda: ended(stage, ops), most_s)
    assert [stage.op(op).error for op in ops] == [None] * len(ops)


def off(stage: Any, *wanted: str) -> None:
    finish(stage, many(stage, "off", *wanted, force=True))


def nothing_is_held(stage: Any) -> bool:
    return not stage.engine.desk.under_way() and all(
        node.operation is None for node in stage.engine.rig().nodes
    )


# --- all or none ----------------------------------------------------------------------------------


def test_a_group_goes_off_together_and_nobody_else(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    ops = many(stage, "off", "@compute", reason="night")
    assert [op.target for op in ops] == list(COMPUTE)
    assert {op.reason for op in ops} == {"night"}
    finish(stage, ops)
    assert [stage.on(node) for node in ("pi0", *COMPUTE)] == [True, False, False, False]
    assert stage.dirty() == 0


def test_one_busy_node_and_none_is_begun(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    held = stage.power("pi2", "cycle")
    with pytest.raises(TargetBusyError) as caught:
        many(stage, "off", "pi[1-3]")
    assert caught.value.operation == held.id
    stage.run(2)
    assert [op.id for op in stage.engine.desk.under_way()] == [held.id]
    other = stage.power("pi1", "off")
    assert stage.engine.desk.holder("pi1").id == other.id, "it is not held by what was refused"


@pytest.mark.parametrize(
    ("changes", "wanted", "action", "error"),
    [
        ({}, ("pi1", "pi9"), "off", UnknownTargetError),
        ({"wiring.node.pi3.protected": True}, ("pi1", "pi3"), "off", NotAllowedError),
        ({"wiring.node.pi3.protected": True}, ("pi[1-3]",), "off", NotAllowedError),
        ({"wiring.node.pi3.protected": True}, ("@compute", "pi3"), "off", NotAllowedError),
        ({"wiring.outlet.feed3.node": None}, ("@compute",), "off", NotPossibleError),
    ],
)
def test_one_that_cannot_be_and_none_is_begun(
    rehearsal: Make, changes: Any, wanted: Any, action: str, error: Any
) -> None:
    stage = rehearsal(changes=changes)
    stage.run(30)
    with pytest.raises(error):
        many(stage, action, *wanted)
    stage.run(3)
    assert nothing_is_held(stage)
    assert stage.edges == []


def test_a_journal_that_cannot_be_written_begins_none_and_holds_none(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    path = stage.journal._path
    stage.journal.close()
    aside = path.with_name("aside")
    path.rename(aside)
    path.mkdir()
    with pytest.raises(RequestError, match="cannot be written"):
        many(stage, "off", "@compute")
    path.rmdir()
    aside.rename(path)
    assert stage.journal.try_again()
    assert nothing_is_held(stage)
    assert len(many(stage, "off", "@compute")) == 3


def test_a_group_leaves_its_protected_nodes_out(rehearsal: Make) -> None:
    stage = rehearsal(changes={"wiring.node.pi2.protected": True})
    stage.run(10)
    assert [op.target for op in many(stage, "off", "@compute", force=True)] == ["pi1", "pi3"]


def test_a_group_of_protected_nodes_is_refused(rehearsal: Make) -> None:
    stage = rehearsal(changes={"wiring.node.pi0.protected": True})
    stage.run(3)
    with pytest.raises(NotAllowedError, match="all of them are protected"):
        many(stage, "off", "@orchestrator")


def test_a_group_of_the_settings(rehearsal: Make) -> None:
    stage = rehearsal(changes={"settings.group": {"half": ("pi0", "pi3")}})
    stage.run(3)
    assert [op.target for op in many(stage, "off", "@half", force=True)] == ["pi0", "pi3"]


def test_a_key_gives_the_same_operations_and_no_others(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    first = many(stage, "off", "pi[1-2]", key="k", force=True)
    assert [op.id for op in many(stage, "off", "pi1,pi2", key="k", force=True)] == [
        op.id for op in first
    ]
    for action, wanted, force in (("off", "pi[1-3]", True), ("off", "pi[1-2]", False),
                                  ("cycle", "pi[1-2]", True)):  # fmt: skip
        with pytest.raises(RequestError, match="another command"):
            many(stage, action, wanted, key="k", force=force)
    finish(stage, first)
    again = many(stage, "off", "pi[1-2]", key="k", force=True)
    assert [(op.id, op.state) for op in again] == [(op.id, OpState.DONE) for op in first]


def test_a_key_is_good_whatever_the_rig_forbids_by_now(rehearsal: Make) -> None:
    """A lost answer is asked for again while the operation goes on, or after a shutdown began."""
    stage = rehearsal()
    stage.run(10)
    op = stage.power("pi1", "cycle", key="k")
    stage.engine.shutdown_start(reason="", by="test")
    stage.run(2)
    assert stage.power("pi1", "cycle", key="k").id == op.id


# --- order ----------------------------------------------------------------------------------------


def test_what_the_others_need_comes_up_before_them(rehearsal: Make) -> None:
    """The football: the orchestrator is up before a compute node is fed."""
    stage = rehearsal()
    stage.run(30)
    off(stage, "all")
    stage.run(30)
    stage.edges.clear()
    ops = many(stage, "on", "all")
    stage.run_until(lambda: stage.on("pi0"), 60, 0.25)
    stage.run(2)
    assert [stage.on(node) for node in COMPUTE] == [False] * 3, "pi0 boots first"
    finish(stage, ops)
    by_target = {op.target: stage.op(op) for op in ops}
    fed = {outlet: when for when, outlet, on in stage.edges if on}
    assert min(fed, key=lambda outlet: fed[outlet]) == "feed0"
    for node in COMPUTE:
        (switched,) = [one for one in by_target[node].steps if one.name == "switch-on"]
        assert switched.started >= by_target["pi0"].finished
    assert stage.world.overruns["5v"] == 0


def test_what_the_others_need_goes_down_after_them(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    ops = many(stage, "off", "all")
    finish(stage, ops)
    assert [outlet for _, outlet, _ in stage.edges][-1] == "feed0"
    by_target = {op.target: stage.op(op) for op in ops}
    asked = next(s for s in by_target["pi0"].steps if s.name == "halt")
    for node in COMPUTE:
        assert by_target[node].finished <= asked.finished, "it is asked when they are down"
    assert stage.dirty() == 0


def test_needs_of_the_wiring_go_before_the_stages(rehearsal: Make) -> None:
    changes = {
        "wiring.node.pi0.needs": ("pi3",), "wiring.node.pi1.needs": (),
        "wiring.node.pi2.needs": (), "wiring.node.pi3.needs": (),
    }  # fmt: skip
    stage = rehearsal(changes=changes)
    stage.run(30)
    ops = many(stage, "off", "pi0", "pi3")
    finish(stage, ops)
    assert [outlet for _, outlet, _ in stage.edges] == ["feed0", "feed3"]


def test_only_what_is_under_way_is_waited_for(rehearsal: Make) -> None:
    """A compute node alone comes up though the orchestrator is off and stays so."""
    stage = rehearsal()
    stage.run(30)
    off(stage, "pi0", "pi1")
    stage.run(20)
    finish(stage, many(stage, "on", "pi1"))
    assert [stage.on("pi0"), stage.on("pi1")] == [False, True]


def test_who_waits_for_a_node_that_hangs_goes_on_when_that_has_failed(rehearsal: Make) -> None:
    """`pi1` does not halt: its operation fails uncut, and the orchestrator's turn comes."""
    stage = rehearsal(changes={"settings.power.expiry_s": 3000.0})
    stage.run(30)
    stage.control("node", node="pi1", fault="hang", on=True)
    ops = many(stage, "off", "pi0", "pi1")
    stage.run_until(lambda: ended(stage, ops), 1500)
    states = {op.target: stage.op(op).state for op in ops}
    assert states == {"pi0": OpState.DONE, "pi1": OpState.FAILED}
    assert stage.on("pi1")


def test_waiting_for_another_ends_with_the_expiry(rehearsal: Make) -> None:
    """What could not be begun in time is never carried out."""
    stage = rehearsal(
        changes={"settings.power.expiry_s": 60.0, "settings.shutdown.halt_deadline_s": 600.0}
    )
    stage.run(30)
    stage.control("node", node="pi1", fault="hang", on=True)
    pi0, _ = many(stage, "off", "pi0", "pi1")
    stage.run_until(lambda: stage.op(pi0).state.ended, 120)
    assert stage.op(pi0).state in (OpState.CANCELLED, OpState.FAILED)
    assert "pi1" in str(stage.op(pi0).error)
    assert stage.on("pi0")
    stage.control("node", node="pi1", fault="hang", on=False)
    stage.run(300)
    assert stage.on("pi0")


def test_force_waits_for_nobody(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    many(stage, "off", "all", force=True)
    stage.run(3)
    assert [stage.on(node) for node in ("pi0", *COMPUTE)] == [False] * 4


# --- charge ---------------------------------------------------------------------------------------


def nearly_empty(stage: Any) -> None:
    """On its own charge, with the time left little above what a shutdown needs."""
    stage.control("mains", on=False)
    stage.run(60)


LITTLE = {"settings.supply.bank.charge_at_first_start": 0.06, "settings.shutdown.armed": False}


def test_on_is_refused_for_want_of_charge_with_the_figures_and_force_does_it(
    rehearsal: Make,
) -> None:
    stage = rehearsal(changes=LITTLE)
    stage.run(30)
    off(stage, "pi3")
    nearly_empty(stage)
    with pytest.raises(NotPossibleError, match=r"bank would last \d+ s at \d+\.\d W, and a ") as no:
        many(stage, "on", "pi3")
    assert "--force" in no.value.hint
    assert no.value.where == "bank"
    assert nothing_is_held(stage)
    stage.run(5)
    assert not stage.on("pi3")
    ops = many(stage, "on", "pi3", force=True)
    stage.run_until(lambda: stage.on("pi3"), 60)
    assert stage.op(ops[0]).state is not OpState.CANCELLED


def test_on_mains_and_with_charge_enough_nothing_is_refused(rehearsal: Make) -> None:
    stage = rehearsal(changes=LITTLE)
    stage.run(30)
    off(stage, "pi3")
    stage.control("mains", on=True)
    stage.run(60)
    finish(stage, many(stage, "on", "pi3"))
    stage = rehearsal()
    stage.run(30)
    off(stage, "pi3")
    nearly_empty(stage)
    finish(stage, many(stage, "on", "pi3"))


def test_what_is_on_already_costs_nothing(rehearsal: Make) -> None:
    stage = rehearsal(changes=LITTLE)
    stage.run(30)
    nearly_empty(stage)
    finish(stage, many(stage, "on", "all"))
    assert stage.edges == []


# --- headroom -------------------------------------------------------------------------------------


def test_on_is_refused_where_waiting_would_not_help_with_the_figures(rehearsal: Make) -> None:
    """Three boards at work leave no room for a fourth one's inrush, ever."""
    stage = rehearsal(
        changes={"wiring.rail.5v.budget_amps": 3.0, "wiring.node.pi3.inrush_amps": 2.5}
    )
    stage.run(30)
    off(stage, "pi3")
    stage.run(30)
    with pytest.raises(NotPossibleError, match=r"rail 5v carries \d\.\d A of 3 A, and it ") as no:
        many(stage, "on", "pi3")
    assert "2.5 A more" in str(no.value)
    assert no.value.where == "5v"
    assert "budget_amps" in no.value.hint
    assert nothing_is_held(stage)


def test_where_only_the_inrush_of_others_is_in_the_way_it_queues(rehearsal: Make) -> None:
    """Room for one inrush at a time: all are taken, one after the other."""
    changes = {
        f"wiring.node.{node}.{key}": value
        for node in ("pi0", *COMPUTE)
        for key, value in (("inrush_amps", 3.0), ("inrush_s", 5.0))
    }
    stage = rehearsal(changes={**changes, "wiring.rail.5v.budget_amps": 7.0})
    stage.run(30)
    off(stage, "@compute")
    stage.run(30)
    stage.edges.clear()
    ops = many(stage, "on", "@compute")
    finish(stage, ops)
    assert sorted(outlet for _, outlet, on in stage.edges if on) == ["feed1", "feed2", "feed3"]
    times = sorted(when for when, _, on in stage.edges if on)
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(times))
    assert stage.world.overruns["5v"] == 0
