"""The kernel's own drivers as judges: both read the same registers and must agree.

The chip hangs on two adapters at once. On one hwctl reads it, on the other the kernel's driver
owns it; so neither is in the other's way, and each goes through the kernel's whole I2C stack.
"""

import subprocess
import threading
from random import Random

import pytest

from hwctl.config.drivers import own_drivers
from hwctl_drivers.emc230x import DRIVER as EMC230X
from hwctl_drivers.emc230x import RPM_FACTOR
from hwctl_emulated.i2c import Chip, EmulatedI2c

SEED = 3


class Shared:
    """A chip as one of two masters sees it: who comes while the other speaks waits for his STOP.

    Power supplies are read by the kernel at times of its own.
    """

    def __init__(self, chip: Chip, turn: threading.Lock) -> None:
        self._chip = chip
        self._turn = turn
        self._mine = False

    def start(self, read: bool) -> bool:
        if not self._mine:
            self._turn.acquire()
            self._mine = True
        return self._chip.start(read)

    def write(self, byte: int) -> bool:
        return self._chip.write(byte)

    def read(self) -> int:
        return self._chip.read()

    def stop(self) -> None:
        self._chip.stop()
        if self._mine:
            self._mine = False
            self._turn.release()


@pytest.fixture
def both(plug_in, opened, load):
    """both(entry) gives the chip, a function that opens it for hwctl, and the kernel's folder."""
    bound = []

    def both(entry):
        load(entry.kernel_module)
        chip = entry.make()
        buses = [EmulatedI2c("ours"), EmulatedI2c("theirs")]
        turn = threading.Lock()
        for bus in buses:
            bus.place(entry.address, Shared(chip, turn), entry.part)
        ours, theirs = (plug_in(bus) for bus in buses)
        device = theirs.bind(entry.kernel_name, entry.address)
        bound.append((theirs, entry.address))
        (folder,) = device.glob(entry.folder)
        for name, value in entry.attributes.items():
            (folder / name).write_text(str(value))

        def probed():
            made = entry.driver.open(opened(ours.path), entry.driver.options(**entry.options))
            made.probe()
            return made

        return chip, probed, folder

    yield both
    # First, because pulling an adapter out from under a driver of a power supply takes 2 s more.
    for adapter, address in bound:
        (adapter.folder / "delete_device").write_text(f"{address:#x}")


def number(path):
    return int(path.read_text())


def test_both_read_the_same(judged, both, eventually):
    chip, probed, folder = both(judged)
    device = probed()
    apart, compared = [], 0
    for case in judged.cases(Random(SEED)):
        judged.show(chip, case)
        if judged.refresh is not None:
            eventually(judged.refresh(chip))
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
def test_a_fan_driven_by_one_is_seen_by_the_other(judges, both, channel):
    (entry,) = (entry for entry in judges[0] if entry.part == "EMC2305")
    _chip, probed, folder = both(entry)
    fans = probed()
    for duty in (1.0, 0.6, 0.003, 0.0):
        fans.drive(channel, duty)
        pwm = number(folder / f"pwm{channel}")
        assert duty * 255 <= pwm < duty * 255 + 1
    for pwm in (255, 102, 0):  # the kernel's driver has ten steps and drives all fans alike
        (folder / "pwm1").write_text(str(pwm))
        assert fans.read(channel).duty == pwm / 255


def test_a_fans_speed_is_the_same_for_both_each_with_its_own_set_up(judges, both):
    """Here the multiplier counts, too: the kernel reads the chip as it powers up, hwctl its own."""
    (entry,) = (entry for entry in judges[0] if entry.part == "EMC2302")
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


def test_every_i2c_driver_is_judged_or_says_why_not(judges):
    known = {driver.name for driver in own_drivers() if driver.bus == "i2c"}
    judged, not_judged, elsewhere = judges
    named = {entry.driver.name for entry in (*judged, *not_judged)} | elsewhere
    assert known == named
    fans = [entry.part for entry in judges[0] if entry.driver is EMC230X]
    assert sorted(fans) == sorted(EMC230X.parts)


def test_not_judged(unjudged):
    """Skipped with the reason, and wrong as soon as the kernel knows the part."""
    alias = ["modprobe", "--resolve-alias", f"i2c:{unjudged.kernel_name}"]
    knows = subprocess.run(alias, capture_output=True, text=True, check=False).stdout
    assert knows == "", "the kernel has a driver for it now: give it an entry in JUDGED"
    pytest.skip(f"not judged by the kernel: {unjudged.part}: {unjudged.why}")
