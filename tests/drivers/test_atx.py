"""An ATX supply on the emulated board's lines; and its errors, on mock pins."""

import pytest
from gpiozero.pins.mock import MockFactory

from hwctl.engine.clock import ManualClock
from hwctl.model.errors import DeviceBusyError, DeviceNotFoundError
from hwctl_drivers.atx import DRIVER, AtxOptions
from hwctl_emulated.atx import AtxSupply
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.pins import EmulatedFactory

PI_4B = 0xC03111
PS_ON, POWER_OK = 17, 27


class Gpio:
    def __init__(self, factory):
        self.factory = factory


class Bench:
    def __init__(self, sense="J8:13", **options):
        self.options = AtxOptions(pin="J8:11", sense=sense, **options)
        self.clock = ManualClock(10.0)
        self.lines = GpioLines()
        self.edges = []
        self.lines.set_pull(PS_ON, "up" if self.options.active_low else "down")
        self.supply = AtxSupply(
            self.lines,
            PS_ON,
            self.clock.now,
            active_low=self.options.active_low,
            sense=POWER_OK if sense else None,
            sense_active_low=self.options.sense_active_low,
        )
        self.lines.watch(PS_ON, self.edges.append)
        self.atx = self.opened()

    def opened(self):
        return DRIVER.open(Gpio(EmulatedFactory(self.lines, PI_4B)), self.options)

    def wait(self, seconds):
        self.clock.advance(seconds)
        return self.supply.relay(0)


@pytest.mark.parametrize("active_low", [False, True])
@pytest.mark.parametrize("sense_active_low", [False, True])
def test_on_and_off_with_power_ok(active_low, sense_active_low):
    bench = Bench(active_low=active_low, sense_active_low=sense_active_low)
    bench.atx.probe()
    assert (bench.supply.relay(0), bench.atx.get(), bench.edges) == (False, False, [])
    for _ in range(2):
        bench.atx.set(0, True)
        assert bench.wait(0.05), "the rails are up"
        assert bench.atx.get() is False, "but not yet good"
        assert bench.wait(0.5)
        assert bench.atx.get() is True
        bench.atx.set(0, False)
        assert (bench.atx.get(), bench.supply.relay(0)) == (False, False)
    assert bench.edges == [on is not active_low for on in (True, False, True, False)]


@pytest.mark.parametrize("active_low", [False, True])
def test_without_power_ok_the_line_is_read_back(active_low):
    bench = Bench(sense=None, active_low=active_low)
    assert bench.atx.get() is False
    bench.atx.set(0, True)
    assert (bench.atx.get(), bench.supply.relay(0)) == (True, True)
    bench.lines.drive(PS_ON, active_low)
    assert bench.atx.get() is False, "read back, not remembered"


@pytest.mark.parametrize("on", [False, True])
def test_a_supply_is_adopted_as_it_is(on):
    bench = Bench()
    bench.atx.set(0, on)
    bench.wait(1)
    bench.edges.clear()
    again = bench.opened()
    again.probe()
    assert (again.get(), bench.supply.relay(0), bench.edges) == (on, on, [])


def test_a_supply_that_protects_itself_is_not_called_on():
    bench = Bench()
    bench.atx.set(0, True)
    bench.wait(1)
    bench.supply.trip()
    assert bench.atx.get() is False
    bench.atx.set(0, True)
    assert not bench.wait(1)
    assert bench.atx.get() is False
    bench.atx.set(0, False)
    bench.atx.set(0, True)
    assert bench.wait(1)
    assert bench.atx.get() is True


def test_mains_that_come_back_find_the_line_as_it_was():
    bench = Bench()
    bench.atx.set(0, True)
    bench.wait(1)
    bench.supply.power_on()
    assert bench.atx.get() is False
    bench.wait(1)
    assert bench.atx.get() is True


def test_both_pins_are_claimed():
    assert DRIVER.reads_back is True
    assert AtxOptions(pin="J8:11", sense="J8:13").claims() == ("J8:11", "J8:13")
    factory = MockFactory()
    first = DRIVER.open(Gpio(factory), AtxOptions(pin="J8:11", sense="J8:13"))
    first.probe()
    with pytest.raises(DeviceBusyError, match="sense at GPIO27"):
        DRIVER.open(Gpio(factory), AtxOptions(pin="J8:15", sense="GPIO27")).get()
    with pytest.raises(DeviceNotFoundError, match="ATX supply at J8:99"):
        DRIVER.open(Gpio(factory), AtxOptions(pin="J8:99")).set(0, True)
    assert first.get() is False
