"""From what the workers report to what the policies are told: the latest of each thing, its age,
and whether it may be believed.
"""

from dataclasses import dataclass, field
from typing import Any

from hwctl.engine.workers import Report
from hwctl.model.drivers import GaugeSample
from hwctl.model.errors import DeviceDataError
from hwctl.model.readings import ABSENT, Quality, Reading, ok
from hwctl.policy.charge import NO_GAUGE, Side


@dataclass(slots=True)
class Seen:
    """What is known under one key."""

    value: Any = None
    taken: float = float("-inf")
    """When the last good value was taken."""
    error: Any = None
    """Of the latest report, if it was none."""
    failed_at: float | None = None
    """When it was last asked in vain."""


@dataclass(slots=True)
class Senses:
    """The latest report of every key. Written by the workers (one assignment each, atomic under
    the GIL), read by the tick."""

    inbox: dict[str, Report] = field(default_factory=dict)
    _seen: dict[str, Seen] = field(default_factory=dict)
    _read: dict[str, Report] = field(default_factory=dict)

    def put(self, report: Report) -> None:
        """From any thread."""
        self.inbox[report.key] = report

    def take(self) -> list[Report]:
        """What is new since the last tick, in no particular order."""
        new = []
        for key, report in list(self.inbox.items()):
            if self._read.get(key) is report:
                continue
            self._read[key] = report
            new.append(report)
            seen = self._seen.get(key)
            if seen is None:
                seen = self._seen[key] = Seen()
            if report.error is None:
                seen.value, seen.taken, seen.error = report.value, report.taken, None
            else:
                seen.error, seen.failed_at = report.error, report.taken
        return new

    def seen(self, key: str) -> Seen:
        return self._seen.get(key) or _NOTHING

    def fresh(self, key: str, now: float, stale_s: float) -> Any | None:  # noqa: ANN401
        """The value, unless it is too old or refused."""
        seen = self.seen(key)
        if now - seen.taken > stale_s or isinstance(seen.error, DeviceDataError):
            return None
        return seen.value

    def quality(self, key: str, now: float, stale_s: float) -> Quality:
        """A missed poll is forgiven for ``stale_s``; an answer that cannot be true is not."""
        seen = self.seen(key)
        if isinstance(seen.error, DeviceDataError):
            return Quality.SUSPECT
        if seen.taken == float("-inf"):
            return Quality.ABSENT
        if now - seen.taken <= stale_s:
            return Quality.OK
        return Quality.STALE if seen.error is None else Quality.ABSENT

    def age(self, key: str, now: float) -> float | None:
        seen = self.seen(key)
        return None if seen.taken == float("-inf") else max(0.0, now - seen.taken)

    def side(self, key: str | None, now: float, stale_s: float) -> Side:
        """A gauge, for the charge policy."""
        if key is None:
            return NO_GAUGE
        seen = self.seen(key)
        sample = seen.value if isinstance(seen.value, GaugeSample) else None
        return Side(sample, seen.taken, self.quality(key, now, stale_s))

    def sample(self, key: str | None, now: float, stale_s: float) -> GaugeSample | None:
        """A gauge's latest sample, if it may be acted upon."""
        value = None if key is None else self.fresh(key, now, stale_s)
        return value if isinstance(value, GaugeSample) else None

    def reading(self, key: str | None, name: str, now: float, stale_s: float) -> Reading:
        """One field of a gauge."""
        if key is None:
            return ABSENT
        seen = self.seen(key)
        quality = self.quality(key, now, stale_s)
        if not isinstance(seen.value, GaugeSample) or quality in (Quality.SUSPECT, Quality.ABSENT):
            return Reading(None, seen.taken, quality, key)
        reading = ok(getattr(seen.value, name), seen.taken, key)
        return reading.at(now, stale_s)


_NOTHING = Seen()


def gauge_key(device: str, channel: int) -> str:
    return f"gauge/{device}/{channel}"


def outlet_key(outlet: str) -> str:
    return f"outlet/{outlet}"


def fan_key(fan: str) -> str:
    return f"fan/{fan}"


def drive_key(fan: str) -> str:
    return f"drive/{fan}"


def load_key(node: str) -> str:
    return f"load/{node}"
