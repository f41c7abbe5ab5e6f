"""How much a power bank holds, and for how long: energy counted in and out, with a margin.

A bank hides its cells behind a converter, so their voltage tells nothing; what can be known is
the energy that went in and out since the bank was last seen full. The margin says how far the
count may be off, grows with every joule, and every decision is made on its pessimistic side.
"""

import math
from dataclasses import dataclass, replace

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
MOST_MARGIN = 0.5
FULL_BELOW_WATTS = 2.0
"""A bank on mains that takes no more than this beyond what it passes on is full... Untuned."""
FULL_AFTER_S = 300.0
"""... when it has done so for this long. Untuned."""
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
        return self.sample if self.quality is Quality.OK else None


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
    counted_at: float | None = None
    """Engine seconds of the sample that was counted last."""
    in_watts: float = 0.0
    draw: float | None = None
    """Smoothed output power, watts."""
    full_since: float | None = None
    full: bool = False
    mains: bool | None = None


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
    if volts is None or not math.isfinite(volts) or not lowest_volts <= volts <= 90:
        return False
    if amps is not None and not math.isfinite(amps):
        return False
    if amps is not None and watts is not None:
        return math.isfinite(watts) and abs(abs(volts * amps) - watts) <= 1.0 + 0.1 * watts
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
        counted_at=None,
        full_since=None,
        margin=min(MOST_MARGIN, saved.margin + min(0.05, away_s / 86_400)),
    )


def _spent(counter: float | None, sample: GaugeSample, dt: float, watts: float) -> float:
    """Joules through a gauge since the last sample: its own counter, else power times time."""
    by_power = watts * dt
    if counter is None or sample.energy is None:
        return by_power
    by_counter = sample.energy - counter
    # A counter that went back was reset; one that ran ahead of any possible power is garbage.
    if by_counter < 0 or (dt > 0 and by_counter > 300.0 * dt + 50.0):
        return by_power
    return by_counter


def step(
    state: ChargeState, now: float, output: Side, source: Side, supply: Supply
) -> tuple[ChargeState, ChargeView]:
    """Count what went out (``output``) and in (``source``) since the last step."""
    capacity = supply.capacity_wh * JOULES_PER_WATT_HOUR
    out, inp = output.good, source.good
    mains = _mains(supply, inp)
    watts_out = abs(out.watts) if out is not None and out.watts is not None else None
    watts_in = _watts_in(supply, state, inp, mains)
    if out is not None and watts_out is not None and output.taken != state.counted_at:
        state = _count(state, out, output.taken, watts_out, inp, watts_in, mains, supply)
    net = None
    if watts_out is not None and watts_in is not None:
        net = watts_in * supply.efficiency_in - watts_out / supply.efficiency_out
    state = _see_full(state, now, mains, watts_in, watts_out, capacity)
    status = _status(mains, net, state.full)
    charge = None if state.energy is None else state.energy / capacity
    margin = None if charge is None else state.margin
    runtime = runtime_low = None
    if charge is not None and status is SupplyStatus.DISCHARGING and state.draw:
        usable = supply.efficiency_out * capacity / state.draw
        runtime = charge * usable
        runtime_low = max(0.0, charge - state.margin) * usable / DRAW_SPREAD
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


def _watts_in(
    supply: Supply, state: ChargeState, inp: GaugeSample | None, mains: bool | None
) -> float | None:
    if mains is False:
        return 0.0
    if inp is not None and inp.watts is not None:
        return abs(inp.watts)
    # Unknown input counts as none for the energy, so that the count stays pessimistic.
    return None if supply.input_gauge is not None or state.mains else 0.0


def _count(
    state: ChargeState,
    out: GaugeSample,
    taken: float,
    watts_out: float,
    inp: GaugeSample | None,
    watts_in: float | None,
    mains: bool | None,
    supply: Supply,
) -> ChargeState:
    capacity = supply.capacity_wh * JOULES_PER_WATT_HOUR
    dt = 0.0 if state.counted_at is None else max(0.0, taken - state.counted_at)
    gone = _spent(state.out_counter, out, dt, watts_out) / supply.efficiency_out
    come = 0.0
    if inp is not None and watts_in is not None and mains is not False:
        come = _spent(state.in_counter, inp, dt, watts_in) * supply.efficiency_in
    energy, margin = state.energy, state.margin
    if energy is not None:
        unclamped = energy + come - gone
        energy = max(0.0, min(capacity, unclamped))
        margin = min(MOST_MARGIN, margin + COUNT_ERROR * abs(come - gone) / capacity)
        if watts_in is None:
            margin = min(MOST_MARGIN, margin + COUNT_ERROR * gone / capacity)
    blend = 1.0 if state.draw is None else 1.0 - math.exp(-dt / SMOOTH_S)
    draw = watts_out if state.draw is None else state.draw + blend * (watts_out - state.draw)
    return replace(
        state,
        energy=energy,
        margin=margin,
        out_counter=out.energy,
        in_counter=inp.energy if inp is not None else None,
        counted_at=taken,
        in_watts=watts_in or 0.0,
        draw=draw,
        mains=mains,
    )


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
        return replace(state, full_since=None, full=state.full and mains is None)
    # The gauges sit before and after the bank: what it takes beyond what it passes on, it keeps.
    if watts_in - watts_out > max(FULL_BELOW_WATTS, 0.25 * watts_out):
        return replace(state, full_since=None, full=False)
    if watts_in < watts_out * 0.9:
        return replace(state, full_since=None, full=False)
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
