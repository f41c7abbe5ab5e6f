"""5. Two boards' inrush together exceed their rail's budget."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NODES = ("pi0", "pi1", "pi2", "pi3")
TIGHT = {
    "wiring.rail.5v.budget_amps": 6.5,
    **{f"wiring.node.{node}.inrush_amps": 3.2 for node in NODES},
}
"""One inrush beside three boards that run; two together would be over the budget."""


def running_off(rehearsal):
    """All four off, none of them switched for a while."""
    stage = rehearsal(changes=TIGHT)
    stage.run(3)
    for node in NODES:
        stage.power(node, "off", force=True)
    stage.run(30)
    assert not any(stage.on(node) for node in NODES)
    stage.edges.clear()
    stage.world.peaks["5v"] = 0.0
    return stage


def test_all_at_once_are_switched_on_one_after_the_other(rehearsal):
    stage = running_off(rehearsal)
    ops = [stage.power(node, "on") for node in NODES]
    stage.run_until(lambda: all(stage.op(op).state.ended for op in ops), 300, 0.5)
    assert [stage.op(op).state for op in ops] == ["done"] * 4
    assert stage.world.overruns["5v"] == 0
    assert 3.0 < stage.world.peaks["5v"] <= 6.5
    times = [at for at, _, _ in stage.edges]
    assert len(times) == 4
    assert min(b - a for a, b in pairwise(times)) >= 2.0


def test_two_together_would_have_been_too_much(rehearsal):
    """The test above would prove nothing otherwise."""
    stage = running_off(rehearsal)
    for node in ("relay0", "relay1", "relay2"):
        relay = stage.world.parts.switches[node]
        relay.lines.drive(relay.line, not relay.active_low)
    stage.world.advance_to(stage.now + 3)
    assert stage.world.overruns["5v"] > 0


@pytest.mark.parametrize("fault", ["nak", "ones", "zeros"])
def test_with_a_meter_that_does_not_tell(rehearsal, fault):
    stage = running_off(rehearsal)
    for meter in ("meter0", "meter2"):
        stage.control("gauge", device=meter, fault=fault)
    for node in NODES:
        stage.power(node, "on")
    stage.run(120, 0.5)
    assert stage.world.overruns["5v"] == 0


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kills=st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_killed_while_boards_are_switched_on(rehearsal, kills):
    stage = running_off(rehearsal)
    ops = [stage.power(node, "on") for node in NODES]
    for quarter in range(400):
        stage.rehearsal.step(0.25)
        if quarter in kills:
            stage.restart()
    assert stage.world.overruns["5v"] == 0
    assert all(stage.op(op).state == "done" for op in ops)
