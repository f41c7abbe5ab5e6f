"""The audit record: one entry per command and target, whatever became of it."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hwctl.engine import journal as journal_module
from hwctl.engine.service import AuditEntry
from hwctl.model.errors import RequestError

Make = Callable[..., Any]
WHO = {"by": "token:ops", "origin": "10.0.0.7"}


def entries(stage: Any, after: int = 0) -> Sequence[AuditEntry]:
    found: Sequence[AuditEntry] = stage.engine.audit(after)
    return found


DONE = {
    "locate": (
        lambda e: e.locate("pi1", True, **WHO), ("locate", "pi1", "", "on", "done"),
    ),
    "locate off": (
        lambda e: e.locate("pi1", False, **WHO), ("locate", "pi1", "", "off", "done"),
    ),
    "fan": (
        lambda e: e.fan("intake", mode="manual", duty=0.6, for_s=90, **WHO),
        ("fan", "intake", "", "60% for 90 s", "done"),
    ),
    "fan auto": (
        lambda e: e.fan("intake", mode="auto", duty=0, for_s=0, **WHO),
        ("fan", "intake", "", "auto", "done"),
    ),
    "strip": (
        lambda e: e.strip("lid", mode="off", brightness=0.5, **WHO),
        ("strip", "lid", "", "off at 50%", "done"),
    ),
    "shutdown start": (
        lambda e: e.shutdown_start(reason="home", **WHO),
        ("shutdown start", "football", "", "begun", "done"),
    ),
    "shutdown cancel": (
        lambda e: e.shutdown_cancel(**WHO),
        ("shutdown cancel", "football", "", "called off", "done"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", DONE)
def test_a_command_that_is_done_at_once_leaves_one_entry(rehearsal: Make, command: str) -> None:
    stage = rehearsal()
    stage.run(3)
    order, (what, target, before, after, result) = DONE[command]
    order(stage.engine)
    (entry,) = entries(stage)
    assert (entry.by, entry.origin) == ("token:ops", "10.0.0.7")
    assert (entry.what, entry.target, entry.result) == (what, target, result)
    assert (entry.before, entry.after) == (before, after)
    assert entry.at == stage.engine.clock.wall()
    assert entry.operation is None
    assert entry.reason == ("home" if command == "shutdown start" else "")


REFUSED = {
    "power, an unknown node": lambda e: e.power("pi9", "off", **WHO),
    "power, an unknown group": lambda e: e.power_many(["@racks"], "off", **WHO),
    "power, no range": lambda e: e.power_many(["pi[3-1]"], "off", **WHO),
    "power, a protected node": lambda e: e.power("pi3", "off", **WHO),
    "power, all protected": lambda e: e.power_many(["@guarded"], "off", **WHO),
    "cancel, an unknown operation": lambda e: e.cancel("op-0", **WHO),
    "locate, an unknown node": lambda e: e.locate("pi9", True, **WHO),
    "fan, an unknown one": lambda e: e.fan("pi9", mode="auto", duty=0, for_s=0, **WHO),
    "strip, an unknown one": lambda e: e.strip("pi9", mode="off", brightness=None, **WHO),
    "strip, an unknown mode": lambda e: e.strip("lid", mode="disco", brightness=None, **WHO),
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_refused_command_leaves_one_entry_with_the_reason(rehearsal: Make, command: str) -> None:
    stage = rehearsal(
        changes={
            "wiring.node.pi3.protected": True, "settings.group": {"guarded": ("pi3",)},
        }
    )  # fmt: skip
    stage.run(3)
    with pytest.raises(RequestError) as caught:
        REFUSED[command](stage.engine)
    (entry,) = entries(stage)
    assert entry.result == f"refused: {caught.value}"
    assert (entry.by, entry.origin) == ("token:ops", "10.0.0.7")
    assert entry.what.split()[0] == command.partition(",")[0].split()[0]
    assert entry.target or "unknown operation" in command
    assert entry.after == entry.before, "nothing was changed"
    assert entry.operation is None
    assert stage.engine.operations() == []


def test_a_second_command_is_recorded_as_refused_with_what_holds_the_node(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    op = stage.power("pi1", "cycle")
    with pytest.raises(RequestError):
        stage.power("pi1", "off")
    first, second = entries(stage)
    assert (first.what, first.result, first.operation) == ("power cycle", "accepted", op.id)
    assert second.what == "power off"
    assert op.id in second.result


def test_an_operation_has_its_before_and_when_it_has_ended_its_after(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    op = stage.engine.power("pi2", "off", reason="dust", force=True, **WHO)
    (entry,) = entries(stage)
    assert (entry.what, entry.target, entry.reason) == ("power off --force", "pi2", "dust")
    assert (entry.before, entry.after) == ("power on, os up", None)
    assert (entry.result, entry.operation) == ("accepted", op.id)
    stage.run_until(lambda: stage.op(op).state.ended, 60)
    (entry,) = entries(stage)
    assert entry.after is not None
    assert entry.after.startswith("power off")
    assert entry.result == "done"


def test_an_operation_that_fails_says_why(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    stage.engine.workers["gpio"].run_once = lambda: 0.0
    op = stage.power("pi2", "off", force=True)
    stage.run_until(lambda: stage.op(op).state.ended, 300)
    (entry,) = entries(stage)
    assert entry.result == f"failed: {stage.op(op).error}"
    assert entry.after


def test_a_cancelled_operation_and_its_cancelling_are_two_entries(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    op = stage.power("pi2", "cycle")
    stage.engine.cancel(op.id, **WHO)
    began, cancelled = entries(stage)
    assert began.result == "cancelled: cancelled by token:ops"
    assert began.after == "power on, os up"
    assert (cancelled.what, cancelled.target) == (f"cancel {op.id}", "pi2")
    assert (cancelled.result, cancelled.before) == ("done", "power on, os up")
    assert cancelled.after == "power on, os up"


def test_several_nodes_are_an_entry_each(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    ops = stage.engine.power_many(["pi[1-2]"], "off", reason="night", **WHO)
    assert [(e.target, e.operation, e.reason) for e in entries(stage)] == [
        (op.target, op.id, "night") for op in ops
    ]
    with pytest.raises(RequestError):
        stage.engine.power_many(["pi[2-3]"], "off", **WHO)
    refused = entries(stage)[2:]
    assert [e.target for e in refused] == ["pi2", "pi3"]
    assert {e.result for e in refused} == {refused[0].result}
    assert refused[0].result.startswith("refused: pi2: pi2 is held by")


def test_a_command_heard_twice_by_its_key_is_one_command(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    op = stage.power("pi2", "off", key="once", force=True)
    stage.run_until(lambda: stage.op(op).state.ended, 60)
    assert stage.power("pi2", "off", key="once", force=True).id == op.id
    (entry,) = entries(stage)
    assert entry.result == "done"
    with pytest.raises(RequestError, match="another command"):
        stage.power("pi2", "on", key="once")
    assert entries(stage)[-1].result.startswith("refused: this Idempotency-Key")


def test_an_operation_that_ends_before_its_command_is_written_down(rehearsal: Make) -> None:
    """The tick does not wait for the writer: here it ends before the command's entry is kept."""
    stage = rehearsal()
    stage.run(10)
    jobs = []
    stage.engine.writer.submit = jobs.append
    op = stage.power("pi2", "on")
    accepted = jobs.pop()
    stage.engine.tick()
    assert stage.op(op).state.ended, "it is on already"
    for job in (*jobs, accepted):
        job()
    (entry,) = entries(stage)
    assert (entry.operation, entry.result) == (op.id, "done")
    assert entry.after == "power on, os up"


def test_an_operation_whose_node_is_gone_after_a_restart_has_an_end(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    stage.power("pi3", "off")
    stage.run(2)
    wiring = stage.loaded.wiring
    without = wiring.model_copy(
        update={
            "node": {n: node for n, node in wiring.node.items() if n != "pi3"},
            "outlet": {o: outlet for o, outlet in wiring.outlet.items() if outlet.node != "pi3"},
        }
    )
    hosts = {node: host for node, host in stage.loaded.hosts.items() if node != "pi3"}
    stage.rehearsal._loaded = replace(stage.loaded, wiring=without, hosts=hosts)
    stage.restart()
    (entry,) = entries(stage)
    assert entry.result == "failed: pi3 is not in the wiring file any more"
    assert entry.after == "not wired any more"


def test_who_was_not_let_in_is_recorded(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.engine.turned_away(
        what="POST /api/v1/shutdown", by="unknown", origin="10.0.0.9", why="this token is wrong"
    )
    (entry,) = entries(stage)
    assert (entry.what, entry.target, entry.by) == ("POST /api/v1/shutdown", "", "unknown")
    assert entry.origin == "10.0.0.9"
    assert entry.result == "turned away: this token is wrong"
    assert entry.operation is None


def test_what_the_shutdown_does_by_itself_is_told_by_its_operations(rehearsal: Make) -> None:
    """It is no command; the one that began it is recorded."""
    stage = rehearsal()
    stage.run(30)
    stage.engine.shutdown_start(reason="home", **WHO)
    stage.run(5)
    assert any(op.by == "shutdown" for op in stage.engine.operations())
    assert [e.what for e in entries(stage)] == ["shutdown start"]


def test_the_record_survives_a_crash_and_the_end_that_comes_after_it(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    op = stage.engine.power("pi2", "off", **WHO)
    stage.run(3)
    assert entries(stage)[0].after is None
    stage.restart()
    assert entries(stage)[0].operation == op.id
    stage.run_until(lambda: stage.op(op).state.ended, 300)
    (entry,) = entries(stage)
    assert (entry.result, entry.by) == ("done", "token:ops")
    assert entry.after == "power off, os halted"


@pytest.mark.parametrize("ended", [False, True])
def test_a_record_that_was_lost_with_the_process_is_made_up(rehearsal: Make, ended: bool) -> None:
    """Killed after the operation was journalled, and before its record was."""
    stage = rehearsal()
    stage.run(40)
    began = stage.engine.clock.wall()
    op = stage.power("pi2", "cycle", force=True, reason="stuck", origin="10.0.0.7")
    if ended:
        stage.run_until(lambda: stage.op(op).state.ended, 200)
    with sqlite3.connect(stage.state_dir / "journal.db") as db:
        db.execute("DELETE FROM audit")
    db.close()
    stage.restart(2)
    (entry,) = entries(stage)
    assert entry.at == pytest.approx(began)
    assert (entry.by, entry.origin, entry.what) == ("test", "10.0.0.7", "power cycle --force")
    assert (entry.target, entry.reason, entry.operation) == ("pi2", "stuck", op.id)
    stage.run_until(lambda: stage.op(op).state.ended, 200)
    stage.restart(2)
    (entry,) = entries(stage)
    assert entry.result == "done"


def test_entries_after_an_id_and_the_newest_so_many(rehearsal: Make) -> None:
    stage = rehearsal()
    for _ in range(5):
        stage.engine.locate("pi1", True, **WHO)
    every = entries(stage)
    assert [e.id for e in every] == sorted(e.id for e in every)
    assert entries(stage, every[2].id) == every[3:]
    assert stage.engine.audit(0, 2) == every[3:]


def test_the_record_is_bounded(rehearsal: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "KEPT_ON_DISK", 500)
    stage = rehearsal()
    stage.journal._db.execute("PRAGMA synchronous=OFF")  # this test is not about power loss
    for _ in range(2000):
        stage.engine.locate("pi1", True, by="b", origin="o")
    kept = stage.engine.audit(0, 10_000)
    assert len(kept) == 501
    assert kept[-1].id == 2000


def test_who_floods_the_door_is_recorded_once_a_minute(rehearsal: Make) -> None:
    stage = rehearsal()
    for number in range(3000):
        stage.engine.turned_away(what="w", by="b", origin=f"10.0.0.{number % 3}", why="x" * 5000)
    first = stage.engine.audit(0, 10_000)
    assert sorted(e.origin for e in first) == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    assert all(len(e.result) < 350 for e in first)
    stage.run(61, 1.0)
    stage.engine.turned_away(what="w", by="b", origin="10.0.0.1", why="again")
    assert stage.engine.audit(0, 10_000)[-1].result == (
        "turned away: again (999 more from there before)"
    )
    for number in range(3000):
        stage.engine.turned_away(what="w", by="b", origin=f"10.1.{number}", why="many places")
    assert len(stage.engine.audit(0, 10_000)) < 300


def test_what_cannot_be_recorded_is_an_event(rehearsal: Make) -> None:
    """Cooling and lights go on without a journal, and so must their commands."""
    stage = rehearsal()
    stage.run(3)

    path = stage.journal._path
    stage.journal._db.close()
    stage.journal._db = None
    aside = path.with_name("aside")
    path.rename(aside)
    path.mkdir()
    stage.engine.fan("intake", mode="manual", duty=0.9, for_s=60, **WHO)
    told = [e for e in stage.engine.events(0, 100) if e.kind == "audit.lost"]
    assert [e.text for e in told] == ["fan by token:ops from 10.0.0.7: done"]
    stage.run(2)
    assert stage.engine.rig().fans[0].mode == "manual"
    path.rmdir()
    aside.rename(path)
    assert stage.journal.try_again()
    assert any(e.kind == "audit.lost" for e in stage.engine.events(0, 100))
