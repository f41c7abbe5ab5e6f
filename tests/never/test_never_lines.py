"""1. An outlet changes because hwctl started, stopped, crashed, was upgraded or reloaded."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwctl.model.rig import OpState


@pytest.mark.parametrize("off", [(), ("pi1", "pi3")])
def test_starting_stopping_and_killing_changes_no_line(rehearsal, off):
    stage = rehearsal()
    stage.run(3)
    for node in off:
        stage.power(node, "off", force=True)
    stage.run(20)
    stage.edges.clear()
    on = {node for node in stage.loaded.wiring.node if stage.on(node)}
    rng = random.Random(7)
    for turn in range(12):
        if turn % 3 == 2:
            stage.stop()
        stage.restart(away_s=rng.choice((0.0, 0.3, 40.0)))
        stage.run(rng.choice((0.25, 1.0, 3.0, 9.0)), 0.5)
    assert stage.edges == []
    assert on == {"pi0", "pi1", "pi2", "pi3"} - set(off)
    assert {n.id for n in stage.engine.rig().nodes if n.power == "on"} == on


def test_a_line_that_somebody_else_switched_is_adopted(rehearsal):
    stage = rehearsal()
    stage.run(3)
    relay = stage.world.parts.switches["relay2"]
    stage.journal.close()
    relay.lines.drive(relay.line, relay.active_low)
    stage.edges.clear()
    stage.restart()
    stage.run(10)
    assert stage.edges == []
    assert stage.engine.rig().nodes[2].power == "off"


def intended(stage, op) -> list[str]:
    return [what for _, what, _ in stage.journal.intents(op.id) if what.startswith("switch")]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kills=st.lists(st.integers(1, 130), max_size=5),
    away=st.sampled_from((0.0, 2.0, 15.0)),
    kind=st.sampled_from(("cycle", "off", "reset")),
)
def test_killed_at_any_moment_only_what_was_ordered_changes(rehearsal, kills, away, kind):
    """A node is switched; hwctl is killed again and again. Every edge has its journalled intent,
    no other relay moves, and a cycle ends with the node on."""
    stage = rehearsal()
    stage.run(3)
    op = stage.power("pi2", kind)
    for half_second in range(260):
        stage.rehearsal.step(0.5)
        if half_second in kills:
            stage.restart(away)
    ended = stage.op(op)
    assert ended.state.ended
    assert {outlet for _, outlet, _ in stage.edges} <= {"feed2"}
    done = ["switch on feed2" if on else "switch off feed2" for _, _, on in stage.edges]
    ordered = intended(stage, op)
    assert [what for what in ordered if what in done][: len(done)] == done
    assert len(done) == {"cycle": 2, "off": 1, "reset": 0}[kind] or ended.state is OpState.FAILED
    assert stage.on("pi2") is (kind != "off" or ended.state is OpState.FAILED)
    assert stage.dirty() == 0
