"""What the rig's values were: a ring of coarse samples per series, in memory, bounded."""

from array import array
from collections.abc import Sequence
from math import isnan, nan

from hwctl.model.errors import RequestError, UnknownTargetError
from hwctl.model.rig import Rig

EVERY_S = 5.0
"""Between two samples of a series; slower at a scaled speed."""
KEPT = 2880
"""Samples per series: 4 hours; 12 bytes each, so 56 nodes with 3 series take 6 MB at most."""
MOST_POINTS = 2000


class Ring:
    """(time, value) pairs, oldest overwritten. NaN stands for "not known" in here only."""

    __slots__ = ("_at", "_next", "_values")

    def __init__(self) -> None:
        self._at = array("d")
        self._values = array("f")
        self._next = 0

    def add(self, at: float, value: float | None) -> None:
        stored = nan if value is None else value
        if len(self._at) < KEPT:
            self._at.append(at)
            self._values.append(stored)
        else:
            self._at[self._next] = at
            self._values[self._next] = stored
            self._next = (self._next + 1) % KEPT

    def items(self) -> list[tuple[float, float]]:
        order = [*range(self._next, len(self._at)), *range(self._next)]
        return [(self._at[i], self._values[i]) for i in order]


class History:
    """Sampled by the engine's tick; read by faces (under the GIL a torn read is one sample)."""

    def __init__(self) -> None:
        self._rings: dict[str, Ring] = {}
        self._sampled = float("-inf")

    def sample(self, rig: Rig, now: float, every_s: float) -> None:
        """Take in a snapshot, if it is time."""
        if now - self._sampled < every_s:
            return
        self._sampled = now
        for supply in rig.supplies:
            self._add(rig.at, f"supply/{supply.id}/charge", supply.charge)
            self._add(rig.at, f"supply/{supply.id}/watts", supply.watts)
        for node in rig.nodes:
            fresh = node.quality == "ok"
            self._add(rig.at, f"node/{node.id}/load", node.load if fresh else None)
            self._add(rig.at, f"node/{node.id}/celsius", node.celsius if fresh else None)
            self._add(rig.at, f"node/{node.id}/watts", node.watts)
        for fan in rig.fans:
            self._add(rig.at, f"fan/{fan.id}/duty", fan.duty)
            self._add(rig.at, f"fan/{fan.id}/rpm", fan.rpm)

    def _add(self, at: float, series: str, value: float | None) -> None:
        ring = self._rings.get(series)
        if ring is None:
            ring = self._rings[series] = Ring()
        ring.add(at, value)

    def query(
        self, series: str, start: float, end: float, step: float
    ) -> Sequence[tuple[float, float | None]]:
        """Means over ``step`` seconds from ``start`` to ``end`` (wall seconds)."""
        ring = self._rings.get(series)
        if ring is None:
            known = ", ".join(sorted(self._rings)[:6])
            raise UnknownTargetError(
                f"no series `{series}`", hint=f"series look like: {known or 'none yet'}"
            )
        if not step > 0 or not end > start:
            raise RequestError("`step` must be above 0 and `to` after `from`")
        if (end - start) / step > MOST_POINTS:
            raise RequestError(
                f"more than {MOST_POINTS} points", hint="ask for a longer `step` or a shorter span"
            )
        count = int((end - start) // step) + 1
        sums = [0.0] * count
        numbers = [0] * count
        for at, value in ring.items():
            slot = int((at - start) // step)
            if start <= at <= end and 0 <= slot < count and not isnan(value):
                sums[slot] += value
                numbers[slot] += 1
        return [
            (start + slot * step, sums[slot] / numbers[slot] if numbers[slot] else None)
            for slot in range(count)
        ]
