"""What faces may ask and order: :class:`~hwctl.engine.service.RigService`, as the engine does it.

Orders that change what the engine knows are queued and carried out by the next tick; operations
are journalled before the call returns.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from hwctl.engine.audit import SHORT, Audit, Draft, power_command
from hwctl.engine.clock import Clock
from hwctl.engine.history import History
from hwctl.engine.journal import Journal
from hwctl.engine.lights import StripLoop
from hwctl.engine.operations import Desk, Target
from hwctl.engine.outlets import Says
from hwctl.engine.service import AuditEntry, Counters, Frame, PowerAction
from hwctl.model.errors import (
    JournalUnavailableError,
    NotAllowedError,
    NotPossibleError,
    RequestError,
    UnknownTargetError,
)
from hwctl.model.rig import Event, OperationState, Rig
from hwctl.model.settings import Settings
from hwctl.model.targets import expand
from hwctl.model.wiring import Wiring
from hwctl.policy import cooling, lighting, shutdown

TICK_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
LOCATE_S = 1800.0
"""A locate light goes out by itself, as Oracle's servers do (unverified)."""


class Commands:
    """The half of the engine that faces see; :class:`hwctl.engine.core.Engine` is the other."""

    wiring: Wiring
    settings: Settings
    clock: Clock
    journal: Journal
    desk: Desk
    strips: dict[str, StripLoop]
    outlet_of: dict[str, str]
    says: dict[str, Says]
    audit_record: Audit
    shutdown: shutdown.State

    def __init__(self) -> None:
        self.locating: dict[str, float] = {}
        self.manual_fans: dict[str, cooling.Manual] = {}
        self.strip_wishes: dict[str, tuple[str, float | None]] = {}
        self._history = History()
        self._queued: list[Callable[[], None]] = []
        self._shutdown_command: tuple[Literal["start", "cancel"], str, str] | None = None
        self._lock = threading.Lock()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._driver_errors: dict[tuple[str, str], int] = {}
        self._tick_counts = [0] * (len(TICK_BOUNDS) + 1)
        self._tick_sum = 0.0
        self._ticked_real = time.monotonic()
        self._wake = threading.Event()
        self._seq = 0
        self._rig: Rig

    def emit(self, kind: str, subject: str, text: str, severity: str = "info") -> None:
        raise NotImplementedError

    def rig(self) -> Rig:
        return self._rig

    def last_tick_age(self) -> float:
        return time.monotonic() - self._ticked_real

    @property
    def seq(self) -> int:
        return self._seq

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            self._listeners = (*self._listeners, wake)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not wake)

        return end

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
        return self.power_many(
            [node], action, force=force, reason=reason, by=by, origin=origin, key=key
        )[0]

    def nodes_meant(self, wanted: Sequence[str]) -> Sequence[str]:
        return expand(wanted, self.wiring, self.settings.group).nodes

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
        what = power_command(action, force=force)
        draft = Draft(by, origin, what, [(" ".join(wanted)[:SHORT], "")], reason)
        with self.audit_record.command(draft):
            meant = expand(wanted, self.wiring, self.settings.group)
            nodes = [
                node
                for node in meant.nodes
                if node in meant.named or not self.wiring.node[node].protected
            ]
            if not nodes:
                raise NotAllowedError(
                    "all of them are protected", where=" ".join(wanted)[:SHORT],
                    hint="`protected = false` in the wiring file lifts it",
                )  # fmt: skip
            draft.targets = [(node, self._seen(node)) for node in nodes]
            known = self.desk.again(action, nodes, force, key) if key is not None else None
            if known is not None:
                draft.targets = ()  # the same command, heard a second time
                return [self.desk.view(op) for op in known]
            targets = [self._target(node, action, force=force) for node in nodes]
            if action == "on" and not force:
                self._check_energy(nodes)
            ops = self.desk.begin(
                action, targets, force=force, by=by, reason=reason, origin=origin, key=key,
                expiry_s=self.settings.power.expiry_s,
                cycles_per_hour=self.settings.power.cycles_per_hour,
            )  # fmt: skip
            draft.operations = [op.id for op in ops]
        self._wake.set()
        return [self.desk.view(op) for op in ops]

    def _target(self, node: str, action: PowerAction, *, force: bool) -> Target:
        """:raises RequestError: this cannot be done to it."""
        outlet = self.outlet_of.get(node)
        if self.wiring.node[node].protected:
            raise NotAllowedError(
                f"{node} is protected", where=node,
                hint="`protected = false` in the wiring file lifts it; the outlet of a switch or "
                "of the head is never an ordinary target",
            )  # fmt: skip
        if outlet is None and not (action == "reset" and not force):
            raise NotPossibleError(
                f"{node} has no outlet, so its power cannot be switched", where=node,
                hint="wire one: [outlet.<id>] with `node` in the wiring file",
            )  # fmt: skip
        kind = self.says[self.wiring.outlet[outlet].device] if outlet is not None else None
        cuts = action in ("off", "cycle") or (action == "reset" and force)
        if kind is not None and cuts and not kind.switches_off:
            raise NotPossibleError(
                f"outlet {outlet} can only switch on", where=node,
                hint="halt it by hand, or wire an outlet that cuts its feed",
            )  # fmt: skip
        phase = self.shutdown.phase
        if action in ("on", "cycle", "reset") and phase in (
            shutdown.Phase.RUNNING,
            shutdown.Phase.DOWN,
        ):
            waits = self._rig.shutdown.cause or "the energy does not allow it"
            raise NotPossibleError(
                f"the rig is shut down: {waits}", where=node,
                hint="it comes back by itself when the charge allows; or `hwctl shutdown cancel`",
            )  # fmt: skip
        return Target(node, outlet, kind is not None and kind.cycles)

    def _check_energy(self, nodes: Sequence[str]) -> None:
        raise NotImplementedError

    def _seen(self, node: str) -> str:
        """How a node is, for the audit record."""
        state = next((one for one in self._rig.nodes if one.id == node), None)
        return f"power {state.power}, os {state.os}" if state is not None else ""

    def turned_away(self, *, what: str, by: str, origin: str, why: str) -> None:
        self.audit_record.turned_away(what, by, origin, why)

    def audit(self, after: int = 0, limit: int = 200) -> Sequence[AuditEntry]:
        return self.audit_record.entries(after, limit)

    def operation(self, operation: str) -> OperationState:
        return self.desk.view(self.desk.get(operation))

    def operations(self, limit: int = 50) -> Sequence[OperationState]:
        return [self.desk.view(op) for op in self.desk.latest(limit)]

    def cancel(self, operation: str, *, by: str, origin: str = "") -> OperationState:
        draft = Draft(by, origin, f"cancel {operation[:64]}", [("", "")])
        with self.audit_record.command(draft):
            node = self.desk.get(operation).target
            draft.targets = [(node, self._seen(node))]
            op = self.desk.cancel(operation, by)
            draft.after = self._seen(node)
        self.audit_record.ended(op, self._seen(node))
        return self.desk.view(op)

    def _audited(
        self, what: str, target: str, now: str, by: str, origin: str, reason: str = ""
    ) -> AbstractContextManager[Draft]:
        """Of a command that is done at once; ``now``: what it wants."""
        return self.audit_record.command(Draft(by, origin, what, [(target, "")], reason, now))

    def locate(self, node: str, active: bool, *, by: str, origin: str = "") -> None:
        with self._audited("locate", node, "on" if active else "off", by, origin):
            self._locate(node, active, by)

    def _locate(self, node: str, active: bool, by: str) -> None:
        if node not in self.wiring.node:
            raise self._unknown("node", node, self.wiring.node)
        until = self.clock.now() + LOCATE_S

        def change() -> None:
            self.locating.pop(node, None)
            if active:
                self.locating[node] = until
            self.emit("node.locate", node, f"locate {'on' if active else 'off'} by {by}")

        self._do(change)

    def fan(
        self,
        fan: str,
        *,
        mode: Literal["auto", "manual"],
        duty: float,
        for_s: float,
        by: str,
        origin: str = "",
    ) -> None:
        now = mode if mode == "auto" else f"{duty:.0%} for {for_s:.0f} s"
        with self._audited("fan", fan, now, by, origin):
            self._fan(fan, mode, duty, for_s, by)

    def _fan(
        self, fan: str, mode: Literal["auto", "manual"], duty: float, for_s: float, by: str
    ) -> None:
        if fan not in self.wiring.fan:
            raise self._unknown("fan", fan, self.wiring.fan)
        until = self.clock.now() + for_s

        def change() -> None:
            self.manual_fans.pop(fan, None)
            if mode == "manual":
                self.manual_fans[fan] = cooling.Manual(duty, until)
                said = f"set to {duty:.0%} for {for_s:.0f} s by {by}"
            else:
                said = f"back to auto by {by}"
            self.emit("fan.mode", fan, said)

        self._do(change)

    def strip(
        self, strip: str, *, mode: str | None, brightness: float | None, by: str, origin: str = ""
    ) -> None:
        bright = "" if brightness is None else f" at {brightness:.0%}"
        with self._audited("strip", strip, f"{mode or 'as it was'}{bright}", by, origin):
            self._strip(strip, mode, brightness, by)

    def _strip(self, strip: str, mode: str | None, brightness: float | None, by: str) -> None:
        if strip not in self.wiring.strip:
            raise self._unknown("strip", strip, self.wiring.strip)
        if mode is not None and mode not in lighting.MODES:
            raise RequestError(
                f"no mode `{mode}`", where=strip, hint=f"there are: {', '.join(lighting.MODES)}"
            )

        def change() -> None:
            old_mode, old_brightness = self.strip_wishes.get(strip, ("load", None))
            self.strip_wishes[strip] = (
                mode if mode is not None else old_mode,
                brightness if brightness is not None else old_brightness,
            )
            self.emit("strip.mode", strip, f"{self.strip_wishes[strip][0]} by {by}")

        self._do(change)

    def strip_modes(self) -> Sequence[str]:
        return lighting.MODES

    def shutdown_start(self, *, reason: str, by: str, origin: str = "") -> None:
        with self._audited("shutdown start", self.wiring.rig.name, "begun", by, origin, reason):
            if self.shutdown.phase in (shutdown.Phase.RUNNING, shutdown.Phase.DOWN):
                raise NotPossibleError(f"a shutdown is under way: {self.shutdown.cause}")
            self._command_shutdown("start", by, reason)

    def shutdown_cancel(self, *, by: str, origin: str = "") -> None:
        with self._audited("shutdown cancel", self.wiring.rig.name, "called off", by, origin):
            self._command_shutdown("cancel", by, "")

    def _command_shutdown(self, command: Literal["start", "cancel"], by: str, reason: str) -> None:
        if self.journal.problem is not None:
            raise JournalUnavailableError(
                self.journal.problem, hint="make the state directory writable first"
            )

        def change() -> None:
            self._shutdown_command = (command, by, reason)

        self._do(change)

    def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        return self.journal.events(after, limit)

    def history(
        self, series: str, start: float, end: float, step: float
    ) -> Sequence[tuple[float, float | None]]:
        return self._history.query(series, start, end, step)

    def frame(self, strip: str) -> Frame | None:
        loop = self.strips.get(strip)
        if loop is None:
            raise self._unknown("strip", strip, self.strips)
        return loop.frame()

    def counters(self) -> Counters:
        return Counters(
            TICK_BOUNDS,
            tuple(self._tick_counts),
            self._tick_sum,
            self._all_errors(),
            {strip: loop.frames for strip, loop in self.strips.items()},
        )

    def _all_errors(self) -> dict[tuple[str, str], int]:
        errors = dict(self._driver_errors)
        for strip_id, loop in self.strips.items():
            device = self.wiring.strip[strip_id].device
            errors.update({(device, kind): number for kind, number in loop.errors.items()})
        return errors

    def _do(self, change: Callable[[], None]) -> None:
        with self._lock:
            self._queued.append(change)
        self._wake.set()

    def _unknown(self, what: str, name: str, known: Collection[str]) -> UnknownTargetError:
        return UnknownTargetError(
            f"no {what} `{name}`", hint=f"there are: {', '.join(known) or 'none'}"
        )
