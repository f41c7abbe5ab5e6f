"""On gpiozero's mock pins, whose every edge is noted."""

import errno
import gc

import pytest
from gpiozero import BadPinFactory
from gpiozero.pins.mock import MockFactory, MockPin

from hwctl.model.errors import BusError, DeviceBusyError, DeviceNotFoundError
from hwctl_drivers.gpio_relay import DRIVER, GpioRelayOptions


class Chip:
    def __init__(self):
        self.factory = MockFactory()

    def pin(self, name="J8:11"):
        return self.factory.pin(name)


class NoChip:
    """A chip that cannot be had."""

    def __init__(self, error):
        self.error = error

    @property
    def factory(self):
        raise self.error


@pytest.fixture
def chip():
    return Chip()


def opened(chip, pin="J8:11", **options):
    return DRIVER.open(chip, GpioRelayOptions(pin=pin, **options))


def edges(pin):
    return [state.state for state in pin.states][1:]


def test_opening_touches_nothing(chip):
    opened(chip)
    assert chip.factory.pins == {}


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("active_low", [False, True])
@pytest.mark.parametrize("contact", ["normally-open", "normally-closed"])
def test_a_line_that_is_driven_is_adopted_without_an_edge(chip, level, active_low, contact):
    pin = chip.pin()
    pin.function = "output"
    pin.state = level
    pin.clear_states()
    relay = opened(chip, active_low=active_low, contact=contact)
    relay.probe()
    relay.probe()
    assert relay.get() == (level is (active_low is (contact == "normally-closed")))
    assert (pin.function, pin.state, edges(pin)) == ("output", level, [])


@pytest.mark.parametrize("pull", ["up", "down"])
def test_a_line_nobody_drives_is_claimed_at_the_level_its_pull_gives(chip, pull):
    pin = chip.pin()
    pin.pull = pull
    pin.clear_states()
    opened(chip).probe()
    assert (pin.function, pin.state, edges(pin)) == ("output", pull == "up", [])


class LatchedPin(MockPin):
    """A pin whose chip remembers an output level of its own, low here, behind the input."""

    def _set_function(self, value):
        super()._set_function(value)
        if value == "output":
            self._change_state(False)

    def output_with_state(self, state):
        self._function = "output"
        self._change_state(state)


def test_what_the_chip_last_drove_does_not_show_on_the_line(chip):
    """An active-low relay that its pull-up holds off must not click when it is claimed."""
    pin = chip.factory.pin("J8:11", pin_class=LatchedPin)
    pin.pull = "up"
    pin.clear_states()
    relay = opened(chip, active_low=True)
    relay.probe()
    assert relay.get() is False
    assert (pin.function, edges(pin)) == ("output", [])


@pytest.mark.parametrize(
    ("active_low", "contact", "high_when_on"),
    [
        (False, "normally-open", True),
        (True, "normally-open", False),
        (False, "normally-closed", False),
        (True, "normally-closed", True),
    ],
)
def test_on_and_off_at_either_polarity_and_contact(chip, active_low, contact, high_when_on):
    relay = opened(chip, active_low=active_low, contact=contact)
    for on in (True, False, True):
        relay.set(0, on)
        assert chip.pin().state is (on is high_when_on)
        assert relay.get() is on


def test_the_pin_is_read_back_not_remembered(chip):
    relay = opened(chip)
    relay.set(0, True)
    chip.pin().state = False
    assert DRIVER.reads_back
    assert relay.get() is False


def test_a_relay_that_is_forgotten_leaves_its_line_alone(chip):
    relay = opened(chip)
    relay.set(0, True)
    chip.pin().clear_states()
    del relay
    gc.collect()
    assert (chip.pin().function, chip.pin().state, edges(chip.pin())) == ("output", True, [])
    again = opened(chip)
    again.probe()
    assert again.get() is True
    assert edges(chip.pin()) == []


def test_one_line_is_not_claimed_twice(chip):
    first, second = opened(chip), opened(chip, pin="GPIO17")
    first.probe()
    with pytest.raises(DeviceBusyError, match="holds the line") as caught:
        second.probe()
    assert "gpioinfo" in caught.value.hint
    assert first.get() is False


def test_a_line_that_became_an_input_is_reported(chip):
    relay = opened(chip)
    relay.probe()
    chip.pin().function = "input"
    with pytest.raises(DeviceBusyError) as caught:
        relay.set(0, True)
    assert caught.value.__cause__ is not None


def test_a_pin_that_the_board_lacks(chip):
    with pytest.raises(DeviceNotFoundError) as caught:
        opened(chip, pin="J8:99").probe()
    assert "J8:99" in caught.value.where


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadPinFactory("none"), BusError),
        (OSError(errno.EBUSY, "busy"), DeviceBusyError),
        (OSError(errno.EACCES, "denied"), BusError),
    ],
)
def test_a_chip_that_cannot_be_had(error, kind):
    with pytest.raises(kind) as caught:
        opened(NoChip(error)).get()
    assert caught.value.__cause__ is error
    assert caught.value.hint


def test_what_the_bus_itself_reports_is_passed_on():
    error = BusError("gone", where="gpio")
    with pytest.raises(BusError) as caught:
        opened(NoChip(error)).probe()
    assert caught.value is error
