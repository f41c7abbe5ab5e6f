"""What outlives the process: charge, shutdown, learned halt times, operations under way."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hwctl.engine import power_facts
from hwctl.engine.operations import KEPT_ENDED
from hwctl.engine.power_facts import SHUTDOWN
from hwctl.model.errors import JournalUnavailableError
from hwctl.policy import charge, shutdown

if TYPE_CHECKING:
    from hwctl.engine.core import Engine

KEPT_CHARGE = ("energy", "margin", "out_counter", "in_counter", "draw", "full")


def remember(engine: "Engine") -> None:
    """Keep what must outlive the process; the writer does it."""
    wall = engine.clock.wall()
    now = engine.clock.now()
    kept: dict[str, dict[str, Any]] = {
        f"charge/{supply}": {
            key: value
            for key, value in asdict(
                charge.parting(state, now, engine.wiring.supply[supply])
            ).items()
            if key in KEPT_CHARGE
        }
        for supply, state in engine.charges.items()
    }
    state = engine.shutdown
    kept["shutdown"] = {
        "phase": state.phase.value, "stage": state.stage, "cause": state.cause,
        "stopped": list(state.stopped), "by_operator": state.by_operator,
        "inhibited": state.inhibited, "since": state.since - now + wall,
    }  # fmt: skip
    kept["halt_times"] = dict(engine.halt_times)
    kept["assumed"] = dict(engine.assumed)
    _keep(engine, kept)


def remember_assumed(engine: "Engine") -> None:
    """Keep what outlets without a read-back were ordered to be; nobody else knows it."""
    _keep(engine, {"assumed": dict(engine.assumed)})


def _keep(engine: "Engine", kept: dict[str, dict[str, Any]]) -> None:
    wall = engine.clock.wall()

    def save() -> None:
        try:
            for key, value in kept.items():
                engine.journal.remember(key, value, wall)
        except JournalUnavailableError:
            return  # shown by `problems`; tried again at the next occasion

    engine.writer.submit(save)


def recall(engine: "Engine") -> None:
    """Take up what was known before the process ended."""
    now, wall = engine.clock.now(), engine.clock.wall()
    for supply_id, supply in engine.wiring.supply.items():
        kept = engine.journal.recall(f"charge/{supply_id}")
        if kept is not None:
            fields, at = kept
            state = charge.resume(
                charge.ChargeState(**{k: v for k, v in fields.items() if k in KEPT_CHARGE}),
                max(0.0, wall - at),
            )
        else:
            said = engine.settings.supply.get(supply_id)
            state = charge.start(said.charge_at_first_start if said else None, supply)
        engine.charges[supply_id] = state
    kept = engine.journal.recall("shutdown")
    if kept is not None:
        fields = kept[0]
        engine.shutdown = shutdown.State(
            phase=shutdown.Phase(fields["phase"]), stage=int(fields["stage"]),
            cause=str(fields["cause"]), stopped=tuple(fields["stopped"]),
            by_operator=bool(fields["by_operator"]), inhibited=bool(fields["inhibited"]),
            since=fields["since"] - wall + now,
        )  # fmt: skip
        if engine.shutdown.phase is shutdown.Phase.CONFIRMING:
            # What was half confirmed before is not evidence now.
            engine.shutdown = replace(engine.shutdown, phase=shutdown.Phase.STANDBY)
    halts = engine.journal.recall("halt_times")
    if halts is not None:
        engine.halt_times = {
            node: float(s) for node, s in halts[0].items() if node in engine.wiring.node
        }
    assumed = engine.journal.recall("assumed")
    if assumed is not None:
        engine.assumed = {
            outlet: bool(on) for outlet, on in assumed[0].items() if outlet in engine.wiring.outlet
        }
    take_up(engine)


def take_up(engine: "Engine") -> None:
    """The operations that were under way; again when a journal that could not be read can be."""
    if engine.journal.problem is not None:
        return
    engine.taken_up = True
    unrecorded = engine.journal.unrecorded()
    for op in engine.desk.resume(engine.wiring.node, engine.outlet_of):
        if op.state.ended:
            engine.audit_record.ended(op, "not wired any more")
        # A board that was switched on just before may still draw its inrush.
        elif power_facts.came_on(op):
            power_facts.reserve(engine, op)
    for op in reversed(engine.desk.latest(KEPT_ENDED)):
        if op.id in unrecorded and op.by != SHUTDOWN:
            engine.audit_record.make_up(op)
            if op.state.ended:
                engine.audit_record.ended(op, "")
