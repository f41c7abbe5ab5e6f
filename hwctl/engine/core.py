"""The engine: senses in, policies, orders out, four times a second.

Only :meth:`Engine.tick` changes what the engine knows, and only on its own thread. Bus workers,
the network's loop and the strips' loops run beside it; faces read the snapshot and submit
commands through :class:`~hwctl.engine.service.RigService`, which this class implements.
"""

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from hwctl.config.draft import Use
from hwctl.config.load import Loaded
from hwctl.engine import snapshot
from hwctl.engine.buses import Buses
from hwctl.engine.clock import Clock, allow, pace
from hwctl.engine.history import EVERY_S, History
from hwctl.engine.journal import Journal
from hwctl.engine.lights import StripLoop
from hwctl.engine.network import HostEntry, Network
from hwctl.engine.operations import SHUTDOWN, Desk, Done
from hwctl.engine.senses import Senses, drive_key, fan_key, gauge_key, load_key, outlet_key
from hwctl.engine.service import Counters, Frame, PowerAction
from hwctl.engine.workers import BusWorker, Health, Job, Report
from hwctl.engine.writer import Writer
from hwctl.model.drivers import LedStrip, LoadSample, Net
from hwctl.model.errors import (
    HwctlError,
    JournalUnavailableError,
    NotAllowedError,
    NotPossibleError,
    RequestError,
    UnknownTargetError,
)
from hwctl.model.readings import Quality
from hwctl.model.rig import Event, OperationState, Os, Rig
from hwctl.model.units import Ratio
from hwctl.model.wiring import Bus
from hwctl.policy import charge, cooling, lighting, power, presence, shutdown
from hwctl.policy.power import Action, Facts, Op

log = logging.getLogger("hwctl")

TICK_S = 0.25
OUTLET_EVERY_S = 1.0
FAN_EVERY_S = 1.0
REMEMBER_EVERY_S = 60.0
REDRIVE_S = 2.0
"""A fan's duty is written again after this long though unchanged: a controller that was reset, or
whose own watchdog has taken over, is caught."""
TICK_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
SETTLING_S = 10.0
"""After the start nothing has been read yet; fans turn at their safe duty, and nobody is told."""
LOCATE_S = 1800.0
"""A locate light goes out by itself, as Oracle's does (facts on air and light, 3.1)."""


class Engine:
    """One rig, running."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        clock: Clock,
        buses: Buses,
        net: Net,
        journal: Journal,
        emulated: bool = False,
    ) -> None:
        self.wiring = loaded.wiring
        self.settings = loaded.settings
        self.emulated = emulated
        self.clock = clock
        self.journal = journal
        self.senses = Senses()
        self._failing: dict[str, str] = {}
        self._driven: dict[str, tuple[float, float]] = {}
        self.writer = Writer()
        self._history = History()
        self.desk = Desk(clock, journal, self.writer, self._order, self._emit)
        self.workers = self._make_workers(loaded, buses)
        self.network = Network(
            net, self._make_hosts(loaded, net), clock, self.senses.put, self._on_health
        )
        self.strips = self._make_strips(loaded, buses)
        self.addresses = {
            node: getattr(host.load.options, "url", None) if host.load else None
            for node, host in loaded.hosts.items()
        }
        self.reads_back = {
            outlet.device: loaded.devices[outlet.device].driver.reads_back
            for outlet in self.wiring.outlet.values()
        }

        self.charges: dict[str, charge.ChargeState] = {}
        self.charge_views: dict[str, charge.ChargeView] = {}
        self.presences = {node: presence.Presence() for node in self.wiring.node}
        self.cooling = cooling.CoolingState()
        self.fan_orders: dict[str, cooling.FanOrder] = {}
        self.shutdown = shutdown.State()
        self.shutdown_inputs = shutdown.Inputs((), ())
        self.halt_times: dict[str, float] = {}
        self.locating: dict[str, float] = {}
        self.manual_fans: dict[str, cooling.Manual] = {}
        self.strip_wishes: dict[str, tuple[str, float | None]] = {}
        self.off_since: dict[str, float] = {}
        self._reserved: dict[str, list[tuple[float, float]]] = {}
        self._commands: list[Callable[[], None]] = []
        self._shutdown_command: tuple[Literal["start", "cancel"], str, str] | None = None
        self._lock = threading.Lock()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._driver_errors: dict[tuple[str, str], int] = {}
        self._tick_counts = [0] * (len(TICK_BOUNDS) + 1)
        self._tick_sum = 0.0
        self._ticked_real = time.monotonic()
        self._started = self._remembered = clock.now()
        self._mains: dict[str, bool] = {}
        self._journal_problem: str | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._seq = 0
        self._recall()
        self.limits = self._limits()
        self._rig = snapshot.build(self, ())

    # --- construction ------------------------------------------------------------------------

    def _make_workers(self, loaded: Loaded, buses: Buses) -> dict[str, BusWorker]:
        """One worker per bus that carries anything but a strip, with its devices and polls."""
        workers: dict[str, BusWorker] = {}
        strips = {strip.device for strip in self.wiring.strip.values()}
        self._bus_of: dict[str, BusWorker] = {}
        for name, entry in self.wiring.device.items():
            if entry.bus is None or name in strips:
                continue
            worker = workers.get(entry.bus)
            if worker is None:
                worker = workers[entry.bus] = BusWorker(
                    entry.bus, self.wiring.bus[entry.bus], buses, self.clock,
                    self.senses.put, self._on_health,
                )  # fmt: skip
            use = loaded.devices[name]
            worker.add_device(name, use.driver, use.options)
            self._bus_of[name] = worker
        gauge_s = self.settings.gauges.every_s
        for fan_id, fan in self.wiring.fan.items():
            # Fans first: the first thing a bus does is to make sure that air moves.
            self._drive(fan_id, self.settings.cooling.safe_duty)
            self._bus_of[fan.device].poll(
                fan.device, fan_key(fan_id), _reader(fan.channel), FAN_EVERY_S
            )
        for outlet_id, outlet in self.wiring.outlet.items():
            self._bus_of[outlet.device].poll(
                outlet.device, outlet_key(outlet_id), _getter(outlet.channel),
                OUTLET_EVERY_S,
            )  # fmt: skip
        gauges = {
            (place.device, place.channel)
            for supply in self.wiring.supply.values()
            for place in (supply.output_gauge, supply.input_gauge)
            if place is not None
        } | {(o.meter.device, o.meter.channel) for o in self.wiring.outlet.values() if o.meter}
        for device, channel in sorted(gauges):
            self._bus_of[device].poll(device, gauge_key(device, channel), _reader(channel), gauge_s)
        return workers

    def _make_hosts(self, loaded: Loaded, net: Net) -> list[HostEntry]:
        entries = []
        for node, host in loaded.hosts.items():
            load = host.load.driver.open(net, host.load.options) if host.load else None
            control = host.control.driver.open(net, host.control.options) if host.control else None
            settings = self.settings.host.get(node)
            entries.append(HostEntry(node, load, control, settings.every_s if settings else 1.0))
        return entries

    def _make_strips(self, loaded: Loaded, buses: Buses) -> dict[str, StripLoop]:
        loops = {}
        for strip_id, strip in self.wiring.strip.items():
            use = loaded.devices[strip.device]
            bus = self.wiring.device[strip.device].bus
            if bus is None:
                continue
            loops[strip_id] = StripLoop(
                strip_id,
                _opener(use, bus, self.wiring.bus[bus], buses),
                clock=self.clock,
                settings=self.settings.lights,
                leds=getattr(use.options, "leds", 0),
                health=self._strip_health(strip.device),
            )
        return loops

    def _limits(self) -> power.Limits:
        settings, clock = self.settings, self.clock
        return power.Limits(
            halt_s=allow(clock, 15.0),
            halt_deadline_s=allow(clock, settings.shutdown.halt_deadline_s),
            quiet_s=settings.power.quiet_s,
            verify_s=allow(clock, settings.power.verify_s),
            min_off_s=settings.power.min_off_s,
            boot_s=allow(clock, settings.power.boot_s),
        )

    def presence_limits(self, node: str) -> presence.Limits:
        """How long this node may be silent."""
        host = self.settings.host.get(node)
        return presence.Limits(
            stale_s=allow(self.clock, host.stale_after_s if host else 4.0),
            unreachable_s=allow(self.clock, host.unreachable_after_s if host else 12.0),
            boot_s=self.limits.boot_s,
        )

    @property
    def gauge_stale_s(self) -> float:
        return allow(self.clock, self.settings.gauges.stale_after_s)

    @property
    def outlet_stale_s(self) -> float:
        return allow(self.clock, 3 * OUTLET_EVERY_S)

    # --- running -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the buses first (they move air), then everything else."""
        self.writer.start()
        for worker in self.workers.values():
            worker.start()
        self.network.start()
        for strip in self.strips.values():
            strip.start()
        self._thread = threading.Thread(target=self._run, name="tick", daemon=True)
        self._thread.start()
        self._emit("service.started", "hwctl", f"hwctl runs {self.wiring.rig.name}")

    def stop(self) -> None:
        """Stop everything. Outlets stay as they are; fans are left at their safe duty."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2.0)
        self.network.stop()
        for strip in self.strips.values():
            strip.stop()
        for worker in self.workers.values():
            worker.stop()
        for fan in self.wiring.fan.values():
            duty = Ratio(self.settings.cooling.safe_duty)
            self._bus_of[fan.device].last_word(fan.device, _driver(fan.channel, duty))
        self._remember()
        self._emit("service.stopped", "hwctl", "hwctl was stopped; outlets stay as they are")
        self.writer.stop()
        self.journal.close()

    def _run(self) -> None:
        period = pace(self.clock, TICK_S)
        due = self.clock.now()
        while not self._stopping:
            self.tick()
            due = max(due + period, self.clock.now())
            self._wake.wait(max(0.0, due - self.clock.now()) / self.clock.speed)
            self._wake.clear()

    def tick(self) -> None:
        """Everything once: senses, policies, orders, snapshot."""
        started = time.perf_counter()
        now = self.clock.now()
        with self._lock:
            commands, self._commands = self._commands, []
        for command in commands:
            command()
        reports = self.senses.take()
        self._count_errors(reports)
        self._step_charges(now)
        self._step_presence(now, reports)
        self._step_operations(now)
        self._step_shutdown(now)
        self._step_cooling(now)
        self._watch_journal(now)
        self._seq += 1
        ended = self.desk.latest(12)
        self._rig = snapshot.build(self, tuple(self.desk.view(op) for op in ended))
        for strip_id, strip in self.strips.items():
            mode, brightness = self.strip_wishes.get(strip_id, ("load", None))
            strip.update(self._rig, lighting.StripOverride(mode, brightness))
        self._history.sample(self._rig, now, pace(self.clock, EVERY_S))
        if now - self._remembered >= REMEMBER_EVERY_S * self.clock.speed**0.5:
            self._remembered = now
            self._remember()
        for wake in self._listeners:
            wake()
        took = time.perf_counter() - started
        self._tick_counts[bisect_left(TICK_BOUNDS, took)] += 1
        self._tick_sum += took
        self._ticked_real = time.monotonic()

    # --- the policies, one by one ------------------------------------------------------------

    def _step_charges(self, now: float) -> None:
        stale = self.gauge_stale_s
        for supply_id, supply in self.wiring.supply.items():
            out = supply.output_gauge
            inp = supply.input_gauge
            output = self.senses.side(
                gauge_key(out.device, out.channel) if out else None, now, stale
            )
            source = self.senses.side(
                gauge_key(inp.device, inp.channel) if inp else None, now, stale
            )
            lowest = min(
                (0.5 * r.volts for r in self.wiring.rail.values() if r.supply == supply_id),
                default=0.0,
            )
            sample = output.good
            if sample is not None and not charge.plausible(sample, lowest):
                output = charge.Side(None, output.taken, Quality.SUSPECT)
            before = self.charge_views.get(supply_id)
            self.charges[supply_id], after = charge.step(
                self.charges[supply_id], now, output, source, supply
            )
            self.charge_views[supply_id] = after
            self._tell_supply(supply_id, before, after)

    def _tell_supply(
        self, supply: str, before: charge.ChargeView | None, after: charge.ChargeView
    ) -> None:
        if after.mains is not None and after.mains != self._mains.get(supply):
            known = supply in self._mains
            self._mains[supply] = after.mains
            if not after.mains:
                self._emit("supply.mains-lost", supply, "runs on its own charge", "warning")
            elif known:
                self._emit("supply.mains-back", supply, "is fed from outside again")
        if before is not None and after.quality is not before.quality:
            if after.quality is Quality.SUSPECT:
                self._emit(
                    "supply.suspect", supply,
                    "its gauge says what cannot be true; it is not believed until it does not",
                    "warning",
                )  # fmt: skip
            elif before.quality is Quality.SUSPECT and after.quality is Quality.OK:
                self._emit("supply.believed", supply, "its gauge can be believed again")

    def _step_presence(self, now: float, reports: list[Report]) -> None:
        heard = {r.key: r for r in reports if isinstance(r.value, LoadSample)}
        for node in self.wiring.node:
            state = self.presences[node]
            report = heard.get(load_key(node))
            powered = self.outlet_on(self.wiring.outlet_of(node), now)
            if report is not None and powered is not False:
                state = presence.hear(state, report.taken, report.value, node)
            op = self.desk.holder(node)
            asked = op is not None and snapshot.halting(op)
            after = presence.step(
                state, now, powered=powered, asked_to_halt=asked,
                limits=self.presence_limits(node),
            )  # fmt: skip
            self._tell_presence(node, state.os, after.os)
            self.presences[node] = after

    def _tell_presence(self, node: str, before: Os, after: Os) -> None:
        if after is Os.UNREACHABLE and before is not Os.UNREACHABLE:
            error = self.senses.seen(load_key(node)).error
            why = f": {error}" if error is not None else ""
            self._emit("node.unreachable", node, f"does not answer{why}", "warning")
        elif before is Os.UNREACHABLE and after is Os.UP:
            self._emit("node.back", node, "answers again")

    def outlet_on(self, outlet: str | None, now: float) -> bool | None:
        """The read-back, if it is fresh."""
        if outlet is None:
            return None
        value = self.senses.fresh(outlet_key(outlet), now, self.outlet_stale_s)
        if value is None:
            return None
        if value:
            self.off_since.pop(outlet, None)
        else:
            self.off_since.setdefault(outlet, self.senses.seen(outlet_key(outlet)).taken)
        return bool(value)

    def _step_operations(self, now: float) -> None:
        for op in self.desk.step(lambda op: self._facts(op, now), self.limits, self._reserve):
            if op.halt_took_s is not None:
                # Slow adaptation upwards at once, downwards by halves: the budget needs the worst.
                old = self.halt_times.get(op.target, op.halt_took_s)
                self.halt_times[op.target] = max(op.halt_took_s, (old + op.halt_took_s) / 2)

    def _facts(self, op: Op, now: float) -> Facts:
        outlet = self.wiring.outlet.get(op.outlet) if op.outlet else None
        node = self.wiring.node[op.target]
        state = self.presences[op.target]
        meter = outlet.meter if outlet else None
        key = gauge_key(meter.device, meter.channel) if meter else None
        stale = self.gauge_stale_s
        return Facts(
            outlet_on=self.outlet_on(op.outlet, now),
            read_back_at=self.senses.seen(outlet_key(op.outlet)).taken if op.outlet else None,
            watts=self.senses.reading(key, "watts", now, stale),
            volts=self.senses.reading(key, "volts", now, stale),
            os=state.os,
            boot_id=state.boot_id,
            heard=state.heard,
            can_halt=self.network.can_halt(op.target),
            can_be_seen=self.network.can_be_seen(op.target),
            halted_watts=node.halted_watts,
            admitted=outlet is None
            or power.admit(self._rail_load(outlet.rail, now), node.inrush_amps),
            off_since=self.off_since.get(op.outlet) if op.outlet else None,
        )

    def _rail_load(self, rail: str, now: float) -> power.RailLoad:
        drawn = 0.0
        for outlet_id, outlet in self.wiring.outlet.items():
            if outlet.rail != rail or outlet.node is None:
                continue
            meter = outlet.meter
            amps = None
            if meter is not None:
                amps = self.senses.reading(
                    gauge_key(meter.device, meter.channel), "amps", now, self.gauge_stale_s
                ).fresh
            if amps is None and self.outlet_on(outlet_id, now) is not False:
                amps = self.wiring.node[outlet.node].boot_amps
            drawn += abs(amps or 0.0)
        entry = self.wiring.rail[rail]
        view = self.charge_views.get(entry.supply)
        rails = sum(1 for r in self.wiring.rail.values() if r.supply == entry.supply)
        if view is not None and view.amps is not None and rails == 1:
            drawn = max(drawn, abs(view.amps))
        waiting = [(until, amps) for until, amps in self._reserved.get(rail, []) if until > now]
        self._reserved[rail] = waiting
        return power.RailLoad(entry.budget_amps, drawn, sum(amps for _, amps in waiting))

    def _reserve(self, op: Op) -> None:
        """A board is being switched on: its inrush is spoken for until it is certainly over."""
        outlet = self.wiring.outlet.get(op.outlet) if op.outlet else None
        if outlet is None:
            return
        node = self.wiring.node[op.target]
        until = self.clock.now() + allow(self.clock, node.inrush_s) + self.limits.verify_s
        self._reserved.setdefault(outlet.rail, []).append((until, node.inrush_amps))

    def _step_shutdown(self, now: float) -> None:
        command, self._shutdown_command = self._shutdown_command, None
        self.shutdown_inputs = snapshot.shutdown_inputs(self, now, command)
        before = self.shutdown
        self.shutdown, actions = shutdown.step(
            before, now, self.shutdown_inputs, self.settings.shutdown
        )
        for action in actions:
            match action:
                case shutdown.Begin(kind, node, reason):
                    self._begin_for_shutdown(kind, node, reason)
                case shutdown.Say(kind, text, severity):
                    self._emit(kind, self.wiring.rig.name, text, severity)
        if (before.phase, before.stage, before.stopped, before.inhibited) != (
            self.shutdown.phase,
            self.shutdown.stage,
            self.shutdown.stopped,
            self.shutdown.inhibited,
        ):
            self._remember()

    def _begin_for_shutdown(self, kind: Literal["on", "off"], node: str, reason: str) -> None:
        outlet = self.wiring.outlet_of(node)
        expiry = self.settings.power.expiry_s
        try:
            self.desk.begin(
                kind, node, outlet, force=False, by=SHUTDOWN, reason=reason, expiry_s=expiry,
                cycles_per_hour=self.settings.power.cycles_per_hour,
            )  # fmt: skip
        except JournalUnavailableError as error:
            if kind == "off":
                self.desk.begin_unjournalled(node, outlet, reason, expiry)
            self._emit("shutdown.unjournalled", node, str(error), "critical")
        except RequestError as error:
            self._emit("shutdown.refused", node, str(error), "critical")

    def _step_cooling(self, now: float) -> None:
        self.manual_fans = {k: m for k, m in self.manual_fans.items() if m.until > now}
        faults = set(self.cooling.faults)
        self.cooling, orders = cooling.step(
            self.cooling, now, snapshot.cooling_inputs(self, now), self.settings.cooling
        )
        self._tell_faults(faults, set(self.cooling.faults))
        for order in orders:
            self.fan_orders[order.fan] = order
            duty, at = self._driven.get(order.fan, (-1.0, float("-inf")))
            if abs(duty - order.duty) > 0.004 or now - at >= pace(self.clock, REDRIVE_S):
                self._drive(order.fan, order.duty)

    def _tell_faults(self, before: set[str], after: set[str]) -> None:
        if self.clock.now() - self._started < allow(self.clock, SETTLING_S):
            return
        for fault in sorted(before ^ after):
            subject, _, what = fault.partition(": ")
            if not what:
                subject, what = self.wiring.rig.name, fault
            if subject in self.wiring.node and self.desk.holder(subject) is not None:
                continue  # a node that is being switched falls silent on purpose
            if fault in after:
                self._emit("cooling.fault", subject, what, "warning")
            else:
                self._emit("cooling.well", subject, f"over: {what}")

    def _drive(self, fan_id: str, duty: float) -> None:
        fan = self.wiring.fan[fan_id]
        self._driven[fan_id] = (duty, self.clock.now())
        self._bus_of[fan.device].order(
            fan.device, drive_key(fan_id), _driver(fan.channel, Ratio(duty))
        )

    # --- orders to devices and hosts ---------------------------------------------------------

    def _order(self, action: Action, done: Done) -> None:
        """Carry out a journalled action; called by the writer."""
        if action.verb != "switch":
            self.network.ask(action.target, action.verb, done)
            return
        outlet = self.wiring.outlet[action.target]
        on = bool(action.on)
        worker = self._bus_of[outlet.device]
        # One key per operation: an order to switch is never dropped for a later one.
        worker.order(
            outlet.device, f"switch/{action.target}/{action.operation}/{action.step}",
            _setter(outlet.channel, on), done,
        )  # fmt: skip
        worker.poll_soon(outlet.device)

    # --- events, health, memory --------------------------------------------------------------

    def _emit(self, kind: str, subject: str, text: str, severity: str = "info") -> None:
        at = self.clock.wall()
        level = {"warning": logging.WARNING, "critical": logging.ERROR}.get(severity, logging.INFO)
        log.log(level, "%s %s: %s", kind, subject, text)
        self.writer.submit(lambda: self._write_event(at, kind, subject, text, severity))

    def _write_event(self, at: float, kind: str, subject: str, text: str, severity: str) -> None:
        self.journal.event(at, kind, subject, text, severity, {})

    def _on_health(self, health: Health) -> None:
        """A device or a node failed, or works again; from any thread, once each time."""
        if health.device in self.wiring.node:
            return  # told by its presence: many silences are meant
        if health.error is None:
            self._failing.pop(health.device, None)
            self._emit("driver.recovered", health.device, "works again")
            return
        hint = f"; {health.error.hint}" if health.error.hint else ""
        self._failing[health.device] = str(health.error)
        self._emit("driver.failed", health.device, f"{health.error}{hint}", "warning")

    def _strip_health(self, device: str) -> Callable[[HwctlError | None], None]:
        return lambda error: self._on_health(Health(device, error))

    def _count_errors(self, reports: list[Report]) -> None:
        for report in reports:
            if report.error is not None:
                kind = getattr(report.error, "kind", report.error.slug)
                key = (report.device, kind)
                self._driver_errors[key] = self._driver_errors.get(key, 0) + 1

    def _watch_journal(self, now: float) -> None:
        problem = self.journal.problem
        if problem != self._journal_problem:
            self._journal_problem = problem
            if problem:
                self._emit("journal.failed", "journal", problem, "critical")
            else:
                self._emit("journal.recovered", "journal", "can be written again")
        if problem and int(now / 5) != int((now - TICK_S) / 5):
            self.writer.submit(self.journal.try_again)

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the service and its devices now."""
        failing = tuple(f"{name}: {text}" for name, text in sorted(self._failing.items()))
        return (*((self.journal.problem,) if self.journal.problem else ()), *failing)

    def _remember(self) -> None:
        wall = self.clock.wall()
        now = self.clock.now()
        kept: dict[str, dict[str, Any]] = {
            f"charge/{supply}": {
                key: value for key, value in asdict(state).items() if key in _KEPT_CHARGE
            }
            for supply, state in self.charges.items()
        }
        state = self.shutdown
        kept["shutdown"] = {
            "phase": state.phase.value, "stage": state.stage, "cause": state.cause,
            "stopped": list(state.stopped), "by_operator": state.by_operator,
            "inhibited": state.inhibited, "since": state.since - now + wall,
        }  # fmt: skip
        kept["halt_times"] = dict(self.halt_times)

        def save() -> None:
            try:
                for key, value in kept.items():
                    self.journal.remember(key, value, wall)
            except JournalUnavailableError:
                return  # shown by `problems`; tried again at the next occasion

        self.writer.submit(save)

    def _recall(self) -> None:
        """Take up what was known before the process ended."""
        now, wall = self.clock.now(), self.clock.wall()
        for supply_id, supply in self.wiring.supply.items():
            kept = self.journal.recall(f"charge/{supply_id}")
            if kept is not None:
                fields, at = kept
                state = charge.resume(
                    charge.ChargeState(**{k: v for k, v in fields.items() if k in _KEPT_CHARGE}),
                    max(0.0, wall - at),
                )
            else:
                said = self.settings.supply.get(supply_id)
                state = charge.start(said.charge_at_first_start if said else None, supply)
            self.charges[supply_id] = state
        kept = self.journal.recall("shutdown")
        if kept is not None:
            fields = kept[0]
            self.shutdown = shutdown.State(
                phase=shutdown.Phase(fields["phase"]), stage=int(fields["stage"]),
                cause=str(fields["cause"]), stopped=tuple(fields["stopped"]),
                by_operator=bool(fields["by_operator"]), inhibited=bool(fields["inhibited"]),
                since=fields["since"] - wall + now,
            )  # fmt: skip
            if self.shutdown.phase is shutdown.Phase.CONFIRMING:
                # What was half confirmed before is not evidence now.
                self.shutdown = replace(self.shutdown, phase=shutdown.Phase.STANDBY)
        halts = self.journal.recall("halt_times")
        if halts is not None:
            self.halt_times = {
                node: float(s) for node, s in halts[0].items() if node in self.wiring.node
            }
        self.desk.resume()

    # --- RigService --------------------------------------------------------------------------

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
        key: str | None = None,
    ) -> OperationState:
        entry = self.wiring.node.get(node)
        if entry is None:
            raise self._unknown("node", node, self.wiring.node)
        outlet = self.wiring.outlet_of(node)
        if entry.protected:
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
        op = self.desk.begin(
            action, node, outlet, force=force, by=by, reason=reason, key=key,
            expiry_s=self.settings.power.expiry_s,
            cycles_per_hour=self.settings.power.cycles_per_hour,
        )  # fmt: skip
        self._wake.set()
        return self.desk.view(op)

    def operation(self, operation: str) -> OperationState:
        return self.desk.view(self.desk.get(operation))

    def operations(self, limit: int = 50) -> Sequence[OperationState]:
        return [self.desk.view(op) for op in self.desk.latest(limit)]

    def cancel(self, operation: str, *, by: str) -> OperationState:
        return self.desk.view(self.desk.cancel(operation, by))

    def locate(self, node: str, active: bool, *, by: str) -> None:
        if node not in self.wiring.node:
            raise self._unknown("node", node, self.wiring.node)
        until = self.clock.now() + LOCATE_S

        def change() -> None:
            self.locating.pop(node, None)
            if active:
                self.locating[node] = until
            self._emit("node.locate", node, f"locate {'on' if active else 'off'} by {by}")

        self._do(change)

    def fan(
        self, fan: str, *, mode: Literal["auto", "manual"], duty: float, for_s: float, by: str
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
            self._emit("fan.mode", fan, said)

        self._do(change)

    def strip(self, strip: str, *, mode: str | None, brightness: float | None, by: str) -> None:
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
            self._emit("strip.mode", strip, f"{self.strip_wishes[strip][0]} by {by}")

        self._do(change)

    def strip_modes(self) -> Sequence[str]:
        return lighting.MODES

    def shutdown_start(self, *, reason: str, by: str) -> None:
        if self.shutdown.phase in (shutdown.Phase.RUNNING, shutdown.Phase.DOWN):
            raise NotPossibleError(f"a shutdown is under way: {self.shutdown.cause}")
        self._command_shutdown("start", by, reason)

    def shutdown_cancel(self, *, by: str) -> None:
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
            self._commands.append(change)
        self._wake.set()

    def _unknown(self, what: str, name: str, known: Any) -> UnknownTargetError:  # noqa: ANN401
        return UnknownTargetError(
            f"no {what} `{name}`", hint=f"there are: {', '.join(known) or 'none'}"
        )


_KEPT_CHARGE = ("energy", "margin", "out_counter", "in_counter", "draw", "full")


def _reader(channel: int) -> Job:
    def read(device: Any) -> Any:  # noqa: ANN401 - a Gauge or a FanController
        return device.read(channel)

    return read


def _getter(channel: int) -> Job:
    def get(device: Any) -> bool:  # noqa: ANN401 - an OutletSwitch
        return bool(device.get(channel))

    return get


def _setter(channel: int, on: bool) -> Job:
    def switch(device: Any) -> None:  # noqa: ANN401 - an OutletSwitch
        device.set(channel, on)

    return switch


def _driver(channel: int, duty: Ratio) -> Job:
    def drive(device: Any) -> None:  # noqa: ANN401 - a FanController
        device.drive(channel, duty)

    return drive


def _opener(use: Use, name: str, bus: Bus, buses: Buses) -> Callable[[], LedStrip]:
    """What a strip's own thread calls to get at its device, at the start and after a failure."""

    last: list[Any] = []

    def opened() -> LedStrip:
        for old in last:
            old.close()
        last.clear()
        opened_bus = buses.open(name, bus)
        last.append(opened_bus)
        device: LedStrip = use.driver.open(opened_bus, use.options)
        device.probe()
        return device

    return opened
