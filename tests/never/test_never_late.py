"""8. A stored command from the past is carried out late."""

import pytest

from hwctl.model.rig import OpState

LATE_S = 1200.0
"""Twice as long as a command lives (`power.expiry_s`)."""


@pytest.mark.parametrize("action", ["off", "cycle", "reset"])
@pytest.mark.parametrize("force", [False, True])
def test_a_command_that_was_never_begun_is_not_begun_too_late(rehearsal, action, force):
    stage = rehearsal()
    stage.run(5)
    op = stage.power("pi1", action, force=force)
    assert stage.op(op).state is OpState.PENDING
    stage.restart(away_s=LATE_S)
    boots = stage.world.nodes["pi1"].boots
    stage.run(200, 2.0)
    assert stage.op(op).state is OpState.CANCELLED
    assert "expired" in (stage.op(op).error or "")
    assert stage.edges == []
    assert stage.world.nodes["pi1"].boots == boots


def test_a_command_that_waits_for_headroom_expires(rehearsal):
    stage = rehearsal(changes={"wiring.node.pi1.inrush_amps": 50.0})
    stage.run(5)
    off = stage.power("pi1", "off")
    stage.run_until(lambda: stage.op(off).state.ended, 60)
    stage.edges.clear()
    op = stage.power("pi1", "on", force=True)  # without force it is refused, with the figures
    expiry = stage.loaded.settings.power.expiry_s
    stage.run(expiry - 20, 5.0)
    assert stage.op(op).step == "admit"
    stage.run(40, 5.0)
    assert stage.op(op).state is OpState.CANCELLED
    assert stage.edges == []


def test_a_forced_cut_that_was_journalled_but_not_made_is_not_made_too_late(rehearsal):
    stage = rehearsal()
    stage.run(5)
    op = stage.power("pi1", "off", force=True)
    stage.rehearsal.step(0.25)
    # Killed between the journal and the relay.
    assert stage.op(op).step == "cut"
    assert stage.edges == []
    assert stage.journal.intents(op.id) == [("cut", "switch off feed1", None)]
    stage.restart(away_s=LATE_S)
    stage.run(120)
    assert stage.op(op).state is OpState.FAILED
    assert "expired" in (stage.op(op).error or "")
    assert stage.edges == []


def test_the_same_a_second_later_is_made(rehearsal):
    """The test above would prove nothing if it were never made up for."""
    stage = rehearsal()
    stage.run(5)
    op = stage.power("pi1", "off", force=True)
    stage.rehearsal.step(0.25)
    stage.restart(away_s=1.0)
    stage.run(30)
    assert stage.op(op).state is OpState.DONE
    assert [(outlet, on) for _, outlet, on in stage.edges] == [("feed1", False)]


def test_a_shutdowns_cut_is_not_made_at_a_deadline_too_late(rehearsal):
    """The rig lost its power in the middle; it is up again, and nobody wants it down."""
    stage = rehearsal()
    stage.run(5)
    stage.control("node", node="pi1", fault="hang", on=True)
    stage.engine.shutdown_start(reason="test", by="test")
    stage.run(40)
    assert stage.on("pi1")
    stage.engine.shutdown_cancel(by="test")
    stage.run(2)
    (op,) = [o for o in stage.engine.operations() if not o.state.ended]
    stage.edges.clear()
    stage.restart(away_s=LATE_S)
    stage.run(300, 2.0)
    assert stage.op(op).state is OpState.FAILED
    assert ("feed1", False) not in [(outlet, on) for _, outlet, on in stage.edges]


def test_a_key_that_is_sent_again_repeats_nothing(rehearsal):
    stage = rehearsal()
    stage.run(5)
    first = stage.power("pi1", "cycle", key="k1")
    stage.run_until(lambda: stage.op(first).state.ended, 200)
    edges = len(stage.edges)
    stage.restart(away_s=5.0)
    assert stage.power("pi1", "cycle", key="k1").id == first.id
    stage.run(60)
    assert len(stage.edges) == edges
