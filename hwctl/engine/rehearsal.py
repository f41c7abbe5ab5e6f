"""The whole engine in one thread and on a clock that is told to move: for drills and for tests.

The same drivers talk to the same emulated chips; only threads, sockets and the passing of real
time are left out, so that an afternoon takes seconds and the same seed gives the same afternoon.
"""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hwctl.config.load import Loaded
from hwctl.engine.buses import WorldBuses
from hwctl.engine.clock import ManualClock
from hwctl.engine.core import TICK_S, Engine
from hwctl.engine.journal import Journal
from hwctl.engine.senses import load_key
from hwctl.engine.world_net import LiveOutlets, WorldNet
from hwctl.engine.world_ports import Wire
from hwctl.model.drivers import HidBus, SysfsBus

T = TypeVar("T")


class LiveWorld(Protocol):
    """An emulated world in this process (``hwctl_emulated.world.World``)."""

    @property
    def net(self) -> LiveOutlets: ...

    def i2c(self, bus: str) -> Any: ...  # noqa: ANN401

    def gpio(self, bus: str) -> Any: ...  # noqa: ANN401

    def spi(self, bus: str) -> Any: ...  # noqa: ANN401

    def tty(self, bus: str) -> Wire: ...

    def hid(self, bus: str) -> HidBus: ...

    def sysfs(self, bus: str) -> SysfsBus: ...

    def page(self, node: str, query: str = "") -> bytes: ...

    def command(self, node: str, line: str) -> tuple[int, str]: ...

    def control(self, order: dict[str, Any]) -> dict[str, Any]: ...

    def advance_to(self, now: float) -> None: ...


def run_inline(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never really waits.

    :raises RuntimeError: it does.
    """
    try:
        work.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    work.close()
    raise RuntimeError("a driver waited for something that a rehearsal does not have")


class _InProcess:
    """An in-process world as :class:`~hwctl.engine.buses.WorldBuses` wants it."""

    def __init__(self, world: LiveWorld) -> None:
        self.i2c = world.i2c
        self.gpio = world.gpio
        self.spi = world.spi
        self.tty = world.tty
        self.hid = world.hid
        self.sysfs = world.sysfs

    def address(self, host: str, port: int) -> tuple[str, int]:
        return host, port

    def file(self, path: Path) -> Path:
        return path


class Rehearsal:
    """An engine and a world, moved together."""

    def __init__(self, loaded: Loaded, world: LiveWorld, journal: Journal) -> None:
        self.world = world
        self.clock = ManualClock(start_wall=_wall_of(world))
        self._loaded = loaded
        self._journal = journal
        self.engine = self._engine()
        self._asked: dict[str, float] = {}

    def _engine(self) -> Engine:
        return Engine(
            self._loaded,
            clock=self.clock,
            buses=WorldBuses(_InProcess(self.world)),
            net=WorldNet(self.world, self._loaded),
            journal=self._journal,
            emulated=True,
        )

    def restart(self, journal: Journal) -> None:
        """As after SIGKILL: the engine is gone with all that it knew; the world and the journal's
        file stay."""
        self._journal = journal
        self.engine = self._engine()
        self._asked = {}

    def step(self, seconds: float = TICK_S) -> None:
        """Let ``seconds`` pass, then run one tick."""
        self.clock.advance(seconds)
        now = self.clock.now()
        self.world.advance_to(now)
        for worker in self.engine.workers.values():
            worker.run_once()
        for entry in self.engine.network.hosts:
            if now - self._asked.get(load_key(entry.node), float("-inf")) >= entry.every_s:
                self._asked[load_key(entry.node)] = now
                run_inline(self.engine.network.poll_once(entry))
        for device in self.engine.net_devices:
            run_inline(device.run_once())
        self.engine.tick()

    def run(self, seconds: float, tick_s: float = TICK_S) -> None:
        """Many steps."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.step(tick_s)


def _wall_of(world: LiveWorld) -> float:
    start: float = getattr(world, "start_wall", 0.0)
    return start
