"""Energy counted, and how far the count may be off, against banks whose truth is known."""

import math
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.drivers import GaugeSample
from hwctl.model.readings import Quality
from hwctl.model.rig import SupplyStatus
from hwctl.model.wiring import Channel, Supply
from hwctl.policy.charge import (
    AWAY_MOST_S,
    BRIDGE_S,
    FIRST_MARGIN,
    FULL_AFTER_S,
    FULL_MARGIN,
    NO_GAUGE,
    ChargeState,
    ChargeView,
    Side,
    parting,
    plausible,
    resume,
    start,
    step,
)

BANK = Supply(
    kind="power-bank", capacity_wh=100.0, efficiency_out=0.88, efficiency_in=0.9,
    output_gauge=Channel(device="out"), input_gauge=Channel(device="in"), max_watts=100.0,
)  # fmt: skip
CAPACITY = 100.0 * 3600
KEPT = ("energy", "margin", "out_counter", "in_counter", "draw", "full")
"""What the engine keeps over a restart."""


def side(taken: float, watts: float | None, volts: float = 5.1, energy=None, **kwargs) -> Side:
    amps = None if watts is None else watts / volts if volts else 0.0
    return Side(GaugeSample(volts=volts, amps=amps, watts=watts, energy=energy), taken, Quality.OK)


NO_MAINS = 0.3
"""Volts at the input."""


def absent(taken: float, energy: float | None = None) -> Side:
    """An input gauge without mains."""
    return side(taken, 0.0, volts=NO_MAINS, energy=energy)


def drain(state: ChargeState, now: float, seconds: float, watts: float, every=1.0):
    """Discharge at ``watts``, by power alone. :returns: (state, view, now)"""
    view = None
    end = now + seconds
    while now < end:
        now += every
        state, view = step(state, now, side(now, watts), absent(now), BANK)
    assert view is not None
    return state, view, now


# --- counting ----------------------------------------------------------------------------------


def test_what_nobody_said_is_not_known():
    _, view, _ = drain(start(None, BANK), 0.0, 100, 20.0)
    assert (view.charge, view.margin, view.runtime_s, view.runtime_low_s) == (None,) * 4
    assert view.charge_low is None
    assert view.status is SupplyStatus.DISCHARGING


def test_an_hour_at_20_watts():
    _, view, _ = drain(start(0.8, BANK), 0.0, 3600, 20.0)
    assert view.charge == pytest.approx(0.8 - 20 / 0.88 / 100, abs=1e-3)
    assert view.margin == pytest.approx(FIRST_MARGIN + 0.04 * 20 / 0.88 / 100, abs=1e-3)
    assert view.runtime_s == pytest.approx(view.charge * 0.88 * CAPACITY / 20)
    assert view.charge_low == pytest.approx(view.charge - view.margin)
    assert view.runtime_low_s == pytest.approx(view.charge_low * 0.88 * CAPACITY / 20 / 1.1)


def test_charging():
    state = start(0.2, BANK)
    for now in range(1, 3601):
        state, view = step(state, now, side(now, 10.0), side(now, 50.0, volts=20.0), BANK)
    assert view.charge == pytest.approx(0.2 + (50 * 0.9 - 10 / 0.88) / 100, abs=1e-3)
    assert view.status is SupplyStatus.CHARGING
    assert view.runtime_s is None


def test_the_same_sample_is_counted_once():
    state, _ = step(start(0.5, BANK), 0.0, side(0.0, 20.0), absent(0.0), BANK)
    state, first = step(state, 10.0, side(10.0, 20.0), absent(10.0), BANK)
    state, again = step(state, 10.25, side(10.0, 20.0), absent(10.0), BANK)
    assert again.charge == first.charge


def test_the_counter_is_believed_before_power_times_time():
    state = start(0.5, BANK)
    for now in range(0, 601, 5):
        # The power that happens to be seen is 10 W, what flowed is 20 W.
        state, view = step(state, now, side(now, 10.0, energy=20.0 * now), absent(now), BANK)
    assert view.charge == pytest.approx(0.5 - 20 * 600 / 0.88 / CAPACITY, abs=2e-4)


@pytest.mark.parametrize("which", ["out", "in", "both"])
def test_missed_polls_are_bridged_by_the_counter(which):
    """Twenty minutes on mains: 60 W in, 20 W out; for half of it a gauge does not answer."""
    state, views = start(0.4, BANK), []
    for now in range(0, 1201, 2):
        out = side(now, 20.0, energy=20.0 * now)
        inp = side(now, 60.0, volts=20.0, energy=60.0 * now)
        if 300 <= now < 900:
            out = replace(out, quality=Quality.ABSENT) if which != "in" else out
            inp = replace(inp, quality=Quality.ABSENT) if which != "out" else inp
        state, view = step(state, now, out, inp, BANK)
        views.append((now, view))
    true = 0.4 + (60 * 0.9 - 20 / 0.88) * 1200 / CAPACITY
    assert views[-1][1].charge == pytest.approx(true, abs=2e-3)
    for now, view in views:
        here = 0.4 + (60 * 0.9 - 20 / 0.88) * now / CAPACITY
        assert abs(view.charge - here) <= view.margin
    # While it is not heard, the margin says so; afterwards it is as if nothing had been.
    assert max(v.margin for _, v in views) > FIRST_MARGIN + 0.1
    assert views[-1][1].margin < FIRST_MARGIN + 0.02


@pytest.mark.parametrize("back", [0.0, 5.0])
def test_a_counter_that_was_reset_takes_nothing_away(back):
    state = start(0.5, BANK)
    for now in range(101):
        counter = 5000.0 + 20.0 * now if now < 50 else back + 20.0 * (now - 50)
        state, view = step(state, now, side(now, 20.0, energy=counter), absent(now), BANK)
    assert view.charge == pytest.approx(0.5 - 20 * 100 / 0.88 / CAPACITY, abs=1e-4)


@pytest.mark.parametrize("wild", [1e12, 9e5])
def test_a_counter_that_jumps_is_not_believed(wild):
    state = start(0.5, BANK)
    for now in range(101):
        counter = 20.0 * now + (wild if now == 50 else 0.0)
        state, view = step(state, now, side(now, 20.0, energy=counter), absent(now), BANK)
    assert view.charge == pytest.approx(0.5 - 20 * 100 / 0.88 / CAPACITY, abs=1e-4)


def test_a_gap_that_no_counter_bridges_widens_the_margin_by_what_could_have_flowed():
    state, before, now = drain(start(0.8, BANK), 0.0, 60, 20.0)
    now += 900
    state, after = step(state, now, side(now, 20.0), absent(now), BANK)
    for watts in (0.0, 20.0, 60.0, 100.0):
        true = before.charge - watts * 900 / 0.88 / CAPACITY
        assert abs(after.charge - true) <= after.margin + 0.001


def test_a_gauge_that_is_gone_leaves_no_false_certainty():
    state, before, now = drain(start(0.5, BANK), 0.0, 60, 20.0)
    lost = Side(side(now, 20.0).sample, now, Quality.STALE)
    _, view = step(state, now + BRIDGE_S, lost, absent(now), BANK)
    assert view.margin == before.margin
    for later in (600.0, 3600.0, 90_000.0):
        _, view = step(state, now + later, lost, absent(now + later), BANK)
        assert view.margin >= min(1.0, before.margin + 20 * later / 0.88 / CAPACITY)
        assert (view.volts, view.amps, view.watts, view.runtime_s) == (None,) * 4
        assert view.quality is Quality.STALE
        assert view.status is SupplyStatus.UNKNOWN


# --- a restart ---------------------------------------------------------------------------------


def restarted(state: ChargeState, away_s: float) -> ChargeState:
    return resume(ChargeState(**{key: getattr(state, key) for key in KEPT}), away_s)


@pytest.mark.parametrize("away", [2.0, 300.0, 7200.0])
def test_a_restart_is_bridged_by_the_counter(away):
    state = start(0.9, BANK)
    for now in range(101):
        state, _ = step(state, now, side(now, 20.0, energy=20.0 * now), absent(now, 7.0), BANK)
    state = restarted(state, away)
    # A new process: its clock starts anywhere.
    for now in range(5000, 5101):
        counter = 20.0 * (100 + away + now - 5000)
        state, view = step(state, now, side(now, 20.0, energy=counter), absent(now, 7.0), BANK)
    true = 0.9 - 20 * (200 + away) / 0.88 / CAPACITY
    assert view.charge == pytest.approx(true, abs=1e-3)
    assert view.margin < FIRST_MARGIN + 0.04 * 0.4 + away / 86_400 + 0.01


@pytest.mark.parametrize("flowed", [0.0, 20.0, 100.0])
@pytest.mark.parametrize("away", [5.0, 60.0, AWAY_MOST_S])
def test_a_restart_without_a_counter_says_what_may_have_flowed(away, flowed):
    state, before, _ = drain(start(0.9, BANK), 0.0, 100, 20.0)
    state, view, _ = drain(restarted(state, away), 5000.0, 10, 20.0)
    true = before.charge - (flowed * away + 200) / 0.88 / CAPACITY
    assert abs(view.charge - true) <= view.margin


def test_after_days_away_the_rig_is_taken_to_have_been_off():
    state, before, _ = drain(start(0.9, BANK), 0.0, 100, 20.0)
    _, view, _ = drain(restarted(state, 3 * 86_400.0), 5000.0, 10, 20.0)
    assert view.charge == pytest.approx(before.charge, abs=0.05)
    assert view.charge_low > 0.3


# --- full ----------------------------------------------------------------------------------------


def mains(state: ChargeState, now: float, seconds: float, watts_in: float, watts_out: float):
    view = None
    for _ in range(int(seconds)):
        now += 1.0
        state, view = step(state, now, side(now, watts_out), side(now, watts_in, volts=20.0), BANK)
    assert view is not None
    return state, view, now


def test_full_is_seen_when_it_takes_no_more_than_it_passes_on():
    state, view, now = mains(start(0.7, BANK), 0.0, 900, 60.0, 20.0)
    assert view.status is SupplyStatus.CHARGING
    state, view, now = mains(state, now, FULL_AFTER_S - 5, 21.5, 20.0)
    assert view.charge < 0.95
    state, view, now = mains(state, now, 10, 21.5, 20.0)
    assert (view.charge, view.margin) == (1.0, FULL_MARGIN)
    assert view.status is SupplyStatus.FULL
    # A greater load is no proof to the contrary, and an outage begins from there.
    state, view, now = mains(state, now, 600, 42.0, 40.0)
    assert view.status is SupplyStatus.FULL
    state, view, now = drain(state, now, 360, 20.0)
    assert view.charge == pytest.approx(1 - 20 * 360 / 0.88 / CAPACITY, abs=1e-3)
    assert view.status is SupplyStatus.DISCHARGING


def test_what_nobody_said_is_known_once_it_has_been_full():
    state, view, now = mains(start(None, BANK), 0.0, 100, 60.0, 20.0)
    _, view, _ = mains(state, now, FULL_AFTER_S + 5, 21.5, 20.0)
    assert view.charge == 1.0


@pytest.mark.parametrize(
    ("charger", "load"), [(15.0, 16.0), (15.0, 15.0), (15.0, 14.5), (18.0, 15.0), (15.0, 20.0)]
)
def test_a_weak_charger_that_only_passes_through_is_no_full_bank(charger, load):
    """It gives all it has; whether the bank would take more is not to be seen."""
    _, view, _ = mains(start(0.4, BANK), 0.0, 5 * FULL_AFTER_S, charger, load)
    assert view.status is not SupplyStatus.FULL
    assert view.charge < 0.5


def test_a_weak_charger_under_a_load_that_comes_and_goes():
    state, now, rng = start(0.4, BANK), 0.0, random.Random(1)
    for _ in range(60):
        state, view, now = mains(state, now, 40, 15.0, rng.uniform(10.0, 22.0))
        assert view.status is not SupplyStatus.FULL


def test_another_charger_after_an_outage_is_judged_anew():
    state, _, now = mains(start(0.4, BANK), 0.0, 60, 60.0, 14.5)
    state, _, now = drain(state, now, 5, 14.5)
    _, view, _ = mains(state, now, 3 * FULL_AFTER_S, 15.0, 14.5)
    assert view.status is not SupplyStatus.FULL


# --- what cannot be true -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sample",
    [
        GaugeSample(),
        GaugeSample(volts=0.0, amps=0.0, watts=0.0),
        GaugeSample(volts=math.nan, amps=1.0, watts=5.0),
        GaugeSample(volts=5.0, amps=math.nan, watts=5.0),
        GaugeSample(volts=5.0, watts=math.nan),
        GaugeSample(volts=5.0, amps=math.inf, watts=math.inf),
        GaugeSample(volts=5.0, amps=4.0, watts=2.0),
        GaugeSample(volts=104.8, amps=0.0, watts=0.0),
        GaugeSample(volts=-5.0, amps=1.0, watts=-5.0),
    ],
    ids=str,
)
def test_implausible(sample):
    assert not plausible(sample, 2.5)


def test_plausible():
    assert plausible(GaugeSample(volts=5.1, amps=4.0, watts=20.3), 2.5)
    assert plausible(GaugeSample(volts=5.1, amps=-0.001, watts=-0.005), 2.5)
    assert plausible(GaugeSample(volts=5.1), 2.5)


@pytest.mark.parametrize("which", ["out", "in"])
def test_no_number_that_is_none_is_ever_counted(which):
    state, before, now = drain(start(0.5, BANK), 0.0, 60, 20.0)
    mad = Side(GaugeSample(*(math.nan,) * 6), now + 1, Quality.OK)
    good = side(now + 1, 20.0) if which == "in" else absent(now + 1)
    _, view = step(state, now + 1, *((mad, good) if which == "out" else (good, mad)), BANK)
    assert view.charge == pytest.approx(before.charge, abs=1e-4)
    assert view.status is SupplyStatus.UNKNOWN
    assert view.mains is (False if which == "out" else None)


@pytest.mark.parametrize("quality", [Quality.SUSPECT, Quality.STALE, Quality.ABSENT])
def test_a_doubtful_input_gauge_is_not_taken_for_an_outage(quality):
    state, _, now = mains(start(0.5, BANK), 0.0, 60, 60.0, 20.0)
    zero = Side(GaugeSample(volts=0.0, amps=0.0, watts=0.0), now + 1, quality)
    _, view = step(state, now + 1, side(now + 1, 20.0), zero, BANK)
    assert view.mains is None
    assert view.status is SupplyStatus.UNKNOWN


def test_without_gauges():
    bare = BANK.model_copy(update={"output_gauge": None, "input_gauge": None})
    state, view = step(start(0.5, bare), 10.0, NO_GAUGE, NO_GAUGE, bare)
    _, later = step(state, 36_010.0, NO_GAUGE, NO_GAUGE, bare)
    assert (view.charge, view.status, view.quality) == (0.5, SupplyStatus.UNKNOWN, Quality.ABSENT)
    assert later.margin == 1.0
    assert later.charge_low == 0.0


# --- the truth lies within the margin ---------------------------------------------------------


@dataclass
class TrueBank:
    """A bank whose mains goes through its cells, or past them, and gauges that may be lost."""

    energy: float
    bypass: bool
    counters: bool
    out: float = 0.0
    inp: float = 0.0
    lost: set[str] = field(default_factory=set)
    last: dict[str, Side] = field(default_factory=dict)

    def live(self, seconds: float, watts: float, charger: float) -> None:
        taken = min(charger, 60.0) if charger else 0.0
        if self.bypass and taken:
            past = min(taken * 0.94, watts)
            net = (taken - past / 0.94) * 0.9 - (watts - past) / 0.88
        else:
            net = taken * 0.9 - watts / 0.88
        if self.energy + net * seconds > CAPACITY:
            taken, net = watts / 0.94, 0.0
        self.energy += net * seconds
        self.out += watts * seconds
        self.inp += taken * seconds
        self.watts = (watts, taken)

    def side(self, which: str, now: float, mains_on: bool) -> Side:
        watts = self.watts[0 if which == "out" else 1]
        volts = 5.1 if which == "out" else 20.0 if mains_on else NO_MAINS
        counter = (self.out if which == "out" else self.inp) if self.counters else None
        if which in self.lost and which in self.last:
            return replace(self.last[which], quality=Quality.STALE)
        self.last[which] = side(now, watts, volts=volts, energy=counter)
        return self.last[which]


@pytest.mark.parametrize("bypass", [True, False])
def test_energy_that_is_only_passed_on_is_counted_with_doubt(bypass):
    """Two hours at 25 W in and 20 W out, from a charge that is known to 2 %."""
    bank = TrueBank(0.5 * CAPACITY, bypass, counters=True)
    state = ChargeState(0.5 * CAPACITY, FULL_MARGIN)
    for now in range(0, 7200, 5):
        bank.live(5.0, 20.0, 25.0)
        state, view = step(
            state, now, bank.side("out", now, True), bank.side("in", now, True), BANK
        )
        assert abs(view.charge - bank.energy / CAPACITY) <= view.margin


@settings(max_examples=60, deadline=None)
@given(
    charge=st.floats(0.3, 0.9),
    off=st.floats(-0.09, 0.09),
    bypass=st.booleans(),
    counters=st.booleans(),
    strength=st.sampled_from((15.0, 60.0)),
    spans=st.lists(
        st.tuples(
            st.sampled_from((60, 300, 900)),
            st.floats(2.0, 35.0),
            st.booleans(),
            st.sampled_from(("", "", "out", "in", "both", "restart")),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_the_true_charge_is_within_the_margin(charge, off, bypass, counters, strength, spans):
    """One charger, plugged in and out: swapping it for a weaker one is a limit that is stated."""
    bank = TrueBank(charge * CAPACITY, bypass, counters)
    state, now = start(charge + off, BANK), 0.0
    for seconds, watts, plugged, event in spans:
        charger = strength if plugged else 0.0
        bank.lost = {"out", "in"} if event == "both" else {event}
        if event == "restart":
            bank.live(30.0, watts, charger)
            now, state = now + 30.0, restarted(parting(state, now, BANK), 30.0)
        for _ in range(seconds // 5):
            if bank.energy < 0.05 * CAPACITY:
                return
            bank.live(5.0, watts, charger)
            now += 5.0
            out, inp = (bank.side(which, now, charger > 0) for which in ("out", "in"))
            state, view = step(state, now, out, inp, BANK)
            assert isinstance(view, ChargeView)
            assert abs(view.charge - bank.energy / CAPACITY) <= view.margin + 1e-6


# --- a rehearsed afternoon --------------------------------------------------------------------

DRIFT = 0.015
"""How far the count may drift from the emulated bank's truth in one discharge and recharge."""


def test_an_afternoon(rehearsal):
    """Mains, outage, shutdown, mains, recovery: with the real drivers, on emulated chips."""
    stage = rehearsal(seed=3, scenario="afternoon")
    bank = stage.world.sources["bank"]
    first, drift, phases = None, 0.0, []
    while stage.now < 9000:
        stage.rehearsal.step(5.0)
        supply = stage.engine.rig().supplies[0]
        error = supply.charge - bank.pack.charge
        first = error if first is None else first
        drift = max(drift, abs(error - first))
        assert abs(error) <= supply.charge_margin
        phase = stage.engine.rig().shutdown.state
        if phase not in phases[-1:]:
            phases.append(phase)
    assert drift < DRIFT
    assert phases[:4] == ["standby", "confirming", "running", "down"]
    assert stage.dirty() == 0


def test_a_bank_is_found_full_on_mains(rehearsal):
    stage = rehearsal(seed=2)
    stage.run(5)
    stage.control("charge", supply="bank", charge=0.93)
    supply = None
    while stage.now < 4000:
        stage.rehearsal.step(5.0)
        supply = stage.engine.rig().supplies[0]
        true = stage.world.sources["bank"].pack.charge
        if supply.status is SupplyStatus.FULL:
            break
    assert supply is not None
    assert supply.status is SupplyStatus.FULL
    assert abs(supply.charge - true) <= supply.charge_margin


@pytest.mark.parametrize("fault", ["nak", "timeout", "ones", "zeros"])
def test_a_gauge_that_fails_on_its_bus_changes_nothing_that_is_known(rehearsal, fault):
    stage = rehearsal()
    stage.control("mains", on=False)
    stage.run(20)
    before = stage.engine.rig().supplies[0]
    for device in ("bank-out", "bank-in"):
        stage.control("gauge", device=device, fault=fault)
    stage.run(60)
    during = stage.engine.rig().supplies[0]
    assert during.charge == before.charge
    assert during.charge_margin > before.charge_margin
    assert during.quality in {Quality.ABSENT, Quality.SUSPECT, Quality.STALE}
    assert during.status is SupplyStatus.UNKNOWN
    assert (during.volts, during.watts, during.runtime_s, during.mains) == (None,) * 4
    for device in ("bank-out", "bank-in"):
        stage.control("gauge", device=device, fault=None)
    stage.run(40)
    after = stage.engine.rig().supplies[0]
    bank = stage.world.sources["bank"].pack.charge
    assert after.quality is Quality.OK
    assert abs(after.charge - bank) <= after.charge_margin
    assert after.charge_margin < before.charge_margin + 0.005
