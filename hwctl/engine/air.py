"""What the cooling policy wants, ordered of the fans; and its faults, told once each."""

from typing import TYPE_CHECKING

from hwctl.engine import assembly, snapshot
from hwctl.engine.clock import allow, pace
from hwctl.engine.senses import drive_key
from hwctl.model.units import Ratio
from hwctl.policy import cooling

if TYPE_CHECKING:
    from hwctl.engine.core import Engine

REDRIVE_S = 2.0
"""A fan's duty is written again after this long though unchanged: a controller that was reset, or
whose own watchdog has taken over, is caught."""
SETTLING_S = 10.0
"""After the start nothing has been read yet; fans turn at their safe duty, and nobody is told."""


def step(engine: "Engine", now: float) -> None:
    """Once a tick: what the policy wants of each fan is ordered."""
    engine.manual_fans = {k: m for k, m in engine.manual_fans.items() if m.until > now}
    engine.cooling, orders = cooling.step(
        engine.cooling, now, snapshot.cooling_inputs(engine, now), engine.settings.cooling
    )
    _tell_faults(engine, set(engine.cooling.faults))
    for order in orders:
        engine.fan_orders[order.fan] = order
        duty, at = engine.driven.get(order.fan, (-1.0, float("-inf")))
        if abs(duty - order.duty) > 0.004 or now - at >= pace(engine.clock, REDRIVE_S):
            drive(engine, order.fan, order.duty)


def _tell_faults(engine: "Engine", faults: set[str]) -> None:
    settling = engine.clock.now() - engine.started < allow(engine.clock, SETTLING_S)
    if settling or not engine.wiring.fan:
        return
    for fault in sorted(faults - engine.told_faults):
        subject, what = _split_fault(engine, fault)
        if subject in engine.wiring.node and engine.desk.holder(subject) is not None:
            continue  # a node that is being switched falls silent on purpose
        engine.told_faults.add(fault)
        engine.emit("cooling.fault", subject, what, "warning")
    for fault in sorted(engine.told_faults - faults):
        engine.told_faults.discard(fault)
        subject, what = _split_fault(engine, fault)
        engine.emit("cooling.well", subject, f"over: {what}")


def _split_fault(engine: "Engine", fault: str) -> tuple[str, str]:
    subject, _, what = fault.partition(": ")
    return (subject, what) if what else (engine.wiring.rig.name, fault)


def drive(engine: "Engine", fan_id: str, duty: float) -> None:
    fan = engine.wiring.fan[fan_id]
    engine.driven[fan_id] = (duty, engine.clock.now())
    engine.bus_of[fan.device].order(
        fan.device, drive_key(fan_id), assembly.driver(fan.channel, Ratio(duty))
    )
