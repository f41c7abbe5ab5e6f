"""A part that the kernel's own driver has taken: read and driven through it, and taken back.

One emulated chip on one adapter. What hwctl reads through Linux' driver is compared with what it
reads from the chip itself, once Linux has let go of it.
"""

import time
from functools import partial
from random import Random

import pytest

from hwctl.engine.buses import KernelBuses
from hwctl.engine.clock import ManualClock
from hwctl.engine.workers import BusWorker
from hwctl.model.errors import DeviceBusyError
from hwctl.model.wiring import Bus
from hwctl_drivers import emc230x, ina219, max31790
from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.max31790 import Max31790

SEED = 6
PARTS = (
    "INA219 with 100 mOhm", "INA226 with 10 mOhm", "INA238 with 164 mV", "INA3221",
    "MAX17048", "max17047", "bq27441",
)  # fmt: skip
"""One of each driver's: test_lab_oracle.py has them all."""


LOOK_S = 3600.0


class Watch:
    """hwctl's worker on the adapter, with one device."""

    def __init__(self, adapter, driver, options):
        self.adapter = adapter
        self.clock = ManualClock()
        self.values, self.health = {}, []
        self.worker = BusWorker(
            "i2c1", Bus(kind="i2c", path=adapter.path), KernelBuses(), self.clock,
            self._take, self.health.append,
        )  # fmt: skip
        self.worker.add_device("chip", driver, driver.options(**options))
        self.worker.poll("chip", "look", lambda device: device.probe(), LOOK_S)

    def look(self):
        """A poll that finds out who has it, and one that sets it up anew."""
        for _ in range(2):
            self.clock.advance(LOOK_S)
            self.worker.run_once()

    def _take(self, report):
        assert report.error is None, report.error
        self.values[report.key] = report.value

    def ask(self, job):
        """What a poll gives; a device that has just been set up is polled a little later."""
        self.values.clear()
        self.worker.order("chip", "ask", job)
        self.worker.run_once()
        return self.values["ask"]

    @property
    def ways(self):
        return [one.way for one in self.health if one.way]

    @property
    def failures(self):
        return [one.error for one in self.health if one.error is not None]


@pytest.fixture
def watch(plug_in):
    watches = []

    def watch(chip, driver, **options):
        bus = EmulatedI2c("i2c1")
        bus.place(options["address"], chip, "chip")
        one = Watch(plug_in(bus), driver, options)
        watches.append(one)
        return one

    yield watch
    # Before the adapters are pulled out: the kernel waits for whoever has one open.
    for one in watches:
        one.worker._let_go()


def unbind(device):
    (device / "driver/unbind").write_text(device.name)


@pytest.mark.parametrize("part", PARTS)
def test_a_gauge_says_the_same_through_the_kernel_and_by_itself(
    judges, watch, load, eventually, part
):
    (entry,) = (one for one in judges[0] if one.part.lower() == part.lower())
    load(entry.kernel_module)
    chip = entry.make()
    ours = watch(chip, entry.driver, **entry.options)
    device = ours.adapter.bind(entry.kernel_name, entry.address)
    for name, value in entry.attributes.items():
        (next(device.glob(entry.folder)) / name).write_text(str(value))
    cases = list(entry.cases(Random(SEED)))[-4:]

    def read(case):
        entry.show(chip, case)
        if entry.refresh is not None and (device / "driver").exists():
            eventually(entry.refresh(chip))
        return ours.ask(lambda gauge: dict(entry.read(gauge, case)))

    through = [read(case) for case in cases]
    (way,) = ours.ways
    assert f"{device}" in way
    assert (device / "driver").resolve().name in way
    unbind(device)
    ours.look()
    plain = [read(case) for case in cases]
    assert len(ours.ways) == 2
    assert ours.failures == []
    for kernels, own in zip(through, plain, strict=True):
        assert kernels.keys() == own.keys()
        for name in kernels.keys() - {"watts", "shunt"}:  # both are made of the others
            step = entry.quantities[name].step
            assert kernels[name] == pytest.approx(own[name], abs=step * (1 + 1e-9)), name


def test_the_shunt_that_the_kernel_takes_it_for_makes_no_difference(watch, load):
    """Its default is 10 mOhm, whatever is on the board."""
    load("ina2xx")
    chip = Ina219(0.1)
    ours = watch(chip, ina219.DRIVER, address=0x40, shunt_ohms=0.1)
    device = ours.adapter.bind("ina219", 0x40)
    chip.sense(12.0, -1.25)
    (folder,) = device.glob("hwmon/hwmon*")
    assert (folder / "curr1_input").read_text() == "-12500\n", "ten times too much"
    assert ours.ask(lambda gauge: gauge.read()).amps == pytest.approx(-1.25, abs=0.001)


def test_it_goes_back_and_forth_while_it_is_polled(watch, load):
    load("ina2xx")
    chip = Ina219(0.1)
    ours = watch(chip, ina219.DRIVER, address=0x41)
    ours.worker.poll("chip", "poll", lambda gauge: gauge.read(), 0.5)

    def live(seconds):
        ours.values.clear()
        for _ in range(int(seconds / 0.25)):
            ours.clock.advance(0.25)
            chip.sense(5.0, 0.5)
            ours.worker.run_once()
        return ours.values["poll"]

    for turn in range(3):
        assert live(3).amps == pytest.approx(0.5, abs=0.001)
        assert len(ours.ways) == 2 * turn
        device = ours.adapter.bind("ina219", 0x41)
        assert live(3).amps == pytest.approx(0.5, abs=0.001)
        assert len(ours.ways) == 2 * turn + 1
        (ours.adapter.folder / "delete_device").write_text("0x41")
        assert not device.exists()
    assert live(3).volts == pytest.approx(5.0, abs=0.004)
    assert ours.failures == []


@pytest.mark.parametrize(
    ("driver", "make", "module", "name", "address", "coarse", "cached_s"),
    [
        (emc230x.DRIVER, partial(Emc230x, 2), "emc2305", "emc2302", 0x2E, 0.1, 0.0),
        (max31790.DRIVER, Max31790, "max31790", "max31790", 0x20, 1 / 255, 1.1),
    ],
)
def test_a_fan_is_driven_through_the_kernel_and_by_itself(
    watch, load, driver, make, module, name, address, coarse, cached_s
):
    load(module)
    now = [0.0]
    chip = make(lambda: now[0])
    chip.rpm[:2] = [3000.0, 1500.0]
    ours = watch(chip, driver, address=address)
    device = ours.adapter.bind(name, address)
    before = chip.duty(0)
    ours.ask(lambda fans: fans.read(1))
    assert chip.duty(0) == before, "looking at it drives nothing"
    for duty in (0.62, 0.35, 1.0, 0.05):
        ours.ask(lambda fans, duty=duty: fans.drive(1, duty))
        now[0] += 60.0  # one of them takes its time
        time.sleep(cached_s)
        assert duty - 1 / 255 <= chip.duty(0) <= duty + coarse + 1 / 255
        assert ours.ask(lambda fans: fans.read(1)).duty == pytest.approx(chip.duty(0), abs=1 / 255)
    unbind(device)
    ours.ask(lambda fans: fans.drive(1, 0.42))
    assert chip.duty(0) == pytest.approx(0.42, abs=1 / 255)
    assert ours.ask(lambda fans: fans.read(1)).rpm == pytest.approx(3000, rel=0.01)
    assert ours.failures == []
    assert len(ours.ways) == 2


def test_no_fan_is_slowed_by_another_one_s_order(watch, load):
    """Linux 6.1's emc2305 has one setting for all fans, in steps of a tenth."""
    load("emc2305")
    chip = Emc230x(5, lambda: 0.0)
    chip.rpm[:] = [3000.0, 960.0, 0.0, 5000.0, 8000.0]
    ours = watch(chip, emc230x.DRIVER, address=0x2E)
    ours.adapter.bind("emc2305", 0x2E)
    ours.ask(lambda fans: fans.drive(1, 0.85))
    ours.ask(lambda fans: fans.drive(2, 0.2))
    assert chip.duty(0) >= 0.85
    assert chip.duty(1) >= 0.2
    speeds = [ours.ask(lambda fans, n=n: fans.read(n)).rpm for n in range(1, 6)]
    assert speeds == pytest.approx([3000, 0, 0, 5000, 8000], rel=0.02)


def test_a_driver_without_such_a_way_is_told_who_has_it(watch, load):
    load("ina2xx")
    ours = watch(Ina219(0.1), ina219.DRIVER, address=0x40)
    ours.adapter.bind("ina219", 0x40)
    bus = KernelBuses().open("i2c1", Bus(kind="i2c", path=ours.adapter.path))
    try:
        with pytest.raises(DeviceBusyError, match="ina2xx owns it") as caught:
            bus.transfer(0x40, b"\0", 2)
    finally:
        bus.close()
    assert caught.value.folder.endswith("-0040")
