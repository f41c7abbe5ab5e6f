"""What the engine knows of one node's feed, its rail and its supply, for the operations."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwctl.engine.clock import allow
from hwctl.engine.senses import gauge_key, outlet_key
from hwctl.model.errors import NotPossibleError
from hwctl.policy import admission, shutdown
from hwctl.policy.operation import Facts, Op, Step

if TYPE_CHECKING:
    from hwctl.engine.core import Engine

CONTACT_S = 0.05
"""A contact closes within 15 ms of its order (unverified)."""
DEVICE_S = 1.0
"""How much later than it was told a device that counts by itself may switch on. Untuned."""
SHUTDOWN = "shutdown"
"""``by`` of operations that the shutdown begins."""


def facts(engine: "Engine", op: Op, now: float) -> Facts:
    """Of the node that ``op`` is about."""
    outlet = engine.wiring.outlet.get(op.outlet) if op.outlet else None
    node = engine.wiring.node[op.target]
    state = engine.presences[op.target]
    meter = outlet.meter if outlet else None
    key = gauge_key(meter.device, meter.channel) if meter else None
    stale = engine.gauge_stale_s
    seen = engine.senses.seen(outlet_key(op.outlet)) if op.outlet else None
    down = engine.shutdown.phase in (shutdown.Phase.RUNNING, shutdown.Phase.DOWN)
    by_network = engine.network.can_halt(op.target)
    return Facts(
        outlet_on=engine.outlet_on(op.outlet),
        read_back_at=seen.taken if seen else None,
        watts=engine.senses.reading(key, "watts", now, stale),
        volts=engine.senses.reading(key, "volts", now, stale),
        os=state.os,
        boot_id=state.boot_id,
        heard=state.heard,
        can_halt=by_network or (outlet is not None and engine.says[outlet.device].asks),
        can_reboot=by_network,
        can_be_seen=engine.network.can_be_seen(op.target),
        halted_watts=node.halted_watts,
        # Nothing comes on in the middle of a shutdown, whoever asked for it before.
        admitted=not down
        and (
            outlet is None or admission.admit(rail_load(engine, outlet.rail, now), node.inrush_amps)
        ),
        off_since=engine.off_since.get(op.outlet) if op.outlet else None,
        assumed=outlet is not None and not engine.says[outlet.device].reads_back,
        unread_at=seen.failed_at if seen else None,
        repeatable=outlet is None or not engine.says[outlet.device].asks,
        takes_s=engine.says[outlet.device].takes_s if outlet is not None else 0.0,
        shutting_down=down,
        waits_for=waits_for(engine, op),
    )


def waits_for(engine: "Engine", op: Op) -> str | None:
    """The node whose own operation comes first: what a node needs comes up before it, and goes
    down after it. Only what is under way is waited for."""
    if op.force or op.by == SHUTDOWN:
        return None
    going_off = op.kind == "off"
    for other in engine.needed_by[op.target] if going_off else engine.needs[op.target]:
        theirs = engine.desk.holder(other)
        if theirs is not None and not theirs.state.ended and (theirs.kind == "off") is going_off:
            return other
    return None


@dataclass(frozen=True, slots=True)
class Inrush:
    """A board that is being switched on. Times are engine seconds."""

    amps: float
    until: float
    """Its inrush is certainly over then."""
    boots_until: float
    """And its boot; until then it may draw more than it is just seen to."""


def rail_load(engine: "Engine", rail: str, now: float) -> admission.RailLoad:
    """What a rail carries, and what is promised to boards that are just coming on.

    A board whose inrush may not be over counts as that, or as what its meter says if that is more:
    never as both. Where strips hang on the rail, too, what the gauge of the supply sees beyond the
    nodes' feeds is added, as it was when no inrush was under way.
    """
    drawn = reserved = measured = 0.0
    quiet = True
    for outlet_id, outlet in engine.wiring.outlet.items():
        if outlet.rail != rail or outlet.node is None:
            continue
        boot_amps = engine.wiring.node[outlet.node].boot_amps
        meter = outlet.meter
        seen = (
            engine.senses.reading(
                gauge_key(meter.device, meter.channel), "amps", now, engine.gauge_stale_s
            )
            if meter is not None
            else None
        )
        amps = None if seen is None or seen.fresh is None else abs(seen.fresh)
        inrush = engine.inrush.get(outlet_id)
        if inrush is not None and now < inrush.until:
            already = amps or 0.0
            drawn += already
            reserved += max(0.0, inrush.amps - already)
            quiet = False
            continue
        if amps is None or (inrush is not None and now < inrush.boots_until):
            # Not measured, or by a reading that may be of the inrush.
            late = seen is not None and inrush is not None and seen.taken > inrush.until
            on = engine.outlet_on(outlet_id) is not False
            amps = max(amps or 0.0, boot_amps if on else 0.0) if late or amps is None else boot_amps
            quiet = quiet and (inrush is None or late)
        drawn += amps
        measured += amps
    entry = engine.wiring.rail[rail]
    if any(strip.rail == rail for strip in engine.wiring.strip.values()):
        view = engine.charge_views.get(entry.supply)
        rails = sum(1 for r in engine.wiring.rail.values() if r.supply == entry.supply)
        if quiet and view is not None and view.amps is not None and rails == 1:
            engine.other_amps[rail] = max(0.0, abs(view.amps) - measured)
    return admission.RailLoad(entry.budget_amps, drawn + engine.other_amps.get(rail, 0.0), reserved)


def reserve(engine: "Engine", op: Op, off_s: float = 0.0) -> None:
    """A board is to be switched on: its inrush is spoken for until it is certainly over.

    :param off_s: how long its outlet stays off first, if that performs the cycle by itself.
    """
    if op.outlet is not None:
        # Whatever becomes of the order, by then its read-back has told.
        expect_inrush(engine, op.outlet, off_s + 2 * engine.limits.verify_s)


def expect_inrush(engine: "Engine", outlet_id: str, within_s: float) -> None:
    """Of the node behind an outlet that comes on within so many seconds from now."""
    outlet = engine.wiring.outlet[outlet_id]
    if outlet.node is None:
        return
    node = engine.wiring.node[outlet.node]
    until = engine.clock.now() + within_s + allow(engine.clock, node.inrush_s)
    engine.inrush[outlet_id] = Inrush(node.inrush_amps, until, until + engine.limits.boot_s)


def next_release(engine: "Engine", now: float) -> float:
    """When the next inrush is over, for those who wait for it."""
    return min((one.until for one in engine.inrush.values() if one.until > now), default=math.inf)


def check_energy(engine: "Engine", nodes: Collection[str]) -> None:
    """Whether the supplies can carry these nodes, too, and a shutdown after that.

    :raises NotPossibleError: they cannot; with the figures.
    """
    now = engine.clock.now()
    extra: dict[str, float] = {}
    by_rail: dict[str, list[str]] = {}
    for node in nodes:
        outlet = engine.wiring.outlet.get(engine.outlet_of.get(node, ""))
        if outlet is None or engine.outlet_on(engine.outlet_of[node]) is True:
            continue
        rail = engine.wiring.rail[outlet.rail]
        watts = engine.wiring.node[node].boot_amps * rail.volts
        extra[rail.supply] = extra.get(rail.supply, 0.0) + watts
        by_rail.setdefault(outlet.rail, []).append(node)
    for name, waiting in by_rail.items():
        if any(_on_rail(engine, op, name) for op in engine.desk.under_way()):
            continue  # others are just changing what it carries: this one queues
        load = rail_load(engine, name, now)
        least = min(engine.wiring.node[node].inrush_amps for node in waiting)
        why = admission.no_headroom(name, load, len(waiting), least)
        if why is not None:
            raise NotPossibleError(
                why, where=name,
                hint="switch another node off first, or correct `budget_amps` in the wiring file",
            )  # fmt: skip
    inputs = engine.shutdown_inputs
    needed = shutdown.needed_s(inputs.nodes, engine.settings.shutdown, inputs.step_s)
    for fact in inputs.supplies:
        view = engine.charge_views[fact.id]
        if fact.id not in extra or fact.runtime_low_s is None or view.watts is None:
            continue
        energy = admission.Energy(
            fact.id, fact.runtime_low_s, abs(view.watts),
            needed * engine.settings.shutdown.margin,
        )  # fmt: skip
        why = admission.too_little(energy, extra[fact.id])
        if why is not None:
            raise NotPossibleError(
                why, where=fact.id, hint="plug the charger in, or use --force all the same"
            )


def _on_rail(engine: "Engine", op: Op, rail: str) -> bool:
    outlet = engine.wiring.outlet.get(op.outlet) if op.outlet else None
    return outlet is not None and outlet.rail == rail


def came_on(op: Op) -> bool:
    """Whether its board may be drawing its inrush now."""
    return op.step in (Step.CYCLE, Step.SWITCH_ON, Step.VERIFY_ON, Step.CAME_BACK)
