"""One tick of the real engine, on rigs of three sizes; only ``engine.tick()`` is timed."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench import rigs
from bench.figure import ROOT, Figure, Job, Result, Setup
from bench.measure import percentile
from hwctl.config.load import Loaded, load
from hwctl.engine.assembly import FAN_EVERY_S, OUTLET_EVERY_S
from hwctl.engine.clock import ManualClock
from hwctl.engine.core import TICK_S, Engine
from hwctl.engine.journal import open_journal
from hwctl.engine.rehearsal import Rehearsal, run_inline
from hwctl.engine.senses import fan_key, gauge_key, load_key, outlet_key
from hwctl.engine.workers import Report
from hwctl.model.drivers import FanSample, GaugeSample, LoadSample, SshLogin
from hwctl.model.units import Amps, Celsius, Joules, Ratio, Rpm, Volts, Watts
from hwctl.model.wiring import Bus
from hwctl_emulated.world import World

FOOTBALL = ROOT / "wiring" / "football.hwctl.toml"
TICKS = 500
QUICK_TICKS = 150
WARM_UP = 40
"""Ticks before it counts: imports, first samples, first orders."""
START_WALL = 1_750_000_000.0

_WHAT = "A tick with %s nodes, outlets, meters, fans and strip, 99th percentile of %d: %s"
TICK_4, TICK_56, TICK_1000 = (
    Figure(f"tick_p99_{nodes}_nodes", "ms", _WHAT % (f"{nodes:,}", TICKS, how), limit)
    for nodes, how, limit in (
        (4, "the football over its emulated world", 2.0),
        (56, "four racks over their emulated world", 5.0),
        (1000, "72 racks, readings made up, as many and as often as real ones", 50.0),
    )
)


def timed(engine: Engine, before: Callable[[], None], ticks: int) -> list[float]:
    """Milliseconds of each tick; ``before()`` lets time pass and readings come in."""
    taken = []
    # As `hwctl run` does when all is loaded.
    gc.collect()
    gc.freeze()
    engine.writer.start()
    for number in range(WARM_UP + ticks):
        before()
        started = time.perf_counter()
        engine.tick()
        if number >= WARM_UP:
            taken.append((time.perf_counter() - started) * 1e3)
    engine.writer.stop()
    engine.journal.close()
    return taken


def over_a_world(config: Path, folder: Path, ticks: int) -> list[float]:
    """The drivers read the emulated chips and pages before each tick."""
    loaded = load(config)
    world = World(loaded.wiring, loaded.settings, seed=1, scenario="steady", start_wall=START_WALL)
    rehearsal = Rehearsal(loaded, world, open_journal(folder))
    engine = rehearsal.engine
    hosts = engine.network.hosts
    # Spread over the period, as the network's loop does it.
    due = {entry.node: entry.every_s * index / len(hosts) for index, entry in enumerate(hosts)}

    def live() -> None:
        rehearsal.clock.advance(TICK_S)
        now = rehearsal.clock.now()
        world.advance_to(now)
        for worker in engine.workers.values():
            worker.run_once()
        for entry in hosts:
            if now >= due[entry.node]:
                due[entry.node] += entry.every_s
                run_inline(engine.network.poll_once(entry))

    return timed(engine, live, ticks)


class Nowhere:
    """Buses and a network that nobody asks: their workers are not started."""

    def open(self, name: str, bus: Bus) -> Any:  # noqa: ANN401 - as hwctl.engine.buses.Buses
        """:raises AssertionError: somebody asked."""
        raise AssertionError(f"bus {name} ({bus.kind}) was opened")

    async def get(self, host: str, port: int, path: str, *, limit_s: float, most: int) -> bytes:
        """:raises AssertionError: somebody asked."""
        raise AssertionError(f"{host}:{port}{path} was asked, {limit_s} s, {most} bytes")

    async def ssh(self, login: SshLogin, command: str, *, limit_s: float) -> tuple[int | None, str]:
        """:raises AssertionError: somebody asked."""
        raise AssertionError(f"{command} on {login.address} within {limit_s} s")


class Readings:
    """What workers and network would report, at the rates of the settings, evenly spread."""

    def __init__(self, loaded: Loaded, engine: Engine) -> None:
        self._engine = engine
        self._tick = 0
        wiring = loaded.wiring
        gauge_s = loaded.settings.gauges.every_s
        self._sources: list[tuple[str, str, int, Callable[[int], object]]] = []
        for index, node in enumerate(wiring.node):
            self._add(node, load_key(node), 1.0, partial(_load, index))
        for outlet_id, outlet in wiring.outlet.items():
            self._add(outlet.device, outlet_key(outlet_id), OUTLET_EVERY_S, lambda _tick: True)
            if outlet.meter is not None:
                key = gauge_key(outlet.meter.device, outlet.meter.channel)
                self._add(outlet.meter.device, key, gauge_s, _meter)
        for supply in wiring.supply.values():
            if (place := supply.output_gauge) is not None:
                whole = partial(_whole, len(wiring.node))
                self._add(place.device, gauge_key(place.device, place.channel), gauge_s, whole)
        for fan_id, fan in wiring.fan.items():
            self._add(fan.device, fan_key(fan_id), FAN_EVERY_S, _fan)

    def _add(self, device: str, key: str, every_s: float, value: Callable[[int], object]) -> None:
        self._sources.append((device, key, max(1, round(every_s / TICK_S)), value))

    def put(self, now: float) -> None:
        """Those that are due at this tick."""
        self._tick += 1
        for index, (device, key, every, value) in enumerate(self._sources):
            if self._tick <= 2 or (self._tick + index) % every == 0:
                self._engine.senses.put(Report(device, key, now, value(self._tick)))


def _load(index: int, tick: int) -> LoadSample:
    busy = 0.5 + 0.45 * math.sin(0.03 * tick + index)
    return LoadSample(
        busy_s=tick * TICK_S * (1 + busy), total_s=tick * TICK_S * 4, cpus=4,
        celsius=Celsius(42 + 20 * busy), memory=Ratio(0.4), boot_id="1.75e+09",
    )  # fmt: skip


def _meter(tick: int) -> GaugeSample:
    amps = 0.8 + 0.4 * math.sin(0.05 * tick)
    return GaugeSample(Volts(5.1), Amps(amps), Watts(5.1 * amps))


def _whole(nodes: int, tick: int) -> GaugeSample:
    watts = 5.0 * nodes
    return GaugeSample(
        Volts(5.1), Amps(watts / 5.1), Watts(watts), energy=Joules(watts * tick * TICK_S)
    )


def _fan(tick: int) -> FanSample:
    return FanSample(Rpm(2000.0 + tick % 7), Ratio(0.45))


def made_up(config: Path, folder: Path, ticks: int) -> list[float]:
    """Readings are put into the engine's senses before each tick."""
    loaded = load(config)
    clock = ManualClock(start_wall=START_WALL)
    engine = Engine(
        loaded, clock=clock, buses=Nowhere(), net=Nowhere(), journal=open_journal(folder)
    )
    readings = Readings(loaded, engine)

    def live() -> None:
        clock.advance(TICK_S)
        readings.put(clock.now())

    return timed(engine, live, ticks)


def _measure(
    figure: Figure, nodes: int, how: Callable[[Path, Path, int], list[float]], setup: Setup
) -> Iterator[Result]:
    folder = setup.folder(figure.name)
    config = FOOTBALL if nodes == 4 else rigs.write(nodes, folder)
    taken = how(config, folder, QUICK_TICKS if setup.quick else TICKS)
    gc.unfreeze()
    yield Result(
        figure.name, percentile(taken, 0.99),
        f"median {statistics.median(taken):.2f} ms, longest {max(taken):.2f} ms",
    )  # fmt: skip


JOBS = tuple(
    Job((figure,), partial(_measure, figure, nodes, how))
    for figure, nodes, how in (
        (TICK_4, 4, over_a_world),
        (TICK_56, 56, over_a_world),
        (TICK_1000, 1000, made_up),
    )
)
