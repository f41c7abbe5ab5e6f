"""How much a power bank holds, and for how long: energy counted in and out, with a margin.

A bank hides its cells behind a converter, so their voltage tells nothing; what can be known is
the energy that went in and out since the bank was last seen full. The margin says how far the
count may be off, grows with every joule, and every decision is made on its pessimistic side.
"""

import math
from dataclasses import dataclass, fields, replace

from hwctl.model.drivers import GaugeSample
from hwctl.model.readings import Quality
from hwctl.model.rig import SupplyStatus
from hwctl.model.units import JOULES_PER_WATT_HOUR
from hwctl.model.wiring import Supply

FIRST_MARGIN = 0.10
"""Of a charge that a person stated. Untuned."""
FULL_MARGIN = 0.02
"""Right after the bank was seen full. Untuned."""
COUNT_ERROR = 0.04
"""Of the energy counted: 1 % sensor and shunt, 3 % for the converter's efficiency curve, which
is taken as one figure here. Untuned."""
PASS_ERROR = 0.15
"""Of the energy that comes in and goes out at the same time: a bank may send it through its cells
(a fifth is lost, which is what is counted here) or past them (a twentieth). Untuned."""
MOST_MARGIN = 1.0
BRIDGE_S = 10.0
"""Between two samples so far apart the power is taken as constant, where there is no counter.
Beyond, the margin grows by all that could have flowed. Untuned."""
AWAY_MOST_S = 600.0
"""Without a counter that bridges it, a longer absence of hwctl is taken as one of the whole rig,
in which nothing flowed. Untuned."""
FULL_BELOW_WATTS = 2.0
"""A bank on mains that takes no more than this beyond what it passes on is full... Untuned."""
FULL_AFTER_S = 300.0
"""... when it has done so for this long. Untuned."""
FULL_BELOW_PEAK = 0.8
"""And while it took less than this of the most that this charger has given: a charger that gives
all it has says nothing about the bank. Untuned."""
GAUGE_ERROR = 0.02
"""Two gauges may differ by this much. Untuned."""
IDLE_WATTS = 0.5
"""Net power below which a supply is neither charging nor discharging. Untuned."""
SMOOTH_S = 60.0
"""Time constant of the draw that runtimes are predicted from. Untuned."""
DRAW_SPREAD = 1.10
"""The pessimistic runtime assumes this much more than the smoothed draw. Untuned."""


@dataclass(frozen=True, slots=True)
class Side:
    """One gauge of a supply: its latest sample, when it was taken, and whether to trust it."""

    sample: GaugeSample | None
    taken: float
    quality: Quality

    @property
    def good(self) -> GaugeSample | None:
        """The sample if it may be used, without any number that is none."""
        if self.sample is None or self.quality is not Quality.OK:
            return None
        return GaugeSample(
            **{
                field.name: value if value is not None and math.isfinite(value) else None
                for field in fields(self.sample)
                for value in (getattr(self.sample, field.name),)
            }
        )


NO_GAUGE = Side(None, float("-inf"), Quality.ABSENT)


@dataclass(frozen=True, slots=True)
class ChargeState:
    """Carried from step to step, and over a restart. Energies are in joules at the cells."""

    energy: float | None = None
    """``None``: nobody knows."""
    margin: float = MOST_MARGIN
    """0..1, of the capacity."""
    out_counter: float | None = None
    in_counter: float | None = None
    out_at: float | None = None
    in_at: float | None = None
    """Engine seconds of the samples that were counted last, at the output and at the input."""
    away_s: float = 0.0
    """How long hwctl was not there before the sample that is counted next."""
    draw: float | None = None
    """Smoothed output power, watts."""
    in_peak: float = 0.0
    """The most that the mains has given since it is there, watts."""
    full_since: float | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class ChargeView:
    """What the rig may know of the supply."""

    charge: float | None
    margin: float | None
    status: SupplyStatus
    mains: bool | None
    runtime_s: float | None
    runtime_low_s: float | None
    volts: float | None
    amps: float | None
    watts: float | None
    celsius: float | None
    quality: Quality
    taken: float

    @property
    def charge_low(self) -> float | None:
        """The pessimistic bound of the charge."""
        if self.charge is None or self.margin is None:
            return None
        return max(0.0, self.charge - self.margin)


def plausible(sample: GaugeSample, lowest_volts: float) -> bool:
    """Whether an output gauge's sample can be true.

    ``lowest_volts``: the head runs from this supply, so less than that at its output is a lie.
    """
    volts, amps, watts = sample.volts, sample.amps, sample.watts
    if any(value is not None and not math.isfinite(value) for value in (volts, amps, watts)):
        return False
    if volts is None or not lowest_volts <= volts <= 90:
        return False
    if amps is not None and watts is not None:
        return abs(abs(volts * amps) - abs(watts)) <= 1.0 + 0.1 * abs(watts)
    return True


def start(charge: float | None, supply: Supply) -> ChargeState:
    """A supply never seen before. ``charge``: what a person said it holds, 0..1."""
    if charge is None:
        return ChargeState()
    return ChargeState(charge * supply.capacity_wh * JOULES_PER_WATT_HOUR, FIRST_MARGIN)


def resume(saved: ChargeState, away_s: float) -> ChargeState:
    """A supply seen before a restart ``away_s`` seconds ago.

    The gauges' counters bridge the gap if they were not reset meanwhile.
    """
    return replace(
        saved,
        out_at=None,
        in_at=None,
        away_s=away_s,
        full_since=None,
        margin=min(MOST_MARGIN, saved.margin + min(0.05, away_s / 86_400)),
    )


def parting(state: ChargeState, now: float, supply: Supply) -> ChargeState:
    """What to keep for the next process: with the margin of what is open now, since it may not be
    bridged any more then."""
    return replace(state, margin=_margin(state, now, supply))


def _flow(
    counter: float | None, sample: GaugeSample, dt: float, away_s: float, watts: float, most: float
) -> tuple[float, float]:
    """Joules through a gauge in the last ``dt`` seconds, and how far that may be off.

    By its own counter, which counts on while nobody asks; else power times time. ``most``: the
    greatest power that is possible.
    """
    if counter is not None and sample.energy is not None:
        # A counter that went back was reset; one that ran ahead of any possible power is garbage.
        by_counter = sample.energy - counter
        if 0 <= by_counter <= 1.5 * most * dt + 50.0:
            return by_counter, 0.0
    dt -= max(0.0, away_s - AWAY_MOST_S)
    return watts * dt, 0.0 if dt <= BRIDGE_S else most * dt


def step(
    state: ChargeState, now: float, output: Side, source: Side, supply: Supply
) -> tuple[ChargeState, ChargeView]:
    """Count what went out (``output``) and in (``source``) since the last step."""
    capacity = supply.capacity_wh * JOULES_PER_WATT_HOUR
    out, inp = output.good, source.good
    mains = _mains(supply, inp)
    if state.out_at is None or state.in_at is None:
        state = replace(state, out_at=now - state.away_s, in_at=now - state.away_s)
    watts_out = abs(out.watts) if out is not None and out.watts is not None else None
    watts_in = _watts_in(supply, inp, mains)
    if out is not None and watts_out is not None:
        state = _count(state, out, output.taken, watts_out, inp, source.taken, watts_in, supply)
    net = None
    if watts_out is not None and watts_in is not None:
        net = watts_in * supply.efficiency_in - watts_out / supply.efficiency_out
    state = _see_full(state, now, mains, watts_in, watts_out, capacity)
    status = _status(mains, net, state.full)
    charge = None if state.energy is None else state.energy / capacity
    margin = None if charge is None else _margin(state, now, supply)
    runtime = runtime_low = None
    if charge is not None and status is SupplyStatus.DISCHARGING and state.draw:
        usable = supply.efficiency_out * capacity / state.draw
        runtime = charge * usable
        runtime_low = max(0.0, charge - (margin or 0.0)) * usable / DRAW_SPREAD
    return state, ChargeView(
        charge=charge,
        margin=margin,
        status=status,
        mains=mains,
        runtime_s=runtime,
        runtime_low_s=runtime_low,
        volts=out.volts if out else None,
        amps=out.amps if out else None,
        watts=out.watts if out else None,
        celsius=out.celsius if out else None,
        quality=output.quality,
        taken=output.taken,
    )


def _mains(supply: Supply, inp: GaugeSample | None) -> bool | None:
    if supply.input_gauge is None or inp is None or inp.volts is None:
        return None
    return inp.volts >= supply.input_present_volts


def _watts_in(supply: Supply, inp: GaugeSample | None, mains: bool | None) -> float | None:
    if mains is False or supply.input_gauge is None:
        return 0.0
    if inp is not None and inp.watts is not None:
        return abs(inp.watts)
    return None


def _most(supply: Supply) -> float:
    """Watts that can go in or out at the most: what is stated, else the capacity in an hour."""
    return supply.max_watts or supply.capacity_wh


def _margin(state: ChargeState, now: float, supply: Supply) -> float:
    """As it is now: it grows while a gauge is not heard, and falls back if its counter bridges."""
    lost = [now - state.out_at] if state.out_at is not None else []
    if state.in_at is not None and supply.input_gauge is not None:
        # Since it was counted, not since it was heard: what came in before that is open still.
        lost.append(now - state.in_at)
    could = sum(_most(supply) * seconds for seconds in lost if seconds > BRIDGE_S)
    return min(MOST_MARGIN, state.margin + could / (supply.capacity_wh * JOULES_PER_WATT_HOUR))


def _count(
    state: ChargeState,
    out: GaugeSample,
    out_taken: float,
    watts_out: float,
    inp: GaugeSample | None,
    in_taken: float,
    watts_in: float | None,
    supply: Supply,
) -> ChargeState:
    """Book what went out and in since the samples that were counted last."""
    dt = out_taken - state.out_at if state.out_at is not None else 0.0
    if dt <= 0:
        return state
    capacity = supply.capacity_wh * JOULES_PER_WATT_HOUR
    most = _most(supply)
    gone, off = _flow(state.out_counter, out, dt, state.away_s, watts_out, most)
    come = 0.0
    since_in = in_taken - state.in_at if state.in_at is not None else 0.0
    if inp is not None and watts_in is not None and since_in > 0:
        come, in_off = _flow(state.in_counter, inp, since_in, state.away_s, watts_in, most)
        off += in_off
        state = replace(state, in_at=in_taken, in_counter=inp.energy)
    net = come * supply.efficiency_in - gone / supply.efficiency_out
    off += COUNT_ERROR * abs(net) + PASS_ERROR * min(come, gone)
    if state.energy is not None:
        energy = max(0.0, min(capacity, state.energy + net))
        margin = min(MOST_MARGIN, state.margin + off / capacity)
        state = replace(state, energy=energy, margin=margin)
    blend = 1.0 - math.exp(-dt / SMOOTH_S)
    draw = watts_out if state.draw is None else state.draw + blend * (watts_out - state.draw)
    return replace(state, out_counter=out.energy, out_at=out_taken, away_s=0.0, draw=draw)


def _see_full(
    state: ChargeState,
    now: float,
    mains: bool | None,
    watts_in: float | None,
    watts_out: float | None,
    capacity: float,
) -> ChargeState:
    if not mains or watts_in is None or watts_out is None:
        # Not on mains, or not known: a full bank is full until it gives something away.
        peak = state.in_peak if mains is None else 0.0
        return replace(state, full_since=None, full=state.full and mains is None, in_peak=peak)
    state = replace(state, in_peak=max(state.in_peak, watts_in))
    # The gauges sit before and after the bank: what it takes beyond what it passes on, it keeps.
    kept = watts_in - watts_out
    if kept > max(FULL_BELOW_WATTS, 0.25 * watts_out) or kept < -GAUGE_ERROR * watts_out:
        return replace(state, full_since=None, full=False)
    if state.full:
        return replace(state, energy=capacity, margin=FULL_MARGIN)
    # A strong charger that is swapped for a weak one, whose power just meets the draw, is taken for
    # a full bank; mending a wrong first statement is worth that.
    if watts_in >= FULL_BELOW_PEAK * state.in_peak:
        return replace(state, full_since=None)
    since = state.full_since if state.full_since is not None else now
    if now - since < FULL_AFTER_S:
        return replace(state, full_since=since)
    return replace(state, full_since=since, full=True, energy=capacity, margin=FULL_MARGIN)


def _status(mains: bool | None, net: float | None, full: bool) -> SupplyStatus:
    if net is None or mains is None:
        return SupplyStatus.UNKNOWN
    if full:
        return SupplyStatus.FULL
    if net > IDLE_WATTS:
        return SupplyStatus.CHARGING
    if net < -IDLE_WATTS:
        return SupplyStatus.DISCHARGING
    return SupplyStatus.IDLE
