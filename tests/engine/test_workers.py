"""Bus workers: orders first, failures once, one slow bus delays no other."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from hwctl.engine.clock import ManualClock
from hwctl.engine.workers import BusWorker, Health, Report
from hwctl.model.drivers import Driver, Options
from hwctl.model.errors import BusError, DeviceNotFoundError
from hwctl.model.wiring import Bus


class ToyBus:
    """A bus that carries numbers; it can be made to fail, or to hang until released."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.failure: Exception | None = None
        self.hang: threading.Event | None = None

    def talk(self, word: str) -> int:
        self.log.append(word)
        if self.hang is not None:
            self.hang.wait(5.0)
        if self.failure is not None:
            raise self.failure
        return len(self.log)


class ToyDevice:
    def __init__(self, bus: ToyBus, options: Options) -> None:
        del options
        self.bus = bus

    def probe(self) -> None:
        self.bus.talk("probe")


TOY = Driver("toy", "", (), "i2c", frozenset({"gauge"}), Options, ToyDevice, "")


class Buses:
    def __init__(self, bus: ToyBus) -> None:
        self.bus = bus
        self.opened = 0

    def open(self, name: str, bus: Bus) -> Any:
        del name, bus
        self.opened += 1
        return self.bus


class Rig:
    def __init__(self, kind: str = "i2c") -> None:
        self.bus = ToyBus()
        self.buses = Buses(self.bus)
        self.clock = ManualClock(100.0)
        self.reports: list[Report] = []
        self.health: list[Health] = []
        self.worker = BusWorker(
            "i2c1", Bus(kind=kind), self.buses, self.clock,  # type: ignore[arg-type]
            self.reports.append, self.health.append,
        )  # fmt: skip
        self.worker.add_device("chip", TOY, Options())
        self.worker.poll("chip", "gauge/chip/0", lambda d: d.bus.talk("read"), 1.0)

    def run(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.worker.run_once()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_it_probes_once_then_polls_at_its_rate(rig: Rig) -> None:
    rig.run(10)
    assert rig.bus.log.count("probe") == 1
    assert 8 <= rig.bus.log.count("read") <= 10
    assert rig.reports[-1].error is None


def test_a_device_that_fails_is_told_once_tried_rarely_and_told_again_when_it_works(
    rig: Rig,
) -> None:
    rig.run(3)
    rig.bus.failure = DeviceNotFoundError("nothing answers")
    rig.run(120)
    tries = len(rig.bus.log)
    assert [h.error is not None for h in rig.health] == [True]
    rig.run(120)
    assert len(rig.bus.log) - tries <= 5, "a dead device is asked every 30 s at the most"
    rig.bus.failure = None
    rig.run(40)
    assert [h.error is not None for h in rig.health] == [True, False]
    assert rig.bus.log.count("probe") > 1, "it may have been replaced: it is probed anew"
    assert rig.reports[-1].error is None


def test_a_bus_that_is_gone_is_opened_again(rig: Rig) -> None:
    rig.run(3)
    rig.bus.failure = BusError("unplugged")
    rig.run(20)
    rig.bus.failure = None
    rig.run(40)
    assert rig.buses.opened > 1
    assert rig.reports[-1].error is None


def test_lines_are_never_let_go_of() -> None:
    rig = Rig("gpio")
    rig.run(3)
    rig.bus.failure = BusError("odd")
    rig.run(60)
    assert rig.buses.opened == 1
    assert rig.bus.log.count("probe") == 1


def test_orders_go_before_polls_and_do_not_wait_for_the_next_try(rig: Rig) -> None:
    rig.bus.failure = DeviceNotFoundError("nothing answers")
    rig.run(30)
    rig.bus.failure = None
    done: list[Any] = []
    rig.worker.order("chip", "switch", lambda d: d.bus.talk("switch"), done.append)
    rig.worker.run_once()
    assert done == [None]
    assert "switch" in rig.bus.log


def test_a_failed_order_is_told_to_whoever_gave_it(rig: Rig) -> None:
    rig.run(1)
    rig.bus.failure = DeviceNotFoundError("nothing answers")
    done: list[Any] = []
    rig.worker.order("chip", "switch", lambda d: d.bus.talk("switch"), done.append)
    rig.worker.run_once()
    assert isinstance(done[0], DeviceNotFoundError)


def test_a_newer_order_takes_the_place_of_one_that_has_not_begun(rig: Rig) -> None:
    seen: list[str] = []
    say: Callable[[str], Callable[[Any], None]] = lambda word: lambda _: seen.append(word)  # noqa: E731
    rig.worker.order("chip", "drive/a", say("slow"))
    rig.worker.order("chip", "drive/b", say("other"))
    rig.worker.order("chip", "drive/a", say("fast"))
    rig.worker.run_once()
    assert seen == ["other", "fast"]


def test_a_bus_that_hangs_delays_nobody_else() -> None:
    slow, quick = Rig(), Rig()
    slow.bus.hang = threading.Event()
    slow.worker.start()
    quick.worker.start()
    answered = threading.Event()
    quick.worker.order("chip", "switch", lambda d: d.bus.talk("x"), lambda _: answered.set())
    assert answered.wait(5.0)
    assert slow.reports == []
    slow.bus.hang.set()
    slow.worker.stop()
    quick.worker.stop()
