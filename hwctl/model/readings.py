"""A measured value is never a bare number: it has a unit, an age and a quality."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Quality(StrEnum):
    """How far a reading may be trusted."""

    OK = "ok"
    STALE = "stale"
    """Was right once; older than its source's limit."""
    SUSPECT = "suspect"
    """Fresh, but cannot be true: out of range, all ones, all zeros."""
    ABSENT = "absent"
    """Never read, or the source says it has none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value from one source.

    ``value`` is ``None`` exactly when the quality is ``absent`` or ``suspect``: nothing
    implausible is ever passed on as a number. ``taken`` is on the engine's clock, in seconds.
    """

    value: float | None
    taken: float
    quality: Quality
    source: str = ""

    def age(self, now: float) -> float:
        """Seconds since it was taken."""
        return now - self.taken

    def at(self, now: float, stale_after: float) -> "Reading":
        """The same reading as seen at ``now``: ``ok`` turns ``stale`` after ``stale_after`` s."""
        if self.quality is Quality.OK and now - self.taken > stale_after:
            return replace(self, quality=Quality.STALE)
        return self

    @property
    def fresh(self) -> float | None:
        """The value if it may be acted upon, else ``None``."""
        return self.value if self.quality is Quality.OK else None


ABSENT = Reading(None, float("-inf"), Quality.ABSENT)
"""Never read."""


def ok(value: float | None, taken: float, source: str = "") -> Reading:
    """A good reading, or ``absent`` where the source has no such value."""
    if value is None:
        return Reading(None, taken, Quality.ABSENT, source)
    return Reading(value, taken, Quality.OK, source)
