"""The engine: senses in, policies, orders out, four times a second.

Only :meth:`Engine.tick` changes what the engine knows, and only on its own thread. Bus workers,
the network's loop and the strips' loops run beside it; faces read the snapshot and submit
commands through :class:`~hwctl.engine.service.RigService`, which this class implements.
"""

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import Literal

from hwctl.config.load import Loaded
from hwctl.config.needs import needs
from hwctl.engine import air, assembly, memory, orders, power_facts, snapshot
from hwctl.engine.audit import Audit
from hwctl.engine.buses import Buses
from hwctl.engine.clock import Clock, allow, pace
from hwctl.engine.commands import TICK_BOUNDS, Commands
from hwctl.engine.history import EVERY_S
from hwctl.engine.journal import Journal
from hwctl.engine.net_devices import NetDevice
from hwctl.engine.network import Network
from hwctl.engine.operations import Desk, Target
from hwctl.engine.outlets import Says
from hwctl.engine.power_facts import SHUTDOWN
from hwctl.engine.senses import Senses, gauge_key, load_key, outlet_key
from hwctl.engine.uevents import Uevent
from hwctl.engine.workers import BusWorker, Health, Report
from hwctl.engine.writer import LINGER_S, Writer
from hwctl.model.drivers import LoadSample, Net
from hwctl.model.errors import HwctlError, JournalUnavailableError, RequestError
from hwctl.model.readings import Quality
from hwctl.model.rig import Os
from hwctl.model.units import Ratio
from hwctl.policy import charge, cooling, lighting, presence, shutdown
from hwctl.policy.operation import SWITCHING, Limits

log = logging.getLogger("hwctl")

TICK_S = 0.25
REMEMBER_EVERY_S = 60.0


class Engine(Commands):
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
        super().__init__()
        self.wiring = loaded.wiring
        self.settings = loaded.settings
        self.emulated = emulated
        self.clock = clock
        self.journal = journal
        self.senses = Senses()
        self._failing: dict[str, str] = {}
        self._awaited: frozenset[str] = frozenset()
        """Readings of outlets that are just being switched."""
        self.driven: dict[str, tuple[float, float]] = {}
        self.writer = Writer()
        self.audit_record = Audit(
            clock,
            journal,
            self.writer,
            lambda text: self.emit("audit.lost", "journal", text, "warning"),
        )
        self.desk = Desk(clock, journal, self.writer, partial(orders.carry_out, self), self.emit)
        self.workers, self.bus_of = assembly.make_workers(
            loaded, buses, clock, net, self._heard, self._on_health
        )
        for fan in self.wiring.fan:
            # The first thing a bus does is to make sure that air moves.
            air.drive(self, fan, self.settings.cooling.safe_duty)
        hosts = assembly.make_hosts(loaded, net)
        self.net_devices = [one for one in self.bus_of.values() if isinstance(one, NetDevice)]
        self.network = Network(hosts, self.net_devices, clock, self._heard)
        self.strips = assembly.make_strips(loaded, buses, clock, self._on_health)
        self.addresses = {
            node: getattr(host.load.options, "url", None) if host.load else None
            for node, host in loaded.hosts.items()
        }
        self.outlet_of = {
            outlet.node: name for name, outlet in self.wiring.outlet.items() if outlet.node
        }
        self.says = {
            outlet.device: Says.of(loaded.devices[outlet.device])
            for outlet in self.wiring.outlet.values()
        }
        """By device: what kind of outlet it is."""
        self.assumed: dict[str, bool] = {}
        """What outlets that cannot be read back were last ordered to be."""
        self.needs = needs(self.wiring, self.settings)
        self.needed_by = {
            node: tuple(other for other, wanted in self.needs.items() if node in wanted)
            for node in self.needs
        }

        self.charges: dict[str, charge.ChargeState] = {}
        self.charge_views: dict[str, charge.ChargeView] = {}
        self.presences = {node: presence.Presence() for node in self.wiring.node}
        self.cooling = cooling.CoolingState()
        self.fan_orders: dict[str, cooling.FanOrder] = {}
        self.shutdown = shutdown.State()
        self.shutdown_inputs = shutdown.Inputs((), ())
        self.halt_times: dict[str, float] = {}
        self.off_since: dict[str, float] = {}
        self.inrush: dict[str, power_facts.Inrush] = {}
        """By outlet, of boards that were switched on a short while ago."""
        self.other_amps: dict[str, float] = {}
        """By rail: what its supply's gauge sees beyond the nodes' feeds."""
        self.started = self._remembered = clock.now()
        self._mains: dict[str, bool] = {}
        self._on: dict[str, bool | None] = dict.fromkeys(self.wiring.outlet)
        self.beginning: set[str] = set()
        """Nodes whose operation for the shutdown waits for the journal."""
        self._refused: dict[str, str] = {}
        self._told_refused: dict[str, str] = {}
        self.told_faults: set[str] = set()
        self._journal_problem: str | None = None
        self.taken_up = False
        """Whether what was under way when the last process ended is known."""
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.limits = self._limits()
        self.presence_limits = self._presence_limits()
        self.gauge_stale_s = allow(clock, self.settings.gauges.stale_after_s)
        self.outlet_stale_s = allow(clock, 3 * assembly.OUTLET_EVERY_S)
        memory.recall(self)
        self._rig = snapshot.build(self, ())

    # --- construction ------------------------------------------------------------------------

    def _limits(self) -> Limits:
        settings, clock = self.settings, self.clock
        return Limits(
            halt_s=allow(clock, 15.0),
            halt_deadline_s=allow(clock, settings.shutdown.halt_deadline_s),
            quiet_s=settings.power.quiet_s,
            verify_s=allow(clock, settings.power.verify_s),
            min_off_s=settings.power.min_off_s,
            boot_s=allow(clock, settings.power.boot_s),
        )

    def _presence_limits(self) -> dict[str, presence.Limits]:
        """How long each node may be silent."""
        limits = {}
        for node in self.wiring.node:
            host = self.settings.host.get(node)
            limits[node] = presence.Limits(
                stale_s=allow(self.clock, host.stale_after_s if host else 4.0),
                unreachable_s=allow(self.clock, host.unreachable_after_s if host else 12.0),
                boot_s=self.limits.boot_s,
            )
        return limits

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
        self.emit("service.started", "hwctl", f"hwctl runs {self.wiring.rig.name}")

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
            owner = self.bus_of[fan.device]
            if isinstance(owner, BusWorker):
                duty = Ratio(self.settings.cooling.safe_duty)
                owner.last_word(fan.device, assembly.driver(fan.channel, duty))
        memory.remember(self)
        self.emit("service.stopped", "hwctl", "hwctl was stopped; outlets stay as they are")
        self.writer.stop()
        self.journal.close()

    def _run(self) -> None:
        period = pace(self.clock, TICK_S)
        due = self.clock.now()
        while not self._stopping:
            self.tick()
            now = self.clock.now()
            due = max(due + period, now)
            # A board that waits for another's inrush does not wait for the next tick, too.
            until = min(due, power_facts.next_release(self, now))
            if self._wake.wait(max(0.0, until - self.clock.now()) / self.clock.speed):
                time.sleep(LINGER_S)
                self._wake.clear()

    def tick(self) -> None:
        """Everything once: senses, policies, orders, snapshot."""
        started = time.perf_counter()
        now = self.clock.now()
        with self._lock:
            commands, self._queued = self._queued, []
        for command in commands:
            command()
        reports = self.senses.take()
        self._count_errors(reports)
        self._read_outlets(now)
        self._step_charges(now)
        self._step_presence(now, reports)
        self._step_operations(now)
        self._step_shutdown(now)
        air.step(self, now)
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
            memory.remember(self)
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
                self.emit("supply.mains-lost", supply, "runs on its own charge", "warning")
            elif known:
                self.emit("supply.mains-back", supply, "is fed from outside again")
        if before is not None and after.quality is not before.quality:
            if after.quality is Quality.SUSPECT:
                self.emit(
                    "supply.suspect", supply,
                    "its gauge says what cannot be true; it is not believed until it does not",
                    "warning",
                )  # fmt: skip
            elif before.quality is Quality.SUSPECT and after.quality is Quality.OK:
                self.emit("supply.believed", supply, "its gauge can be believed again")

    def _step_presence(self, now: float, reports: list[Report]) -> None:
        heard = {r.key: r for r in reports if isinstance(r.value, LoadSample)}
        for node in self.wiring.node:
            state = self.presences[node]
            report = heard.get(load_key(node))
            powered = self.outlet_on(self.outlet_of.get(node))
            if report is not None and powered is not False:
                state = presence.hear(state, report.taken, report.value, node)
            op = self.desk.holder(node)
            asked = op is not None and snapshot.halting(op)
            after = presence.step(
                state, now, powered=powered, asked_to_halt=asked,
                limits=self.presence_limits[node],
            )  # fmt: skip
            self._tell_presence(node, state.os, after.os)
            self.presences[node] = after

    def _tell_presence(self, node: str, before: Os, after: Os) -> None:
        if after is Os.UNREACHABLE and before is not Os.UNREACHABLE:
            error = self.senses.seen(load_key(node)).error
            why = f": {error}" if error is not None else ""
            self.emit("node.unreachable", node, f"does not answer{why}", "warning")
        elif before is Os.UNREACHABLE and after is Os.UP:
            self.emit("node.back", node, "answers again")

    def _read_outlets(self, now: float) -> None:
        """Every read-back that is fresh, once per tick."""
        for outlet in self.wiring.outlet:
            value = self.senses.fresh(outlet_key(outlet), now, self.outlet_stale_s)
            if not self.says[self.wiring.outlet[outlet].device].reads_back:
                value = self.assumed.get(outlet)
            self._on[outlet] = None if value is None else bool(value)
            if value:
                self.off_since.pop(outlet, None)
            elif value is not None:
                self.off_since.setdefault(outlet, self.senses.seen(outlet_key(outlet)).taken)

    def _check_energy(self, nodes: Sequence[str]) -> None:
        power_facts.check_energy(self, nodes)

    def outlet_on(self, outlet: str | None) -> bool | None:
        """The read-back, if it is fresh; what is assumed, where there is none."""
        return None if outlet is None else self._on[outlet]

    def _step_operations(self, now: float) -> None:
        self._awaited = frozenset(
            outlet_key(op.outlet)
            for op in self.desk.under_way()
            if op.outlet is not None and op.step in SWITCHING
        )
        for op in self.desk.step(
            lambda op: power_facts.facts(self, op, now),
            self.limits,
            partial(power_facts.reserve, self),
        ):
            if op.halt_took_s is not None:
                # Slow adaptation upwards at once, downwards by halves: the budget needs the worst.
                old = self.halt_times.get(op.target, op.halt_took_s)
                self.halt_times[op.target] = max(op.halt_took_s, (old + op.halt_took_s) / 2)
            self.audit_record.ended(op, snapshot.node_text(self, op.target))

    def _step_shutdown(self, now: float) -> None:
        command, self._shutdown_command = self._shutdown_command, None
        refused, self._refused = frozenset(self._refused), {}
        self.shutdown_inputs = snapshot.shutdown_inputs(self, command, refused)
        before = self.shutdown
        self.shutdown, actions = shutdown.step(
            before, now, self.shutdown_inputs, self.settings.shutdown
        )
        # What is about to be stopped is remembered first, or a crash would leave it off for ever.
        if (before.phase, before.stage, before.stopped, before.inhibited) != (
            self.shutdown.phase,
            self.shutdown.stage,
            self.shutdown.stopped,
            self.shutdown.inhibited,
        ):
            memory.remember(self)
        for action in actions:
            match action:
                case shutdown.Begin(kind, node, reason):
                    self.beginning.add(node)
                    self.writer.submit(partial(self._begin_for_shutdown, kind, node, reason))
                case shutdown.Say(kind, text, severity):
                    self.emit(kind, self.wiring.rig.name, text, severity)

    def _begin_for_shutdown(self, kind: Literal["on", "off"], node: str, reason: str) -> None:
        """On the writer's thread: the journal may take its time."""
        outlet = self.outlet_of.get(node)
        expiry = self.settings.power.expiry_s
        try:
            self.desk.begin(
                kind, [Target(node, outlet)], force=False, by=SHUTDOWN, reason=reason,
                expiry_s=expiry, cycles_per_hour=self.settings.power.cycles_per_hour,
            )  # fmt: skip
            self._told_refused.pop(node, None)
        except RequestError as error:
            if isinstance(error, JournalUnavailableError) and kind == "off":
                self.desk.begin_unjournalled(node, outlet, reason, expiry)
            else:
                self._refused[node] = error.slug
            if self._told_refused.get(node) != error.slug:
                self._told_refused[node] = error.slug
                self.emit("shutdown.refused", node, str(error), "critical")
        finally:
            self.beginning.discard(node)

    def wake(self) -> None:
        """Do not wait for the next tick. From any thread."""
        self._wake.set()

    def _heard(self, report: Report) -> None:
        """From any thread. What an operation waits for does not wait for the next tick."""
        self.senses.put(report)
        if report.key in self._awaited:
            self._wake.set()

    # --- events, health, memory --------------------------------------------------------------

    def emit(self, kind: str, subject: str, text: str, severity: str = "info") -> None:
        at = self.clock.wall()
        self.writer.submit(lambda: self._write_event(at, kind, subject, text, severity))

    def _write_event(self, at: float, kind: str, subject: str, text: str, severity: str) -> None:
        level = {"warning": logging.WARNING, "critical": logging.ERROR}.get(severity, logging.INFO)
        log.log(level, "%s %s: %s", kind, subject, text)
        self.journal.event(at, kind, subject, text, severity, {})

    def hear(self, event: Uevent) -> None:
        """What the kernel tells of its devices; from any thread."""
        for worker in self.workers.values():
            worker.hear(event)

    def lacks(self, what: str, error: HwctlError) -> None:
        """Something beside the devices that the settings ask for does not work: an event, and one
        of the problems."""
        self._on_health(Health(what, error))

    def _on_health(self, health: Health) -> None:
        """A device failed, or works again; from any thread, once each time. (Of nodes their
        presence tells, for many of their silences are meant.)"""
        if health.way:
            self.emit("driver.way", health.device, health.way)
            return
        if health.error is None:
            self._failing.pop(health.device, None)
            self.emit("driver.recovered", health.device, "works again")
            return
        hint = f"; {health.error.hint}" if health.error.hint else ""
        self._failing[health.device] = str(health.error)
        self.emit("driver.failed", health.device, f"{health.error}{hint}", "warning")

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
                self.emit("journal.failed", "journal", problem, "critical")
            else:
                self.emit("journal.recovered", "journal", "can be written again")
                if not self.taken_up:
                    memory.take_up(self)
        if problem and int(now / 5) != int((now - TICK_S) / 5):
            self.writer.submit(self.journal.try_again)

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the service and its devices now."""
        failing = tuple(f"{name}: {text}" for name, text in sorted(self._failing.items()))
        return (*((self.journal.problem,) if self.journal.problem else ()), *failing)
