"""The cooling policy, case by case."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from hwctl.model.readings import ABSENT, Quality, Reading, ok
from hwctl.model.rig import Os
from hwctl.model.settings import CoolingSettings
from hwctl.policy.cooling import (
    CoolingInputs,
    CoolingState,
    FanInput,
    FanOrder,
    Manual,
    step,
)
from hwctl.policy.heat import NodeInput, curve, duty_at

SETTINGS = CoolingSettings()
SUSPECT = Quality.SUSPECT


def node(
    name="pi0", celsius=None, load=None, *, power_on=True, os=Os.UP, has_temperature=None
) -> NodeInput:
    return NodeInput(
        id=name,
        power_on=power_on,
        os=os,
        load=load or ABSENT,
        celsius=celsius or ABSENT,
        has_temperature=(
            celsius is not None and celsius.value is not None
            if has_temperature is None
            else has_temperature
        ),
    )


def fan(name="intake", *, rpm=3000.0, driven=0.5, start_duty=0.3, read_ok=True) -> FanInput:
    return FanInput(name, start_duty, rpm, driven, read_ok)


class Bench:
    """Steps the policy and keeps its state; the fans do as they are told unless said otherwise."""

    def __init__(self, settings=SETTINGS, fans=None):
        self.settings = settings
        self.state = CoolingState()
        self.fans = fans or [fan()]
        self.now = 1000.0

    def __call__(self, *nodes, after=1.0, manual=None) -> FanOrder:
        return self.all(*nodes, after=after, manual=manual)[0]

    def all(self, *nodes, after=1.0, manual=None) -> tuple[FanOrder, ...]:
        self.now += after
        inputs = CoolingInputs(nodes, tuple(self.fans), manual or {})
        self.state, orders = step(self.state, self.now, inputs, self.settings)
        return orders

    def warm(self, value, **kwargs) -> NodeInput:
        """A node that tells ``value`` at the time of the next step (1 s from now)."""
        return node(celsius=ok(value, self.now + 1.0), **kwargs)

    def cold_start(self) -> float:
        """Let the fan fall to the lowest duty of the curve."""
        for _ in range(60):
            order = self(self.warm(30.0))
        return order.duty


# --- curves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("celsius", "duty"),
    [
        (-10, 0.25),
        (40, 0.25),
        (47.5, 0.35),
        (55, 0.45),
        (70, 0.8),
        (78, 1.0),
        (95, 1.0),
        (math.nan, 1.0),
        (math.inf, 1.0),
    ],
)
def test_the_curve_is_linear_between_its_points(celsius, duty):
    assert duty_at(curve(SETTINGS.curve), celsius) == pytest.approx(duty)


def test_a_curve_that_falls_or_holds_no_numbers_is_made_to_never_fall():
    line = curve([(70.0, 0.3), (40.0, 0.5), (math.nan, 0.1), (80.0, math.nan)])
    assert duty_at(line, 40.0) == duty_at(line, 75.0) == 0.5
    assert duty_at(curve([]), 20.0) == 1.0


# --- what the zone asks for ------------------------------------------------------------------


def test_before_anything_is_known_the_duty_is_safe():
    order = Bench()(node(power_on=None, os=Os.UNKNOWN))
    assert order == FanOrder("intake", 0.9, "pi0: has told nothing yet", "auto")


def test_a_rig_without_nodes_is_cooled_as_if_something_were_wrong():
    assert Bench()().duty == 0.9


def test_all_fans_follow_the_hottest_node():
    bench = Bench(fans=[fan("intake"), fan("exhaust")])
    first, second = bench.all(
        node("pi0", ok(45.0, 1001)), node("pi1", ok(70.0, 1001)), node("pi2", ok(50.0, 1001))
    )
    assert first == FanOrder("intake", pytest.approx(0.8), "pi1: 70.0 °C", "auto")
    assert second.duty == first.duty


def test_a_node_without_a_temperature_follows_its_load():
    bench = Bench()
    bench.cold_start()
    idle = bench(node(load=ok(0.05, bench.now + 1), has_temperature=False), after=100)
    bench = Bench()
    busy = bench(node(load=ok(0.5, bench.now + 1)))
    assert busy == FanOrder("intake", pytest.approx(0.55), "pi0: load 50%", "auto")
    assert idle.duty == 0.9, "it had told a temperature before, so this one is lost"


def test_real_load_raises_the_duty():
    bench = Bench()
    duties = [bench(node(load=ok(load, bench.now + 1))).duty for load in (0.0, 0.2, 0.5, 0.8, 1.0)]
    assert duties == sorted(duties)
    assert duties[0] == 0.25
    assert duties[-1] == 0.85


@pytest.mark.parametrize(
    ("load", "cause"),
    [
        (Reading(0.2, 994.0, Quality.STALE), "pi0: load stale for 7 s"),
        (Reading(None, 1000.0, SUSPECT), "pi0: load implausible"),
        (ok(math.nan, 1000.0), "pi0: load implausible"),
    ],
)
def test_a_node_that_tells_only_its_load_and_then_not_that_gets_the_safe_duty(load, cause):
    order = Bench()(node(load=load))
    assert (order.duty, order.cause) == (0.9, cause)


def test_a_node_that_is_read_back_as_off_does_not_count():
    bench = Bench()
    hot = ok(90.0, 1001)
    order = bench(node("pi0", hot, power_on=False, os=Os.HALTED), node("pi1", ok(40.0, 1001)))
    assert order.duty == 0.25


def test_a_node_whose_power_is_unknown_counts():
    assert Bench()(node(celsius=ok(78.0, 1001), power_on=None)).duty == 1.0


def test_with_every_node_off_the_duty_is_the_idle_one():
    order = Bench()(node("pi0", power_on=False), node("pi1", power_on=False))
    assert order == FanOrder("intake", 0.2, "every node is off", "auto")


# --- temperatures that cannot be believed ----------------------------------------------------


def cases(now):
    """What can become of a temperature, each as a node at ``now``."""
    return {
        "stale for 7 s": node(celsius=Reading(45.0, now - 7, Quality.STALE)),
        "lost": node(load=ok(0.1, now), has_temperature=True),
        "unreachable": node(celsius=ok(45.0, now), os=Os.UNREACHABLE),
        "implausible": node(celsius=Reading(None, now, SUSPECT)),
        "temperature implausible": node(celsius=ok(-128.0, now)),
        "temperature jumped": node(celsius=ok(0.0, now)),
        "pi0: temperature implausible": node(celsius=ok(math.nan, now)),
    }


@pytest.mark.parametrize("case", cases(0.0))
def test_every_way_to_lose_a_temperature_asks_for_the_safe_duty_and_names_it(case):
    bench = Bench()
    bench.cold_start()
    bench(bench.warm(45.0))
    order = bench(cases(bench.now + 1)[case])
    assert order.duty == 0.9
    assert case in order.cause
    assert order.cause.startswith("pi0: ")
    assert len(bench.state.faults) == 1
    assert "7 s" not in bench.state.faults[0], "a fault's words must not change at every tick"


@pytest.mark.parametrize("case", cases(0.0))
def test_a_last_known_hot_value_still_counts(case):
    bench = Bench()
    bench(bench.warm(77.0))
    order = bench(cases(bench.now + 1)[case])
    # 0.9 would be safe; 77 °C asked for 0.975, and it may be warmer by now
    assert order.duty > 0.95


def test_a_node_that_nobody_sees_is_taken_to_get_warmer_up_to_a_limit():
    bench = Bench(CoolingSettings(safe_duty=0.3))
    bench(bench.warm(50.0))
    duties = [bench(node(has_temperature=True), after=30).duty for _ in range(8)]
    assert duties == sorted(duties)
    assert duties[0] > duty_at(curve(SETTINGS.curve), 50.0)
    assert duties[-1] == pytest.approx(duty_at(curve(SETTINGS.curve), 60.0))


def test_an_upward_jump_is_doubted_but_reckoned_with():
    bench = Bench()
    bench(bench.warm(40.0))
    order = bench(bench.warm(78.0))
    assert (order.duty, order.cause) == (1.0, "pi0: temperature jumped")


def test_a_jump_back_to_the_believed_value_is_believed_at_once():
    bench = Bench()
    for value in (60.0, 0.0, 61.0):
        bench(bench.warm(value))
    assert bench.state.faults == ()


def test_zero_after_a_resume_is_never_believed_while_it_does_not_move():
    bench = Bench()
    bench(bench.warm(60.0))
    bench(node(has_temperature=True), after=300)
    orders = [bench(bench.warm(0.0)) for _ in range(400)]
    assert {order.duty for order in orders} == {0.9}


def test_a_lasting_living_new_temperature_is_believed_in_the_end():
    bench = Bench()
    bench(bench.warm(75.0))
    orders = [bench(bench.warm(30.0 + second % 2)) for second in range(40)]
    assert orders[5].duty >= 0.9
    assert bench.state.faults == ()
    assert orders[-1].cause == "pi0: 31.0 °C, slowing"


def test_the_same_temperature_for_long_is_stuck_only_if_the_load_moved():
    for swing, faults in ((0.2, ()), (0.5, ("pi0: temperature stuck",))):
        bench = Bench()
        for second in range(620):
            load = swing if second == 100 else 0.0
            bench(bench.warm(50.0, load=ok(load, bench.now + 1)))
        assert bench.state.faults == faults
        bench(bench.warm(50.5, load=ok(0.0, bench.now + 1)))
        assert bench.state.faults == ()


def test_an_old_sample_shown_again_and_again_does_not_count_as_stuck():
    bench = Bench()
    sample = ok(50.0, bench.now)
    for _ in range(700):
        bench(node(celsius=sample, load=ok(bench.now % 2, bench.now)))
    assert bench.state.faults == ()


def test_a_node_that_was_off_may_come_back_colder_and_with_no_sensor():
    bench = Bench()
    bench(bench.warm(75.0))
    bench(node(power_on=False))
    bench(bench.warm(25.0))
    assert bench.state.faults == ()
    bench(node(power_on=False))
    bench(node(load=ok(0.1, bench.now)))
    assert bench.state.faults == ()


def test_more_air_comes_at_once_and_goes_slowly():
    bench = Bench()
    assert bench.cold_start() == 0.25
    assert bench(bench.warm(44.0)).duty == pytest.approx(0.25 + 0.2 * 4 / 15)
    bench = Bench()
    assert bench(bench.warm(70.0)).duty == pytest.approx(0.8)
    falling = [bench(bench.warm(70.0 - 3 * second)) for second in range(1, 12)]
    steps = [a.duty - b.duty for a, b in pairwise(falling)]
    assert max(steps) <= SETTINGS.fall_per_s + 1e-9
    assert falling[-3].cause.endswith(", slowing")


def test_time_that_runs_backwards_slows_no_fan():
    bench = Bench()
    bench(bench.warm(70.0))
    assert bench(bench.warm(60.0), after=-50.0).duty == pytest.approx(0.8)


# --- by hand ---------------------------------------------------------------------------------


def test_a_duty_set_by_hand_holds_until_it_expires():
    bench = Bench()
    manual = {"intake": Manual(0.5, bench.now + 2.5)}
    orders = [bench(bench.warm(40.0), manual=manual) for _ in range(4)]
    assert [order.mode for order in orders] == ["manual", "manual", "auto", "auto"]
    assert orders[1] == FanOrder("intake", 0.5, "manual", "manual")
    assert orders[3].duty == pytest.approx(0.5 - 2 * SETTINGS.fall_per_s)


def test_heat_overrides_the_hand():
    bench = Bench()
    manual = {"intake": Manual(0.1, math.inf)}
    for value in (66.0, 71.0, 74.9):
        order = bench(bench.warm(value), manual=manual)
    assert order.duty <= 0.3
    order = bench(bench.warm(76.0), manual=manual)
    assert order == FanOrder(
        "intake", pytest.approx(0.95), "manual, raised: pi0: 76.0 °C", "manual"
    )


def test_a_fault_overrides_the_hand_and_lets_go_slowly():
    bench = Bench()
    manual = {"intake": Manual(0.4, math.inf)}
    assert bench(bench.warm(40.0), manual=manual).duty == 0.4
    order = bench(node(has_temperature=True), manual=manual)
    assert (order.duty, order.cause) == (0.9, "manual, raised: pi0: temperature lost")
    orders = [bench(bench.warm(41.0), manual=manual) for _ in range(20)]
    assert orders[0].duty == pytest.approx(0.9 - SETTINGS.fall_per_s)
    assert orders[-1].duty == 0.4


def test_more_than_safe_by_hand_is_left_alone():
    order = Bench()(node(has_temperature=True), manual={"intake": Manual(1.0, math.inf)})
    assert (order.duty, order.cause) == (1.0, "manual")


def test_no_number_by_hand_is_full_power():
    order = Bench()(node(celsius=ok(40.0, 1001)), manual={"intake": Manual(math.nan, math.inf)})
    assert order.duty == 1.0


# --- fans that do not turn -------------------------------------------------------------------


def test_a_driven_fan_that_stands_still_is_kicked_and_the_others_take_over():
    bench = Bench(fans=[fan("intake", rpm=0.0, driven=0.45), fan("exhaust")])
    history = [bench.all(bench.warm(55.0), after=1.0) for _ in range(9)]
    intake = [orders[0] for orders in history]
    exhaust = [orders[1] for orders in history]
    assert [order.duty for order in exhaust[:3]] == pytest.approx([0.45] * 3)
    assert exhaust[3] == FanOrder("exhaust", 0.9, "fan intake stands still", "auto")
    assert intake[3].duty == 1.0
    assert intake[3].cause.startswith("stands still, kicked")
    assert intake[4].duty == 0.9, "after the kick it tries again"
    assert intake[4].cause.startswith("stands still; ")
    assert [order.duty for order in intake].count(1.0) == 2, "it goes on trying"
    assert all(order.duty == 0.9 for order in exhaust[3:]), "the others do not wait for it"
    bench.fans[0] = fan("intake", rpm=900.0, driven=0.9)
    bench.all(bench.warm(55.0))
    assert bench.state.faults == ()


def test_an_old_sample_seen_again_does_not_make_a_fan_stand_still():
    bench = Bench(fans=[replace(fan(rpm=0.0), taken=1000.0)])
    for _ in range(10):
        bench(bench.warm(55.0))
    assert bench.state.faults == ()
    bench.fans = [replace(fan(rpm=0.0), taken=bench.now)]
    bench(bench.warm(55.0))
    assert bench.state.faults == ("fan intake stands still",)


def test_a_fan_that_stands_still_because_it_is_not_driven_is_well():
    bench = Bench(fans=[fan(rpm=0.0, driven=0.0)])
    manual = {"intake": Manual(0.0, math.inf)}
    orders = [bench(bench.warm(30.0), manual=manual) for _ in range(10)]
    assert {order.duty for order in orders} == {0.0}
    assert bench.state.faults == ()


def test_a_stopped_fan_that_is_to_turn_slowly_is_started_with_a_kick():
    bench = Bench(fans=[fan(rpm=0.0, driven=0.0)])
    off = node(power_on=False)
    assert bench(off).duty == 1.0
    bench.fans = [fan(rpm=700.0, driven=1.0)]
    assert bench(off, after=0.25).duty == 1.0
    assert bench(off, after=0.25).duty == 0.3, "then at its start duty"
    assert bench(off, after=1.5).duty == 0.3
    assert bench(off, after=5.0).duty == 0.2, "then as slow as it was to turn"


def test_a_fan_that_stops_below_its_start_duty_is_never_driven_there_again():
    bench = Bench(fans=[fan(rpm=700.0, driven=0.2)])
    off = node(power_on=False)
    bench(off, after=10)
    assert bench(off).duty == 0.2
    bench.fans = [fan(rpm=0.0, driven=0.2)]
    assert [bench(off).duty for _ in range(2)] == [0.2, 1.0]
    bench.fans = [fan(rpm=900.0, driven=1.0)]
    assert {bench(off).duty for _ in range(20)} == {0.3}
    assert bench.state.faults == ()


def test_a_fan_without_tachometer_is_not_called_stalled():
    bench = Bench(fans=[fan(rpm=None)])
    for _ in range(20):
        bench(bench.warm(55.0))
    assert bench.state.faults == ()


def test_a_fan_that_cannot_be_read_makes_the_others_take_over():
    bench = Bench(fans=[fan("intake", rpm=None, read_ok=False), fan("exhaust")])
    for _ in range(5):
        orders = bench.all(bench.warm(55.0))
    assert orders[1] == FanOrder("exhaust", 0.9, "fan intake does not answer", "auto")


def test_one_lost_read_of_a_fan_is_nothing():
    bench = Bench(fans=[fan(read_ok=False)])
    assert bench(bench.warm(55.0)).duty == pytest.approx(0.45)
    bench.fans = [fan()]
    bench(bench.warm(55.0))
    bench.fans = [fan(read_ok=False)]
    assert bench(bench.warm(55.0), after=2.0).duty == pytest.approx(0.45)
