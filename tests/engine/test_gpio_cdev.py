"""Lines through the factory: adopted, switched, watched, handed on.

Every test runs on the fake and, where there is one, on Linux's gpio-sim (see conftest.py).
"""

import os
import queue
import re

import pytest
from gpiozero import Button, DigitalInputDevice, OutputDevice
from gpiozero.exc import (
    PinEdgeDetectUnsupported,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinPWMUnsupported,
    PinSetInput,
    PinSPIUnsupported,
)

from hwctl.engine import gpio_uapi as uapi
from hwctl.model.errors import BusError, DeviceBusyError
from hwctl_drivers.gpio_relay import DRIVER as RELAY
from hwctl_drivers.gpio_relay import GpioRelayOptions

PATIENCE_S = 10.0
"""How long an edge may take to come through; only a failing test waits that long."""


class Gpio:
    def __init__(self, factory):
        self.factory = factory


# --- lines are adopted as they are -----------------------------------------------------------


@pytest.mark.parametrize("level", [False, True])
def test_looking_at_a_line_changes_nothing(bench, level):
    bench.push(2, level)
    pin = bench.factory().pin(2)
    assert (pin.state, pin.function, pin.pull) == (level, "input", "as-is")
    assert (bench.level(2), bench.changes(2)) == (level, [])


@pytest.mark.parametrize("level", [False, True])
def test_an_output_starts_at_the_level_the_line_has(bench, level):
    bench.push(2, level)
    pin = bench.factory().pin(2)
    pin.function = "output"
    assert (pin.function, pin.state, bench.level(2), bench.changes(2)) == (
        "output",
        level,
        level,
        [],
    )


@pytest.mark.parametrize("level", [False, True])
def test_level_and_direction_in_one_step(bench, level):
    bench.push(2, not level)
    pin = bench.factory().pin(2)
    pin.output_with_state(level)
    assert (pin.function, bench.level(2), bench.changes(2)) == ("output", level, [level])


def test_an_output_toggles(bench):
    pin = bench.factory().pin(2)
    pin.function = "output"
    for level in (True, False, True):
        pin.state = level
        assert (pin.state, bench.level(2)) == (level, level)
    assert bench.changes(2) == [True, False, True]


def test_an_active_low_relay_stays_off_until_it_is_switched(bench):
    bench.push(2, True)
    relay = OutputDevice(2, active_high=False, initial_value=None, pin_factory=bench.factory())
    assert (relay.value, bench.level(2), bench.changes(2)) == (0, True, [])
    relay.on()
    assert (relay.value, bench.level(2)) == (1, False)
    relay.off()
    assert (bench.level(2), bench.changes(2)) == (True, [False, True])


@pytest.mark.parametrize("level", [False, True])
def test_the_relay_driver_claims_without_an_edge(bench, level):
    bench.push(2, level)
    relay = RELAY.open(Gpio(bench.factory()), GpioRelayOptions(pin="GPIO2", active_low=True))
    relay.probe()
    assert (relay.get(), bench.changes(2)) == (not level, [])
    relay.set(0, level)
    assert (bench.level(2), bench.changes(2)) == (not level, [not level])


def test_closing_leaves_the_line(bench):
    factory = bench.factory()
    relay = OutputDevice(2, initial_value=True, pin_factory=factory)
    relay.close()
    factory.close()
    assert (bench.level(2), bench.changes(2)) == (True, [True])
    again = OutputDevice(2, initial_value=None, pin_factory=factory)
    assert (again.value, bench.changes(2)) == (1, [True])


def test_another_process_takes_the_line_over(bench):
    """What a service manager does between two runs: it keeps the descriptor."""
    before = bench.factory()
    before.pin(2).output_with_state(True)
    ((name, fd),) = before.fds().items()
    assert re.fullmatch(r"[!-9;-~]{1,255}", name), "as sd_notify(3) wants it"
    after = bench.factory()
    after.adopt(name, os.dup(fd))
    pin = after.pin(2)
    assert (pin.function, pin.state, bench.changes(2)) == ("output", True, [True])
    pin.state = False
    assert (bench.level(2), after.fds().keys()) == (False, {name})
    with pytest.raises(DeviceBusyError, match="held already"):
        after.adopt(name, fd)


def test_a_strangers_descriptor_is_not_taken_over(bench):
    factory, other = bench.factory(), bench.factory()
    factory.pin(2).output_with_state(True)
    chip = bench.names[0]
    own = factory.fds()[f"{chip}.2"]
    nothing = os.open("/dev/null", os.O_RDONLY)
    for name, fd, why in (
        (f"{chip}.2", nothing, "does not hold"),
        (f"{chip}.9", own, "does not hold"),
        ("gpiochip99.2", own, "no line of this chip"),
    ):
        with pytest.raises(BusError, match=why) as caught:
            other.adopt(name, fd)
        assert "restart it empty" in caught.value.hint
    os.close(nothing)
    assert (other.fds(), bench.level(2)) == ({}, True)


def test_the_kernel_tells_two_lines_of_one_process_apart(bench):
    if not bench.real:
        pytest.skip("needs a kernel that shows a line's number in /proc/self/fdinfo")
    factory, other = bench.factory(), bench.factory()
    factory.pin(2)
    factory.pin(9)
    fds = factory.fds()
    with pytest.raises(BusError, match="does not hold"):
        other.adopt(f"{bench.names[0]}.9", fds[f"{bench.names[0]}.2"])


# --- inputs, pulls, edges --------------------------------------------------------------------


@pytest.mark.parametrize(("pull", "level"), [("up", True), ("down", False)])
def test_pulls(bench, pull, level):
    bench.push(2, not level)
    pin = bench.factory().pin(2)
    pin.input_with_pull(pull)
    assert (pin.function, pin.pull, pin.state) == ("input", pull, level)
    assert (bench.pulled_up(2), bench.level(2)) == (level, level)
    pin.pull = "floating"
    assert (pin.pull, bench.level(2)) == ("floating", level)
    pin.function = "input"
    assert pin.pull == "floating", "the direction alone was asked for"


def listen(pin, edges="both", bounce=None):
    """:returns: the edges to come, and the handler, of which gpiozero keeps no strong reference."""
    seen = queue.Queue()

    def handler(ticks, state):
        seen.put((ticks, state))

    pin.function = "input"
    pin.bounce = bounce
    pin.edges = edges
    pin.when_changed = handler
    return seen, handler


def test_edges_come_with_the_kernels_time(bench):
    factory = bench.factory()
    seen, _handler = listen(factory.pin(2))
    last = 0.0
    for level in (True, False, True):
        bench.push(2, level)
        ticks, state = seen.get(timeout=PATIENCE_S)
        assert state is level
        assert last < ticks <= factory.ticks()
        last = ticks


@pytest.mark.parametrize("edges", ["rising", "falling"])
def test_one_kind_of_edge(bench, edges):
    factory = bench.factory()
    seen, _handler = listen(factory.pin(2), edges)
    guard, _other = listen(factory.pin(3))
    for level in (True, False):
        bench.push(2, level)
        bench.push(3, level)
        guard.get(timeout=PATIENCE_S)
    bench.push(2, edges == "rising")
    states = [seen.get(timeout=PATIENCE_S)[1] for _ in range(1 + (edges == "rising"))]
    assert states == [edges == "rising"] * len(states)
    assert seen.empty()


def test_fifty_pulses_of_a_tachometer_are_fifty(bench):
    fan = DigitalInputDevice(2, pull_up=False, pin_factory=bench.factory())
    seen = queue.Queue()
    fan.when_activated = lambda: seen.put(True)
    fan.when_deactivated = lambda: seen.put(False)
    for _ in range(50):
        for level in (True, False):
            bench.push(2, level)
            assert seen.get(timeout=PATIENCE_S) is level
    assert seen.empty()
    fan.close()


def test_after_closing_no_edges_come(bench):
    factory = bench.factory()
    first, _handler = listen(factory.pin(2))
    other, _also = listen(factory.pin(3))
    factory.pin(2).close()
    bench.push(2, True)
    bench.push(3, True)
    assert other.get(timeout=PATIENCE_S)[1] is True
    assert first.empty()
    again, _handler = listen(factory.pin(2))
    bench.push(2, False)
    assert again.get(timeout=PATIENCE_S)[1] is False, "and not what came before"


def test_a_handler_that_fails_stops_no_other(bench, caplog):
    factory = bench.factory()

    def fails(ticks, state):
        raise ZeroDivisionError

    pin = factory.pin(2)
    pin.function = "input"
    pin.when_changed = fails
    seen, _handler = listen(factory.pin(3))
    bench.push(2, True)
    bench.push(3, True)
    assert seen.get(timeout=PATIENCE_S)[1] is True
    bench.push(3, False)
    assert seen.get(timeout=PATIENCE_S)[1] is False
    assert "ZeroDivisionError" in caplog.text


def test_a_handler_that_is_gone_ends_the_events(bench):
    factory = bench.factory()
    _seen, handler = listen(factory.pin(2))
    other, _also = listen(factory.pin(3))
    del handler
    bench.push(2, True)
    bench.push(3, True)
    assert other.get(timeout=PATIENCE_S)[1] is True
    bench.push(3, False)
    assert other.get(timeout=PATIENCE_S)[1] is False
    assert factory.pin(2).when_changed is None


def test_a_button_with_a_bounce_time(bench):
    button = Button(2, pull_up=True, bounce_time=0.005, pin_factory=bench.factory())
    pressed = queue.Queue()
    button.when_pressed = lambda: pressed.put("pressed")
    button.when_released = lambda: pressed.put("released")
    bench.push(2, False)
    assert pressed.get(timeout=PATIENCE_S) == "pressed"
    bench.push(2, True)
    assert pressed.get(timeout=PATIENCE_S) == "released"
    assert button.pin.bounce == 0.005
    button.close()


def test_debouncing_is_the_kernels(bench):
    pin = bench.factory().pin(2)
    _seen, _handler = listen(pin, bounce=0.0125)
    info = bench.info(2)
    assert (info.num_attrs, info.attrs[0].id) == (1, uapi.ATTR_DEBOUNCE)
    assert info.attrs[0].debounce_period_us == 12_500
    pin.bounce = None
    assert bench.info(2).num_attrs == 0
    assert pin.when_changed is _handler


def test_an_output_is_never_turned_round_for_its_edges(bench):
    pin = bench.factory().pin(2)
    pin.output_with_state(True)
    for _ in range(2):
        with pytest.raises(PinEdgeDetectUnsupported, match="is an output"):
            pin.when_changed = print
    assert (pin.function, bench.level(2)) == ("output", True)


def test_an_input_with_events_can_become_an_output(bench):
    pin = bench.factory().pin(2)
    _seen, _handler = listen(pin)
    pin.function = "output"
    pin.state = True
    assert (pin.when_changed, pin.function, bench.level(2)) == (None, "output", True)


def test_what_cannot_be(bench):
    factory = bench.factory()
    pin = factory.pin(2)
    for error, name, value in (
        (PinSetInput, "state", True),
        (PinInvalidFunction, "function", "alt0"),
        (PinInvalidPull, "pull", "sideways"),
        (PinInvalidEdges, "edges", "all"),
        (PinInvalidBounce, "bounce", -0.1),
        (PinInvalidBounce, "bounce", 4295),
        (PinPWMUnsupported, "frequency", 100),
    ):
        with pytest.raises(error):
            setattr(pin, name, value)
    pin.function = "output"
    with pytest.raises(PinFixedPull):
        pin.pull = "up"
    with pytest.raises(PinSPIUnsupported):
        factory.spi(port=0, device=0)
    assert bench.changes(2) == []


def test_the_kernel_names_us_as_the_holder(bench):
    bench.factory().pin(2)
    assert bench.info(2).consumer == b"hwctl"


def test_a_chip_that_is_unplugged(bench):
    factory = bench.factory()
    pin = factory.pin(2)
    _seen, _handler = listen(pin)
    bench.unplug()
    with pytest.raises(BusError, match="the chip is gone") as caught:
        pin.state  # noqa: B018
    assert bench.names[1] in caught.value.hint
    with pytest.raises(BusError, match="the chip is gone"):
        factory.pin(3)
    factory.close()
    assert factory.pins == {}
