"""A part that the kernel's driver has taken is read through it, hwctl says so, and takes it back.

The kernel is played by a bus that says EBUSY and by a tree of files; `make lab` has the real one
(tests/lab/test_lab_busy.py). The chips are the emulated ones.
"""

import errno
import os
import shutil
from random import Random

import pytest

from hwctl.engine.buses import SmbusI2c
from hwctl.engine.clock import ManualClock
from hwctl.engine.i2c_dev import owned
from hwctl.engine.ports import SysfsFolder
from hwctl.engine.uevents import Uevent
from hwctl.engine.workers import BusWorker, Health
from hwctl.model.drivers import Driver, Options
from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
)
from hwctl.model.wiring import Bus
from hwctl_drivers import (
    bq27xxx,
    emc230x,
    ina219,
    ina226,
    ina228,
    ina238,
    ina3221,
    max17040,
    max17042,
    max31790,
)  # fmt: skip
from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.ina3221 import Ina3221

NUMBER = 3


class Head:
    """A bus with chips, of which the kernel has some."""

    def __init__(self, sysfs):
        self.sysfs = sysfs
        self.chips = EmulatedI2c("i2c1")
        self.ina219 = Ina219(0.1, Random(1))

    def place_ina219(self):
        self.chips.place(0x40, self.ina219, "gauge")

    def live(self):
        """The chip converts what is on its pins."""
        self.ina219.sense(5.0, 1.0)

    def folder(self, address):
        return self.sysfs / f"{NUMBER}-{address:04x}"

    def bind(self, address, name, files):
        """The kernel's driver takes the part and shows ``files`` (path -> text)."""
        folder = self.folder(address)
        for path, text in {"name": name, **files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"{text}\n")
        (self.sysfs / "driver-of-that").mkdir(exist_ok=True)
        (folder / "driver").symlink_to(self.sysfs / "driver-of-that")

    def unbind(self, address):
        folder = self.folder(address)
        (folder / "driver").unlink()
        for shown in ("hwmon", "power_supply"):
            shutil.rmtree(folder / shown, ignore_errors=True)

    def i2c_rdwr(self, *messages):
        for message in messages:
            if (self.folder(message.addr) / "driver").is_symlink():
                raise owned(NUMBER, message.addr, f"i2c1 0x{message.addr:02x}", self.sysfs)
        self.chips.i2c_rdwr(*messages)

    def close(self):
        pass

    def open(self, name, bus):
        """As :class:`hwctl.engine.buses.Buses`."""
        return SysfsFolder(bus.path, name) if bus.kind == "sysfs" else SmbusI2c(self, name)


class Watch:
    """A worker with one device, and all that it says."""

    def __init__(self, head, driver, **options):
        self.head = head
        self.clock = ManualClock()
        self.reports, self.health = [], []
        self.worker = BusWorker(
            "i2c1", Bus(kind="i2c"), head, self.clock, self.reports.append, self.health.append
        )
        self.worker.add_device("chip", driver, driver.options(**options))

    def poll(self, channel=0):
        self.worker.poll("chip", f"chip/{channel}", lambda chip: chip.read(channel), 0.5)
        return self

    def run(self, seconds):
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            self.head.live()
            self.worker.run_once()

    @property
    def ways(self):
        return [one.way for one in self.health if one.way]

    @property
    def failures(self):
        return [one.error for one in self.health if not one.way and one.error is not None]


@pytest.fixture
def head(tmp_path):
    return Head(tmp_path)


def ina219_files(millivolts=5000, milliamps=10_000, ohms=10_000):
    return {
        "hwmon/hwmon5/name": "ina219",
        "hwmon/hwmon5/in0_input": 100,
        "hwmon/hwmon5/in1_input": millivolts,
        "hwmon/hwmon5/curr1_input": milliamps,
        "hwmon/hwmon5/shunt_resistor": ohms,
    }


# --- whose part it is -----------------------------------------------------------------------------


@pytest.fixture
def gauge(head):
    head.place_ina219()
    return Watch(head, ina219.DRIVER, address=0x40).poll()


def test_a_part_that_the_kernel_has_is_read_through_it_and_that_is_said_once(head, gauge):
    head.bind(0x40, "ina219", ina219_files())
    gauge.run(20)
    assert len(gauge.reports) > 30
    assert all(report.error is None for report in gauge.reports)
    sample = gauge.reports[-1].value
    # 10 A through the 10 mOhm that the kernel takes it for are 1 A through the board's 100.
    assert (sample.volts, sample.amps) == (pytest.approx(5.0), pytest.approx(1.0))
    assert gauge.failures == []
    (way,) = gauge.ways
    for word in ("owns it", "through that driver", "3-0040", "hwmon5", "unbind"):
        assert word in way


def test_it_is_taken_back_when_the_kernel_lets_go(head, gauge):
    head.bind(0x40, "ina219", ina219_files(4900))
    gauge.run(3)
    assert gauge.reports[-1].value.volts == pytest.approx(4.9)
    head.unbind(0x40)
    gauge.run(3)
    assert gauge.reports[-1].value.volts == pytest.approx(5.0, abs=0.01)
    assert [report.error for report in gauge.reports if report.error] == []
    assert gauge.failures == []
    assert len(gauge.ways) == 2
    assert "has let go" in gauge.ways[1]


def test_the_kernel_takes_it_while_hwctl_reads_it(head, gauge):
    gauge.run(3)
    assert gauge.ways == []
    head.bind(0x40, "ina219", ina219_files(4900))
    gauge.run(3)
    assert gauge.reports[-1].value.volts == pytest.approx(4.9)
    assert (len(gauge.ways), gauge.failures) == (1, [])


def test_a_part_that_is_gone_with_its_adapter_fails_and_comes_back(head, gauge):
    head.bind(0x40, "ina219", ina219_files())
    gauge.run(3)
    shutil.rmtree(head.folder(0x40))
    chips, head.chips = head.chips, EmulatedI2c("i2c1")
    gauge.run(60)
    (error,) = gauge.failures
    assert isinstance(error, DeviceNotFoundError)
    head.chips = chips
    gauge.worker.hear(Uevent("add", "i2c-dev"))
    gauge.run(2)
    assert gauge.reports[-1].value.volts == pytest.approx(5.0, abs=0.01)
    assert [bool(one.error) for one in gauge.health if not one.way] == [True, False]


def test_a_driver_without_such_a_way_fails_as_before(head):
    head.bind(0x40, "ina228", {})
    watch = Watch(head, ina228.DRIVER, address=0x40, shunt_ohms=0.01, max_amps=5).poll()
    watch.run(10)
    (error,) = watch.failures
    assert isinstance(error, DeviceBusyError)
    assert "unbind" in error.hint
    assert watch.ways == []


@pytest.mark.parametrize(
    ("name", "files", "kind", "said"),
    [
        ("pca9685", {}, DeviceMismatchError, "'pca9685' for the kernel, not ina219 or ina220"),
        ("ina219", {}, DeviceNotFoundError, "shows no hwmon"),
    ],
)
def test_a_kernel_driver_that_shows_nothing_of_use_is_a_failure(head, name, files, kind, said):
    head.bind(0x40, name, files)
    watch = Watch(head, ina219.DRIVER, address=0x40).poll()
    watch.run(40)
    (error,) = watch.failures
    assert isinstance(error, kind)
    assert said in error.what
    assert isinstance(error.__context__, DeviceBusyError)
    head.unbind(0x40)
    head.place_ina219()
    watch.run(40)
    assert watch.reports[-1].value.volts == pytest.approx(5.0, abs=0.01)


def test_a_fault_of_what_the_kernel_shows_is_one_failure_and_no_change_of_hands(head, gauge):
    head.bind(0x40, "ina219", ina219_files())
    gauge.run(3)
    shown = head.folder(0x40) / "hwmon/hwmon5/in1_input"
    shown.write_text("what\n")
    gauge.run(30)
    (error,) = gauge.failures
    assert isinstance(error, DeviceDataError)
    assert len(gauge.ways) == 1
    shown.write_text("5000\n")
    gauge.run(40)
    assert gauge.reports[-1].error is None


@pytest.mark.parametrize("number", [errno.ENXIO, errno.ENODEV, errno.EREMOTEIO])
def test_a_chip_that_does_not_answer_the_kernel_is_not_there(tmp_path, number):
    error = SysfsFolder(str(tmp_path), "i2c1")._error(OSError(number, os.strerror(number)), "in1")
    assert isinstance(error, DeviceNotFoundError)


# --- fans -----------------------------------------------------------------------------------------


def fan_files(**more):
    files = {"hwmon/hwmon2/fan1_input": 4000, "hwmon/hwmon2/pwm1": 100}
    return files | {f"hwmon/hwmon2/{name}": text for name, text in more.items()}


@pytest.fixture
def fans(head):
    head.chips.place(0x2F, Emc230x(2, lambda: 0.0), "fans")
    return Watch(head, emc230x.DRIVER, address=0x2F).poll(1)


def test_an_order_reaches_the_fan_on_either_way(head, fans):
    done = []
    files = fan_files(fan2_input=0, pwm2=50)
    head.bind(0x2F, "emc2302", files)
    pwm = head.folder(0x2F) / "hwmon/hwmon2/pwm1"
    fans.worker.order("chip", "drive", lambda chip: chip.drive(1, 0.6), done.append)
    fans.run(1)
    assert pwm.read_text() == "153\n"
    assert fans.reports[-1].value.duty == pytest.approx(0.6)
    assert fans.reports[-1].value.rpm == 4000
    head.unbind(0x2F)
    # Before any poll has found out: the order itself finds the part free.
    fans.worker.order("chip", "drive", lambda chip: chip.drive(1, 0.8), done.append)
    fans.worker.run_once()
    assert done == [None, None]
    fans.run(2)
    assert fans.reports[-1].value.duty == pytest.approx(0.8)
    head.bind(0x2F, "emc2302", files)
    fans.worker.order("chip", "drive", lambda chip: chip.drive(1, 1.0), done.append)
    fans.run(1)
    assert pwm.read_text() == "255\n"
    assert (done, fans.failures) == ([None] * 3, [])


def test_a_speed_that_the_chip_cannot_tell_from_standstill_is_none(head, fans):
    """Linux leaves the EMC230x at the range from 1000 rpm on, where a fan at rest reads 960."""
    head.bind(0x2F, "emc2302", fan_files(fan1_input=960))
    fans.run(3)
    assert fans.reports[-1].value.rpm == 0


def test_probing_leaves_the_fans_as_they_are(head):
    files = fan_files(pwm1=77, pwm1_enable=2)
    head.bind(0x20, "max31790", files)
    watch = Watch(head, max31790.DRIVER, address=0x20).poll(1)
    watch.run(3)
    shown = head.folder(0x20) / "hwmon/hwmon2"
    assert (shown / "pwm1").read_text() == "77\n"
    assert (shown / "pwm1_enable").read_text() == "2\n"
    watch.worker.order("chip", "drive", lambda chip: chip.drive(1, 0.5))
    watch.run(1)
    assert (shown / "pwm1").read_text() == "128"
    assert (shown / "pwm1_enable").read_text() == "1\n"


def test_what_the_kernel_refuses_of_its_files_is_no_fault_of_the_bus(head, fans):
    head.bind(0x2F, "emc2302", fan_files())
    fans.run(1)
    opened = fans.worker._opened
    refused = BusError("no permission", where="i2c1")

    def forbidden(chip):
        raise refused

    done = []
    fans.worker.order("chip", "drive", forbidden, done.append)
    fans.worker.run_once()
    assert done == [refused]
    assert fans.worker._opened is opened, "others on the bus would be probed anew"


# --- what each shows ------------------------------------------------------------------------------


def below(folder, files):
    return {f"{folder}/{name}": value for name, value in files.items()}


def monitor(volts, milliamps, shunt, **more):
    files = {"in1_input": volts, "curr1_input": milliamps, "in0_input": shunt}
    return below("hwmon/hwmon0", files | more)


def battery(**files):
    return below("power_supply/battery", {"type": "Battery", **files})


THREE = {
    "in1_input": 5000, "in2_input": 12_000, "in3_input": 3304,
    "in4_input": 10_000, "in5_input": 20_000, "in6_input": -4000,
    "curr1_input": 100, "curr2_input": 2000, "curr3_input": -2000,
    "shunt1_resistor": 100_000, "shunt2_resistor": 10_000, "shunt3_resistor": 2000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "options", "channel", "name", "files", "sample"),
    [
        (ina219, {"reversed": True}, 0, "ina219",
         monitor(12_004, 1500, 15, shunt_resistor=100_000), (12.004, -1.5, None, None)),
        (ina226, {"shunt_ohms": 0.002}, 0, "ina226",
         monitor(19_500, 2500, 25, shunt_resistor=10_000), (19.5, 12.5, None, None)),
        (ina238, {"shunt_ohms": 0.005, "max_amps": 30}, 0, "ina238",
         monitor(48_000, 5000, 50, temp1_input=31_125), (48.0, 10.0, 31.125, None)),
        (ina238, {"shunt_ohms": 0.005, "max_amps": 30}, 0, "ina237",
         monitor(48_000, 5000, 50, temp1_input=-125) | {"of_node/shunt-resistor": ""},
         (48.0, 5.0, -0.125, None)),
        (ina3221, {"shunt_ohms": (0.1, 0.01, 0.002)}, 3, "ina3221",
         below("hwmon/hwmon0", THREE),
         (3.304, -2.0, None, None)),
        (ina3221, {"shunt_ohms": (0.1, 0.02, 0.002), "reversed": (False, True, False)}, 2,
         "ina3221", below("hwmon/hwmon0", THREE),
         (12.0, -1.0, None, None)),
        (max17040, {"part": "max17048"}, 0, "max17048",
         battery(voltage_now=3_906_250, capacity=95, online=1), (3.90625, None, None, 0.95)),
        (max17040, {"part": "max17043", "double_soc": True}, 0, "max17043",
         battery(voltage_now=4_100_000, capacity=180), (4.1, None, None, 0.9)),
        (max17042, {"part": "max17047", "shunt_ohms": 0.02}, 0, "MAX17047:00",
         battery(voltage_now=3_906_250, current_now=-640_000, capacity=90, temp=255,
                 status="Unknown"), (3.90625, 0.32, 25.5, 0.9)),
        (max17042, {"part": "max17047", "reversed": True}, 0, "max17047",
         battery(voltage_now=4_000_000, current_now=-640_000, capacity=90, temp=-10),
         (4.0, -0.64, -1.0, 0.9)),
        (bq27xxx, {"part": "bq27510-g3"}, 0, "bq27510g3",
         battery(voltage_now=3_700_000, current_now=450_000, capacity=66, temp=254,
                 status="Charging"), (3.7, -0.45, 25.4, 0.66)),
    ],
)  # fmt: skip
def test_what_the_kernel_shows_is_what_the_driver_would_give(
    head, driver, options, channel, name, files, sample
):
    made = driver.DRIVER.options(**options)
    head.bind(made.address, name, files)
    watch = Watch(head, driver.DRIVER, **options).poll(channel)
    watch.run(2)
    assert watch.failures == []
    seen = watch.reports[-1].value
    volts, amps, celsius, charge = sample
    assert seen.volts == pytest.approx(volts)
    assert seen.amps == (None if amps is None else pytest.approx(amps))
    assert seen.watts == (None if amps is None else pytest.approx(volts * amps))
    assert seen.celsius == (None if celsius is None else pytest.approx(celsius))
    assert seen.charge == (None if charge is None else pytest.approx(charge))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (monitor(5000, 100, 320, shunt_resistor=1000), "beyond its range"),
        (monitor(5000, 100, -320, shunt_resistor=1000), "beyond its range"),
        (monitor(32_764, 0, 0, shunt_resistor=1000), "32.76 V, and can measure 0 to 32 V"),
        (monitor(5000, 100, 1, shunt_resistor=0), "no shunt"),
        (monitor("", 100, 1, shunt_resistor=1000), "no number"),
    ],
)
def test_what_cannot_be_true_is_refused(head, files, said):
    head.bind(0x40, "ina219", files)
    watch = Watch(head, ina219.DRIVER, address=0x40).poll()
    watch.run(2)
    (error,) = watch.failures
    assert isinstance(error, DeviceDataError)
    assert said in error.what
    assert error.hint


def test_every_gauge_and_fan_that_the_kernel_knows_has_such_a_way():
    known = (bq27xxx, emc230x, ina219, ina226, ina238, ina3221, max17040, max17042, max31790)
    assert all(module.DRIVER.kernel is not None for module in known)


def test_a_part_with_several_channels_is_not_asked_before_it_has_measured(head):
    """Whichever poll has set it up."""
    chip = Ina3221((0.1, 0.1, 0.1), Random(1))
    head.chips.place(0x40, chip, "gauge")
    watch = Watch(head, ina3221.DRIVER, address=0x40).poll(1).poll(2).poll(3)
    for _ in range(8):
        for channel in (1, 2, 3):
            chip.sense(5.0, 0.1 * channel, channel)
        watch.run(0.25)
    assert watch.failures == []
    assert {report.key for report in watch.reports} == {"chip/1", "chip/2", "chip/3"}


# --- the kernel's news ----------------------------------------------------------------------------


class Toy:
    def __init__(self, bus, options):
        self.bus = bus

    def probe(self):
        self.bus.read("name")


TOY = Driver(
    "toy", "", (), "sysfs", frozenset({"gauge"}), Options, Toy, "",
    subsystems=frozenset({"power_supply"}),
)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    class Files:
        def open(self, name, bus):
            return SysfsFolder(str(tmp_path), name)

    reports, health = [], []
    clock = ManualClock()
    worker = BusWorker("sys", Bus(kind="sysfs"), Files(), clock, reports.append, health.append)
    worker.add_device("toy", TOY, Options())
    worker.poll("toy", "toy", lambda toy: toy.bus.read("name"), 60.0)
    return worker, clock, reports, health, tmp_path / "name"


def test_news_of_a_device_are_read_at_once(files):
    worker, clock, reports, _health, name = files
    name.write_text("one")
    for _ in range(4):
        worker.run_once()
        clock.advance(0.25)
    assert [report.value for report in reports] == ["one"]
    name.write_text("two")
    worker.run_once()
    assert len(reports) == 1
    worker.hear(Uevent("change", "net"))
    worker.run_once()
    assert len(reports) == 1, "nothing of that device's"
    worker.hear(Uevent("change", "power_supply"))
    worker.run_once()
    assert [report.value for report in reports] == ["one", "two"]


def test_a_device_that_fails_is_tried_at_once_when_something_appears(files):
    worker, clock, reports, health, name = files
    for _ in range(400):
        clock.advance(0.25)
        worker.run_once()
    tries = len(reports)
    assert len(health) == 1
    name.write_text("there")
    worker.hear(Uevent("remove", "usb"))
    worker.run_once()
    assert len(reports) == tries, "what is removed helps nobody"
    worker.hear(Uevent("add", "usb"))
    for _ in range(4):
        worker.run_once()
        clock.advance(0.25)
    assert reports[-1].value == "there"
    assert [one.error is None for one in health] == [False, True]


def test_another_way_is_an_event_and_none_of_the_problems(rehearsal):
    stage = rehearsal()
    stage.run(2)
    engine = stage.engine
    engine._on_health(Health("bank-out", None, "the kernel's driver ina2xx owns it: ..."))
    stage.run(2)
    assert engine.problems() == ()
    (event,) = [one for one in engine.events(0, 500) if one.subject == "bank-out"]
    assert (event.kind, event.severity) == ("driver.way", "info")
    assert "ina2xx" in event.text
    engine._on_health(Health("bank-out", DeviceBusyError("taken")))
    engine._on_health(Health("bank-out", None, "another way"))
    assert len(engine.problems()) == 1, "how it is reached says nothing about whether it works"
