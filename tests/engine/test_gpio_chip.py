"""Which chip, which line, and what is said when there is none, or when it fails."""

import errno
import grp
import os

import pytest
from gpiozero import GPIOPinInUse, OutputDevice
from gpiozero.exc import PinEdgeDetectUnsupported, PinFixedPull, PinInvalidPin

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.gpio_cdev import CdevFactory, pi_revision
from hwctl.model.errors import BusError, DeviceBusyError

PI_4B = 0xC03112


def on(machine, path, **options):
    return CdevFactory(path, dev=machine.dev, kernel=machine, **options)


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
    fd = bench.hold(2, "fan-daemon")
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
