"""Lines and pins: what is latched stays, whoever comes and goes."""

import errno

import pytest
from gpiozero import Button, OutputDevice
from gpiozero.exc import GPIOPinInUse, PinInvalidPin, PinPWMUnsupported, PinSetInput

from hwctl.model.errors import ConfigError
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.pins import EmulatedFactory, board_revision, line_of

ZERO_2W = 0x902120


@pytest.fixture
def lines() -> GpioLines:
    return GpioLines()


@pytest.fixture
def factory(lines) -> EmulatedFactory:
    return EmulatedFactory(lines, ZERO_2W)


def test_power_up_pulls(lines):
    assert [lines.level(n) for n in range(28)] == [True] * 9 + [False] * 19
    assert lines.function(5) == "input"


def test_becoming_an_output_keeps_the_level_without_a_glitch(lines, factory):
    changes = []
    lines.watch(5, changes.append)
    device = OutputDevice("GPIO5", initial_value=None, pin_factory=factory)
    assert lines.function(5) == "output"
    assert device.value == 1
    assert changes == []


def test_an_output_is_adopted_as_it_was_latched(lines, factory):
    lines.drive(17, True)
    device = OutputDevice("J8:11", initial_value=None, pin_factory=factory)
    assert device.value == 1


def test_closing_leaves_the_line_as_it_is(lines, factory):
    device = OutputDevice("J8:11", pin_factory=factory)
    device.on()
    device.close()
    factory.close()
    assert (lines.function(17), lines.level(17)) == ("output", True)


def test_output_with_an_initial_value_has_no_glitch(lines, factory):
    changes = []
    lines.watch(5, changes.append)
    OutputDevice("GPIO5", active_high=False, initial_value=False, pin_factory=factory)
    assert changes == []
    assert lines.level(5)


def test_names_headers_and_reservations(factory):
    device = OutputDevice("BOARD11", pin_factory=factory)
    assert repr(device.pin) == "GPIO17"
    with pytest.raises(GPIOPinInUse):
        OutputDevice("J8:11", pin_factory=factory)
    with pytest.raises(PinInvalidPin):
        OutputDevice("J8:1", pin_factory=factory)
    with pytest.raises(PinInvalidPin):
        OutputDevice("J9:11", pin_factory=factory)


def test_a_button_sees_edges_from_outside(lines, factory):
    told = []

    def pressed() -> None:
        told.append("pressed")

    def released() -> None:
        told.append("released")

    button = Button("GPIO24", pull_up=True, pin_factory=factory)
    button.when_pressed = pressed
    button.when_released = released
    assert not button.is_pressed
    lines.push(24, False)
    assert button.is_pressed
    lines.push(24, None)
    assert told == ["pressed", "released"]
    button.close()
    lines.push(24, False)
    assert told == ["pressed", "released"]


def test_one_edge_only(lines, factory):
    pin = factory.pin("GPIO24")
    seen = []

    class Listener:
        def heard(self, _ticks: float, state: bool) -> None:
            seen.append(state)

    listener = Listener()
    pin.edges = "rising"
    pin.when_changed = listener.heard
    lines.push(24, True)
    lines.push(24, False)
    assert seen == [True]


def test_inputs_cannot_be_driven_and_there_is_no_pwm(factory):
    pin = factory.pin("GPIO24")
    with pytest.raises(PinSetInput):
        pin.state = True
    with pytest.raises(PinPWMUnsupported):
        pin.frequency = 100


def test_a_head_without_power_drives_nothing(lines, factory):
    device = OutputDevice("J8:11", pin_factory=factory)
    device.on()
    lines.powered = False
    lines.power_on()
    assert not lines.level(17)
    with pytest.raises(OSError, match=rf"\[Errno {errno.EIO}\]"):
        lines.drive(17, True)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Raspberry Pi Zero 2 W", "Zero2W"),
        ("Raspberry Pi 4B", "4B"),
        ("Raspberry Pi 4 Model B", "4B"),
        ("Raspberry Pi 5", "5B"),
        ("Raspberry Pi 3B+", "3B+"),
        ("Raspberry Pi CM4", "CM4"),
    ],
)
def test_boards_are_those_that_gpiozero_knows(lines, model, name):
    factory = EmulatedFactory(lines, board_revision(model))
    assert factory.board_info.model == name
    assert factory.board_info.soc != "Unknown"


def test_revision_wins_and_an_unknown_board_is_named():
    assert board_revision("whatever", 0xA02082) == 0xA02082
    with pytest.raises(ConfigError, match="RockPro64") as caught:
        board_revision("RockPro64")
    assert "revision" in caught.value.hint


def test_line_numbers():
    assert line_of("J8:7", ZERO_2W) == 4
    assert line_of("GPIO17", ZERO_2W) == 17
    assert line_of("J8:1", ZERO_2W) is None
    assert line_of("nonsense", ZERO_2W) is None
