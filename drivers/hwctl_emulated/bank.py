"""What feeds a rig: a power bank or battery behind a converter, or the mains alone."""

from random import Random
from typing import Protocol

from hwctl.model.wiring import Supply
from hwctl_emulated.cells import Pack

DROOP_OHMS = 0.01
"""Output droop, wires included (untuned)."""
QUIESCENT_WATTS = 0.12
"""What an idle bank takes from its own cells (untuned)."""
PASS_EFFICIENCY = 0.94
"""From the input straight to the output (untuned)."""
INPUT_WATTS = 60.0
"""The most a bank takes from its charger (untuned; a 60 W USB-C charger)."""
INPUT_VOLTS = 20.0
SMALL_INPUT_VOLTS = 9.0
"""What is agreed with the charger: 20 V for banks of 45 W and more."""
CHARGE_RATE = 0.5
"""Greatest charging current, of the capacity in an hour (untuned)."""
FULL_RATE = 0.05
"""Charging ends below this current, of the capacity in an hour."""
TOP_UP_BELOW = 0.97
"""A full pack is charged again below this charge (untuned)."""


class Source(Protocol):
    """A supply, as the rest of the world sees it."""

    volts: float
    """At the output; 0 when it gives nothing."""
    amps: float
    input_volts: float
    input_amps: float

    def step(self, watts: float, mains: bool, seconds: float) -> None:
        """Give ``watts`` for ``seconds``."""
        ...


class Mains:
    """A supply without cells: there with the mains, gone with them."""

    def __init__(self, volts: float) -> None:
        self._nominal = volts
        self.volts = volts
        self.amps = self.input_volts = self.input_amps = 0.0

    def step(self, watts: float, mains: bool, seconds: float) -> None:
        del seconds
        self.volts = self._nominal if mains else 0.0
        self.amps = watts / self._nominal if mains else 0.0


class Bank:
    """Cells, a converter with losses, a charger, and a cut-off.

    The converter loses ``a * watts + b * watts²``, so that ``efficiency_out`` is met at 30 % of
    the greatest load and is better below and worse above; the cells lose in their resistance. So
    a bank that is drained fast gives a little less than one that is drained slowly.

    :param volts: of the output.
    :param charge: energy at the start, 0..1.
    """

    def __init__(self, supply: Supply, volts: float, charge: float, rng: Random) -> None:
        self.pack = Pack(supply.capacity_wh, charge, rng)
        self.volts = volts
        self.amps = self.input_volts = self.input_amps = 0.0
        self.full = False
        self.energy_in = self.energy_out = self.losses = 0.0
        """Joules since the start."""
        self._nominal = volts
        self._alive = True
        limit = supply.max_watts or supply.capacity_wh
        rated = 0.3 * limit
        efficiency = min(0.99, supply.efficiency_out * (1 + rng.uniform(-0.01, 0.01)))
        loss = rated * (1 / efficiency - 1)
        self._linear = 0.75 * loss / rated
        self._square = 0.25 * loss / (rated * rated)
        self._efficiency_in = min(0.99, supply.efficiency_in * (1 + rng.uniform(-0.01, 0.01)))
        self._input_limit = min(INPUT_WATTS, limit)
        self._input_volts = INPUT_VOLTS if limit >= 45 else SMALL_INPUT_VOLTS

    def converter_loss(self, watts: float) -> float:
        """Watts lost between cells and output."""
        return self._linear * watts + self._square * watts * watts

    def set_charge(self, charge: float) -> None:
        """Jump to another charge. An output that was cut off stays so until the mains is back."""
        self.pack.set_charge(charge)
        self.full = False

    def step(self, watts: float, mains: bool, seconds: float) -> None:
        self.pack.amps = 0.0
        if mains:
            self._alive = True
            taken = self._on_mains(watts, seconds)
        else:
            taken = 0.0
            self.full = False
            self._alive = self._alive and self._drain(watts, seconds)
        given = watts if self._alive else 0.0
        self.input_volts = self._input_volts if mains else 0.0
        self.input_amps = taken / self._input_volts
        self.volts = self._nominal - DROOP_OHMS * given / self._nominal if self._alive else 0.0
        self.amps = given / self.volts if self._alive else 0.0
        self.energy_in += taken * seconds
        self.energy_out += given * seconds

    def _on_mains(self, watts: float, seconds: float) -> float:
        """Pass the load through, charge with the rest. :returns: watts taken from the mains."""
        through = watts / PASS_EFFICIENCY
        if through > self._input_limit:
            fed = self._input_limit * PASS_EFFICIENCY
            self._alive = self._drain(watts - fed, seconds)
            self.losses += (self._input_limit - fed) * seconds
            return self._input_limit
        self.losses += (through - watts) * seconds
        if self.full:
            self.full = self.pack.charge > TOP_UP_BELOW
            return through
        amps = min(
            self.pack.charge_amps((self._input_limit - through) * self._efficiency_in),
            CHARGE_RATE * self.pack.amp_hours,
        )
        if self.pack.charge > TOP_UP_BELOW and amps < FULL_RATE * self.pack.amp_hours:
            self.full = True
            return through
        stored = amps * self.pack.volts
        into = (stored + amps * amps * self.pack.ohms) / self._efficiency_in
        self.pack.flow(-amps, seconds)
        self.losses += (into - stored) * seconds
        return through + into

    def _drain(self, watts: float, seconds: float) -> bool:
        """Take ``watts`` for the output from the cells. :returns: whether they could."""
        inside = watts + self.converter_loss(watts) + QUIESCENT_WATTS
        amps = self.pack.discharge_amps(inside)
        if amps is None:
            return False
        self.pack.flow(amps, seconds)
        self.losses += (inside - watts + amps * amps * self.pack.ohms) * seconds
        return True
