"""2. A node's power is cut before its halt is proven, unless the operator forced it or the
deadline passed; either is journalled as a risk, with the reason."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwctl.model.rig import OpState

NODE_FAULTS = ("hang", "exporter-dead", "unplugged", "exporter-html", "temp-lost")
GAUGE_FAULTS = ("nak", "timeout", "ones", "zeros")


def risks(stage) -> list[str]:
    return [e.text for e in stage.engine.events(0, 2000) if e.kind == "power.risk"]


@pytest.mark.parametrize("action", ["off", "cycle"])
@pytest.mark.parametrize(
    ("node_fault", "meter_fault"),
    [
        ("hang", None), ("unplugged", None), (None, "nak"), (None, "timeout"), (None, "ones"),
        (None, "zeros"), ("exporter-dead", "nak"), ("hang", "zeros"),
    ],
)  # fmt: skip
def test_without_proof_nothing_is_cut(rehearsal, action, node_fault, meter_fault):
    stage = rehearsal()
    stage.run(5)
    if node_fault:
        stage.control("node", node="pi1", fault=node_fault, on=True)
    if meter_fault:
        stage.control("gauge", device="meter1", fault=meter_fault)
    op = stage.power("pi1", action)
    stage.run_until(lambda: stage.op(op).state.ended, 400, 2.0)
    assert stage.op(op).state is OpState.FAILED
    assert "nothing was cut" in (stage.op(op).error or "")
    assert stage.edges == []
    assert stage.dirty() == 0


def test_a_meter_that_is_lost_while_the_halt_is_proven_only_delays_it(rehearsal):
    stage = rehearsal()
    stage.run(5)
    op = stage.power("pi1", "off")
    stage.run_until(lambda: stage.op(op).step == "prove-halt", 20)
    stage.control("gauge", device="meter1", fault="nak")
    stage.run(60)
    assert stage.edges == []
    stage.control("gauge", device="meter1", fault=None)
    stage.run_until(lambda: stage.op(op).state.ended, 120)
    assert stage.op(op).state is OpState.DONE
    assert stage.dirty() == 0


def test_a_forced_cut_is_journalled_with_its_reason(rehearsal):
    stage = rehearsal()
    stage.run(5)
    op = stage.power("pi1", "off", force=True, reason="smoke")
    stage.run_until(lambda: stage.op(op).state.ended, 20)
    assert risks(stage) == ["feed1 is cut at a risk: cut without a proven halt: forced by test"]
    assert stage.op(op).forced
    assert ("cut", "switch off feed1", "done") in stage.journal.intents(op.id)


def test_a_node_that_hangs_in_a_shutdown_is_cut_at_the_deadline_and_that_is_journalled(rehearsal):
    stage = rehearsal(changes={"settings.shutdown.halt_deadline_s": 60.0})
    stage.run(5)
    stage.control("node", node="pi3", fault="hang", on=True)
    stage.engine.shutdown_start(reason="packing up", by="test")
    stage.run_until(lambda: stage.engine.rig().shutdown.state == "down", 200)
    (risk,) = risks(stage)
    assert "pi3 still draws" in risk
    assert [n.dirty for n in stage.world.nodes.values()] == [0, 0, 0, 1]
    cut = {outlet: at for at, outlet, on in stage.edges if not on}
    assert cut["feed3"] >= 60
    assert max(cut["feed1"], cut["feed2"]) < cut["feed3"] < cut["feed0"]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    faults=st.lists(
        st.tuples(
            st.integers(0, 45), st.sampled_from((*NODE_FAULTS, *GAUGE_FAULTS)), st.booleans()
        ),
        max_size=6,
    ),
    kills=st.lists(st.integers(1, 60), max_size=2),
    action=st.sampled_from(("off", "cycle")),
)
def test_whatever_goes_wrong_nothing_is_lost_unless_it_says_so(rehearsal, faults, kills, action):
    stage = rehearsal()
    stage.run(3)
    op = stage.power("pi1", action)
    for second in range(320):
        for at, fault, on in faults:
            if at == second and fault in GAUGE_FAULTS:
                stage.control("gauge", device="meter1", fault=fault if on else None)
            elif at == second:
                stage.control("node", node="pi1", fault=fault, on=on)
        if second in kills:
            stage.restart(1.0)
        stage.rehearsal.step(1.0)
        if stage.op(op).state.ended:
            break
    assert stage.dirty() == 0 or risks(stage)
    assert stage.op(op).forced is None
    assert stage.dirty() == 0
