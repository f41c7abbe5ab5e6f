"""A press takes seconds, and the bus goes on meanwhile; and what ends a press that nobody ends."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hwctl.engine.buses import WorldBuses
from hwctl.engine.clock import ManualClock
from hwctl.engine.workers import BusWorker
from hwctl.model.wiring import Bus
from hwctl_drivers.gpio_relay import DRIVER as RELAY
from hwctl_drivers.power_button import DRIVER as BUTTON
from hwctl_emulated import client
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.pins import EmulatedFactory

PI_4B = 0xC03111
PRESS, OTHER = 17, 22
FOOTBALL = Path(__file__).parents[2] / "wiring/football.hwctl.toml"
PATIENCE_S = 30.0
"""Only a failing test waits that long."""


class Gpio:
    def __init__(self, factory):
        self.factory = factory


class Rig:
    """A button and a relay on the emulated lines of one bus."""

    def __init__(self):
        self.lines = GpioLines()
        self.clock = ManualClock()
        self.reports, self.done = [], []
        self.pressed = threading.Event()
        self.lines.watch(PRESS, lambda level: level and self.pressed.set())
        self.worker = BusWorker(
            "gpio", Bus(kind="gpio"), self, self.clock, self.reports.append, lambda health: None
        )
        self.worker.add_device("button", BUTTON, BUTTON.options(pin="GPIO17"))
        self.worker.add_device("relay", RELAY, RELAY.options(pin="GPIO22"))
        self.worker.poll("relay", "relay", lambda relay: relay.get(0), 1.0)

    def open(self, name, bus):
        return Gpio(EmulatedFactory(self.lines, PI_4B))

    def hold(self):
        self.worker.order("button", "hold", lambda button: button.set(0, False), self.done.append)

    def run(self, seconds):
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            self.worker.run_once()


def test_other_orders_and_polls_pass_during_a_press():
    rig = Rig()
    rig.run(2)
    rig.hold()
    rig.run(1)
    assert rig.lines.level(PRESS)
    rig.reports.clear()
    switched = []
    for on in (True, False, True):
        rig.worker.order("relay", f"{on}", lambda relay, on=on: relay.set(0, on), switched.append)
        rig.worker.run_once()
        assert rig.lines.level(OTHER) is on
    rig.run(4)
    assert switched == [None] * 3
    # After each order the relay is read at once, and then once a second.
    read = [report.value for report in rig.reports if report.key == "relay"]
    assert read == [True, False, True, *[True] * 4]
    assert (rig.lines.level(PRESS), rig.done) == (True, []), "and the press is not over"
    rig.run(1)
    assert (rig.lines.level(PRESS), rig.done) == (False, [None])


@pytest.mark.parametrize("threaded", [False, True])
def test_stopping_lets_go_of_the_button(threaded):
    rig = Rig()
    rig.hold()
    if threaded:
        rig.worker.start()
        assert rig.pressed.wait(PATIENCE_S)
    else:
        rig.worker.run_once()
    assert rig.lines.level(PRESS)
    rig.worker.stop()
    assert not rig.lines.level(PRESS)
    assert rig.lines.function(PRESS) == "output"


PRESSER = """
import sys, threading
from pathlib import Path
from hwctl.engine.buses import WorldBuses
from hwctl.engine.clock import RealClock
from hwctl.engine.workers import BusWorker
from hwctl.model.wiring import Bus
from hwctl_drivers.power_button import DRIVER
from hwctl_emulated.client import WorldClient

buses = WorldBuses(WorldClient(Path(sys.argv[1])))
worker = BusWorker("gpio", Bus(kind="gpio"), buses, RealClock(), print, print)
worker.add_device("button", DRIVER, DRIVER.options(pin="GPIO17", hold_s=30.0))
worker.order("button", "hold", lambda button: button.set(0, False))
worker.start()
threading.Event().wait()
"""


@pytest.fixture
def world(tmp_path):
    """A world that outlives who drives its lines."""
    world = client.start(FOOTBALL, state_dir=tmp_path, speed=1.0, seed=1, scenario="steady")
    yield world
    world.stop()


def test_a_press_whose_presser_was_killed_is_ended_by_the_next(world, tmp_path):
    lines = world.gpio("gpio").lines
    with subprocess.Popen([sys.executable, "-c", PRESSER, str(tmp_path)]) as presser:
        until = time.monotonic() + PATIENCE_S
        while not lines.level(PRESS):
            assert presser.poll() is None
            assert time.monotonic() < until, "it did not press"
        presser.kill()
    assert lines.level(PRESS), "the line stays as it was"

    done = []
    worker = BusWorker(
        "gpio", Bus(kind="gpio"), WorldBuses(world), ManualClock(), done.append, done.append
    )
    worker.add_device("button", BUTTON, BUTTON.options(pin="GPIO17"))
    worker.poll("button", "button", lambda button: button.get(0), 1.0)
    worker.run_once()
    assert (lines.level(PRESS), lines.function(PRESS)) == (False, "output")
    assert done == [], "probing did it, and found nothing wrong"


@pytest.mark.parametrize("active_low", [False, True])
def test_a_press_that_a_service_manager_hands_on_is_ended_by_probing(bench, active_low):
    """On the fake and, in the kernel lab, on gpio-sim: the kernel never released the line."""
    bench.push(2, active_low)
    before = bench.factory()
    options = BUTTON.options(pin="GPIO2", active_low=active_low)
    BUTTON.open(Gpio(before), options).set(0, False)
    assert bench.level(2) is not active_low
    ((name, fd),) = before.fds().items()
    after = bench.factory()
    after.adopt(name, os.dup(fd))
    BUTTON.open(Gpio(after), options).probe()
    assert bench.level(2) is active_low
    assert bench.changes(2) == [not active_low, active_low]
