"""What the kernel shows by itself: a battery, with its news; fans of hwmon; PWM outputs."""

import queue
import socket
from pathlib import Path

import pytest

from hwctl.engine.buses import KernelBuses
from hwctl.engine.clock import RealClock
from hwctl.engine.uevents import KERNEL_GROUP, NETLINK_KOBJECT_UEVENT, Uevents
from hwctl.engine.workers import BusWorker
from hwctl.model.errors import DeviceMismatchError, DeviceNotFoundError
from hwctl.model.wiring import Bus
from hwctl_drivers import hwmon_fan, ina219, power_supply, pwm_fan
from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.pca9685 import Pca9685

PARAMETERS = Path("/sys/module/test_power/parameters")
SYSFS = Bus(kind="sysfs", path="/sys")
LONG_S = 3600.0
"""Between polls, so that only news can be what made hwctl look."""
WAIT_S = 20.0
"""For news to come; only a failing test waits that long."""


@pytest.fixture
def battery(load):
    load("test_power")

    def battery(**values):
        for name, value in values.items():
            (PARAMETERS / f"battery_{name}").write_text(str(value))

    battery(voltage=12_000_000, current=-1_500_000, capacity=80, status="discharging")
    return battery


@pytest.fixture
def sysfs():
    return KernelBuses().open("sys", SYSFS)


def opened(bus, driver, **options):
    device = driver.DRIVER.open(bus, driver.DRIVER.options(**options))
    device.probe()
    return device


# --- a battery ------------------------------------------------------------------------------------


def test_a_battery_is_read(battery, sysfs):
    gauge = opened(sysfs, power_supply, name="test_battery")
    sample = gauge.read()
    assert (sample.volts, sample.amps) == (pytest.approx(12.0), pytest.approx(1.5))
    assert (sample.watts, sample.charge) == (pytest.approx(18.0), pytest.approx(0.8))
    assert sample.celsius == pytest.approx(2.6), "26, in tenths of a degree"
    battery(current=2_000_000, status="charging", capacity=81)
    assert gauge.read().amps == pytest.approx(-2.0)
    battery(current=0, status="full", capacity=100)
    assert (gauge.read().amps, gauge.read().charge) == (0.0, 1.0)


def test_mains_is_no_battery_and_what_is_not_there_is_told(battery, sysfs):
    with pytest.raises(DeviceMismatchError, match="type Mains"):
        opened(sysfs, power_supply, name="test_ac")
    with pytest.raises(DeviceNotFoundError, match="test_ac, test_battery, test_usb"):
        opened(sysfs, power_supply, name="BAT0")


class Ears:
    """hwctl's worker with one device that is polled once an hour, and the kernel's news."""

    def __init__(self, bus, driver, options, every_s):
        self.reports = queue.Queue()
        self.worker = BusWorker(
            "bus", bus, KernelBuses(), RealClock(), self.reports.put, lambda _health: None
        )
        self.worker.add_device("it", driver, driver.options(**options))
        self.worker.poll("it", "it", lambda device: device.read(), every_s)
        self.events = []
        self.news = Uevents(self._hear)

    def _hear(self, event):
        self.events.append(event)
        self.worker.hear(event)

    def start(self):
        assert self.news.start()
        self.worker.start()

    def until(self, wanted):
        """The first report that is as wanted."""
        while True:
            report = self.reports.get(timeout=WAIT_S)
            if wanted(report):
                return report

    def stop(self):
        self.news.stop()
        self.worker.stop()
        self.worker._let_go()


@pytest.fixture
def ears():
    all_ears = []

    def ears(bus, driver, every_s=LONG_S, **options):
        one = Ears(bus, driver, options, every_s)
        all_ears.append(one)
        one.start()
        return one

    yield ears
    for one in all_ears:
        one.stop()


def test_a_change_is_seen_at_once_and_not_at_the_next_poll(battery, ears):
    one = ears(SYSFS, power_supply.DRIVER, name="test_battery")
    one.until(lambda report: report.value and report.value.charge == 0.8)
    battery(capacity=41)
    one.until(lambda report: report.value.charge == 0.41)
    # Mains that goes away is news of another supply: the battery is looked at all the same.
    seen = len(one.events)
    battery(status="charging", current=500_000)
    one.until(lambda report: report.value.amps == pytest.approx(-0.5))
    (PARAMETERS / "ac_online").write_text("off")
    one.until(lambda _report: any("test_ac" in event.path for event in one.events[seen:]))
    (PARAMETERS / "ac_online").write_text("on")
    assert {event.subsystem for event in one.events} >= {"power_supply"}


def test_what_a_process_says_is_not_the_kernel_s(battery, ears):
    one = ears(SYSFS, power_supply.DRIVER, name="test_battery")
    one.until(lambda report: report.value is not None)
    said = b"change@/x\0ACTION=change\0DEVPATH=/said-by-a-process\0SUBSYSTEM=power_supply\0"
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT) as liar:
        liar.sendto(said, (0, KERNEL_GROUP))
    battery(capacity=33)
    one.until(lambda report: report.value.charge == 0.33)
    assert all(event.path != "/said-by-a-process" for event in one.events)


def test_a_gauge_is_read_as_soon_as_its_adapter_is_plugged_in(plug_in, ears, tmp_path):
    """It has failed for so long that it would be tried half a minute later."""
    chip = Ina219(0.1)
    bus = EmulatedI2c("i2c1")
    bus.place(0x40, chip, "gauge")
    chip.sense(5.0, 1.0)
    link = tmp_path / "i2c-hwctl"
    one = ears(Bus(kind="i2c", path=str(link)), ina219.DRIVER, every_s=0.5, address=0x40)
    one.until(lambda report: report.error is not None)
    one.worker._devices["it"].retry_at = float("inf")
    adapter = plug_in(bus, fresh=True)
    # udev makes its links after the kernel's word; it is tried again soon after, and at other news.
    link.symlink_to(adapter.path)
    adapter.bind("dummy", 0x50)

    def measured(report):
        chip.sense(5.0, 1.0)
        return report.error is None

    assert one.until(measured).value.volts == pytest.approx(5.0)
    # Pulled out while somebody has it open, the kernel waits for him.
    one.stop()


# --- fans -----------------------------------------------------------------------------------------


def test_a_chip_s_fans_through_its_hwmon_driver(plug_in, load, sysfs):
    load("emc2305")
    chip = Emc230x(2, lambda: 0.0)
    chip.rpm[:] = [4000.0, 0.0]
    bus = EmulatedI2c("i2c1")
    bus.place(0x2E, chip, "fans")
    device = plug_in(bus).bind("emc2302", 0x2E)
    fans = opened(sysfs, hwmon_fan, chip="emc2305")
    before = chip.duty(0)
    assert fans.read(1).rpm == pytest.approx(4000, rel=0.01)
    assert chip.duty(0) == before
    for duty in (0.7, 0.31, 1.0):
        fans.drive(1, duty)
        assert duty <= chip.duty(0) <= duty + 0.11, "in tenths"
        assert fans.read(1).duty == pytest.approx(chip.duty(0), abs=1 / 255)
    (device / "driver/unbind").write_text(device.name)
    with pytest.raises(DeviceNotFoundError):
        fans.read(1)


def test_a_fan_on_a_pwm_output(plug_in, load, sysfs):
    load("pwm-pca9685")
    chip = Pca9685()
    bus = EmulatedI2c("i2c1")
    bus.place(0x41, chip, "pwm")
    adapter = plug_in(bus)
    device = adapter.bind("pca9685", 0x41)
    fans = opened(sysfs, pwm_fan, chip=device.name, period_us=5000)
    assert (fans.read(3).duty, fans.read(3).rpm) == (None, None)
    assert not chip.running, "probing and reading have woken nothing"
    for duty in (0.25, 0.6, 1.0, 0.0, 0.5):
        fans.drive(3, duty)
        assert chip.duty(3) == pytest.approx(duty, abs=1 / 4096)
        assert fans.read(3).duty == pytest.approx(duty, abs=1 / 4096)
    assert chip.hz == pytest.approx(200, rel=0.02)
    fans.drive(4, 0.75)
    assert (chip.duty(3), chip.duty(4)) == (pytest.approx(0.5), pytest.approx(0.75))
    # A program that comes after finds it as it is.
    later = opened(sysfs, pwm_fan, chip=device.name, period_us=5000)
    assert later.read(3).duty == pytest.approx(0.5, abs=1 / 4096)
    (name,) = (one.name for one in device.glob("pwm/pwmchip*"))
    by_number = opened(sysfs, pwm_fan, chip=name, period_us=5000)
    assert by_number.read(4).duty == pytest.approx(0.75, abs=1 / 4096)
    with pytest.raises(DeviceMismatchError, match="period of 40 us"):
        opened(sysfs, pwm_fan, chip=name).drive(5, 0.5)
    with pytest.raises(DeviceMismatchError, match="outputs 0 to 16"):
        fans.read(17)
    for channel in (3, 4, 5):
        (Path("/sys/class/pwm") / name / "unexport").write_text(str(channel))
