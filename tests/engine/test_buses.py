"""What adapters say, in our words, and who owns an address. `make lab` asks real adapters."""

import errno
import os

import pytest

from hwctl.engine.buses import KernelBuses, SmbusI2c
from hwctl.engine.clock import ManualClock
from hwctl.engine.i2c_dev import owned
from hwctl.engine.workers import BusWorker
from hwctl.model.drivers import Driver, Options
from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)
from hwctl.model.wiring import Bus


class Adapter:
    """Fails each transaction with one errno."""

    def __init__(self, number):
        self.number = number

    def i2c_rdwr(self, *messages):
        raise OSError(self.number, os.strerror(self.number))

    def close(self):
        self.number = 0


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENXIO, DeviceNotFoundError, "i2cdetect"),
        (errno.ENODEV, DeviceNotFoundError, "i2cdetect"),
        (errno.EREMOTEIO, DeviceNotFoundError, "i2cdetect"),
        (errno.ETIMEDOUT, DeviceTimeoutError, "power-cycle"),
        (errno.EAGAIN, DeviceTimeoutError, "power-cycle"),
        (errno.EBUSY, DeviceTimeoutError, "power-cycle"),
        (errno.EOPNOTSUPP, DeviceError, "i2cdetect -F"),
        (errno.EIO, BusError, "unplugged"),
        (errno.ESHUTDOWN, BusError, "unplugged"),
    ],
)
def test_what_an_adapter_says(number, kind, hint):
    with pytest.raises((DeviceError, BusError)) as caught:
        SmbusI2c(Adapter(number), "i2c1").transfer(0x40, b"\x00", 2)
    assert type(caught.value) is kind
    assert hint in caught.value.hint
    assert "i2c1" in caught.value.where
    assert caught.value.__cause__.errno == number


@pytest.fixture
def sysfs(tmp_path):
    """/sys/bus/i2c/devices with a gauge at 0x40 of bus 1 that the kernel drives."""
    (tmp_path / "ina2xx").mkdir()
    device = tmp_path / "1-0040"
    (device / "hwmon" / "hwmon3").mkdir(parents=True)
    (device / "driver").symlink_to(tmp_path / "ina2xx")
    return tmp_path


def test_an_owner_is_named_with_its_readings_and_the_way_out(sysfs):
    error = owned(1, 0x40, "i2c1 0x40", sysfs)
    assert isinstance(error, DeviceBusyError)
    assert str(error) == "i2c1 0x40: the kernel's driver ina2xx owns it"
    assert f"{sysfs}/1-0040/hwmon/hwmon3" in error.hint
    assert f"echo 1-0040 | sudo tee {sysfs}/1-0040/driver/unbind" in error.hint


@pytest.mark.parametrize(("number", "way_out"), [(1, "echo 1-0041"), (None, "config.txt")])
def test_an_owner_of_which_nothing_is_known(sysfs, number, way_out):
    error = owned(number, 0x41, "i2c1 0x41", sysfs)
    assert error.what == "the kernel's driver owns it"
    assert way_out in error.hint


@pytest.mark.parametrize(("path", "said"), [("none", "does not exist"), ("file", "ioctl")])
def test_a_path_that_is_no_adapter(tmp_path, path, said):
    (tmp_path / "file").touch()
    with pytest.raises(BusError, match=said) as caught:
        KernelBuses().open("i2c1", Bus(kind="i2c", path=str(tmp_path / path)))
    assert caught.value.where == "i2c1"


# --- a bus that is gone is closed ------------------------------------------------------------


class Flaky:
    """An adapter with two chips, of which each transaction fails once it is pulled out."""

    def __init__(self, opened):
        self.opened = opened
        self.pulled = self.closed = False

    def read(self):
        if self.pulled:
            raise BusError("the adapter failed", where="i2c1")
        return self.opened

    def close(self):
        self.closed = True


class Chip:
    def __init__(self, bus, options):
        self.bus = bus

    def probe(self):
        self.bus.read()


class Opener:
    def __init__(self):
        self.buses = []

    def open(self, name, bus):
        self.buses.append(Flaky(len(self.buses)))
        return self.buses[-1]


def test_a_bus_that_failed_is_closed_once_and_opened_once_for_all_its_devices():
    """Linux lets an adapter that was pulled out go only when nobody has it open."""
    clock, opener, reports = ManualClock(), Opener(), {}

    def take(report):
        reports[report.key] = report.error or report.value

    health = []
    bus = Bus(kind="i2c", path="/dev/i2c-1")
    worker = BusWorker("i2c1", bus, opener, clock, take, health.append)
    driver = Driver("chip", "", (), "i2c", frozenset({"gauge"}), Options, Chip, "")
    for name in ("one", "two"):
        worker.add_device(name, driver, Options())
        worker.poll(name, name, lambda chip: chip.bus.read(), 1.0)

    def live(seconds):
        for _ in range(seconds * 4):
            clock.advance(0.25)
            worker.run_once()

    live(3)
    assert reports == {"one": 0, "two": 0}
    opener.buses[0].pulled = True
    live(3)
    assert reports == {"one": 1, "two": 1}
    assert [bus.closed for bus in opener.buses] == [True, False]
    assert [report.device for report in health] == ["one", "one"], "the other never noticed"
