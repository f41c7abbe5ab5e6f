"""What faces may ask of the engine. They have no other way in.

Every method may be called from any thread, returns at once, and never waits for a device. What
is refused raises a :class:`~hwctl.model.errors.RequestError`; nothing has been changed then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hwctl.model.rig import Event, OperationState, Rig

PowerAction = Literal["on", "off", "cycle", "reset"]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a strip shows now: RGB triplets before brightness and gamma, and the brightness that
    was asked of the strip (after ceilings, before its power limit)."""

    seq: int
    rgb: bytes
    brightness: float


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the start. Bucket bounds are seconds; the last count is of everything above."""

    tick_bounds: tuple[float, ...]
    tick_counts: tuple[int, ...]
    tick_sum: float
    driver_errors: dict[tuple[str, str], int]
    """(device, kind) -> number."""
    frames: dict[str, int]
    """strip -> frames sent."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One command, whatever became of it. Times are wall-clock seconds since the epoch."""

    id: int
    at: float
    by: str
    """Token, session or local user."""
    origin: str
    """Where it came from: an address, or the unix socket's peer."""
    what: str
    """``power cycle``, ``shutdown start`` and the like."""
    target: str
    reason: str
    before: str
    """How the target was."""
    after: str | None
    """How it is when the command has ended; ``None`` until then."""
    result: str
    """``accepted``, ``done``, ``failed: why``, ``refused: why``."""
    operation: str | None


class RigService(Protocol):
    """The engine, seen from the faces."""

    def rig(self) -> Rig:
        """The latest snapshot."""
        ...

    def last_tick_age(self) -> float:
        """Real seconds since the last completed tick."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` (from the engine's thread; it must not block) after each new snapshot.

        :returns: a function that ends it.
        """
        ...

    def power(
        self,
        node: str,
        action: PowerAction,
        *,
        force: bool = False,
        reason: str = "",
        by: str,
        origin: str = "",
        key: str | None = None,
    ) -> OperationState:
        """Begin an operation. ``key``: an idempotency key; the same key gives the same operation.

        :raises RequestError: unknown node, busy (409), protected, journal not writable (503), ...
        """
        ...

    def nodes_meant(self, wanted: Sequence[str]) -> Sequence[str]:
        """The nodes behind names, ranges and groups. :raises RequestError: there are none."""
        ...

    def power_many(
        self,
        wanted: Sequence[str],
        action: PowerAction,
        *,
        force: bool = False,
        reason: str = "",
        by: str,
        origin: str = "",
        key: str | None = None,
    ) -> Sequence[OperationState]:
        """Begin one operation per node, all or none; they wait for each other where one node needs
        another. Protected nodes are refused if named, and left out of a group."""
        ...

    def operation(self, operation: str) -> OperationState:
        """One operation, ended ones included. :raises UnknownTargetError:"""
        ...

    def operations(self, limit: int = 50) -> Sequence[OperationState]:
        """The latest first."""
        ...

    def cancel(self, operation: str, *, by: str, origin: str = "") -> OperationState: ...

    def locate(self, node: str, active: bool, *, by: str, origin: str = "") -> None: ...

    def fan(
        self,
        fan: str,
        *,
        mode: Literal["auto", "manual"],
        duty: float,
        for_s: float,
        by: str,
        origin: str = "",
    ) -> None: ...

    def strip(
        self, strip: str, *, mode: str | None, brightness: float | None, by: str, origin: str = ""
    ) -> None: ...

    def strip_modes(self) -> Sequence[str]: ...

    def shutdown_start(self, *, reason: str, by: str, origin: str = "") -> None: ...

    def shutdown_cancel(self, *, by: str, origin: str = "") -> None: ...

    def turned_away(self, *, what: str, by: str, origin: str, why: str) -> None:
        """Record a command that was not let in: a wrong token, or one without the scope."""
        ...

    def audit(self, after: int = 0, limit: int = 200) -> Sequence[AuditEntry]:
        """Commands with an id above ``after``, oldest first; at most the newest ``limit``."""
        ...

    def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """Those with an id above ``after``, oldest first; at most the newest ``limit``."""
        ...

    def history(
        self, series: str, start: float, end: float, step: float
    ) -> Sequence[tuple[float, float | None]]:
        """(wall seconds, mean over the step or ``None``). Series are ``supply/bank/charge``,
        ``node/pi1/load``, ``fan/intake/duty`` and the like. :raises UnknownTargetError:"""
        ...

    def frame(self, strip: str) -> Frame | None:
        """What is lit now; ``None`` before the first frame."""
        ...

    def counters(self) -> Counters: ...
