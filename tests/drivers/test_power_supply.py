"""Batteries in /sys/class/power_supply: the emulated one, and files as drivers are known to show.

The golden values are what Linux' test_power and its drivers for fuel gauges gave in the kernel lab
(tests/lab/test_lab_sysfs.py, tests/lab/judged_max17042.py).
"""

import errno
import os
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.ports import SysfsFolder
from hwctl.engine.world_ports import EmulatedSysfs
from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.power_supply import DRIVER, PowerSupplyOptions
from hwctl_emulated.part import Site
from hwctl_emulated.power_supply import PowerSupply, make


class Kernel(EmulatedSysfs):
    """An emulated part as a bus."""

    def names(self, path=""):
        try:
            return super().names(path)
        except OSError:
            return []


def opened(bus, name="BAT0", **options):
    return DRIVER.open(bus, PowerSupplyOptions(name=name, **options))


@pytest.fixture
def shown(tmp_path):
    """shown(capacity=90, ...) lays a battery's files down and opens it."""

    def shown(name="BAT0", **files):
        folder = tmp_path / "class/power_supply" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in {"type": "Battery", **files}.items():
            (folder / file).write_text(f"{text}\n")
        return opened(SysfsFolder(str(tmp_path), "sys"), name)

    return shown


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("power", [True, False])
@pytest.mark.parametrize("amps", [1.5, -2.25, 0.0])
def test_the_emulated_battery_is_read_whatever_its_kernel_driver_tells(signed, power, amps):
    part = PowerSupply("BAT0", signed=signed, power=power)
    part.sense(11.4, amps, 0.87, 31.5)
    gauge = opened(Kernel(part, "/sys", "sys"))
    gauge.probe()
    sample = gauge.read()
    assert sample.volts == pytest.approx(11.4)
    assert sample.amps == pytest.approx(amps, abs=1e-6)
    assert sample.watts == pytest.approx(11.4 * amps, abs=2e-6)
    assert sample.charge == pytest.approx(0.87)
    assert sample.celsius == pytest.approx(31.5)
    assert sample.energy is None


def test_golden_values(shown):
    """max17047 in the kernel lab; its status is Unknown, but it is known to have signs by now."""
    gauge = shown(
        voltage_now=3_906_250, capacity=90, current_now=-640_000, temp=255, status="Unknown"
    )
    sample = gauge.read()
    assert (sample.volts, sample.amps) == (pytest.approx(3.90625), pytest.approx(0.64))
    assert sample.watts == pytest.approx(2.5)
    assert (sample.charge, sample.celsius) == (pytest.approx(0.9), pytest.approx(25.5))


def test_a_current_without_sign_or_status_is_none_until_it_shows_that_it_has_signs(shown):
    told = {"voltage_now": 12_000_000, "status": "Unknown"}
    gauge = shown(current_now=500_000, **told)
    assert (gauge.read().amps, gauge.read().watts) == (None, None)
    shown(current_now=-500_000, **told)
    assert gauge.read().amps == pytest.approx(0.5)
    shown(current_now=500_000, **told)
    assert gauge.read().amps == pytest.approx(-0.5)
    # A sign is worth more than a word that comes late.
    shown(current_now=500_000, voltage_now=12_000_000, status="Discharging")
    assert gauge.read().amps == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("status", "amps"),
    [("Discharging", 2.0), ("Charging", -2.0), ("Full", -2.0), ("Not charging", -2.0)],
)
def test_where_there_is_no_sign_the_status_tells(shown, status, amps):
    assert shown(current_now=2_000_000, status=status).read().amps == pytest.approx(amps)


@pytest.mark.parametrize(
    ("files", "charge"),
    [
        ({"capacity": 0}, 0.0),
        ({"capacity": 104}, 1.0),
        ({"energy_now": 30_000_000, "energy_full": 40_000_000}, 0.75),
        ({"charge_now": 1_000_000, "charge_full": 4_000_000}, 0.25),
        ({"charge_now": 1_000_000, "charge_full": 0}, None),
        ({"charge_now": 1_000_000}, None),
        ({}, None),
    ],
)
def test_charge(shown, files, charge):
    assert shown(voltage_now=12_000_000, **files).read().charge == charge


def test_what_it_does_not_say_is_none_and_never_nought(shown):
    sample = shown(capacity=50).read()
    assert sample.charge == 0.5
    assert (sample.volts, sample.amps, sample.watts, sample.celsius) == (None, None, None, None)


@pytest.mark.parametrize(
    ("degrees", "seen"), [(0, 0.0), (-105, -10.5), (26, 2.6), (-2732, None), (12_000, None)]
)
def test_degrees(shown, degrees, seen):
    assert shown(capacity=50, temp=degrees).read().celsius == seen


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"voltage_now": 0}, "no battery has"),
        ({"voltage_now": -5}, "no battery has"),
        ({"voltage_now": 400_000_000}, "no battery has"),
        ({"capacity": 111}, "111% full"),
        ({"capacity": -1}, "-1% full"),
        ({"capacity": "many"}, "'many'"),
    ],
)
def test_what_cannot_be_true_is_refused(shown, files, said):
    with pytest.raises(DeviceDataError, match=said) as caught:
        shown(**files).read()
    assert caught.value.hint


class Refusing(PowerSupply):
    """Some files cannot be read just now."""

    refused = (("", 0),)

    def read(self, path):
        for name, code in self.refused:
            if path.endswith(name):
                raise OSError(code, os.strerror(code))
        return super().read(path)


@pytest.mark.parametrize("code", [errno.ENODATA, errno.EAGAIN, errno.EINVAL, errno.EIO])
def test_a_value_that_the_kernel_has_not_got_is_none(code):
    part = Refusing("BAT0")
    part.refused = (("current_now", code), ("temp", code))
    part.sense(12.0, 1.0, 0.5)
    sample = opened(Kernel(part, "/sys", "sys")).read()
    assert (sample.amps, sample.watts, sample.celsius) == (None, None, None)
    assert sample.volts == pytest.approx(12.0)


def test_a_battery_that_was_taken_out(shown):
    part = PowerSupply("BAT0")
    part.sense(12.0, 1.0, 0.5)
    part.present = False
    with pytest.raises(DeviceNotFoundError, match="not there"):
        opened(Kernel(part, "/sys", "sys")).read()
    part = Refusing("BAT0")
    part.refused = (("voltage_now", errno.ENODEV),)
    with pytest.raises(DeviceNotFoundError):
        opened(Kernel(part, "/sys", "sys")).read()
    shown("BAT1")
    gauge = shown("BAT0", capacity=50)
    gauge.probe()
    other = PowerSupplyOptions(name="BAT7")
    with pytest.raises(DeviceNotFoundError, match="only BAT0, BAT1") as caught:
        DRIVER.open(gauge._bus, other).probe()
    assert "ls /sys/class/power_supply" in caught.value.hint


@pytest.mark.parametrize("kind", ["Mains", "USB", "Wireless"])
def test_what_holds_nothing_is_no_battery(shown, kind):
    with pytest.raises(DeviceMismatchError, match=f"type {kind}") as caught:
        shown(type=kind).probe()
    assert "Battery" in caught.value.hint


def test_reversed(shown):
    shown(voltage_now=10_000_000, current_now=-1_000_000, status="Discharging")
    gauge = opened(shown(voltage_now=10_000_000)._bus, reversed=True)
    assert (gauge.read().amps, gauge.read().watts) == (pytest.approx(-1), pytest.approx(-10))


@pytest.mark.parametrize("name", ["", "..", "a/b", "../BAT0", "BAT 0", ".hidden"])
def test_names_that_cannot_be(name):
    with pytest.raises(ValidationError):
        PowerSupplyOptions(name=name)


def test_it_is_claimed_by_name():
    assert PowerSupplyOptions(name="BAT0").claims() != PowerSupplyOptions(name="BAT1").claims()
    assert DRIVER.subsystems == {"power_supply"}


def test_the_emulated_one_is_made_of_its_table():
    entry = DeviceEntry(driver="power_supply", bus="sys", name="BAT3")
    part = make(Site("bat", entry, lambda: 0.0, Random(0)))
    assert part.names("class/power_supply") == ["BAT3"]
    with pytest.raises(PermissionError):
        part.write("class/power_supply/BAT3/status", "Full")
