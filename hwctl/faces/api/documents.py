"""The snapshot as JSON. Written by hand and not by a framework: it is asked for all the time.

Moments are ISO 8601 in UTC with milliseconds, durations seconds, numbers rounded to four decimals
(finer than any gauge here). What is not finite is not known, and becomes ``null``.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from hwctl.engine.service import AuditEntry
from hwctl.model.rig import (
    Event,
    FanState,
    NodeState,
    OperationState,
    OutletState,
    Rig,
    SensorState,
    ShutdownState,
    StepRecord,
    StripState,
    SupplyState,
)

MOMENTS = frozenset({"at", "started", "finished", "expires"})
"""Fields that hold wall-clock seconds and are shown as text."""
COLLECTIONS = ("supplies", "nodes", "outlets", "fans", "strips", "sensors", "operations")

_DECIMALS = 4
_ENCODE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), default=str
).encode


def moment(seconds: float | None) -> str | None:
    """``2025-11-21T03:45:00.000Z``; ``None`` for what no calendar holds."""
    if seconds is None:
        return None
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return when.isoformat(timespec="milliseconds")[:-6] + "Z"


def encode(document: object) -> bytes:
    """JSON bytes of plain data."""
    try:
        return _ENCODE(document).encode("utf-8", "replace")
    except ValueError:
        return _ENCODE(_finite(document)).encode("utf-8", "replace")


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


def _rows(kind: type) -> Callable[[Any], dict[str, Any]]:
    """A function that makes a dict of one slotted dataclass of plain fields."""
    names: tuple[str, ...] = tuple(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    values = attrgetter(*names)

    def row(one: object) -> dict[str, Any]:
        return {
            name: round(value, _DECIMALS) if type(value) is float else value
            for name, value in zip(names, values(one), strict=True)
        }

    return row


_supply = _rows(SupplyState)
_node = _rows(NodeState)
_outlet = _rows(OutletState)
_fan = _rows(FanState)
_strip = _rows(StripState)
_sensor = _rows(SensorState)
_shutdown = _rows(ShutdownState)
_operation = _rows(OperationState)
_step = _rows(StepRecord)
_event = _rows(Event)
_audit = _rows(AuditEntry)


def _with_moments(document: dict[str, Any], source: object) -> dict[str, Any]:
    """Moments from the source itself: rounding to four decimals would be for nothing."""
    for name in MOMENTS & document.keys():
        document[name] = moment(getattr(source, name))
    return document


def shutdown_document(state: ShutdownState) -> dict[str, Any]:
    return _shutdown(state)


def audit_document(entry: AuditEntry) -> dict[str, Any]:
    """One command of the audit record."""
    return _audit(entry) | {"at": moment(entry.at)}


def operation_document(operation: OperationState) -> dict[str, Any]:
    document = _with_moments(_operation(operation), operation)
    document["steps"] = [_with_moments(_step(step), step) for step in operation.steps]
    return document


def event_document(event: Event) -> dict[str, Any]:
    return _with_moments(_event(event), event)


def collection_document(rig: Rig, name: str) -> list[dict[str, Any]]:
    """``name`` is one of :data:`COLLECTIONS`."""
    make = _MAKERS[name]
    states: Iterable[object] = getattr(rig, name)
    return [make(one) for one in states]


_MAKERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "supplies": _supply,
    "nodes": _node,
    "outlets": _outlet,
    "fans": _fan,
    "strips": _strip,
    "sensors": _sensor,
    "operations": operation_document,
}


def part_document(name: str, state: object) -> dict[str, Any]:
    """One member of the collection ``name``."""
    return _MAKERS[name](state)


def rig_document(rig: Rig) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "name": rig.name,
        "title": rig.title,
        "seq": rig.seq,
        "at": moment(rig.at),
        "emulated": rig.emulated,
        "speed": rig.speed,
        "healthy": rig.healthy,
        "problems": rig.problems,
        **{name: collection_document(rig, name) for name in COLLECTIONS},
        "shutdown": shutdown_document(rig.shutdown),
    }


def rig_json(rig: Rig) -> bytes:
    """Everything as JSON bytes."""
    return encode(rig_document(rig))


def points_document(points: Sequence[tuple[float, float | None]]) -> list[list[Any]]:
    """``[[moment, value or null], ...]``"""
    return [
        [moment(at), round(value, _DECIMALS) if value is not None else None] for at, value in points
    ]


class RigCache:
    """The bytes of the latest snapshot, made once however many ask for them."""

    def __init__(self) -> None:
        self._held: tuple[Rig, bytes] | None = None

    def bytes_of(self, rig: Rig) -> bytes:
        """:func:`rig_json` of ``rig``, kept until another snapshot is asked for."""
        held = self._held
        if held is None or held[0] is not rig:
            held = self._held = (rig, rig_json(rig))
        return held[1]
