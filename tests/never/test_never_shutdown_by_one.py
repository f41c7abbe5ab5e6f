"""3. A shutdown is started by one reading, by one source that contradicts the others, by a stale
value, or by the absence of one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwctl.model.readings import Quality
from hwctl.model.rig import Power, SupplyStatus
from hwctl.model.settings import ShutdownSettings
from hwctl.policy.shutdown import Begin, Inputs, NodeFact, Phase, State, SupplyFact, step

ARMED = ShutdownSettings(armed=True)
NODES = tuple(
    NodeFact(f"pi{n}", "compute", Power.ON, protected=False, has_outlet=True, halt_s=60.0,
             held_by=None)
    for n in range(3)
)  # fmt: skip
GOOD = SupplyFact(
    "bank", SupplyStatus.DISCHARGING, 0.8, 0.9, 9000.0, 8000.0, mains=False, quality=Quality.OK,
    taken=0.0,
)  # fmt: skip
LOW = replace(GOOD, charge_low=0.03, charge=0.1, runtime_s=90.0, runtime_low_s=30.0)
NOT_SO = (
    GOOD,
    replace(LOW, mains=True),
    replace(LOW, quality=Quality.STALE),
    replace(LOW, quality=Quality.SUSPECT),
    replace(LOW, quality=Quality.ABSENT),
    replace(LOW, status=SupplyStatus.CHARGING, mains=True),
    replace(LOW, status=SupplyStatus.UNKNOWN, mains=None),
    replace(LOW, charge_low=None, charge=None, runtime_low_s=None, runtime_s=None),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from((LOW, LOW, LOW, LOW, LOW, *NOT_SO)), min_size=1, max_size=2),
            st.sampled_from((0.25, 1.0, 4.0, 20.0)),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_only_enough_samples_that_agree_for_long_enough_begin_it(history):
    """At each beginning, look back: no other reason must be found than five distinct samples, ten
    seconds, every supply low, discharging, fresh."""
    state, now, taken = State(), 0.0, 0.0
    agreed: list[tuple[float, float]] = []
    for supplies, passed, new in history:
        now += passed
        taken = now if new else taken
        facts = tuple(replace(s, taken=taken) for s in supplies)
        low = all(
            s.runtime_low_s == 30.0 and s.mains is False and s.quality is Quality.OK
            and s.status is SupplyStatus.DISCHARGING
            for s in supplies
        )  # fmt: skip
        agreed = [*agreed, (now, taken)] if low else []
        state, actions = step(state, now, Inputs(facts, NODES), ARMED)
        assert not any(isinstance(action, Begin) for action in actions)
        if state.phase is Phase.RUNNING:  # its first node is begun with at the next look
            assert len({sample for _, sample in agreed}) >= ARMED.confirm_samples
            assert agreed[-1][0] - agreed[0][0] >= ARMED.confirm_s
            return


def low_bank(rehearsal, **kwargs):
    """A bank that is nearly empty, and known to be."""
    return rehearsal(changes={"settings.supply.bank.charge_at_first_start": 0.05}, **kwargs)


def untouched(stage) -> bool:
    begun = {"shutdown.started", "power.begun"} & set(stage.kinds())
    return not begun and stage.edges == []


def test_nearly_empty_on_mains_begins_nothing(rehearsal):
    stage = low_bank(rehearsal)
    stage.run(120)
    assert untouched(stage)


@pytest.mark.parametrize("away_s", [0.5, 2.0, 6.0])
def test_mains_that_is_gone_for_a_moment_begins_nothing(rehearsal, away_s):
    stage = low_bank(rehearsal)
    for _ in range(5):
        stage.run(5, 0.5)
        stage.control("mains", on=False)
        stage.run(away_s, 0.5)
        stage.control("mains", on=True)
    stage.run(30)
    assert untouched(stage)


@pytest.mark.parametrize("fault", ["nak", "timeout", "ones", "zeros"])
@pytest.mark.parametrize("device", ["bank-in", "bank-out"])
@pytest.mark.parametrize("mains", [True, False])
def test_a_gauge_that_fails_begins_nothing(rehearsal, device, fault, mains):
    """Whichever gauge, however it fails, with mains or without: what is not known is no reason."""
    stage = low_bank(rehearsal)
    stage.run(10)
    stage.control("gauge", device=device, fault=fault)
    stage.run(5)
    stage.control("mains", on=mains)
    stage.run(150)
    assert untouched(stage)


def test_with_every_reading_low_and_fresh_it_does_begin(rehearsal):
    """The tests above would prove nothing if it never did."""
    stage = low_bank(rehearsal)
    stage.run(10)
    stage.control("mains", on=False)
    stage.run(20)
    assert "shutdown.started" in stage.kinds()


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("bank-in", "bank-out")),
            st.sampled_from(("nak", "timeout", "ones", "zeros", None)),
            st.integers(1, 15),
        ),
        max_size=15,
    )
)
def test_gauges_that_come_and_go_on_mains_begin_nothing(rehearsal, faults):
    stage = low_bank(rehearsal)
    stage.run(3)
    for device, fault, seconds in faults:
        stage.control("gauge", device=device, fault=fault)
        stage.run(seconds)
        stage.control("reset", device=device)
    assert untouched(stage)
