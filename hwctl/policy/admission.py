"""Whether a board may be switched on: the rail's current, and the energy that is left."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RailLoad:
    """A rail at one moment."""

    budget_amps: float
    drawn_amps: float
    """Measured, or the sum of what is known; never less than what is certainly there."""
    reserved_amps: float
    """For boards that were switched on a moment ago and whose inrush may still come."""


def admit(rail: RailLoad, inrush_amps: float) -> bool:
    """Whether a board with this inrush may be switched on now."""
    return rail.drawn_amps + rail.reserved_amps + inrush_amps <= rail.budget_amps


def no_headroom(name: str, rail: RailLoad, wanted: int, inrush_amps: float) -> str | None:
    """Why boards cannot be switched on however long they wait, with the figures.

    :param wanted: how many boards are to be on beside what is drawn already.
    :param inrush_amps: the greatest among them.
    """
    if rail.drawn_amps + inrush_amps <= rail.budget_amps:
        return None
    boards = "it" if wanted == 1 else f"the first of these {wanted}"
    return (
        f"rail {name} carries {rail.drawn_amps:.1f} A of {rail.budget_amps:g} A, and {boards} "
        f"needs {inrush_amps:g} A more at the start"
    )


@dataclass(frozen=True, slots=True)
class Energy:
    """A supply that is being emptied."""

    name: str
    left_low_s: float
    """Until it is empty at the present draw, at the least."""
    watts: float
    """The present draw."""
    threshold_s: float
    """What a shutdown needs, times its margin."""


def too_little(energy: Energy, extra_watts: float) -> str | None:
    """Why boards that draw ``extra_watts`` more are not switched on, with the figures."""
    watts = max(energy.watts, 0.1)
    left = energy.left_low_s * watts / (watts + extra_watts)
    if left > energy.threshold_s:
        return None
    return (
        f"{energy.name} would last {left:.0f} s at {watts + extra_watts:.1f} W, and a shutdown is "
        f"begun at {energy.threshold_s:.0f} s"
    )
