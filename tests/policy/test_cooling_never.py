"""What must never happen: a temperature that is lost lets a fan slow down.

Two rigs live through the same random history. From some moment on, one node of the first goes
wrong in random ways, while in the second that node goes on telling its last value. At every later
moment, every fan of the first must turn at least as fast as that of the second.
"""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.readings import ABSENT, Quality, Reading, ok
from hwctl.model.rig import Os
from hwctl.model.settings import CoolingSettings
from hwctl.policy.cooling import CoolingInputs, CoolingState, FanInput, Manual, step
from hwctl.policy.heat import NodeInput

SETTINGS = CoolingSettings(stuck_after_s=30.0)
anything = st.floats(allow_nan=True, allow_infinity=True)
celsius = st.floats(-15, 110)
loads = st.floats(0, 1)
gaps = st.floats(0.01, 40.0)
faults = st.sampled_from(("lost", "stale", "suspect", "unreachable", "garbage", "jump", "frozen"))


def healthy(name, value, load, now) -> NodeInput:
    return NodeInput(name, True, Os.UP, ok(load, now), ok(value, now), True)


def broken(node: NodeInput, fault: str, since: float, garbage: float, now: float) -> NodeInput:
    """``node`` as it would look with that fault."""
    match fault:
        case "lost":
            return replace(node, celsius=ABSENT)
        case "stale":
            return replace(node, celsius=Reading(node.celsius.value, since, Quality.STALE))
        case "suspect":
            return replace(node, celsius=Reading(None, now, Quality.SUSPECT))
        case "unreachable":
            return replace(node, os=Os.UNREACHABLE, celsius=ABSENT, load=ABSENT)
        case "garbage":
            value = garbage if not -20 <= garbage <= 125 else math.nan
            return replace(node, celsius=ok(value, now))
        case "jump":
            assert node.celsius.value is not None
            return replace(
                node, celsius=ok(node.celsius.value - 46, now)
            )  # 15 °C/s for 3 s, and more
        case _:
            return node


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_losing_a_temperature_never_slows_a_fan(data):
    fans = (FanInput("a", 0.3, 2000.0, 0.5, True), FanInput("b", 0.0, None, None, True))
    manual = data.draw(
        st.sampled_from(({}, {"a": Manual(0.3, math.inf)}, {"a": Manual(1.0, 60.0)}))
    )
    now, state = 0.0, CoolingState()
    value = other = 40.0
    for _ in range(data.draw(st.integers(1, 6))):
        gap = data.draw(gaps)
        now += gap
        value += data.draw(st.floats(-14, 14)) * min(gap, 1.0)
        other += data.draw(st.floats(-14, 14)) * min(gap, 1.0)
        value, other = max(30.0, min(value, 105.0)), max(-10.0, min(other, 105.0))
        nodes = (healthy("x", value, 0.5, now), healthy("y", other, data.draw(loads), now))
        state, _ = step(state, now, CoolingInputs(nodes, fans, manual), SETTINGS)
    kept = lossy = state
    since = now
    for moment in range(data.draw(st.integers(1, 8))):
        now += data.draw(gaps)
        y = healthy("y", data.draw(celsius), data.draw(loads), now)
        load = data.draw(loads)
        x = healthy("x", value - 0.01 * (moment % 2), load, now)  # moves, or it would be stuck
        fault = data.draw(faults)
        bad = broken(healthy("x", value, load, now), fault, since, data.draw(anything), now)
        kept, well = step(kept, now, CoolingInputs((x, y), fans, manual), SETTINGS)
        lossy, ill = step(lossy, now, CoolingInputs((bad, y), fans, manual), SETTINGS)
        for was, order in zip(well, ill, strict=True):
            assert order.duty >= was.duty - 1e-9, (fault, order, was)
            if fault != "frozen":
                assert order.duty >= SETTINGS.safe_duty


readings = st.builds(
    Reading,
    st.none() | anything,
    st.floats(-1e6, 1e6),
    st.sampled_from(Quality),
)
nodes_of_any_kind = st.builds(
    NodeInput,
    st.sampled_from(("x", "y", "z")),
    st.sampled_from((True, False, None)),
    st.sampled_from(Os),
    readings,
    readings,
    st.booleans(),
)
fans_of_any_kind = st.builds(
    FanInput,
    st.sampled_from(("a", "b")),
    st.floats(0, 1),
    st.none() | anything,
    st.none() | anything,
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(
    history=st.lists(
        st.tuples(
            anything,
            st.lists(nodes_of_any_kind, max_size=3, unique_by=lambda node: node.id),
            st.lists(fans_of_any_kind, max_size=2, unique_by=lambda fan: fan.id),
            st.dictionaries(st.sampled_from(("a", "b")), st.builds(Manual, anything, anything)),
        ),
        max_size=6,
    )
)
def test_whatever_comes_in_an_order_is_a_ratio_with_a_cause(history):
    state = CoolingState()
    for now, nodes, fans, manual in history:
        inputs = CoolingInputs(tuple(nodes), tuple(fans), manual)
        state, orders = step(state, now, inputs, SETTINGS)
        assert [order.fan for order in orders] == [fan.id for fan in fans]
        for order in orders:
            assert 0.0 <= order.duty <= 1.0
            assert order.cause
