"""Relays on expanders: the kernel's GPIO chip and hwctl's driver drive and read the same pins.

The kernel's drivers remember latches that they have written, and do not look again. So it drives
first, and then reads what hwctl drives. It is asked through /sys/class/gpio, which needs no code
of ours.
"""

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hwctl_drivers import clusterctrl, mcp230xx, pcf8574, sequent_relay
from hwctl_emulated.clusterctrl import ClusterHat
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.mcp230xx import Mcp230xx
from hwctl_emulated.pcf8574 import Pcf8574
from hwctl_emulated.sequent_relay import MASKS, SequentRelay

GPIO = Path("/sys/class/gpio")
SEED = 7
TURNS = 40


@dataclass(frozen=True)
class Case:
    """A part, wired for hwctl and named for the kernel; ``pins`` of the relays, by channel."""

    name: str
    driver: Any
    options: dict[str, Any]
    make: Callable[[], Any]
    module: str
    kernel_name: str
    pins: dict[int, int]
    on_is_high: bool = True

    @property
    def address(self):
        return self.options["address"]


def straight(count, first=0):
    return {first + pin: pin for pin in range(count)}


CASES = (
    Case("PCF8574", pcf8574, {"address": 0x21}, Pcf8574, "gpio-pcf857x", "pcf8574", straight(8),
         on_is_high=False),
    Case("PCF8574A, normally closed", pcf8574, {"address": 0x39, "contact": "normally-closed"},
         Pcf8574, "gpio-pcf857x", "pcf8574a", straight(8)),
    Case("MCP23008", mcp230xx, {"address": 0x22, "part": "MCP23008"}, lambda: Mcp230xx(1),
         "pinctrl-mcp23s08_i2c", "mcp23008", straight(8)),
    Case("MCP23017, active low", mcp230xx, {"address": 0x23, "active_low": True},
         lambda: Mcp230xx(2, active_low=True), "pinctrl-mcp23s08_i2c", "mcp23017", straight(16),
         on_is_high=False),
    Case("Sequent", sequent_relay, {"address": 0x3E}, SequentRelay, "gpio-pca953x", "pca9554",
         {relay: MASKS[relay - 1].bit_length() - 1 for relay in range(1, 9)}),
    Case("ClusterHAT", clusterctrl, {"address": 0x20, "board": "hat"}, ClusterHat, "gpio-pca953x",
         "xra1202", straight(4, first=1)),
)  # fmt: skip


class KernelPins:
    """The pins of a device's GPIO chip."""

    def __init__(self, device):
        (base,) = device.glob("gpio/gpiochip*/base")
        self._base = int(base.read_text())

    @contextmanager
    def exported(self, pin):
        number = self._base + pin
        (GPIO / "export").write_text(str(number))
        yield GPIO / f"gpio{number}"
        (GPIO / "unexport").write_text(str(number))


@dataclass
class Both:
    case: Case
    chip: Any
    device: Any
    lines: dict[int, Path]

    def drive(self, channel, on):
        """As the kernel does it: direction and level in one."""
        high = on == self.case.on_is_high
        (self.lines[channel] / "direction").write_text("high" if high else "low")

    @property
    def seen_by_the_kernel(self):
        values = [int((line / "value").read_text()) for line in self.lines.values()]
        return [bool(value) == self.case.on_is_high for value in values]

    @property
    def seen_by_hwctl(self):
        return [self.device.get(channel) for channel in self.lines]

    @property
    def levels(self):
        """What is on the pins, by the emulated part itself."""
        pins = [self.case.pins[channel] for channel in self.lines]
        if hasattr(self.chip, "level"):
            return [self.chip.level(pin) == self.case.on_is_high for pin in pins]
        return [bool(self.chip.pins >> pin & 1) == self.case.on_is_high for pin in pins]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def both(request, plug_in, opened, load):
    case = request.param
    load(case.module)
    chip = case.make()
    buses = [EmulatedI2c("ours"), EmulatedI2c("theirs")]
    for bus in buses:
        bus.place(case.address, chip, case.name)
    ours, theirs = (plug_in(bus) for bus in buses)
    pins = KernelPins(theirs.bind(case.kernel_name, case.address))
    driver = case.driver.DRIVER
    device = driver.open(opened(ours.path), driver.options(**case.options))
    device.probe()
    with ExitStack() as stack:
        lines = {
            channel: stack.enter_context(pins.exported(pin)) for channel, pin in case.pins.items()
        }
        yield Both(case, chip, device, lines)


def test_both_drive_and_read_the_same_pins(both):
    random = Random(SEED)
    channels = list(both.lines)
    assert both.seen_by_hwctl == both.seen_by_the_kernel == both.levels, "as it powers up"

    expected = []
    for channel in channels:
        both.drive(channel, on=bool(channel % 2))
        expected.append(bool(channel % 2))
    for _ in range(TURNS):
        place, on = random.randrange(len(channels)), random.random() < 0.5
        both.drive(channels[place], on)
        expected[place] = on
        assert both.seen_by_hwctl == expected
    assert both.levels == both.seen_by_the_kernel == expected

    for _ in range(TURNS):
        place, on = random.randrange(len(channels)), random.random() < 0.5
        both.device.set(channels[place], on)
        expected[place] = on
        assert both.seen_by_the_kernel == expected
        assert both.levels == expected


def test_hwctls_first_order_after_power_up_is_what_the_kernel_reads(both):
    before = both.seen_by_the_kernel
    channel = list(both.lines)[2]
    both.device.set(channel, not before[2])
    after = [*before[:2], not before[2], *before[3:]]
    assert both.seen_by_the_kernel == both.seen_by_hwctl == both.levels == after
