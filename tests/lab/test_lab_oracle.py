"""The kernel's own drivers as judges: both read the same registers and must agree.

The chip hangs on two adapters at once. On one hwctl reads it, on the other the kernel's driver
owns it; so neither is in the other's way, and each goes through the kernel's whole I2C stack.
"""

import subprocess
from random import Random

import pytest

from hwctl.config.drivers import own_drivers
from hwctl_drivers.emc230x import DRIVER as EMC230X
from hwctl_drivers.emc230x import RPM_FACTOR
from hwctl_emulated.i2c import EmulatedI2c

SEED = 3


@pytest.fixture
def both(plug_in, opened, load):
    """both(entry) gives the chip, a function that opens it for hwctl, and the kernel's folder."""

    def both(entry):
        load(entry.kernel_module)
        chip = entry.make()
        buses = [EmulatedI2c("ours"), EmulatedI2c("theirs")]
        for bus in buses:
            bus.place(entry.address, chip, entry.part)
        ours, theirs = (plug_in(bus) for bus in buses)
        device = theirs.bind(entry.kernel_name, entry.address)
        (folder,) = device.glob(entry.folder)
        for name, value in entry.attributes.items():
            (folder / name).write_text(str(value))

        def probed():
            made = entry.driver.open(opened(ours.path), entry.driver.options(**entry.options))
            made.probe()
            return made

        return chip, probed, folder

    return both


def number(path):
    return int(path.read_text())


def test_both_read_the_same(judged, both):
    chip, probed, folder = both(judged)
    device = probed()
    apart, compared = [], 0
    for case in judged.cases(Random(SEED)):
        judged.show(chip, case)
        for name, ours in judged.read(device, case).items():
            quantity = judged.quantities[name]
            theirs = number(folder / quantity.file) * quantity.scale
            wanted = ours if quantity.sign else abs(ours)
            compared += 1
            if abs(wanted - theirs) > quantity.step * (1 + 1e-9):
                apart.append(f"{case}: {name} is {wanted} for hwctl, {theirs} for the kernel")
    assert apart == []
    assert compared > 40


@pytest.mark.parametrize("channel", [1, 5])
def test_a_fan_driven_by_one_is_seen_by_the_other(oracle, both, channel):
    (entry,) = (entry for entry in oracle.JUDGED if entry.part == "EMC2305")
    _chip, probed, folder = both(entry)
    fans = probed()
    for duty in (1.0, 0.6, 0.003, 0.0):
        fans.drive(channel, duty)
        pwm = number(folder / f"pwm{channel}")
        assert duty * 255 <= pwm < duty * 255 + 1
    for pwm in (255, 102, 0):  # the kernel's driver has ten steps and drives all fans alike
        (folder / "pwm1").write_text(str(pwm))
        assert fans.read(channel).duty == pwm / 255


def test_a_fans_speed_is_the_same_for_both_each_with_its_own_set_up(oracle, both):
    """Here the multiplier counts, too: the kernel reads the chip as it powers up, hwctl its own."""
    (entry,) = (entry for entry in oracle.JUDGED if entry.part == "EMC2302")
    chip, probed, folder = both(entry)
    speeds = (1000, 1500, 4800, 9000, 16_000)
    theirs = []
    for rpm in speeds:
        chip.rpm[0] = float(rpm)
        theirs.append(number(folder / "fan1_input"))
    fans = probed()
    for rpm, kernels in zip(speeds, theirs, strict=True):
        chip.rpm[0] = float(rpm)
        one_count = rpm * rpm / RPM_FACTOR
        assert fans.read(1).rpm == pytest.approx(rpm, abs=one_count)
        # The kernel throws the fraction away before it doubles.
        assert kernels == pytest.approx(rpm, abs=one_count / 2 + 2)


def test_every_i2c_driver_is_judged_or_says_why_not(oracle):
    known = {driver.name for driver in own_drivers() if driver.bus == "i2c"}
    named = {entry.driver.name for entry in (*oracle.JUDGED, *oracle.NOT_JUDGED)}
    assert known == named
    fans = [entry.part for entry in oracle.JUDGED if entry.driver is EMC230X]
    assert sorted(fans) == sorted(EMC230X.parts)


def test_not_judged(unjudged):
    """Skipped with the reason, and wrong as soon as the kernel knows the part."""
    alias = ["modprobe", "--resolve-alias", f"i2c:{unjudged.kernel_name}"]
    knows = subprocess.run(alias, capture_output=True, text=True, check=False).stdout
    assert knows == "", "the kernel has a driver for it now: give it an entry in JUDGED"
    pytest.skip(f"not judged by the kernel: {unjudged.part}: {unjudged.why}")
