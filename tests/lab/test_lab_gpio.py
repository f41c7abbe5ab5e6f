"""Relays and tachometers on the kernel's gpio-sim, opened as hwctl opens a wiring's GPIO bus.

What pulls at a line from outside and what level it has is written to and read from gpio-sim's
side. The pin factory's own tests (tests/engine) run in the lab as well.
"""

import os
import queue
import threading
import uuid
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero import DigitalInputDevice

from hwctl.engine.buses import KernelBuses
from hwctl.model.errors import BusError, DeviceBusyError
from hwctl.model.wiring import Bus
from hwctl_drivers.gpio_relay import DRIVER as RELAY

SIM = Path("/sys/kernel/config/gpio-sim")
PATIENCE_S = 10.0


class Chip:
    """One simulated chip of 16 lines, with a label as the wiring names it."""

    def __init__(self):
        self.label = f"lab-{uuid.uuid4().hex[:8]}"
        self._config = SIM / self.label
        bank = self._config / "bank0"
        (bank / "line3").mkdir(parents=True)
        (bank / "line3" / "name").write_text("RELAY_PI0")
        (bank / "num_lines").write_text("16")
        (bank / "label").write_text(self.label)
        (self._config / "live").write_text("1")
        self.name = (bank / "chip_name").read_text().strip()
        device = (self._config / "dev_name").read_text().strip()
        self._lines = Path("/sys/devices/platform") / device / self.name
        self._factories = []

    def open(self):
        bus = KernelBuses().open("gpio", Bus(kind="gpio", path=self.label))
        self._factories.append(bus.factory)
        return bus

    def level(self, line):
        return (self._lines / f"sim_gpio{line}/value").read_text() == "1\n"

    def pull(self, line, level):
        (self._lines / f"sim_gpio{line}/pull").write_text("pull-up" if level else "pull-down")

    def pulled_up(self, line):
        return (self._lines / f"sim_gpio{line}/pull").read_text() == "pull-up\n"

    def close(self):
        for factory in self._factories:
            factory.close()
            factory._chip.close()
            for fd in factory.fds().values():
                os.close(fd)
        (self._config / "live").write_text("0")
        for folder in sorted(self._config.glob("**/"), reverse=True):
            folder.rmdir()


@pytest.fixture
def chip():
    chip = Chip()
    yield chip
    chip.close()


def relay_on(chip, **options):
    return RELAY.open(chip.open(), RELAY.options(**options))


@pytest.mark.parametrize("contact", ["normally-open", "normally-closed"])
@pytest.mark.parametrize("active_low", [False, True])
@pytest.mark.parametrize("found_high", [False, True])
def test_a_relay_of_each_polarity_and_contact(chip, active_low, contact, found_high):
    chip.pull(3, found_high)
    relay = relay_on(chip, pin="RELAY_PI0", active_low=active_low, contact=contact)
    # A node is on while the coil that its contact opens is not energised, or one that closes is.
    on_is_high = active_low == (contact == "normally-closed")
    relay.probe()
    assert chip.level(3) is found_high, "claimed as it is"
    assert relay.get() is (found_high == on_is_high)
    for on in (True, False, True):
        relay.set(0, on)
        assert relay.get() is on
        assert chip.level(3) is (on == on_is_high)


def test_a_driven_relay_does_not_feel_the_pull(chip):
    relay = relay_on(chip, pin="GPIO4", active_low=True)
    relay.probe()
    relay.set(0, True)
    for level in (True, False):
        chip.pull(4, level)
        assert (chip.level(4), relay.get()) == (False, True)


def test_the_kernel_shows_who_holds_the_relay_and_keeps_others_off(chip):
    relay_on(chip, pin="RELAY_PI0").probe()
    held = Path("/sys/kernel/debug/gpio").read_text().partition(f"{chip.name}:")[2]
    (line,) = (line for line in held.splitlines() if "RELAY_PI0" in line)
    assert "hwctl" in line
    with pytest.raises(DeviceBusyError, match='held by "hwctl"'):
        relay_on(chip, pin="RELAY_PI0").probe()


def test_a_label_that_no_chip_has_names_those_that_are_there(chip):
    with pytest.raises(BusError, match="pinctrl-bcm2711") as caught:
        KernelBuses().open("gpio", Bus(kind="gpio", path="pinctrl-bcm2711"))
    assert f'{chip.name} "{chip.label}"' in caught.value.hint
    assert "gpio (pinctrl-bcm2711)" in caught.value.where


def test_a_tachometer_keeps_its_time_while_its_reader_is_late(chip):
    """Speed is counted from the kernel's timestamps, so it does not depend on who reads when."""
    factory = chip.open().factory
    tach = DigitalInputDevice(7, pull_up=True, pin_factory=factory)
    assert chip.pulled_up(7)
    seen, late = queue.Queue(), threading.Event()

    def handler(ticks, state):
        late.wait(PATIENCE_S)
        seen.put((ticks, state))

    tach.pin.when_changed = handler
    levels, starts = (False, True) * 8, []
    for level in levels:
        starts.append(factory.ticks())
        chip.pull(7, level)
        # gpio-sim raises its interrupt a moment later; two at once become one.
        while factory.ticks() - starts[-1] < 0.02:
            pass
    starts.append(factory.ticks())
    late.set()
    edges = [seen.get(timeout=PATIENCE_S) for _ in levels]
    assert tuple(state for _ticks, state in edges) == levels
    for (ticks, _state), (before, after) in zip(edges, pairwise(starts), strict=True):
        assert before < ticks < after
    tach.close()
