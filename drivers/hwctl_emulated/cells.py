"""Lithium-ion cells in series: open-circuit voltage by charge, internal resistance, energy.

The curve is that of an LG M50 21700 at C/30 (PyBaMM's Chen2020).
"""

from bisect import bisect_right
from itertools import pairwise
from math import sqrt
from random import Random

OCV: tuple[tuple[float, float], ...] = (
    (0.00, 2.500),
    (0.05, 3.101),
    (0.10, 3.288),
    (0.20, 3.477),
    (0.30, 3.573),
    (0.40, 3.659),
    (0.50, 3.741),
    (0.60, 3.832),
    (0.70, 3.939),
    (0.80, 4.032),
    (0.90, 4.089),
    (1.00, 4.192),
)
_CHARGES = [point[0] for point in OCV]
_AREAS = [0.0]
for (_q0, _v0), (_q1, _v1) in pairwise(OCV):
    _AREAS.append(_AREAS[-1] + (_q1 - _q0) * (_v0 + _v1) / 2)
MEAN_VOLTS = _AREAS[-1]

EMPTY_VOLTS = 2.8
"""Under load, of the weakest cell: the pack's protection opens (untuned)."""
FULL_VOLTS = 4.2
OHMS_AT_5_AH = 0.035
"""Of one 5 Ah cell (PyBaMM's Chen2020)."""
SPREAD = 0.005
"""Cells of one pack differ by this much in capacity (untuned)."""
COULOMBS_PER_AMP_HOUR = 3600.0


def _segment(charge: float) -> tuple[int, float, float]:
    """(index of the segment, its volts at ``charge``, volts per unit of charge in it)."""
    index = max(0, min(len(OCV) - 2, bisect_right(_CHARGES, charge) - 1))
    (q0, v0), (q1, v1) = OCV[index], OCV[index + 1]
    slope = (v1 - v0) / (q1 - q0)
    return index, v0 + slope * (charge - q0), slope


def open_circuit_volts(charge: float) -> float:
    """Of one cell at ``charge`` 0..1."""
    return _segment(charge)[1]


def _area(charge: float) -> float:
    """Integral of the curve from 0 to ``charge``: volts times the cell's capacity."""
    index, volts, _slope = _segment(charge)
    q0, v0 = OCV[index]
    return _AREAS[index] + (charge - q0) * (v0 + volts) / 2


class Pack:
    """``series`` groups of cells that hold ``watt_hours`` together, all at ``charge``."""

    def __init__(self, watt_hours: float, charge: float, rng: Random, *, series: int = 3) -> None:
        amp_hours = watt_hours / (series * MEAN_VOLTS)
        self.amp_hours = amp_hours
        self._capacities = [
            amp_hours * COULOMBS_PER_AMP_HOUR * (1 + rng.uniform(-SPREAD, SPREAD))
            for _ in range(series)
        ]
        self._cell_ohms = OHMS_AT_5_AH * 5 / amp_hours
        self._charges = [charge] * series
        self.amps = 0.0
        """Out of the cells (positive) or into them, when it last flowed."""
        self.set_charge(charge)

    @property
    def ohms(self) -> float:
        return self._cell_ohms * len(self._charges)

    @property
    def volts(self) -> float:
        """At rest."""
        return sum(map(open_circuit_volts, self._charges))

    @property
    def terminal_volts(self) -> float:
        """Under load."""
        return self.volts - self.amps * self.ohms

    @property
    def cell_volts(self) -> float:
        """Of one cell, under load."""
        return self.terminal_volts / len(self._charges)

    @property
    def cell_amps(self) -> float:
        """What :attr:`amps` would be if the cells were not in series but in parallel."""
        return self.amps * len(self._charges)

    @property
    def joules(self) -> float:
        """What could be drawn from the cells without any current's loss."""
        return sum(
            capacity * _area(charge)
            for capacity, charge in zip(self._capacities, self._charges, strict=True)
        )

    @property
    def charge(self) -> float:
        """Energy that is left, 0..1 of what a full pack holds."""
        return self.joules / (MEAN_VOLTS * sum(self._capacities))

    def set_charge(self, charge: float) -> None:
        """All cells to the same level, so that :attr:`charge` becomes ``charge``."""
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            if _area(middle) < charge * MEAN_VOLTS:
                low = middle
            else:
                high = middle
        self._charges = [high] * len(self._charges)

    def discharge_amps(self, watts: float) -> float | None:
        """The current that gives ``watts`` at the terminals; ``None`` if the pack cannot."""
        volts, ohms = self.volts, self.ohms
        root = volts * volts - 4 * ohms * watts
        if root < 0:
            return None
        amps = (volts - sqrt(root)) / (2 * ohms)
        weakest = min(map(open_circuit_volts, self._charges))
        return amps if weakest - amps * self._cell_ohms > EMPTY_VOLTS else None

    def charge_amps(self, watts: float) -> float:
        """The current that takes ``watts`` at the terminals, less where a cell nears 4.2 V."""
        volts, ohms = self.volts, self.ohms
        amps = (sqrt(volts * volts + 4 * ohms * watts) - volts) / (2 * ohms)
        fullest = max(map(open_circuit_volts, self._charges))
        return max(0.0, min(amps, (FULL_VOLTS - fullest) / self._cell_ohms))

    def flow(self, amps: float, seconds: float) -> None:
        """Let ``amps`` out of (positive) or into (negative) all cells."""
        self.amps = amps
        self._charges = [
            min(1.0, max(0.0, charge - amps * seconds / capacity))
            for capacity, charge in zip(self._capacities, self._charges, strict=True)
        ]
