"""The pin factory in anyone's gpiozero program: registered, and which chip is meant.

That such programs then light their LEDs and see their buttons is tried in the kernel lab.
"""

import errno
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from hwctl.engine.gpio_cdev import CdevFactory
from hwctl.model.errors import BusError


def made(machine):
    """As gpiozero does it: with no arguments, but for the machine."""
    factory = CdevFactory(dev=machine.dev, kernel=machine)
    chip = factory.chip
    factory.let_go()
    return chip


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("HWCTL_GPIOCHIP", raising=False)


@pytest.mark.parametrize(
    ("labels", "chip"),
    [
        (["pinctrl-bcm2711", "raspberrypi-exp-gpio"], "gpiochip0"),
        (["raspberrypi-exp-gpio", "pinctrl-bcm2835"], "gpiochip1"),
        (["gpio-brcmstb@107d508500", "pca9555", "pinctrl-rp1"], "gpiochip2"),
        (["lone"], "gpiochip0"),
    ],
)
def test_the_header_is_meant_else_the_only_chip(machine, labels, chip):
    for number, label in enumerate(labels):
        machine.add(f"gpiochip{number}", label)
    assert made(machine) == chip


@pytest.mark.parametrize("named", ["pca9555", "gpiochip1", "{dev}/gpiochip1"])
def test_the_variable_names_another(machine, monkeypatch, named):
    machine.add("gpiochip0", "pinctrl-bcm2711")
    machine.add("gpiochip1", "pca9555")
    monkeypatch.setenv("HWCTL_GPIOCHIP", named.format(dev=machine.dev))
    assert made(machine) == "gpiochip1"


def test_a_wrong_variable_is_not_replaced_by_a_guess(machine, monkeypatch):
    machine.add("gpiochip0", "pinctrl-bcm2711")
    monkeypatch.setenv("HWCTL_GPIOCHIP", "pca9555")
    with pytest.raises(BusError, match="pca9555") as caught:
        made(machine)
    assert 'gpiochip0 "pinctrl-bcm2711"' in caught.value.hint


def test_of_several_none_is_guessed(machine):
    machine.add("gpiochip0", "pca9555")
    machine.add("gpiochip1", "ftdi-cbus")
    with pytest.raises(BusError, match="several GPIO chips") as caught:
        made(machine)
    assert "HWCTL_GPIOCHIP" in caught.value.hint
    assert 'gpiochip0 "pca9555", gpiochip1 "ftdi-cbus"' in caught.value.hint


def test_a_machine_without_chips(machine):
    with pytest.raises(BusError, match="no GPIO chip") as caught:
        made(machine)
    assert caught.value.hint.endswith("GPIO chips here: none")


def test_chips_that_are_forbidden(machine):
    machine.add("gpiochip0", "pinctrl-bcm2711")
    machine.denied["gpiochip0", "open"] = errno.EACCES
    with pytest.raises(BusError, match="no permission") as caught:
        made(machine)
    assert "usermod" in caught.value.hint or "udev rule" in caught.value.hint


def test_gpiozero_finds_it_by_its_name():
    (found,) = entry_points(group="gpiozero_pin_factories", name="hwctl")
    assert found.load() is CdevFactory


def test_a_program_is_told_which_chips_there_are():
    program = "from gpiozero import LED; LED(4)"
    env = {**os.environ, "GPIOZERO_PIN_FACTORY": "hwctl", "HWCTL_GPIOCHIP": "no-such-chip"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert 'no GPIO chip is labelled "no-such-chip"' in ended.stderr
