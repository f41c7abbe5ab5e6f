"""A RigService in memory, made of the model's own objects: what the faces see of an engine."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hwctl.engine.service import AuditEntry, Counters, Frame
from hwctl.model.errors import (
    JournalUnavailableError,
    NotAllowedError,
    NotPossibleError,
    RequestError,
    TargetBusyError,
    UnknownTargetError,
)
from hwctl.model.readings import Quality
from hwctl.model.rig import (
    Event,
    FanState,
    NodeState,
    OperationState,
    OpState,
    Os,
    OutletState,
    Power,
    Rig,
    SensorState,
    ShutdownState,
    StepRecord,
    StripState,
    SupplyState,
    SupplyStatus,
)

NOW = 1_763_700_000.0
MODES = ("off", "load", "temperature", "charge", "white")


def make_node(index: int) -> NodeState:
    return NodeState(
        id=f"pi{index}",
        role="orchestrator" if index == 0 else "compute",
        host=f"10.42.0.{10 + index}",
        outlet=f"feed{index}",
        power=Power.ON,
        os=Os.UP,
        load=0.1 + 0.2 * (index % 4),
        celsius=45.0 + index % 20,
        watts=3.5 + 0.5 * (index % 5),
        protected=False,
        locate=False,
        quality=Quality.OK,
        age_s=0.4,
        throttled=False,
        boot_id="b00t",
    )


def make_rig(nodes: int = 4, leds: int = 60) -> Rig:
    return Rig(
        name="football",
        title="The football",
        seq=1,
        at=NOW,
        emulated=True,
        speed=60.0,
        healthy=True,
        problems=(),
        supplies=(
            SupplyState(
                id="bank",
                kind="power-bank",
                charge=0.62,
                charge_margin=0.05,
                volts=14.83,
                amps=1.62,
                watts=24.0,
                celsius=31.5,
                status=SupplyStatus.DISCHARGING,
                runtime_s=8100.0,
                runtime_low_s=7020.0,
                mains=False,
                gauges=("bank-out", "bank-in"),
                quality=Quality.OK,
                age_s=0.2,
            ),
        ),
        nodes=tuple(make_node(index) for index in range(nodes)),
        outlets=tuple(
            OutletState(
                id=f"feed{index}",
                node=f"pi{index}",
                on=True,
                read_back="true",
                volts=5.08,
                amps=0.8,
                watts=4.1,
                quality=Quality.OK,
                age_s=0.3,
            )
            for index in range(nodes)
        ),
        fans=(
            FanState("intake", 0.42, 2010.0, "auto", "pi3 at 48 °C", Quality.OK),
            FanState("exhaust", 0.42, 1985.0, "auto", "pi3 at 48 °C", Quality.OK),
        ),
        strips=(StripState("lid", leds, "load", 0.5, 3.2, False, 60.0, Quality.OK),),
        sensors=(SensorState("lid", 29.0, Quality.OK, 1.0),),
        operations=(),
        shutdown=ShutdownState(
            state="standby",
            needed_s=150.0,
            left_s=8100.0,
            left_low_s=7020.0,
            threshold_s=225.0,
            stage=None,
            stages=("compute", "orchestrator"),
            armed=True,
            cause=None,
            restart_charge=0.3,
        ),
    )


def make_event(number: int, text: str = "something happened", severity: str = "info") -> Event:
    return Event(number, NOW + number, "test.event", "pi1", text, severity, {"n": number})


class StandIn:
    """What a test sets is what the faces see; what the faces order is kept in ``calls``."""

    def __init__(self, rig: Rig | None = None) -> None:
        self._rig = rig or make_rig()
        self._wakes: list[Callable[[], None]] = []
        self._guard = threading.Lock()
        self._operations: dict[str, OperationState] = {}
        self._by_key: dict[str, str] = {}
        self._events: list[Event] = []
        self.calls: list[tuple[object, ...]] = []
        self.away: list[tuple[str, str, str, str]] = []
        self.audited: list[AuditEntry] = []
        self.tick_age = 0.1
        self.journal_writable = True
        self.refuse: RequestError | None = None
        """Raised at the next command on a node's power."""
        self.broken = False
        self.frames: dict[str, Frame] = {}
        self.counted = Counters(
            tick_bounds=(0.001, 0.01, 0.1),
            tick_counts=(5, 3, 1, 1),
            tick_sum=0.25,
            driver_errors={("bank-out", "timeout"): 3},
            frames={"lid": 1234},
        )

    # what tests do

    def change(self, **fields: object) -> Rig:
        """Replace fields of the snapshot and wake who listens."""
        with self._guard:
            self._rig = replace(self._rig, seq=self._rig.seq + 1, **fields)
            wakes = list(self._wakes)
        for wake in wakes:
            wake()
        return self._rig

    def change_node(self, node: str, **fields: object) -> None:
        self.change(
            nodes=tuple(
                replace(one, **fields) if one.id == node else one for one in self._rig.nodes
            )
        )

    def change_supply(self, **fields: object) -> None:
        self.change(supplies=tuple(replace(one, **fields) for one in self._rig.supplies))

    def tell(self, text: str, severity: str = "info") -> Event:
        """Add an event and wake who listens."""
        event = make_event(len(self._events) + 1, text, severity)
        self._events.append(event)
        self.change()
        return event

    def show(self, strip: str, rgb: bytes, brightness: float = 0.5) -> None:
        seq = self.frames[strip].seq + 1 if strip in self.frames else 1
        self.frames[strip] = Frame(seq, rgb, brightness)

    @property
    def listeners(self) -> int:
        return len(self._wakes)

    # RigService

    def rig(self) -> Rig:
        if self.broken:
            raise RuntimeError("secret inside")
        return self._rig

    def last_tick_age(self) -> float:
        return self.tick_age

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        with self._guard:
            self._wakes.append(wake)

        def end() -> None:
            with self._guard:
                self._wakes.remove(wake)

        return end

    def power(
        self,
        node: str,
        action: str,
        *,
        force: bool = False,
        reason: str = "",
        by: str,
        origin: str = "",
        key: str | None = None,
    ) -> OperationState:
        if self.refuse is not None:
            raise self.refuse
        if not self.journal_writable:
            raise JournalUnavailableError("the disk is full", hint="make room")
        if key is not None and key in self._by_key:
            return self._operations[self._by_key[key]]
        state = next((one for one in self._rig.nodes if one.id == node), None)
        if state is None:
            raise UnknownTargetError(f"no node {node}", where=node)
        if state.protected:
            raise NotAllowedError(f"{node} is protected", where=node)
        if state.operation is not None:
            raise TargetBusyError(
                "another operation holds it", operation=state.operation, where=node, hint="wait"
            )
        self.calls.append(("power", node, action, force, reason, by, key))
        operation = OperationState(
            id=f"op-{len(self._operations) + 1}",
            kind=action,
            target=node,
            state=OpState.RUNNING,
            step="halt",
            steps=(StepRecord("halt", NOW),),
            started=NOW,
            finished=None,
            error=None,
            forced=reason if force else None,
            by=by,
            reason=reason,
            expires=NOW + 600,
            cancellable=True,
        )
        self._operations[operation.id] = operation
        if key is not None:
            self._by_key[key] = operation.id
        self.change_node(node, operation=operation.id)
        self.change(operations=tuple(self._operations.values()))
        return operation

    def nodes_meant(self, wanted: Sequence[str]) -> Sequence[str]:
        known = [one.id for one in self._rig.nodes]
        for name in wanted:
            if name not in ("all", *known):
                raise UnknownTargetError(f"no node {name}", where=name)
        return [one for one in known if one in wanted or "all" in wanted]

    def power_many(
        self, wanted: Sequence[str], action: str, *, key: str | None = None, **said: Any
    ) -> Sequence[OperationState]:
        return [
            self.power(node, action, key=None if key is None else f"{key} {node}", **said)
            for node in self.nodes_meant(wanted)
        ]

    def turned_away(self, *, what: str, by: str, origin: str, why: str) -> None:
        self.away.append((what, by, origin, why))

    def audit(self, after: int = 0, limit: int = 200) -> Sequence[AuditEntry]:
        return [one for one in self.audited if one.id > after][-limit:]

    def _known(self, kind: str, name: str) -> None:
        states: Sequence[Any] = getattr(self._rig, f"{kind}s")
        if name not in [one.id for one in states]:
            raise UnknownTargetError(f"no {kind} {name}", where=name, hint="hwctl status")

    def set_operation(self, operation: str, **fields: object) -> None:
        changed = replace(self.operation(operation), **fields)
        self._operations[operation] = changed
        if changed.state.ended:
            self.change_node(changed.target, operation=None)
        self.change(operations=tuple(self._operations.values()))

    def operation(self, operation: str) -> OperationState:
        if operation not in self._operations:
            raise UnknownTargetError(f"no operation {operation}", where=operation)
        return self._operations[operation]

    def operations(self, limit: int = 50) -> Sequence[OperationState]:
        return list(reversed(self._operations.values()))[:limit]

    def cancel(self, operation: str, *, by: str, origin: str = "") -> OperationState:
        if self.operation(operation).state.ended:
            raise NotPossibleError("it has ended", where=operation)
        self.calls.append(("cancel", operation, by))
        self.set_operation(operation, state=OpState.CANCELLED, finished=NOW + 1, step=None)
        return self.operation(operation)

    def locate(self, node: str, active: bool, *, by: str, origin: str = "") -> None:
        self._known("node", node)
        self.calls.append(("locate", node, active, by))
        self.change_node(node, locate=active)

    def fan(
        self, fan: str, *, mode: str, duty: float, for_s: float, by: str, origin: str = ""
    ) -> None:
        self._known("fan", fan)
        self.calls.append(("fan", fan, mode, duty, for_s, by))
        self.change(
            fans=tuple(
                replace(one, mode=mode, duty=duty if mode == "manual" else one.duty)
                if one.id == fan
                else one
                for one in self._rig.fans
            )
        )

    def strip(
        self, strip: str, *, mode: str | None, brightness: float | None, by: str, origin: str = ""
    ) -> None:
        self._known("strip", strip)
        self.calls.append(("strip", strip, mode, brightness, by))

    def strip_modes(self) -> Sequence[str]:
        return MODES

    def shutdown_start(self, *, reason: str, by: str, origin: str = "") -> None:
        self.calls.append(("shutdown_start", reason, by))
        self.change(shutdown=replace(self._rig.shutdown, state="running", stage="compute"))

    def shutdown_cancel(self, *, by: str, origin: str = "") -> None:
        self.calls.append(("shutdown_cancel", by))
        self.change(shutdown=replace(self._rig.shutdown, state="standby", stage=None))

    def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        return [one for one in self._events if one.id > after][-limit:]

    def history(
        self, series: str, start: float, end: float, step: float
    ) -> Sequence[tuple[float, float | None]]:
        if not series.startswith(("supply/bank/", "node/pi")):
            raise UnknownTargetError(f"no series {series}", where=series)
        count = int((end - start) / step)
        return [(start + i * step, None if i == 1 else 20 + i % 7) for i in range(count)]

    def frame(self, strip: str) -> Frame | None:
        return self.frames.get(strip)

    def counters(self) -> Counters:
        return self.counted
