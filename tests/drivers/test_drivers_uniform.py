"""What holds for every driver that comes with hwctl."""

import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import pytest

import hwctl_drivers
from hwctl.model.drivers import BusKind, DeviceRole, Driver, GpioOptions, I2cOptions, Options

FILES = sorted(
    path.stem for path in Path(hwctl_drivers.__file__).parent.glob("*.py") if path.stem[0] != "_"
)
FOUND = {
    point.name: point
    for point in entry_points(group="hwctl.drivers")
    if point.value.startswith("hwctl_drivers.")
}


def test_every_file_is_found_by_its_name():
    assert sorted(FOUND) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_driver_says_what_it_is(name):
    driver = FOUND[name].load()
    assert isinstance(driver, Driver)
    assert driver.name == name
    assert driver.bus in get_args(BusKind)
    assert driver.roles <= set(get_args(DeviceRole))
    assert driver.roles
    base = {"i2c": I2cOptions, "gpio": GpioOptions}.get(driver.bus, Options)
    assert issubclass(driver.options, base)
    assert driver.summary
    assert driver.parts
    assert driver.proof


@pytest.mark.parametrize("name", FILES)
def test_a_driver_names_its_part_its_sources_and_its_quirks(name):
    module = inspect.getmodule(FOUND[name].load().options)
    for heading in ("Part ", "Sources ", "Quirks "):
        assert f"\n{heading}" in module.__doc__


@pytest.mark.parametrize("name", FILES)
def test_a_driver_can_be_read_in_one_sitting(name):
    module = inspect.getmodule(FOUND[name].load().options)
    assert len(inspect.getsource(module).splitlines()) < 350


@pytest.mark.parametrize("name", FILES)
def test_a_device_has_the_methods_of_its_roles(name):
    driver = FOUND[name].load()
    methods = {
        "gauge": {"probe", "read"},
        "outlet": {"probe", "get", "set"},
        "fan": {"probe", "drive", "read"},
        "strip": {"probe", "show"},
        "load": {"sample", "close"},
        "control": {"halt", "reboot", "close"},
    }
    if driver.bus == "net":  # where the first question does the work of a probe
        methods["outlet"] = {"get", "set"}
    for role in driver.roles:
        assert methods[role] <= set(dir(driver.open))
