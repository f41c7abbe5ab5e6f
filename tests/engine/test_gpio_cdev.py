"""The same tests on a kernel of our own making and, where there is one, on Linux's gpio-sim.

The fake refuses what gpiolib-cdev.c refuses, and does with a line what gpio-sim does with it; the
tests that run on both keep it honest. Those on gpio-sim need root, `modprobe gpio-sim` and configfs.
"""

import errno
import grp
import os
import queue
import re
import uuid
from pathlib import Path

import pytest
from gpiozero import Button, DigitalInputDevice, GPIOPinInUse, OutputDevice
from gpiozero.exc import (
    PinEdgeDetectUnsupported,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPin,
    PinInvalidPull,
    PinPWMUnsupported,
    PinSetInput,
    PinSPIUnsupported,
)

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.gpio_cdev import CdevFactory, pi_revision
from hwctl.engine.gpio_uapi import Flag
from hwctl.model.drivers import Driver
from hwctl.model.errors import BusError, DeviceBusyError
from hwctl_drivers.gpio_relay import DRIVER as RELAY
from hwctl_drivers.gpio_relay import GpioRelayOptions

PI_4B = 0xC03112
PATIENCE_S = 10.0
"""How long an edge may take to come through; only a failing test waits that long."""
SIM = Path("/sys/kernel/config/gpio-sim")
TRACING = Path("/sys/kernel/tracing")


class FakeLine:
    def __init__(self):
        self.name = self.consumer = ""
        self.flags = Flag(0)
        self.output = self.level = self.pulled_up = False
        self.debounce_us = 0
        self.sink = -1
        self.edges = 0
        self.drives = []

    def set(self, level):
        if level != self.level:
            self.level = level
            self.drives.append(level)

    def push(self, level, stamp_ns):
        """What is wired to the line pulls it."""
        self.pulled_up = level
        if self.output or level == self.level:
            return
        self.level = level
        if self.flags & (Flag.EDGE_RISING if level else Flag.EDGE_FALLING):
            self.edges += 1
            os.write(
                self.sink,
                uapi.LineEvent(timestamp_ns=stamp_ns, id=1 if level else 2, line_seqno=self.edges),
            )


class FakeKernel:
    """A kernel whose GPIO chips are regular files in a folder."""

    def __init__(self, dev):
        self.dev = dev
        self.chips = {}
        """device name -> (label, lines)"""
        self.denied = {}
        """(device name, request or "open") -> errno"""
        self.held = {}
        """descriptor's inode -> line"""
        self.now_ns = 0

    def add(self, name, label, lines=32):
        (self.dev / name).touch()
        self.chips[name] = (label, [FakeLine() for _ in range(lines)])
        return self.chips[name][1]

    def open(self, path):
        self._deny(Path(path).name, "open")
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, fd, request, argument):
        line = self.held.get(os.fstat(fd).st_ino)
        if line:
            self._deny(line.chip, request)
            return self._line(line, request, argument)
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        self._deny(name, request)
        if name not in self.chips:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        label, lines = self.chips[name]
        if request == uapi.GET_CHIPINFO:
            argument.name, argument.label = name.encode(), label.encode()
            argument.lines = len(lines)
            return None
        return self._chip(name, lines, request, argument)

    def _chip(self, name, lines, request, argument):
        offset = argument.offset if request == uapi.GET_LINEINFO else argument.offsets[0]
        refuse(errno.EINVAL, offset >= len(lines))
        line = lines[offset]
        if request == uapi.GET_LINEINFO:
            argument.name, argument.consumer = line.name.encode(), line.consumer.encode()
            direction = Flag.OUTPUT if line.output else Flag.INPUT
            used = Flag.USED if line.consumer else Flag(0)
            argument.flags = line.flags | direction | used
            return
        assert request == uapi.GET_LINE
        refuse(errno.EBUSY, line.consumer)
        refuse(errno.EINVAL, argument.num_lines != 1)
        line.chip = name
        line.consumer = argument.consumer.decode()
        source, line.sink = os.pipe2(os.O_CLOEXEC)
        self.held[os.fstat(source).st_ino] = line
        argument.fd = source
        self._configure(line, argument.config)

    def _line(self, line, request, argument):
        if request == uapi.GET_VALUES:
            argument.bits = int(line.level)
        elif request == uapi.SET_VALUES:
            refuse(errno.EPERM, not line.output)
            line.set(bool(argument.bits & 1))
        else:
            assert request == uapi.SET_CONFIG
            self._configure(line, argument)

    def _configure(self, line, config):
        """gpio_v2_line_config_validate, then linereq_set_config."""
        flags = Flag(config.flags)
        attributes = {one.attr.id: one.attr for one in config.attrs[: config.num_attrs]}
        directions = flags & (Flag.INPUT | Flag.OUTPUT)
        refuse(errno.EINVAL, directions == Flag.INPUT | Flag.OUTPUT)
        refuse(errno.EINVAL, flags & uapi.BIAS and not directions)
        refuse(errno.EINVAL, (flags & uapi.BIAS).bit_count() > 1)
        refuse(errno.EINVAL, flags & uapi.EDGES and not flags & Flag.INPUT)
        refuse(errno.EINVAL, uapi.ATTR_DEBOUNCE in attributes and not flags & Flag.INPUT)
        line.flags = flags & (uapi.BIAS | uapi.EDGES)
        if not directions:
            return
        if flags & (Flag.BIAS_PULL_UP | Flag.BIAS_PULL_DOWN):
            line.pulled_up = bool(flags & Flag.BIAS_PULL_UP)
        line.output = bool(flags & Flag.OUTPUT)
        if line.output:
            value = attributes.get(uapi.ATTR_OUTPUT_VALUES)
            line.set(bool(value and value.values & 1))
        else:
            line.set(line.pulled_up)
        debounce = attributes.get(uapi.ATTR_DEBOUNCE)
        line.debounce_us = debounce.debounce_period_us if debounce else 0

    def _deny(self, name, request):
        refuse(self.denied.get((name, request), 0), (name, request) in self.denied)


def refuse(number, condition):
    if condition:
        raise OSError(number, os.strerror(number))


class FakeBench:
    """Two chips, seen from the side where the wires are."""

    def __init__(self, folder, names):
        self.kernel = FakeKernel(folder)
        self.names = ["gpiochip0", "gpiochip1"]
        self._lines = [self.kernel.add(name, f"bench-{name}") for name in self.names]
        for offset, name in names.items():
            self._lines[0][offset].name = name

    def factory(self, chip=0, **options):
        return CdevFactory(self.names[chip], dev=self.kernel.dev, kernel=self.kernel, **options)

    def chip_path(self, chip=0):
        return str(self.kernel.dev / self.names[chip])

    def level(self, offset, chip=0):
        return self._lines[chip][offset].level

    def push(self, offset, level, chip=0):
        self.kernel.now_ns += 1_000_000
        self._lines[chip][offset].push(level, self.kernel.now_ns)

    def pulled_up(self, offset, chip=0):
        return self._lines[chip][offset].pulled_up

    def changes(self, offset, chip=0):
        """The levels that the head drove the line to, as far as they changed anything."""
        return self._lines[chip][offset].drives

    def close(self):
        for _label, lines in self.kernel.chips.values():
            for line in lines:
                if line.sink >= 0:
                    os.close(line.sink)


class SimBench:
    """The same, on gpio-sim. What was driven is told by the kernel's own tracing."""

    def __init__(self, names):
        self.kernel = uapi.LinuxKernel()
        self._configs, self.names, self._folders, self._bases = [], [], [], []
        for chip in range(2):
            config = SIM / f"hwctl-{uuid.uuid4().hex[:8]}"
            bank = config / "bank0"
            bank.mkdir(parents=True)
            (bank / "num_lines").write_text("32")
            for offset, name in {} if chip else names.items():
                (bank / f"line{offset}").mkdir()
                (bank / f"line{offset}" / "name").write_text(name)
            (config / "live").write_text("1")
            name = (bank / "chip_name").read_text().strip()
            device = (config / "dev_name").read_text().strip()
            self._configs.append(config)
            self.names.append(name)
            self._folders.append(Path("/sys/devices/platform") / device / name)
            about = Path("/sys/kernel/debug/gpio").read_text()
            self._bases.append(int(re.search(rf"^{name}: GPIOs (\d+)-", about, re.MULTILINE)[1]))
        (TRACING / "trace").write_text("")
        (TRACING / "events/gpio/gpio_value/enable").write_text("1")
        self._seen = {}

    def factory(self, chip=0, **options):
        return CdevFactory(self.names[chip], **options)

    def chip_path(self, chip=0):
        return f"/dev/{self.names[chip]}"

    def level(self, offset, chip=0):
        return (self._folders[chip] / f"sim_gpio{offset}/value").read_text() == "1\n"

    def push(self, offset, level, chip=0):
        pull = self._folders[chip] / f"sim_gpio{offset}/pull"
        pull.write_text("pull-up" if level else "pull-down")
        self._seen[self._bases[chip] + offset] = level

    def pulled_up(self, offset, chip=0):
        pull = self._folders[chip] / f"sim_gpio{offset}/pull"
        return pull.read_text() == "pull-up\n"

    def changes(self, offset, chip=0):
        number = self._bases[chip] + offset
        level, changes = self._seen.get(number, False), []
        trace = (TRACING / "trace").read_text()
        for value in re.findall(rf"gpio_value: {number} set (\d)", trace):
            if (value == "1") != level:
                level = not level
                changes.append(level)
        return changes

    def close(self):
        (TRACING / "events/gpio/gpio_value/enable").write_text("0")
        for config in self._configs:
            (config / "live").write_text("0")
            for folder in sorted(config.glob("**/"), reverse=True):
                folder.rmdir()


@pytest.fixture(params=["fake", "gpio-sim"])
def bench(request, tmp_path):
    names = {3: "RELAY", 4: "TWIN", 5: "TWIN", 6: "GPIO7"}
    if request.param == "fake":
        bench = FakeBench(tmp_path, names)
    elif not SIM.is_dir():
        pytest.skip(f"no gpio-sim: there is no {SIM}")
    else:
        bench = SimBench(names)
    factories, make = [], bench.factory

    def factory(chip=0, **options):
        factories.append(make(chip, **options))
        return factories[-1]

    bench.factory = factory
    yield bench
    for one in factories:
        one.close()
        for fd in one.fds().values():
            os.close(fd)
    bench.close()


@pytest.fixture
def machine(tmp_path):
    """A machine without chips, to be filled."""
    return FakeKernel(tmp_path)


def on(machine, path, **options):
    return CdevFactory(path, dev=machine.dev, kernel=machine, **options)


def hold(bench, offset, consumer):
    """Another program takes a line. :returns: its descriptor."""
    chip = bench.kernel.open(bench.chip_path())
    fd = uapi.request_as_is(bench.kernel, chip, offset, consumer)
    os.close(chip)
    return fd


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
    assert isinstance(RELAY, Driver)
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
    if isinstance(bench, FakeBench):
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


def test_debouncing_is_the_kernels(tmp_path):
    bench = FakeBench(tmp_path, {})
    factory = bench.factory()
    pin = factory.pin(2)
    _seen, _handler = listen(pin, bounce=0.0125)
    (_label, lines) = bench.kernel.chips["gpiochip0"]
    assert lines[2].debounce_us == 12_500
    pin.bounce = None
    assert lines[2].debounce_us == 0
    factory.close()


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


# --- names -----------------------------------------------------------------------------------


def test_two_chips_never_mix_up(bench):
    one, two = bench.factory(0), bench.factory(1)
    first = OutputDevice(2, initial_value=True, pin_factory=one)
    second = OutputDevice(2, initial_value=False, pin_factory=two)
    assert first.pin is not second.pin
    assert (bench.level(2, 0), bench.level(2, 1)) == (True, False)
    second.on()
    first.off()
    assert (bench.level(2, 0), bench.level(2, 1)) == (False, True)
    assert not one.fds().keys() & two.fds().keys()


@pytest.mark.parametrize("name", [3, "3", "GPIO3", "line 3", "RELAY", "{chip}:3", "{chip}.3"])
def test_a_line_by_number_or_name(bench, name):
    factory = bench.factory()
    name = name.format(chip=bench.names[0]) if isinstance(name, str) else name
    assert factory.pin(name) is factory.pin(3)
    assert repr(factory.pin(name)) == "GPIO3"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("J8:11", "is not a line"),
        (32, "is not a line"),
        ("gpiochip99:3", "is not a line"),
        ("", "is not a line"),
        ("TWIN", "means GPIO4 and GPIO5"),
        ("GPIO7", "means GPIO6 and line 7"),
    ],
)
def test_a_name_that_means_no_line_or_two_is_refused(bench, name, why):
    with pytest.raises(PinInvalidPin, match=why):
        OutputDevice(name, pin_factory=bench.factory())


def test_one_line_cannot_be_two_devices(bench):
    factory = bench.factory()
    first = OutputDevice("RELAY", pin_factory=factory)
    with pytest.raises(GPIOPinInUse):
        OutputDevice(3, pin_factory=factory)
    first.close()
    OutputDevice(3, pin_factory=factory)


@pytest.mark.parametrize("name", ["J8:11", "GPIO17", 17, "17", "BOARD11", "line 17"])
def test_names_on_a_raspberry_pi(bench, name):
    factory = bench.factory(revision=PI_4B)
    assert factory.pin(name) is factory.pin(17)
    assert factory.board_info.model == "4B"
    OutputDevice(name, initial_value=True, pin_factory=factory)
    assert bench.level(17)


def test_a_pin_that_is_no_line_and_one_with_a_resistor(bench):
    factory = bench.factory(revision=PI_4B)
    with pytest.raises(PinInvalidPin, match="GND, not a GPIO line"):
        factory.pin("J8:6")
    with pytest.raises(PinFixedPull, match="resistor on the board"):
        factory.pin("J8:3").pull = "down"


@pytest.mark.parametrize(("label", "known"), [("pinctrl-rp1", True), ("bd9571mwv", False)])
def test_the_boards_revision_is_for_the_chip_behind_its_header_only(machine, label, known):
    tree = machine.dev / "tree" / "system"
    tree.mkdir(parents=True)
    (tree / "linux,revision").write_bytes(bytes.fromhex("00d04170"))
    machine.add("gpiochip0", label, lines=54)
    factory = on(machine, label, device_tree=tree.parent)
    assert any(factory.board_info.find_pin("J8:11")) is known
    if known:
        assert factory.pin("J8:11") is factory.pin("GPIO17")
        assert factory.board_info.model == "5B"


@pytest.mark.parametrize(
    ("stored", "revision"),
    [("00c03112", 0xC03112), ("01000010", 0x10), ("00", None), (None, None)],
)
def test_the_revision_is_read_from_the_device_tree(tmp_path, stored, revision):
    if stored is not None:
        (tmp_path / "system").mkdir()
        (tmp_path / "system/linux,revision").write_bytes(bytes.fromhex(stored))
    assert pi_revision(tmp_path) == revision


# --- which chip, and what goes wrong ---------------------------------------------------------


def test_a_chip_by_label_name_or_path(machine):
    machine.add("gpiochip0", "raspberrypi-exp-gpio")
    machine.add("gpiochip10", "pinctrl-bcm2711")
    for path in ("pinctrl-bcm2711", "gpiochip10", str(machine.dev / "gpiochip10")):
        assert "gpiochip10" in repr(on(machine, path))


def test_a_link_is_no_second_chip(machine):
    machine.add("gpiochip0", "pinctrl-rp1")
    (machine.dev / "gpiochip4").symlink_to("gpiochip0")
    assert "gpiochip0" in repr(on(machine, "pinctrl-rp1"))


def test_two_chips_of_one_label(machine):
    machine.add("gpiochip0", "pca9555")
    machine.add("gpiochip1", "pca9555")
    with pytest.raises(BusError, match='2 chips are labelled "pca9555"') as caught:
        on(machine, "pca9555")
    assert 'gpiochip0 "pca9555", gpiochip1 "pca9555"' in caught.value.hint


@pytest.mark.parametrize("path", ["pinctrl-rp1", "gpiochip7"])
def test_a_missing_chip_lists_those_that_exist(machine, path):
    machine.add("gpiochip0", "pinctrl-bcm2835")
    machine.add("gpiochip1", "raspberrypi-exp-gpio")
    with pytest.raises(BusError, match=path) as caught:
        on(machine, path)
    assert 'gpiochip0 "pinctrl-bcm2835", gpiochip1 "raspberrypi-exp-gpio"' in caught.value.hint
    assert caught.value.where == path


def test_a_machine_without_chips(machine):
    with pytest.raises(BusError) as caught:
        on(machine, "pinctrl-rp1")
    assert caught.value.hint.endswith("GPIO chips here: none")


@pytest.mark.parametrize("path", ["pinctrl-rp1", "gpiochip0"])
def test_no_permission_names_the_group(machine, path):
    machine.add("gpiochip0", "pinctrl-rp1")
    machine.denied["gpiochip0", "open"] = errno.EACCES
    group = grp.getgrgid((machine.dev / "gpiochip0").stat().st_gid).gr_name
    with pytest.raises(BusError, match=f"no permission for .*gpiochip0 .group {group}.") as caught:
        on(machine, path)
    assert ("udev" if group == "root" else f"usermod -aG {group}") in caught.value.hint


def test_a_device_that_is_no_gpio_chip(machine):
    machine.add("gpiochip0", "pinctrl-rp1")
    (machine.dev / "null").touch()
    with pytest.raises(BusError, match="is no GPIO chip"):
        on(machine, str(machine.dev / "null"))


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL])
def test_a_kernel_before_5_10(machine, number):
    machine.add("gpiochip0", "pinctrl-rp1")
    machine.denied["gpiochip0", uapi.GET_LINEINFO] = number
    with pytest.raises(BusError, match="uAPI v2") as caught:
        on(machine, "pinctrl-rp1")
    assert "Linux 5.10 or newer is needed" in caught.value.hint


def test_a_busy_line_names_its_holder(bench):
    fd = hold(bench, 2, "fan-daemon")
    factory = bench.factory()
    with pytest.raises(DeviceBusyError, match='held by "fan-daemon"') as caught:
        factory.pin(2)
    assert caught.value.where.endswith("line 2")
    assert isinstance(caught.value.__cause__, OSError)
    os.close(fd)


def test_a_second_hwctl_is_named_as_such(bench):
    bench.factory().pin(2)
    with pytest.raises(DeviceBusyError, match='held by "hwctl"') as caught:
        bench.factory().pin(2)
    assert "another hwctl" in caught.value.hint


@pytest.mark.parametrize(
    ("request_", "number", "act", "what"),
    [
        (uapi.GET_LINE, errno.EINVAL, lambda f: f.pin(3), "pin controller refuses"),
        (uapi.GET_LINE, errno.ENODEV, lambda f: f.pin(3), "the chip is gone"),
        (uapi.GET_LINE, errno.ENOTTY, lambda f: f.pin(3), "does not know GPIO uAPI v2"),
        (uapi.GET_LINE, errno.EIO, lambda f: f.pin(3), "refused: Input/output error"),
        (uapi.GET_VALUES, errno.ENODEV, lambda f: f.pin(2).state, "the chip is gone"),
        (uapi.GET_VALUES, errno.EIO, lambda f: f.pin(2).state, "reading it failed"),
        (uapi.SET_CONFIG, errno.EIO, lambda f: f.pin(2).output_with_state(1), "making it an"),
        (uapi.SET_VALUES, errno.ETIMEDOUT, lambda f: setattr(f.pin(2), "state", 1), "driving it"),
    ],
)
def test_failures_are_told_in_our_words(machine, request_, number, act, what):
    machine.add("gpiochip0", "pca9555")
    factory = on(machine, "pca9555")
    factory.pin(2)
    machine.denied["gpiochip0", request_] = number
    with pytest.raises(BusError, match=what) as caught:
        act(factory)
    assert caught.value.where.startswith('gpiochip0 "pca9555" line')
    assert isinstance(caught.value.__cause__, OSError)


def test_a_line_without_interrupt(machine):
    machine.add("gpiochip0", "pca9555")
    pin = on(machine, "pca9555").pin(2)
    machine.denied["gpiochip0", uapi.SET_CONFIG] = errno.ENXIO
    with pytest.raises(PinEdgeDetectUnsupported, match="no interrupt"):
        pin.when_changed = print
    assert pin.when_changed is None


def test_an_unplugged_chip_ends_its_events_and_closes_quietly(machine, caplog):
    lines = machine.add("gpiochip0", "pca9555")
    factory = on(machine, "pca9555")
    _seen, _handler = listen(factory.pin(2))
    machine.denied.update(
        {("gpiochip0", request): errno.ENODEV for request in (uapi.SET_CONFIG, uapi.GET_LINEINFO)}
    )
    os.close(lines[2].sink)
    lines[2].sink = -1
    factory.close()
    assert factory.pins == {}
