"""A button on the emulated board's lines, served by a bus worker; and its errors, on mock pins."""

import gc

import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from hwctl.engine.clock import ManualClock
from hwctl.engine.workers import BusWorker
from hwctl.model.drivers import Later
from hwctl.model.errors import BusError, DeviceBusyError, DeviceError
from hwctl.model.wiring import Bus
from hwctl_drivers.power_button import DRIVER, PowerButtonOptions
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.pins import EmulatedFactory
from hwctl_emulated.power_button import PowerButton as Board

PI_4B = 0xC03111
BUTTON, SENSE = 17, 27
KEYS = {"pin": "GPIO17", "sense": "J8:13"}


class Gpio:
    def __init__(self, factory):
        self.factory = factory


class Bench:
    """A board on a head's lines, and the worker of their bus."""

    def __init__(self, on=True, **options):
        self.options = PowerButtonOptions(**{**KEYS, **options})
        self.clock = ManualClock(100.0)
        self.lines = GpioLines()
        low = self.options.active_low
        self.lines.set_pull(BUTTON, "up" if low else "down")
        self.board = Board(
            self.lines,
            BUTTON,
            self.clock.now,
            active_low=low,
            sense=SENSE if self.options.sense else None,
            sense_active_low=self.options.sense_active_low,
            on=on,
        )
        self.done = []
        self.start()

    def start(self):
        """As hwctl does: the outlet is polled, and with that probed."""
        self.reports, self.health = [], []
        self.worker = BusWorker(
            "gpio", Bus(kind="gpio"), self, self.clock, self.reports.append, self.health.append
        )
        self.worker.add_device("button", DRIVER, self.options)
        self.worker.poll("button", "outlet/pi1", lambda button: button.get(0), 1.0)
        self.worker.run_once()

    def open(self, name, bus):
        return Gpio(EmulatedFactory(self.lines, PI_4B))

    def order(self, job, key="switch/pi1"):
        self.worker.order("button", key, job, self.done.append)
        self.worker.run_once()

    def run(self, seconds, step=0.05):
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.worker.run_once()

    @property
    def read(self):
        return [report.value for report in self.reports if report.key == "outlet/pi1"][-1]


POLARITIES = pytest.mark.parametrize("active_low", [False, True])
SENSES = pytest.mark.parametrize("sense_active_low", [False, True])


@POLARITIES
@SENSES
@pytest.mark.parametrize("on", [False, True])
def test_probing_presses_nothing_and_reads_the_sense_line(active_low, sense_active_low, on):
    bench = Bench(on, active_low=active_low, sense_active_low=sense_active_low)
    bench.run(3)
    assert (bench.board.relay(0), bench.board.presses, bench.read) == (on, [], on)
    assert bench.lines.function(BUTTON) == "output"


@POLARITIES
@SENSES
def test_off_is_one_long_press_and_on_a_short_one(active_low, sense_active_low):
    bench = Bench(active_low=active_low, sense_active_low=sense_active_low)
    bench.order(lambda button: button.set(0, False))
    assert bench.board.pressed
    assert bench.done == []
    bench.run(7)
    assert (bench.board.relay(0), bench.read, bench.done) == (False, False, [None])
    assert bench.board.presses == [pytest.approx(5.5, abs=0.1)]
    assert bench.board.halt_requests == 0
    bench.order(lambda button: button.set(0, True))
    bench.run(3)
    assert (bench.board.relay(0), bench.read, bench.done) == (True, True, [None, None])
    assert bench.board.presses[1:] == [pytest.approx(0.2, abs=0.1)]
    assert bench.board.halt_requests == 0


@pytest.mark.parametrize("on", [False, True])
def test_what_is_so_already_is_not_ordered_again(on):
    bench = Bench(on)
    bench.order(lambda button: button.set(0, on))
    bench.run(2)
    assert (bench.done, bench.board.presses) == ([None], [])


@pytest.mark.parametrize("sense", [None, "J8:13"])
def test_asking_is_a_short_press(sense):
    bench = Bench(sense=sense)
    bench.order(lambda button: button.ask(0))
    bench.run(2)
    assert (bench.done, bench.board.halt_requests) == ([None], 1)
    assert bench.board.relay(0), "it was asked, and not cut"


def test_a_node_that_is_off_is_not_asked():
    bench = Bench(on=False)
    bench.order(lambda button: button.ask(0))
    (error,) = bench.done
    assert type(error) is DeviceError
    assert "would start it" in str(error)
    bench.run(2)
    assert bench.board.presses == []


def test_without_a_sense_nothing_is_claimed_to_be_known():
    bench = Bench(on=False, sense=None)
    bench.run(2)
    assert bench.read is None
    bench.order(lambda button: button.set(0, True))
    bench.run(2)
    assert (bench.board.relay(0), bench.read) == (True, None)
    bench.order(lambda button: button.set(0, False))
    bench.run(7)
    assert (bench.board.relay(0), bench.read) == (False, None)


def test_what_it_can_depends_on_the_sense():
    assert DRIVER.reads_back(PowerButtonOptions(**KEYS))
    assert not DRIVER.reads_back(PowerButtonOptions(pin="GPIO17"))
    assert DRIVER.asks is True
    assert PowerButtonOptions(**KEYS).claims() == ("GPIO17", "J8:13")
    assert PowerButtonOptions(pin="GPIO17").claims() == ("GPIO17",)


def test_an_order_that_meets_a_held_button_lets_go_and_both_hear_of_it():
    bench = Bench()
    bench.order(lambda button: button.set(0, False), "switch/1")
    bench.run(2)
    bench.order(lambda button: button.ask(0), "switch/2")
    assert not bench.board.pressed
    assert [type(error) for error in bench.done] == [DeviceBusyError]
    bench.run(5)
    assert [type(error) for error in bench.done] == [DeviceBusyError, DeviceError]
    assert "cut short" in str(bench.done[1])
    assert bench.board.relay(0)


def test_a_press_that_outlived_its_presser_is_ended_by_probing():
    bench = Bench()
    bench.order(lambda button: button.set(0, False))
    bench.run(1)
    del bench.worker
    gc.collect()
    assert bench.board.pressed, "the line outlives who drives it"
    bench.start()
    assert not bench.board.pressed
    assert bench.board.presses == [pytest.approx(1.0, abs=0.1)]
    assert bench.board.relay(0)


@POLARITIES
def test_the_button_is_let_go_without_a_glitch_when_it_is_forgotten(active_low):
    bench = Bench(active_low=active_low)
    del bench.worker
    gc.collect()
    assert (bench.lines.function(BUTTON), bench.board.presses) == ("output", [])


class StickyPin(MockPin):
    """A pin that obeys only while its chip works."""

    works = True

    def _set_state(self, value):
        if not self.works:
            raise OSError(5, "Input/output error")
        super()._set_state(value)


@pytest.fixture
def button():
    factory = MockFactory(pin_class=StickyPin)
    made = DRIVER.open(Gpio(factory), PowerButtonOptions(pin="GPIO17"))
    made.probe()
    return made, factory.pin("GPIO17")


def test_a_release_that_fails_names_the_line_and_is_tried_again(button):
    made, pin = button
    later = made.ask(0)
    assert isinstance(later, Later)
    assert (later.after_s, pin.state) == (0.2, True)
    pin.works = False
    with pytest.raises(BusError, match="may be held down") as caught:
        later.job(made)
    assert "GPIO17" in str(caught.value)
    assert "GPIO17" in caught.value.hint
    assert caught.value.__cause__.__cause__.errno == 5
    with pytest.raises(BusError, match="may be held down"):
        made.get()
    assert pin.state
    pin.works = True
    assert made.get() is None
    assert not pin.state
    assert made.ask(0).job(made) is None
    assert not pin.state


def test_a_press_that_fails_is_let_go_of(button):
    made, pin = button
    pin.works = False
    with pytest.raises(BusError, match="chip failed"):
        made.set(0, True)
    pin.works = True
    pin.state = True  # whatever the chip made of it
    made.get()
    assert not pin.state


def test_a_claimed_line_is_in_nobody_elses_hands(button):
    _made, pin = button
    other = DRIVER.open(Gpio(pin.factory), PowerButtonOptions(pin="J8:11"))
    with pytest.raises(DeviceBusyError, match="holds the line") as caught:
        other.probe()
    assert "power button at J8:11" in str(caught.value)
    sensing = DRIVER.open(Gpio(pin.factory), PowerButtonOptions(pin="GPIO4", sense="J8:11"))
    with pytest.raises(DeviceBusyError, match="sense at J8:11"):
        sensing.probe()
