"""What a figure is: its name, its unit, what it may be at most, and the peers beside it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: ``wiring/`` is read there, and children find this package there."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that is measured. A peer is a figure too, without a limit."""

    name: str
    unit: str
    what: str
    """For a reader: what is measured, in one sentence without its full stop."""
    limit: float | None = None
    """At most this, in ``unit``; from the issue that asked for the figure."""
    peer_of: str = ""
    """The figure that this one stands beside."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave for one figure."""

    name: str
    value: float | None
    """``None``: not run, and ``note`` says why."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a run is to be done."""

    quick: bool
    """Fewer rounds: less time, more noise."""
    peers: bool
    """Also peers that are large or have to be installed first."""
    cache: Path
    """Where what was installed for peers is kept from run to run."""
    scratch: Path
    """An empty folder that is gone afterwards."""

    def folder(self, name: str) -> Path:
        """A new folder below :attr:`scratch`."""
        made = self.scratch / name
        made.mkdir(parents=True)
        return made


@dataclass(frozen=True, slots=True)
class Job:
    """Figures that are measured together, the headline first."""

    figures: tuple[Figure, ...]
    run: Callable[[Setup], Iterator[Result]]


def shown(value: float) -> str:
    """Three significant digits, never as an exponent: ``8.13``, ``512``, ``1830``."""
    if value == 0:
        return "0"
    digits = 2 - floor(log10(abs(value)))
    return f"{round(value, digits):.{max(0, digits)}f}"


def line(figure: Figure, result: Result) -> str:
    """``name value unit``; ``not-run`` where there is no value."""
    value = "not-run" if result.value is None else shown(result.value)
    return f"{figure.name} {value} {figure.unit}"


def limit_line(figure: Figure) -> str | None:
    """``name_limit value unit``, for a figure that has one."""
    if figure.limit is None:
        return None
    return f"{figure.name}_limit {figure.limit:g} {figure.unit}"
