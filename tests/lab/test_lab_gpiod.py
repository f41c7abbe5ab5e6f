"""The pin factory beside libgpiod, on the kernel's gpio-sim: the same lines, told the same way.

The tools are Debian's gpiod (1.6, uAPI v1); the Python package gpiod is libgpiod 2 (uAPI v2).
"""

import os
import queue
import re
import signal
import subprocess
import sys
import uuid
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero import DigitalInputDevice, OutputDevice

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.buses import KernelBuses
from hwctl.engine.clock import ManualClock
from hwctl.engine.gpio_chip import DEV, survey
from hwctl.engine.gpio_uapi import Flag
from hwctl.engine.workers import BusWorker
from hwctl.model.errors import BusError, DeviceBusyError
from hwctl.model.wiring import Bus
from hwctl_drivers.gpio_relay import DRIVER as RELAY
from hwctl_drivers.power_button import DRIVER as BUTTON

SIM = Path("/sys/kernel/config/gpio-sim")
PATIENCE_S = 30.0
NAMES = {3: "RELAY_PI0", 7: "FAN_TACH"}
LINES = 16


class Chip:
    """One simulated chip of 16 lines."""

    def __init__(self, label=None):
        self.label = label or f"lab-{uuid.uuid4().hex[:8]}"
        self._config = SIM / f"hwctl-{uuid.uuid4().hex[:8]}"
        bank = self._config / "bank0"
        bank.mkdir(parents=True)
        for offset, name in NAMES.items():
            (bank / f"line{offset}").mkdir()
            (bank / f"line{offset}" / "name").write_text(name)
        (bank / "num_lines").write_text(str(LINES))
        (bank / "label").write_text(self.label)
        (self._config / "live").write_text("1")
        self.name = (bank / "chip_name").read_text().strip()
        device = (self._config / "dev_name").read_text().strip()
        self._lines = Path("/sys/devices/platform") / device / self.name
        self.buses = KernelBuses()

    @property
    def factory(self):
        if not hasattr(self, "_bus"):
            self._bus = self.buses.open("gpio", Bus(kind="gpio", path=self.label))
        return self._bus.factory

    def level(self, line):
        return (self._lines / f"sim_gpio{line}/value").read_text() == "1\n"

    def pull(self, line, level):
        (self._lines / f"sim_gpio{line}/pull").write_text("pull-up" if level else "pull-down")

    def pulled_up(self, line):
        return (self._lines / f"sim_gpio{line}/pull").read_text() == "pull-up\n"

    def unplug(self):
        if self._config.exists():
            (self._config / "live").write_text("0")
            for folder in sorted(self._config.glob("**/"), reverse=True):
                folder.rmdir()

    def close(self):
        if hasattr(self, "_bus"):
            self._bus.close()
        self.unplug()


@pytest.fixture
def chip(load):
    load("gpio-sim")
    chip = Chip()
    yield chip
    chip.close()


@pytest.fixture
def gpiod():
    return pytest.importorskip("gpiod", reason="the Python package gpiod is not installed")


def tool(*words):
    """What a tool of libgpiod prints, and how it complains."""
    ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return ended.stdout.strip(), ended.stderr.strip()


class Running:
    """A tool that goes on until it is told to end."""

    def __init__(self, *words):
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, bufsize=1)

    def line(self):
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


def state(chip, line):
    """What hwctl says of a line that it does not hold."""
    (info,) = (one for one in survey(DEV, uapi.LinuxKernel()) if one.label == chip.label)
    fd = os.open(info.path, os.O_RDWR)
    found = uapi.line_info(uapi.LinuxKernel(), fd, line)
    os.close(fd)
    return found


# --- what there is ---------------------------------------------------------------------------


def test_the_same_chips(chip):
    ours = [f"{one.path.name} [{one.label}]" for one in survey(DEV, uapi.LinuxKernel())]
    theirs = [line.rpartition(" (")[0] for line in tool("gpiodetect")[0].splitlines()]
    assert f"{chip.name} [{chip.label}]" in ours
    assert sorted(ours) == sorted(theirs)


BIASES = {"floating": "bias-disabled", "up": "pull-up", "down": "pull-down"}


def test_the_same_lines_whoever_holds_them(chip):
    factory = chip.factory
    held = {"RELAY_PI0": "output", 5: "up", 6: "down", "FAN_TACH": "floating", 8: "input"}
    for name, what in held.items():
        pin = factory.pin(name)
        if what in BIASES:
            pin.input_with_pull(what)
        else:
            pin.function = what
    with Running("gpioset", "-l", "-m", "signal", chip.name, "9=1") as other:
        eventually_used(chip, 9)
        text, _ = tool("gpioinfo", chip.name)
        assert other.process.poll() is None
        ours = [told(state(chip, offset)) for offset in range(LINES)]
    head, *lines = text.splitlines()
    assert head == f"{chip.name} - {LINES} lines:"
    theirs = [re.sub(r"\s+", " ", line.partition(":")[2]).strip() for line in lines]
    assert theirs == ours
    assert '"RELAY_PI0" "hwctl" output active-high [used]' in ours
    assert 'unnamed "gpioset" output active-low [used]' in ours
    assert sum("pull-up" in one for one in ours) == 1


def eventually_used(chip, line):
    """As soon as another program has taken the line."""
    while not state(chip, line).flags & Flag.USED:
        os.sched_yield()


def told(info):
    """A line as gpioinfo 1.6 writes it, from what our own structures hold."""
    name = f'"{info.name.decode()}"' if info.name else "unnamed"
    used = info.flags & Flag.USED
    consumer = f'"{info.consumer.decode()}"' if used else "unused"
    direction = "output" if info.flags & Flag.OUTPUT else "input"
    active = "active-low" if info.flags & Flag.ACTIVE_LOW else "active-high"
    flags = ["used"] if used else []
    flags += [
        text
        for flag, text in (
            (Flag.BIAS_PULL_UP, "pull-up"),
            (Flag.BIAS_PULL_DOWN, "pull-down"),
            (Flag.BIAS_DISABLED, "bias-disabled"),
        )
        if info.flags & flag
    ]
    return " ".join([name, consumer, direction, active, *([f"[{' '.join(flags)}]"] * bool(flags))])


def test_libgpiod_2_sees_the_same_lines(chip, gpiod):
    factory = chip.factory
    factory.pin("RELAY_PI0").function = "output"
    factory.pin("FAN_TACH").input_with_pull("up")
    line = gpiod.line
    settings = gpiod.LineSettings(direction=line.Direction.OUTPUT, active_low=True)
    path = f"/dev/{chip.name}"
    with (
        gpiod.Chip(path) as theirs,
        gpiod.request_lines(path, consumer="other", config={9: settings}),
    ):
        about = theirs.get_info()
        assert (about.name, about.label, about.num_lines) == (chip.name, chip.label, LINES)
        for offset in range(LINES):
            ours, other = state(chip, offset), theirs.get_line_info(offset)
            assert (ours.name.decode(), ours.offset) == (other.name or "", other.offset)
            assert bool(ours.flags & Flag.USED) is other.used
            assert ours.consumer.decode() == (other.consumer or "")
            assert bool(ours.flags & Flag.OUTPUT) is (other.direction is line.Direction.OUTPUT)
            assert bool(ours.flags & Flag.ACTIVE_LOW) is other.active_low
            assert bool(ours.flags & Flag.BIAS_PULL_UP) is (other.bias is line.Bias.PULL_UP)
        assert theirs.line_offset_from_id("FAN_TACH") == factory.pin("FAN_TACH").info.number


# --- values, pulls, holders ------------------------------------------------------------------


@pytest.mark.parametrize("level", [False, True])
def test_the_same_levels(chip, level):
    for line in (4, 11):
        chip.pull(line, level)
    assert tool("gpioget", chip.name, "4", "11")[0] == f"{level:d} {level:d}"
    assert tool("gpioget", "-l", chip.name, "4")[0] == f"{not level:d}"
    assert [chip.factory.pin(line).state for line in (4, 11)] == [level, level]


@pytest.mark.parametrize("level", [False, True])
def test_what_one_drives_the_wire_shows(chip, level):
    chip.pull(4, not level)
    with Running("gpioset", "-m", "signal", chip.name, f"4={level:d}"):
        eventually_used(chip, 4)
        assert chip.level(4) is level
    assert chip.level(4) is not level, "gpio-sim lets a released line fall to its pull"
    relay = OutputDevice(4, initial_value=level, pin_factory=chip.factory)
    assert (chip.level(4), relay.value) == (level, int(level))


@pytest.mark.parametrize(("bias", "level"), [("up", True), ("down", False)])
def test_the_same_pulls(chip, bias, level):
    chip.pull(4, not level)
    assert tool("gpioget", "-B", f"pull-{bias}", chip.name, "4")[0] == f"{level:d}"
    assert chip.pulled_up(4) is level
    chip.pull(5, not level)
    pin = chip.factory.pin(5)
    pin.input_with_pull(bias)
    assert (pin.state, chip.pulled_up(5), pin.pull) == (level, level, bias)


def test_who_holds_a_line_is_named_both_ways(chip):
    with Running("gpioset", "-m", "signal", chip.name, "4=1"):
        eventually_used(chip, 4)
        with pytest.raises(DeviceBusyError, match='held by "gpioset"') as caught:
            chip.factory.pin(4)
        assert "stop gpioset" in caught.value.hint
    chip.factory.pin(4)
    for words in (("gpioget", chip.name, "4"), ("gpioset", chip.name, "4=1")):
        assert "busy" in tool(*words)[1]
    assert state(chip, 4).consumer == b"hwctl"


def test_libgpiod_2_is_kept_off_and_named_as_well(chip, gpiod):
    path = f"/dev/{chip.name}"
    with (
        gpiod.request_lines(path, consumer="labgrid", config={4: None}),
        pytest.raises(DeviceBusyError, match='held by "labgrid"'),
    ):
        chip.factory.pin(4)
    chip.factory.pin(4)
    with pytest.raises(OSError, match="busy"):
        gpiod.request_lines(path, consumer="labgrid", config={4: None})


# --- edges -----------------------------------------------------------------------------------


def test_edges_with_the_same_clock_and_fifty_pulses_are_fifty(chip):
    """Two lines, pulled in turn: one is ours, the other gpiomon's. Their times interleave."""
    fan = DigitalInputDevice("FAN_TACH", pull_up=False, pin_factory=chip.factory)
    seen = queue.Queue()

    def handler(ticks, level):
        seen.put((ticks, level))

    fan.pin.when_changed = handler
    words = ("gpiomon", "-b", "-F", "%e %s.%n", chip.name, "8")
    ours, theirs, times = [], [], []
    with Running(*words) as monitor:
        eventually_used(chip, 8)
        for level in (True, False) * 50:
            chip.pull(7, level)
            ours.append(seen.get(timeout=PATIENCE_S))
            chip.pull(8, level)
            kind, _, stamp = monitor.line().partition(" ")
            seconds, _, nanos = stamp.partition(".")
            theirs.append((int(seconds) + int(nanos) / 1e9, kind == "1"))
            times += [ours[-1][0], theirs[-1][0]]
    assert [level for _, level in ours] == [level for _, level in theirs] == [True, False] * 50
    assert all(before < after for before, after in pairwise(times))
    assert seen.empty()
    fan.close()


def test_libgpiod_2_counts_the_same_pulses(chip, gpiod):
    edges = gpiod.LineSettings(edge_detection=gpiod.line.Edge.RISING)
    tach = DigitalInputDevice("FAN_TACH", pull_up=False, pin_factory=chip.factory)
    seen = queue.Queue()
    tach.when_activated = lambda: seen.put(True)
    path = f"/dev/{chip.name}"
    theirs = []
    with gpiod.request_lines(path, consumer="other", config={8: edges}) as request:
        for _ in range(50):
            for line in (7, 8):
                chip.pull(line, True)
            assert seen.get(timeout=PATIENCE_S)
            assert request.wait_edge_events(PATIENCE_S)
            theirs += request.read_edge_events()
            for line in (7, 8):
                chip.pull(line, False)
    assert [event.line_seqno for event in theirs] == list(range(1, 51))
    assert seen.empty()
    tach.close()


# --- a chip that vanishes --------------------------------------------------------------------


class Rig:
    """A worker for each chip, as hwctl has it."""

    def __init__(self, *chips):
        self.clock = ManualClock()
        self.buses = KernelBuses()
        self.health, self.values, self.workers = [], {}, {}
        for name, chip in zip("ab", chips, strict=True):
            worker = BusWorker(
                name,
                Bus(kind="gpio", path=chip.label),
                self.buses,
                self.clock,
                self.take,
                self.health.append,
            )
            worker.add_device(f"relay-{name}", RELAY, RELAY.options(pin="GPIO4"))
            worker.poll(f"relay-{name}", name, lambda relay: relay.get(0), 1.0)
            self.workers[name] = worker

    def take(self, report):
        self.values[report.key] = report.error or report.value

    def run(self, seconds):
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)
            for worker in self.workers.values():
                worker.run_once()

    def switch(self, name, on):
        done = []
        device = f"relay-{name}"
        self.workers[name].order(device, "s", lambda relay: relay.set(0, on), done.append)
        self.workers[name].run_once()
        return done

    def close(self):
        for fd in self.buses.lines().values():
            os.close(fd)


def test_a_chip_that_vanishes_while_its_lines_are_held(chip, load):
    steady = Chip()
    rig = Rig(chip, steady)
    rig.run(2)
    assert rig.values == {"a": False, "b": False}
    assert rig.switch("a", True) == rig.switch("b", True) == [None]
    name = chip.name
    chip.unplug()
    rig.run(3)
    assert [(one.device, name in str(one.error)) for one in rig.health] == [("relay-a", True)]
    assert isinstance(rig.values["a"], BusError)
    (error,) = rig.switch("a", False)
    assert chip.label in str(error)
    assert f'{steady.name} "{steady.label}"' in error.hint, "those that are there are named"
    assert not any(line.startswith(f"{name}.") for line in rig.buses.lines())

    # The rest of the rig goes on.
    assert rig.switch("b", False) == [None]
    assert (steady.level(4), rig.values["b"]) == (False, False)
    rig.run(1)
    assert rig.values["b"] is False

    back = Chip(chip.label)
    rig.run(40)
    assert [(one.device, one.error is None) for one in rig.health][1:] == [("relay-a", True)]
    assert rig.switch("a", True) == [None]
    assert back.level(4)
    assert not steady.level(4)
    rig.close()
    for one in (back, steady):
        one.close()


def test_a_press_outlives_its_chip_no_better(chip):
    """The button is let go of when the chip is back, whatever it then finds."""
    bus = KernelBuses().open("a", Bus(kind="gpio", path=chip.label))
    made = BUTTON.open(bus, BUTTON.options(pin="GPIO4"))
    later = made.ask(0)
    assert chip.level(4)
    chip.unplug()
    with pytest.raises(BusError, match="may be held down") as caught:
        later.job(made)
    assert "GPIO4" in str(caught.value)
    assert "the chip is gone" in str(caught.value)
    bus.close()


# --- in anyone's program ---------------------------------------------------------------------

LAMP = """
from gpiozero import LED
led = LED("RELAY_PI0")
led.on()
print(led.value, flush=True)
input()
led.off()
print(led.value, led.pin_factory, flush=True)
input()
"""
BELL = """
from gpiozero import Button
from signal import pause
button = Button(5, bounce_time=0.001)
button.when_pressed = lambda: print("pressed", flush=True)
button.when_released = lambda: print("released", flush=True)
print("ready", flush=True)
pause()
"""


def program(text, folder, **env):
    """Anyone's program, in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", text],
        env={**os.environ, "GPIOZERO_PIN_FACTORY": "hwctl", **env},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("named", [True, False])
def test_anyones_led(chip, tmp_path, named):
    """``named``: by the variable; else it is the only chip there is."""
    with program(LAMP, tmp_path, **({"HWCTL_GPIOCHIP": chip.label} if named else {})) as lamp:
        assert lamp.stdout.readline() == "1\n", lamp.stderr.read()
        assert chip.level(3)
        lamp.stdin.write("\n")
        lamp.stdin.flush()
        assert lamp.stdout.readline() == f'0 <CdevFactory {chip.name} "{chip.label}">\n'
        assert not chip.level(3)
        _, complaints = lamp.communicate("\n", PATIENCE_S)
    assert (lamp.returncode, complaints) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_anyones_button(chip, tmp_path):
    with program(BELL, tmp_path, HWCTL_GPIOCHIP=chip.name) as bell:
        assert bell.stdout.readline() == "ready\n", bell.stderr.read()
        for level, word in ((False, "pressed"), (True, "released")) * 3:
            chip.pull(5, level)
            assert bell.stdout.readline() == f"{word}\n"
        bell.terminate()
        bell.communicate(timeout=PATIENCE_S)


def test_anyones_program_is_not_led_by_a_guess(chip, tmp_path):
    other = Chip()
    with program(LAMP, tmp_path) as lamp:
        _, complaints = lamp.communicate(timeout=PATIENCE_S)
    assert "several GPIO chips" in complaints
    other.close()
