"""What the engine knows, put into the words of the policies and of the snapshot."""

from typing import TYPE_CHECKING, Literal

from hwctl.engine.clock import allow
from hwctl.engine.senses import fan_key, gauge_key, outlet_key
from hwctl.model.drivers import FanSample
from hwctl.model.readings import Quality
from hwctl.model.rig import (
    FanState,
    NodeState,
    OperationState,
    Os,
    OutletState,
    Power,
    Rig,
    StripState,
    SupplyState,
    SupplyStatus,
)
from hwctl.policy import cooling, presence, shutdown
from hwctl.policy.heat import NodeInput
from hwctl.policy.operation import Op, Step

if TYPE_CHECKING:
    from hwctl.engine.core import Engine

FAN_STALE_S = 4.0
"""Four missed polls. Untuned."""
HALTING_STEPS = (Step.PROVE_HALT, Step.CUT, Step.VERIFY_OFF)


def halting(op: Op) -> bool:
    """Whether its node has been asked to halt."""
    return op.step in HALTING_STEPS or (
        op.step in (Step.HALT, Step.REBOOT) and op.ordered is not None
    )


def node_power(outlet_on: bool | None, op: Op | None, os: Os) -> Power:
    """What the node's feed is doing: read back, or in transition."""
    if op is not None and not op.state.ended and op.step is not None:
        if op.step in (*HALTING_STEPS, Step.HALT, Step.DRAIN, Step.CYCLE):
            return Power.POWERING_OFF
        if op.step in (Step.SWITCH_ON, Step.VERIFY_ON) or (
            op.step is Step.CAME_BACK and op.kind != "reset"
        ):
            return Power.POWERING_ON
    if outlet_on is None:
        return Power.ON if os is Os.UP else Power.UNKNOWN
    return Power.ON if outlet_on else Power.OFF


def build(engine: "Engine", operations: tuple[OperationState, ...]) -> Rig:
    """The snapshot at this tick."""
    now = engine.clock.now()
    problems = engine.problems()
    return Rig(
        name=engine.wiring.rig.name,
        title=engine.wiring.rig.title or engine.wiring.rig.name,
        seq=engine.seq,
        at=engine.clock.wall(),
        emulated=engine.emulated,
        speed=engine.clock.speed,
        healthy=not problems,
        problems=problems,
        supplies=tuple(_supply(engine, supply, now) for supply in engine.wiring.supply),
        nodes=tuple(_node(engine, node, now) for node in engine.wiring.node),
        outlets=tuple(_outlet(engine, outlet, now) for outlet in engine.wiring.outlet),
        fans=tuple(_fan(engine, fan, now) for fan in engine.wiring.fan),
        strips=tuple(_strip(engine, strip) for strip in engine.wiring.strip),
        sensors=(),
        operations=operations,
        shutdown=shutdown.view(
            engine.shutdown,
            engine.shutdown_inputs,
            engine.settings.shutdown,
            engine.settings.shutdown.restart_charge,
        ),
    )


def _supply(engine: "Engine", supply_id: str, now: float) -> SupplyState:
    supply = engine.wiring.supply[supply_id]
    view = engine.charge_views.get(supply_id)
    gauges = tuple(
        place.device for place in (supply.output_gauge, supply.input_gauge) if place is not None
    )
    if view is None:
        return SupplyState(
            supply_id, supply.kind, None, None, None, None, None, None, SupplyStatus.UNKNOWN,
            None, None, None, gauges, Quality.ABSENT, None,
        )  # fmt: skip
    out = supply.output_gauge
    return SupplyState(
        id=supply_id,
        kind=supply.kind,
        charge=view.charge,
        charge_margin=view.margin,
        volts=view.volts,
        amps=view.amps,
        watts=view.watts,
        celsius=view.celsius,
        status=view.status,
        runtime_s=view.runtime_s,
        runtime_low_s=view.runtime_low_s,
        mains=view.mains,
        gauges=gauges,
        quality=view.quality,
        age_s=engine.senses.age(gauge_key(out.device, out.channel), now) if out else None,
    )


def _node(engine: "Engine", node_id: str, now: float) -> NodeState:
    node = engine.wiring.node[node_id]
    state = engine.presences[node_id]
    outlet_id = engine.outlet_of.get(node_id)
    op = engine.desk.holder(node_id)
    watts = None
    if outlet_id is not None:
        meter = engine.wiring.outlet[outlet_id].meter
        if meter is not None:
            key = gauge_key(meter.device, meter.channel)
            sample = engine.senses.sample(key, now, engine.gauge_stale_s)
            watts = sample.watts if sample is not None else None
    until = engine.locating.get(node_id)
    return NodeState(
        id=node_id,
        role=node.role,
        host=engine.addresses.get(node_id),
        outlet=outlet_id,
        power=node_power(engine.outlet_on(outlet_id), op, state.os),
        os=state.os,
        load=state.load.value,
        celsius=state.celsius.value,
        watts=watts,
        protected=node.protected,
        locate=until is not None and until > now,
        quality=presence.quality(state, now, engine.presence_limits[node_id]),
        age_s=None if state.heard is None else max(0.0, now - state.heard),
        throttled=state.throttled,
        operation=op.id if op is not None else None,
        boot_id=state.boot_id,
    )


def node_text(engine: "Engine", node_id: str) -> str:
    """How a node is once its operation has ended, for the audit record."""
    state = engine.presences[node_id]
    power = node_power(engine.outlet_on(engine.outlet_of.get(node_id)), None, state.os)
    return f"power {power}, os {state.os}"


def _outlet(engine: "Engine", outlet_id: str, now: float) -> OutletState:
    outlet = engine.wiring.outlet[outlet_id]
    meter = outlet.meter
    key = gauge_key(meter.device, meter.channel) if meter is not None else None
    sample = engine.senses.sample(key, now, engine.gauge_stale_s)
    own = outlet_key(outlet_id)
    return OutletState(
        id=outlet_id,
        node=outlet.node,
        on=engine.outlet_on(outlet_id),
        read_back="true" if engine.says[outlet.device].reads_back else "assumed",
        volts=sample.volts if sample is not None else None,
        amps=sample.amps if sample is not None else None,
        watts=sample.watts if sample is not None else None,
        quality=engine.senses.quality(own, now, engine.outlet_stale_s),
        age_s=engine.senses.age(own, now),
    )


def _fan(engine: "Engine", fan_id: str, now: float) -> FanState:
    key = fan_key(fan_id)
    stale = allow(engine.clock, FAN_STALE_S)
    sample = engine.senses.fresh(key, now, stale)
    order = engine.fan_orders.get(fan_id)
    quality = engine.senses.quality(key, now, stale)
    return FanState(
        id=fan_id,
        duty=sample.duty if isinstance(sample, FanSample) else None,
        rpm=sample.rpm if isinstance(sample, FanSample) else None,
        mode=order.mode if order is not None else "auto",
        cause=order.cause if order is not None else "starting",
        quality=quality,
    )


def _strip(engine: "Engine", strip_id: str) -> StripState:
    loop = engine.strips.get(strip_id)
    mode, wish = engine.strip_wishes.get(strip_id, ("load", None))
    brightness = engine.settings.lights.brightness if wish is None else wish
    if loop is None:
        return StripState(strip_id, 0, mode, brightness, None, False, None, Quality.ABSENT)
    shown = loop.shown
    return StripState(
        id=strip_id,
        leds=loop.leds,
        mode=mode,
        brightness=brightness,
        watts=shown.watts if shown is not None else None,
        limited=shown.limited if shown is not None else False,
        fps=loop.fps,
        quality=loop.quality,
    )


def shutdown_inputs(
    engine: "Engine",
    command: tuple[Literal["start", "cancel"], str, str] | None,
    refused: frozenset[str],
) -> shutdown.Inputs:
    """What the shutdown policy is told."""
    supplies = tuple(
        shutdown.SupplyFact(
            id=supply_id,
            status=view.status,
            charge_low=view.charge_low,
            charge=view.charge,
            runtime_s=view.runtime_s,
            runtime_low_s=view.runtime_low_s,
            mains=view.mains,
            quality=view.quality,
            taken=view.taken,
        )
        for supply_id, view in engine.charge_views.items()
        if engine.wiring.supply[supply_id].kind != "mains"
    )
    nodes = []
    for node_id, node in engine.wiring.node.items():
        outlet = engine.outlet_of.get(node_id)
        op = engine.desk.holder(node_id)
        on = engine.outlet_on(outlet)
        nodes.append(
            shutdown.NodeFact(
                id=node_id,
                role=node.role,
                power={True: Power.ON, False: Power.OFF, None: Power.UNKNOWN}[on],
                protected=node.protected,
                has_outlet=outlet is not None
                and engine.says[engine.wiring.outlet[outlet].device].switches_off,
                halt_s=engine.halt_times.get(node_id, engine.settings.shutdown.halt_s),
                held_by=op.id
                if op is not None
                else ("beginning" if node_id in engine.beginning else None),
            )
        )
    return shutdown.Inputs(
        supplies=supplies,
        nodes=tuple(nodes),
        refused=refused,
        command=command[0] if command else None,
        by=command[1] if command else "",
        reason=command[2] if command else "",
        step_s=engine.settings.power.quiet_s + engine.limits.verify_s + 5.0,
    )


def cooling_inputs(engine: "Engine", now: float) -> cooling.CoolingInputs:
    """What the cooling policy is told."""
    nodes = []
    for node_id in engine.wiring.node:
        state = engine.presences[node_id]
        nodes.append(
            NodeInput(
                id=node_id,
                power_on=engine.outlet_on(engine.outlet_of.get(node_id)),
                os=state.os,
                load=state.load,
                celsius=state.celsius,
                has_temperature=state.told_temperature,
            )
        )
    fans = []
    stale = allow(engine.clock, FAN_STALE_S)
    for fan_id, fan in engine.wiring.fan.items():
        sample = engine.senses.fresh(fan_key(fan_id), now, stale)
        good = sample if isinstance(sample, FanSample) else None
        fans.append(
            cooling.FanInput(
                id=fan_id,
                start_duty=fan.start_duty,
                rpm=good.rpm if good else None,
                driven=good.duty if good else None,
                read_ok=good is not None,
                taken=engine.senses.seen(fan_key(fan_id)).taken,
            )
        )
    return cooling.CoolingInputs(tuple(nodes), tuple(fans), engine.manual_fans)
