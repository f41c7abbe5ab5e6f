"""When the mains is there: named courses of events."""

from dataclasses import dataclass
from typing import Protocol

from hwctl.model.errors import ConfigError

MAINS_S = 600.0
OVER_S = 1200.0
OUTAGE_S = 4.5 * 3600


@dataclass(frozen=True, slots=True)
class Seen:
    """What a course of events may depend on."""

    now: float
    down: bool
    """Every node is off or halted."""
    charge: float
    """Of the emptiest supply, 0..1."""


class Scenario(Protocol):
    """``mains`` is asked once per step, in order."""

    def mains(self, seen: Seen) -> bool: ...


class Steady:
    """The mains is always there."""

    def mains(self, seen: Seen) -> bool:
        del seen
        return True


class Afternoon:
    """The mains is there for ten minutes and fails.

    It is back when every node has been down for twenty minutes, or after four and a half hours.
    From then on it stays until the supplies hold what they held at the start, and for ten minutes
    at least, so that nodes come up again and one afternoon is like the next.
    """

    def __init__(self) -> None:
        self._present = True
        self._since = 0.0
        self._down_since: float | None = None
        self._first_charge: float | None = None

    def mains(self, seen: Seen) -> bool:
        if self._first_charge is None:
            # A pack that was full is charged again only after it has lost a little.
            self._first_charge = min(seen.charge, 0.97)
        if not seen.down:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = seen.now
        lasted = seen.now - self._since
        if self._present:
            if lasted >= MAINS_S and seen.charge >= self._first_charge:
                self._turn(seen.now)
        elif lasted >= OUTAGE_S or (
            self._down_since is not None and seen.now - self._down_since >= OVER_S
        ):
            self._turn(seen.now)
        return self._present

    def _turn(self, now: float) -> None:
        self._present = not self._present
        self._since = now
        self._down_since = None


SCENARIOS: dict[str, type[Afternoon] | type[Steady]] = {"afternoon": Afternoon, "steady": Steady}


def scenario_named(name: str) -> Scenario:
    """:raises ConfigError: there is no such scenario."""
    if name not in SCENARIOS:
        raise ConfigError(
            f"there is no scenario {name!r}",
            where="--scenario",
            hint=f"choose one of {', '.join(sorted(SCENARIOS))}",
        )
    return SCENARIOS[name]()
