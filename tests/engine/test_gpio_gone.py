"""A chip that vanishes under its worker and comes back; and a wiring's word on the board.

The chips are those of the fake kernel; the kernel lab does the same with gpio-sim.
"""

import errno

import pytest

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.buses import KernelBuses, KernelGpio
from hwctl.engine.clock import ManualClock
from hwctl.engine.gpio_cdev import CdevFactory
from hwctl.engine.workers import BusWorker
from hwctl.model.errors import BusError
from hwctl.model.wiring import Bus
from hwctl_drivers.gpio_relay import DRIVER as RELAY
from hwctl_drivers.power_button import DRIVER as BUTTON

PATH = "expander"


class Rig:
    """A worker with a relay and a button on one chip, and what KernelBuses would do for it."""

    def __init__(self, machine):
        self.machine = machine
        self.open_factories = []
        self.clock = ManualClock()
        self.reports, self.health = [], []
        self.worker = BusWorker(
            "gpio2",
            Bus(kind="gpio", path=PATH),
            self,
            self.clock,
            self.reports.append,
            self.health.append,
        )
        self.worker.add_device("relay", RELAY, RELAY.options(pin="GPIO4"))
        self.worker.add_device("button", BUTTON, BUTTON.options(pin="GPIO5"))
        for device in ("relay", "button"):
            self.worker.poll(device, device, lambda device: device.get(0), 1.0)

    def open(self, name, bus):
        factory = CdevFactory(bus.path, dev=self.machine.dev, kernel=self.machine)
        self.open_factories.append(factory)
        return KernelGpio(factory, self.open_factories.remove)

    def run(self, seconds):
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)
            self.worker.run_once()

    def order(self, device, job):
        done = []
        self.worker.order(device, "order", job, done.append)
        self.worker.run_once()
        return done

    def last(self, device):
        return [report for report in self.reports if report.key == device][-1]


@pytest.fixture
def rig(machine):
    machine.add("gpiochip2", PATH)
    rig = Rig(machine)
    rig.run(2)
    assert rig.last("relay").value is False
    yield rig
    for factory in rig.open_factories:
        factory.let_go()
    for name in machine.chips:
        machine.unplug(name)


def plug_in(machine, name):
    """Another chip of that label."""
    for old in machine.dev.iterdir():
        old.unlink()
    machine.chips.clear()
    machine.denied.clear()
    return machine.add(name, PATH)


def test_a_chip_that_is_gone_is_named_let_go_and_opened_when_it_is_back(rig, machine):
    (first,) = rig.open_factories
    machine.unplug("gpiochip2")
    rig.run(3)
    for device in ("relay", "button"):
        error = rig.last(device).error
        assert isinstance(error, BusError)
    assert [health.device for health in rig.health] == ["relay", "button"]
    assert "gpiochip2" in str(rig.health[0].error)
    assert "the chip is gone" in str(rig.health[0].error)
    assert rig.open_factories == [], "nothing offers its dead lines to a service manager"
    assert first.fds() == {}
    (error,) = rig.order("relay", lambda relay: relay.set(0, True))
    assert PATH in str(error)

    lines = plug_in(machine, "gpiochip3")
    rig.run(40)
    assert (rig.last("relay").value, rig.last("relay").error) == (False, None)
    assert [health.error is None for health in rig.health] == [False, False, True, True]
    assert rig.order("relay", lambda relay: relay.set(0, True)) == [None]
    assert lines[4].level
    assert rig.open_factories[0].fds().keys() == {"gpiochip3.4", "gpiochip3.5"}


def test_a_chip_that_goes_while_a_button_is_pressed(rig, machine):
    done = rig.order("button", lambda button: button.ask(0))
    assert done == []
    machine.unplug("gpiochip2")
    rig.run(1)
    (error,) = done
    assert isinstance(error, BusError)
    lines = plug_in(machine, "gpiochip2")
    lines[5].push(True, 0)
    rig.run(40)
    assert not lines[5].level, "found pressed, and let go"
    assert rig.open_factories[0].fds().keys() == {"gpiochip2.4", "gpiochip2.5"}


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EIO, errno.EREMOTEIO])
def test_any_other_failure_lets_go_of_nothing(rig, machine, number):
    """ENODEV, too, is one of them while the chip itself answers."""
    held = rig.open_factories[0].fds()
    machine.denied["gpiochip2", uapi.GET_VALUES] = number
    rig.run(10)
    assert isinstance(rig.last("relay").error, BusError)
    machine.denied.clear()
    rig.run(40)
    assert rig.last("relay").error is None
    assert rig.open_factories[0].fds() == held


def test_the_wirings_revision_is_for_the_header_only(machine, tmp_path):
    machine.add("gpiochip0", "pinctrl-bcm2835", 54)
    machine.add("gpiochip1", PATH)
    options = {"dev": machine.dev, "kernel": machine, "device_tree": tmp_path}
    header = CdevFactory("pinctrl-bcm2835", header_revision=0x902120, **options)
    other = CdevFactory(PATH, header_revision=0x902120, **options)
    assert "J8" in header.board_info.headers
    assert "J8" not in other.board_info.headers
    for factory in (header, other):
        factory.let_go()


def test_kernel_buses_without_chips_say_so():
    with pytest.raises(BusError, match="no GPIO chip is labelled") as caught:
        KernelBuses(revision=0x902120).open("gpio", Bus(kind="gpio", path="lab-none"))
    assert caught.value.where == "gpio (lab-none)"
