"""Operations as the engine runs them: one per node, resumed, never carried out too late."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hwctl.model.errors import RequestError, TargetBusyError
from hwctl.model.rig import OpState

Make = Callable[..., Any]


def test_of_many_commands_at_once_one_begins(rehearsal: Make) -> None:
    """The others are told which operation holds the node (pdudaemon interleaves them)."""
    stage = rehearsal()
    stage.run(10)
    begun: list[str] = []
    busy: list[str] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait(10)
        try:
            begun.append(stage.power("pi2", "cycle").id)
        except TargetBusyError as error:
            busy.append(error.operation)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(begun) == 1
    assert busy == begun * 7
    stage.run_until(lambda: stage.op(stage.engine.operation(begun[0])).state.ended, 400)
    assert [on for _, feed, on in stage.edges if feed == "feed2"] == [False, True]


def test_a_key_gives_the_same_operation_and_no_other(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    first = stage.power("pi1", "off", key="k")
    assert stage.power("pi1", "off", key="k").id == first.id
    with pytest.raises(RequestError, match="another command"):
        stage.power("pi1", "cycle", key="k")


def test_an_operation_whose_node_is_not_wired_any_more_ends(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(10)
    op = stage.power("pi3", "off")
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
    stage.run(5)
    ended = stage.op(op)
    assert ended.state is OpState.FAILED
    assert "not in the wiring" in (ended.error or "")
    assert stage.engine.rig().healthy


def test_an_order_that_waited_too_long_for_its_bus_is_not_carried_out(rehearsal: Make) -> None:
    """The bus hangs for a minute; the operation fails; when the bus is free nothing is switched."""
    stage = rehearsal()
    stage.run(10)
    op = stage.power("pi2", "off", force=True)
    bus = stage.engine.workers["gpio"]
    run_once = bus.run_once
    bus.run_once = lambda: 0.0
    stage.run_until(lambda: stage.op(op).state.ended, 300)
    assert stage.op(op).state is OpState.FAILED
    bus.run_once = run_once
    stage.run(30)
    assert stage.on("pi2")
    assert stage.edges == []


def test_inrush_that_may_still_come_is_reserved_after_a_restart(rehearsal: Make) -> None:
    """A rail with room for one inrush; hwctl is killed right after it switched the first on."""
    stage = rehearsal(
        changes={
            "wiring.node.pi1.inrush_amps": 3.0, "wiring.node.pi2.inrush_amps": 3.0,
            "wiring.node.pi1.inrush_s": 20.0, "wiring.node.pi2.inrush_s": 20.0,
            "wiring.rail.5v.budget_amps": 7.5,
        }
    )  # fmt: skip
    stage.run(10)
    for node in ("pi1", "pi2"):
        op = stage.power(node, "off")
        stage.run_until(lambda op=op: stage.op(op).state.ended, 300)
    stage.run(30)
    first = stage.power("pi1", "on")
    stage.run_until(lambda: stage.on("pi1"), 60, 0.25)
    stage.restart()
    second = stage.power("pi2", "on")
    stage.run(10, 0.25)
    assert not stage.on("pi2"), "pi1's inrush may still come"
    stage.run_until(lambda: stage.on("pi2"), 120)
    stage.run_until(lambda: stage.op(second).state.ended and stage.op(first).state.ended, 300)
    assert stage.world.overruns["5v"] == 0
