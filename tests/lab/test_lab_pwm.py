"""Duties that one sets and the other sees: hwctl's drivers and the kernel's, on one emulated part.

The PCA9685 is /sys/class/pwm for the kernel. It reads a channel when that is exported, and turns
it off when that is given back, so each look is an export of its own.
"""

import time
from contextlib import contextmanager
from random import Random

import pytest

from hwctl.model.errors import DeviceDataError
from hwctl_drivers.max31790 import DRIVER as MAX31790
from hwctl_drivers.pca9685 import DRIVER as PCA9685
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.max31790 import Max31790
from hwctl_emulated.pca9685 import Pca9685

SEED = 5
PATIENCE_S = 30.0
STEPS = 4096
STEP_NS = 40
"""One of the 25 MHz oscillator; 4096 of them, times the prescaler and one, are a period."""


def settle(device):
    """The kernel puts an idle part to sleep a little after its own last use."""
    status = device / "power" / "runtime_status"
    until = time.monotonic() + PATIENCE_S
    while status.read_text().strip() not in ("suspended", "unsupported"):
        assert time.monotonic() < until, "it is not put to sleep"
        time.sleep(0.005)


@pytest.fixture
def both(plug_in, opened, load):
    """both(driver, chip, address, module, name) gives hwctl's device and the kernel's folder."""

    def both(driver, chip, address, module, name, **options):
        load(module)
        buses = [EmulatedI2c("ours"), EmulatedI2c("theirs")]
        for bus in buses:
            bus.place(address, chip, name)
        ours, theirs = (plug_in(bus) for bus in buses)
        folder = theirs.bind(name, address)
        settle(folder)
        device = driver.open(opened(ours.path), driver.options(address=address, **options))
        device.probe()
        return device, folder

    return both


class PwmChip:
    """/sys/class/pwm/pwmchipN of a device."""

    def __init__(self, device):
        self.device = device
        (self.folder,) = device.glob("pwm/pwmchip*")

    def put(self, file, value):
        (self.folder / file).write_text(str(value))

    def number(self, file):
        return int((self.folder / file).read_text())

    @contextmanager
    def exported(self, channel):
        self.put("export", channel)
        yield f"pwm{channel}"
        self.put("unexport", channel)
        settle(self.device)


@pytest.fixture
def pca9685(both):
    chip = Pca9685()
    fans, device = both(PCA9685, chip, 0x41, "pwm-pca9685", "pca9685", hz=200)
    return chip, fans, PwmChip(device)


def samples():
    random = Random(SEED)
    return [0, 1, 2, 255, 256, 257, 2048, 4094, 4095, *(random.randrange(STEPS) for _ in range(40))]


def test_the_kernel_sees_what_hwctl_drives(pca9685):
    chip, fans, kernel = pca9685
    assert kernel.number("npwm") == 17, "16, and all at once"
    random = Random(SEED)
    for steps in (*samples(), STEPS):
        channel = random.randrange(16)
        fans.drive(channel, steps / STEPS)
        assert chip.duty(channel) == steps / STEPS
        with kernel.exported(channel) as pwm:
            period = kernel.number(f"{pwm}/period")
            duty = kernel.number(f"{pwm}/duty_cycle")
        assert period == STEPS * STEP_NS * 31
        assert duty / period == pytest.approx(steps / STEPS, abs=1 / STEPS)


@pytest.mark.parametrize(("hz", "prescale"), [(1526, 3), (200, 30), (24, 253)])
def test_the_kernels_period_is_hwctls_frequency(both, hz, prescale):
    fans, device = both(PCA9685, Pca9685(), 0x41, "pwm-pca9685", "pca9685", hz=hz)
    fans.drive(0, 0.5)
    kernel = PwmChip(device)
    with kernel.exported(0) as pwm:
        period = kernel.number(f"{pwm}/period")
    assert period == STEPS * STEP_NS * (prescale + 1)
    assert 1e9 / period == pytest.approx(hz, rel=0.02)


@pytest.mark.parametrize("period", [655_360, 5_000_000, 41_943_040])
def test_hwctl_sees_what_the_kernel_drives_at_its_own_period(pca9685, period):
    chip, fans, kernel = pca9685
    with kernel.exported(6) as pwm:
        kernel.put(f"{pwm}/period", period)
        kernel.put(f"{pwm}/enable", 1)
        for steps in samples():
            kernel.put(f"{pwm}/duty_cycle", period * steps // STEPS)
            seen = fans.read(6).duty
            assert seen == chip.duty(6)
            assert seen == pytest.approx(steps / STEPS, abs=1 / STEPS)
        kernel.put(f"{pwm}/duty_cycle", period)
        assert fans.read(6).duty == chip.duty(6) == 1.0
        assert chip.hz == pytest.approx(1e9 / period, rel=0.02)
        assert [chip.duty(other) for other in range(16) if other != 6] == [0.0] * 15


def test_a_part_that_the_kernel_puts_to_sleep_is_noticed(pca9685):
    chip, fans, kernel = pca9685
    fans.drive(0, 1.0)
    with kernel.exported(0):
        pass
    assert chip.duty(0) == 0.0
    with pytest.raises(DeviceDataError, match="was reset"):
        fans.read(0)
    assert chip.duty(0) == 1.0


# --- MAX31790, whose fans are the kernel's hwmon ----------------------------------------------


@pytest.fixture
def max31790(both):
    chip = Max31790(lambda: 0.0)
    fans, device = both(MAX31790, chip, 0x20, "max31790", "max31790")
    (folder,) = device.glob("hwmon/hwmon*")
    return chip, fans, folder


def test_hwctl_reads_every_duty_that_the_kernel_sets(max31790):
    chip, fans, folder = max31790
    for channel in range(1, 7):
        fans.drive(channel, 1.0)
    for pwm in range(256):
        channel = pwm % 6 + 1
        (folder / f"pwm{channel}").write_text(str(pwm))
        seen = fans.read(channel).duty
        assert seen == chip.duty(channel - 1)
        assert seen == pytest.approx(pwm / 255, abs=1 / 255)


def test_the_kernel_reads_the_duties_that_hwctl_sets(max31790):
    """Over the whole range. What the kernel itself writes makes it look again at once."""
    _chip, fans, folder = max31790
    fans.drive(6, 0.0)
    for setting in (*range(0, 512, 3), 511):
        channel = setting % 5 + 1
        fans.drive(channel, setting / 511)
        (folder / "pwm6").write_text("0")
        seen = int((folder / f"pwm{channel}").read_text())
        assert seen / 255 == pytest.approx(setting / 511, abs=1 / 255)
        assert (folder / f"pwm{channel}_enable").read_text() == "1\n"
