"""When the rig comes down, in which order, and when it comes up again."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.readings import Quality
from hwctl.model.rig import Power, SupplyStatus
from hwctl.model.settings import ShutdownSettings
from hwctl.policy.shutdown import (
    MAINS_STEADY_S,
    Begin,
    Inputs,
    NodeFact,
    Phase,
    Say,
    State,
    SupplyFact,
    left,
    needed_s,
    stages,
    step,
    view,
)

SETTINGS = ShutdownSettings(armed=True)
SUPPLY = SupplyFact(
    id="bank", status=SupplyStatus.DISCHARGING, charge_low=0.7, charge=0.8, runtime_s=9000.0,
    runtime_low_s=8000.0, mains=False, quality=Quality.OK, taken=0.0,
)  # fmt: skip
LOW = replace(SUPPLY, charge_low=0.05, charge=0.1, runtime_s=200.0, runtime_low_s=100.0)
ON_MAINS = replace(
    SUPPLY, status=SupplyStatus.CHARGING, mains=True, runtime_s=None, runtime_low_s=None
)
ROLES = {"pi0": "orchestrator", "pi1": "compute", "pi2": "compute", "sw": "switch"}


@dataclass
class Rig:
    """Four boards, whose operations take ``op_s``, and a state that may be killed."""

    settings: ShutdownSettings = SETTINGS
    supply: SupplyFact = SUPPLY
    op_s: float = 20.0
    now: float = 1000.0
    state: State = field(default_factory=State)
    power: dict[str, Power] = field(default_factory=lambda: dict.fromkeys(ROLES, Power.ON))
    held: dict[str, tuple[str, float]] = field(default_factory=dict)
    """node -> (kind, until)"""
    hung: set[str] = field(default_factory=set)
    """Nodes that cannot be brought down."""
    dead: set[str] = field(default_factory=set)
    """Nodes that do not come up."""
    blind: bool = False
    """No outlet has been read back."""
    said: list[str] = field(default_factory=list)
    begun: list[tuple[str, str]] = field(default_factory=list)

    def inputs(self, **command) -> Inputs:
        nodes = tuple(
            NodeFact(
                id=node,
                role=role,
                power=Power.UNKNOWN if self.blind else self.power[node],
                protected=role == "switch",
                has_outlet=True,
                halt_s=60.0,
                held_by=self.held[node][0] if node in self.held else None,
            )
            for node, role in ROLES.items()
        )
        return Inputs((replace(self.supply, taken=self.now),), nodes, **command)

    def tick(self, dt: float = 1.0, **command) -> None:
        self.now += dt
        for node, (kind, until) in list(self.held.items()):
            if until <= self.now:
                del self.held[node]
                if node not in (self.hung if kind == "off" else self.dead):
                    self.power[node] = Power.OFF if kind == "off" else Power.ON
        self.state, actions = step(self.state, self.now, self.inputs(**command), self.settings)
        for action in actions:
            if isinstance(action, Say):
                self.said.append(action.kind)
                continue
            assert isinstance(action, Begin)
            assert action.node not in self.held, "a node that is held was taken"
            assert ROLES[action.node] != "switch"
            self.begun.append((action.kind, action.node))
            self.held[action.node] = (action.kind, self.now + self.op_s)

    def run(self, seconds: float, dt: float = 1.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.tick(dt)

    def run_to(self, phase: Phase, most_s: float = 600.0) -> None:
        end = self.now + most_s
        while self.state.phase is not phase:
            assert self.now < end, f"{self.state.phase} instead of {phase}"
            self.tick()

    def order(self, by: str = "ann", command: str = "start") -> None:
        self.tick(0.25, command=command, by=by)

    def restart(self) -> None:
        """As the engine keeps it (``Engine._remember``) and takes it up again."""
        kept = self.state
        phase = Phase.STANDBY if kept.phase is Phase.CONFIRMING else kept.phase
        self.state = State(
            phase=phase, stage=kept.stage, cause=kept.cause, stopped=kept.stopped,
            by_operator=kept.by_operator, inhibited=kept.inhibited, since=kept.since,
        )  # fmt: skip
        self.blind = True
        self.tick()
        self.blind = False

    def off(self) -> set[str]:
        return {node for node, power in self.power.items() if power is Power.OFF}


# --- what is needed, and what is left ----------------------------------------------------------


def test_needed_time_is_the_slowest_of_each_stage():
    nodes = Rig().inputs().nodes
    slow = tuple(replace(n, halt_s=100.0) if n.id == "pi2" else n for n in nodes)
    assert needed_s(slow, SETTINGS, 13.0) == 30 + (100 + 13) + (60 + 13)
    off = tuple(replace(n, power=Power.OFF) for n in slow)
    assert needed_s(off, SETTINGS, 13.0) == 30
    unknown = tuple(replace(n, power=Power.UNKNOWN) for n in slow)
    assert needed_s(unknown, SETTINGS, 13.0) == needed_s(slow, SETTINGS, 13.0)


def test_stages_leave_out_protected_nodes_and_take_unnamed_roles_first():
    nodes = Rig().inputs().nodes
    assert stages(nodes, SETTINGS) == (("pi1", "pi2"), ("pi0",))
    storage = tuple(replace(n, role="storage") if n.id == "pi2" else n for n in nodes)
    assert stages(storage, SETTINGS) == (("pi1", "pi2"), ("pi0",))


def test_the_supply_that_lasts_longest_keeps_the_rig_up():
    assert left((LOW, SUPPLY)) == (9000.0, 8000.0)
    assert left((ON_MAINS,)) == (None, None)


# --- what begins nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("for_s", [0.25, 2.0, 8.0])
def test_a_flash_of_low_readings_begins_nothing(for_s):
    """A low-battery flag was seen to flash for 2 s (nut#2347)."""
    rig = Rig()
    for _ in range(20):
        rig.supply = LOW
        rig.run(for_s, 0.25)
        rig.supply = SUPPLY
        rig.run(3.0, 0.25)
    assert rig.begun == []
    assert rig.state.phase is Phase.STANDBY


def test_one_sample_seen_again_and_again_begins_nothing():
    rig = Rig(supply=LOW)
    for _ in range(300):
        rig.now += 0.25
        inputs = replace(rig.inputs(), supplies=(replace(LOW, taken=5.0),))
        rig.state, actions = step(rig.state, rig.now, inputs, SETTINGS)
        assert not any(isinstance(action, Begin) for action in actions)
    assert rig.state.phase is Phase.CONFIRMING


@pytest.mark.parametrize(
    "doubt",
    [
        {"quality": Quality.STALE},
        {"quality": Quality.ABSENT},
        {"quality": Quality.SUSPECT},
        {"mains": True},
        {"status": SupplyStatus.CHARGING},
        {"status": SupplyStatus.UNKNOWN, "mains": None},
        {"status": SupplyStatus.IDLE},
        {"status": SupplyStatus.FULL, "mains": True},
        {"charge_low": None, "charge": None},
        {"runtime_low_s": None, "runtime_s": None},
    ],
    ids=str,
)
def test_low_but_doubtful_begins_nothing(doubt):
    rig = Rig(supply=replace(LOW, **doubt))
    rig.run(300)
    assert rig.begun == []
    assert rig.said == []


def test_one_of_two_supplies_begins_nothing():
    rig = Rig()
    for other in (SUPPLY, ON_MAINS, replace(LOW, quality=Quality.STALE)):
        for _ in range(60):
            rig.now += 1
            inputs = replace(rig.inputs(), supplies=(replace(LOW, taken=rig.now), other))
            rig.state, actions = step(rig.state, rig.now, inputs, SETTINGS)
            assert actions == ()


def test_no_supply_at_all_begins_nothing():
    rig = Rig()
    for _ in range(60):
        rig.now += 1
        rig.state, actions = step(rig.state, rig.now, replace(rig.inputs(), supplies=()), SETTINGS)
        assert actions == ()


def test_what_was_confirmed_before_the_last_outage_does_not_count():
    """A counter left over from the previous outage triggered at once (pve-ups#25)."""
    rig = Rig(supply=LOW)
    rig.run(9)
    assert rig.state.phase is Phase.CONFIRMING
    rig.supply = ON_MAINS
    rig.run(1)
    assert rig.state.samples == 0
    rig.supply = LOW
    rig.run(9)
    assert rig.state.phase is Phase.CONFIRMING
    rig.run(3)
    assert rig.state.phase is Phase.RUNNING


def test_not_armed_only_says_so():
    rig = Rig(settings=ShutdownSettings(armed=False), supply=LOW)
    rig.run(60)
    assert rig.begun == []
    assert "shutdown.not-armed" in rig.said
    assert rig.said.count("shutdown.not-armed") <= 6


# --- coming down ---------------------------------------------------------------------------------


def test_workers_first_then_the_orchestrator_and_the_reverse_on_the_way_up():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    assert rig.begun == [("off", "pi1"), ("off", "pi2"), ("off", "pi0")]
    rig.begun.clear()
    rig.supply = ON_MAINS
    rig.run_to(Phase.STANDBY)
    assert rig.begun == [("on", "pi0"), ("on", "pi1"), ("on", "pi2")]
    assert rig.said[-1] == "shutdown.recovered"
    assert rig.power["sw"] is Power.ON


def test_the_next_stage_waits_for_the_whole_one_before():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.RUNNING)
    rig.tick()
    rig.held["pi2"] = ("off", rig.now + 100)
    rig.run(99)
    assert ("off", "pi0") not in rig.begun
    rig.run(5)
    assert rig.begun[-1] == ("off", "pi0")


def test_a_node_that_cannot_be_brought_down_is_named_and_holds_up_nobody():
    rig = Rig(supply=LOW, hung={"pi1"})
    rig.run_to(Phase.DOWN)
    assert rig.off() == {"pi2", "pi0"}
    assert rig.begun.count(("off", "pi1")) == 1
    assert rig.said.count("shutdown.node-left") == 1


def test_nodes_that_were_off_before_stay_off():
    rig = Rig(supply=LOW)
    rig.power["pi2"] = Power.OFF
    rig.run_to(Phase.DOWN)
    rig.supply = ON_MAINS
    rig.run_to(Phase.STANDBY)
    assert rig.off() == {"pi2"}


@pytest.mark.parametrize("kind", ["off", "on"])
def test_a_node_that_an_operator_holds_is_waited_for(kind):
    rig = Rig(supply=LOW)
    rig.held["pi1"] = (kind, rig.now + 80)
    rig.run_to(Phase.RUNNING)
    rig.run(40)
    assert rig.begun == [("off", "pi2")]
    rig.run_to(Phase.DOWN)
    assert rig.off() == {"pi0", "pi1", "pi2"}
    assert (("off", "pi1") in rig.begun) is (kind == "on")
    assert ("pi1" in rig.state.stopped) is (kind == "on")


def test_a_node_that_an_operators_cycle_brings_on_in_between_is_brought_down_too():
    rig = Rig(supply=LOW)
    rig.power["pi1"] = Power.OFF
    rig.held["pi1"] = ("on", rig.now + 45)
    rig.run_to(Phase.DOWN)
    assert rig.off() == {"pi0", "pi1", "pi2"}


def test_by_hand_it_comes_down_on_mains_and_stays_down_until_it_is_released():
    rig = Rig(supply=ON_MAINS)
    rig.order()
    rig.run_to(Phase.DOWN)
    rig.run(300)
    assert rig.off() == {"pi0", "pi1", "pi2"}
    assert "until `hwctl shutdown cancel`" in (rig.state.waiting or "")
    rig.order(command="cancel")
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


def test_a_second_start_changes_nothing():
    rig = Rig(supply=ON_MAINS)
    rig.order()
    rig.run(5)
    before = replace(rig.state)
    rig.order(by="bob")
    assert rig.state.cause == before.cause


# --- mains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [1, 12, 22, 45])
def test_mains_back_lets_the_halting_finish_and_asks_no_other(after_s):
    rig = Rig(supply=LOW, op_s=60)
    rig.run_to(Phase.RUNNING)
    rig.run(after_s)
    asked = list(rig.begun)
    rig.supply = replace(ON_MAINS, charge_low=0.05)
    rig.run(MAINS_STEADY_S + 2)
    at_steady = list(rig.begun)
    rig.run(400)
    assert rig.begun == at_steady
    assert rig.state.phase is Phase.DOWN
    assert rig.off() == {node for _, node in at_steady}
    assert asked == at_steady[: len(asked)]
    assert "restart" not in (rig.state.waiting or "")


def test_mains_that_goes_again_brings_down_what_was_let_run():
    """Stopped after the workers, the orchestrator runs on; nobody else would look after it."""
    rig = Rig(supply=LOW, op_s=40)
    rig.run_to(Phase.RUNNING)
    rig.tick()
    rig.supply = replace(ON_MAINS, charge_low=0.05)
    rig.run_to(Phase.DOWN)
    assert rig.off() == {"pi1", "pi2"}
    rig.supply = replace(LOW, runtime_low_s=90.0)
    rig.run(9)
    assert rig.off() == {"pi1", "pi2"}
    rig.run(60)
    assert rig.state.phase is Phase.DOWN
    assert rig.off() == {"pi0", "pi1", "pi2"}
    rig.supply = ON_MAINS
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


def test_mains_that_flaps_every_30_s_stops_nothing_and_switches_each_node_once():
    rig = Rig(supply=LOW, op_s=25)
    for turn in range(40):
        rig.supply = LOW if turn % 2 == 0 else replace(ON_MAINS, charge_low=0.05)
        rig.run(MAINS_STEADY_S - 1)
    assert rig.off() == {"pi0", "pi1", "pi2"}
    assert sorted(rig.begun) == [("off", "pi0"), ("off", "pi1"), ("off", "pi2")]


@pytest.mark.parametrize(
    ("low", "mains", "back"),
    [(0.29, True, False), (0.30, True, True), (0.9, False, False), (None, True, False)],
)
def test_they_come_back_only_with_charge_and_steady_mains(low, mains, back):
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    rig.begun.clear()
    rig.supply = replace(ON_MAINS if mains else SUPPLY, charge_low=low)
    rig.run(MAINS_STEADY_S - 2)
    assert rig.begun == []
    rig.run(300)
    assert (rig.begun != []) is back
    assert (rig.state.waiting is None) is back


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.ABSENT, Quality.SUSPECT])
def test_a_charge_that_is_not_known_brings_nobody_back(quality):
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    rig.begun.clear()
    rig.supply = replace(ON_MAINS, quality=quality)
    rig.run(300)
    assert rig.begun == []
    assert rig.state.waiting == "the charge is not known"


@pytest.mark.parametrize("low_for_s", [3, 120])
def test_a_second_outage_during_recovery(low_for_s):
    """Whether it is over soon or not: all come back in the end."""
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    rig.supply = ON_MAINS
    rig.run_to(Phase.RECOVERING)
    rig.run(5)
    rig.supply = LOW
    rig.run(low_for_s)
    assert ("on", "pi1") not in rig.begun
    assert "shutdown.recovery-stopped" in rig.said
    if low_for_s > 60:
        assert rig.off() == {"pi0", "pi1", "pi2"}
    rig.supply = ON_MAINS
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


def test_those_that_did_not_come_back_are_named():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    rig.dead = {"pi2"}
    rig.supply = ON_MAINS
    rig.run_to(Phase.STANDBY)
    assert rig.off() == {"pi2"}
    _, actions = step(
        State(phase=Phase.RECOVERING, stage=-1, stopped=("pi1", "pi2"), woke=0.0),
        rig.now, rig.inputs(), SETTINGS,
    )  # fmt: skip
    assert actions == (Say("shutdown.recovered", "did not come back: pi2", "critical"),)


# --- a person decides ---------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.STANDBY, Phase.CONFIRMING])
def test_cancel_spends_the_margin_and_not_the_rig(phase):
    rig = Rig(supply=SUPPLY if phase is Phase.STANDBY else LOW)
    rig.run(3)
    assert rig.state.phase is phase
    rig.order(command="cancel")
    # Needed are 176 s, wanted 264 s: 200 s are low, but not for one who has cancelled.
    rig.supply = replace(LOW, runtime_low_s=200.0)
    rig.run(60)
    assert rig.begun == []
    rig.supply = replace(LOW, runtime_low_s=170.0)
    rig.run_to(Phase.RUNNING)


def test_cancel_while_it_runs_lets_the_rest_run_until_the_margin_is_spent():
    rig = Rig(supply=replace(LOW, runtime_low_s=250.0))
    rig.run_to(Phase.RUNNING)
    rig.tick()
    rig.order(command="cancel")
    rig.run(120)
    assert rig.off() == {"pi1", "pi2"}
    # One node is needed 103 s; cancelled, that is where it begins again.
    rig.supply = replace(LOW, runtime_low_s=100.0)
    rig.run(60)
    assert rig.off() == {"pi0", "pi1", "pi2"}


def test_cancelled_while_down_they_come_back_without_mains_if_the_charge_allows():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    rig.supply = replace(SUPPLY, charge_low=0.29)
    rig.order(command="cancel")
    rig.run(60)
    assert rig.off() == {"pi0", "pi1", "pi2"}
    rig.supply = replace(SUPPLY, charge_low=0.31)
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


def test_cancel_in_recovery_goes_on_recovering():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.DOWN)
    rig.supply = ON_MAINS
    rig.run_to(Phase.RECOVERING)
    rig.order(command="cancel")
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


# --- hwctl is killed ---------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", range(0, 75, 6))
@pytest.mark.parametrize("off_before", [set(), {"pi2"}])
def test_restarted_at_any_time_on_the_way_down(after_s, off_before):
    rig = Rig(supply=LOW, op_s=12)
    for node in off_before:
        rig.power[node] = Power.OFF
    rig.run(after_s)
    rig.restart()
    rig.run_to(Phase.DOWN)
    rig.run(5)
    assert rig.off() == {"pi0", "pi1", "pi2"}
    rig.supply = ON_MAINS
    rig.run_to(Phase.STANDBY)
    assert rig.off() == off_before


@pytest.mark.parametrize("after_s", range(28, 90, 6))
def test_restarted_at_any_time_on_the_way_up(after_s):
    rig = Rig(supply=LOW, op_s=12)
    rig.run_to(Phase.DOWN)
    rig.supply = ON_MAINS
    rig.run(after_s)
    rig.restart()
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


def test_an_outlet_that_is_never_read_is_switched_off_all_the_same():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.RUNNING)
    rig.restart()
    rig.blind = True
    rig.run(60)
    assert {("off", "pi1"), ("off", "pi2")} <= set(rig.begun)


def test_fewer_stages_than_when_it_was_stored():
    rig = Rig(supply=ON_MAINS, settings=ShutdownSettings(armed=True, stages=(("compute",),)))
    rig.power["pi1"] = Power.OFF
    rig.state = State(phase=Phase.RECOVERING, stage=2, stopped=("pi1", "gone"))
    rig.run_to(Phase.STANDBY)
    assert rig.off() == set()


def test_view():
    rig = Rig(supply=LOW)
    rig.run_to(Phase.RUNNING)
    rig.tick()
    shown = view(rig.state, rig.inputs(), SETTINGS, 0.3)
    assert (shown.state, shown.stage) == ("running", "compute")
    assert shown.stages == ("compute", "orchestrator")
    assert shown.needed_s == pytest.approx(176)
    assert shown.threshold_s == pytest.approx(264)
    assert shown.left_low_s == 100.0


# --- anything ------------------------------------------------------------------------------------

SUPPLIES = st.sampled_from(
    (SUPPLY, LOW, ON_MAINS, replace(ON_MAINS, charge_low=0.05), replace(LOW, mains=True),
     replace(LOW, quality=Quality.STALE), replace(LOW, quality=Quality.SUSPECT),
     replace(SUPPLY, status=SupplyStatus.UNKNOWN, mains=None))
)  # fmt: skip
EVENTS = st.tuples(
    SUPPLIES,
    st.sampled_from((1.0, 4.0, 12.0, 35.0, 90.0)),
    st.sampled_from(("", "", "", "restart", "start", "cancel", "hold", "hang")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=25), st.sampled_from(("pi0", "pi1", "pi2")))
def test_whatever_happens_orders_have_their_reasons_and_all_is_well_in_the_end(events, node):
    rig = Rig()
    for supply, seconds, event in events:
        rig.supply = supply
        if event == "restart":
            rig.restart()
        elif event == "hold" and node not in rig.held:
            rig.held[node] = ("on", rig.now + 40)
        elif event == "hang":
            rig.hung ^= {node}
        elif event:
            rig.order(command=event)
        end = rig.now + seconds
        while rig.now < end:
            phase, begun = rig.state.phase, len(rig.begun)
            rig.tick()
            for kind, one in rig.begun[begun:]:
                assert kind == "off" or (phase is Phase.RECOVERING and one in rig.state.stopped)
            if phase is not Phase.RECOVERING and rig.state.phase is Phase.RECOVERING:
                assert supply.quality is Quality.OK
                assert (supply.charge_low or 0.0) >= SETTINGS.restart_charge
                assert supply.mains is True or rig.state.by_operator
    rig.hung.clear()
    rig.supply = ON_MAINS
    rig.run(60)
    rig.order(command="cancel")
    rig.run_to(Phase.STANDBY, 900)
    rig.run(120)
    assert rig.off() == set()
