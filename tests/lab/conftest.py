"""What only the kernel lab has (`make lab`): Debian's kernel, drivers to load, adapters to plug in.

Everywhere else these tests are skipped, with one line. In the lab nothing is skipped for want of
a module: what does not load fails.
"""

import importlib.util
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hwctl.engine.buses import KernelBuses, SmbusI2c
from hwctl.model.wiring import Bus
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.usbip import Plug, TinyUsb

I2C = Path("/sys/bus/i2c/devices")
PATIENCE_S = 150.0
"""How long something may take to be there, on an emulated processor of a slow machine; only a
failing test waits that long."""


def _module(name: str) -> ModuleType:
    """``name``.py beside this file as ``lab_name``; test folders are no packages."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"lab_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[f"lab_{name}"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _families() -> list[ModuleType]:
    _module("oracle")
    return [_module(path.stem) for path in sorted(Path(__file__).parent.glob("judged_*.py"))]


FAMILIES = _families()
JUDGED = [entry for family in FAMILIES for entry in getattr(family, "JUDGED", ())]
NOT_JUDGED = [entry for family in FAMILIES for entry in getattr(family, "NOT_JUDGED", ())]
ELSEWHERE = {name for family in FAMILIES for name in getattr(family, "ELSEWHERE", ())}
"""Drivers that tests of their own let the kernel judge."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "HWCTL_LAB" not in os.environ:
        pytest.skip("the kernel lab's tests run in its guest: `make lab`, as root on Debian 12")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "judged" in metafunc.fixturenames:
        metafunc.parametrize("judged", JUDGED, ids=lambda entry: entry.part)
    if "unjudged" in metafunc.fixturenames:
        metafunc.parametrize("unjudged", NOT_JUDGED, ids=lambda entry: entry.part)


@pytest.fixture(scope="session")
def judges() -> tuple[list[Any], list[Any], set[str]]:
    """All entries, judged and not judged; and the drivers that are judged elsewhere."""
    return JUDGED, NOT_JUDGED, ELSEWHERE


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """What a function gives as soon as it is true: the kernel has its own time."""
    return wait_for


def wait_for(wanted: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE_S
    while not (found := wanted()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.005)
    return found


@pytest.fixture(scope="session")
def load() -> Callable[..., None]:
    """load("module", "option=value") as modprobe does."""

    def load(module: str, *options: str) -> None:
        done = subprocess.run(
            ["modprobe", module, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    return load


@dataclass(frozen=True)
class Adapter:
    """An adapter that is plugged in, and its /dev/i2c-N."""

    path: str
    plug: Plug

    @property
    def folder(self) -> Path:
        return I2C / Path(self.path).name

    def bind(self, name: str, address: int) -> Path:
        """Give the address to the kernel's driver for ``name``. :returns: the device."""
        (self.folder / "new_device").write_text(f"{name} {address:#x}")
        device = I2C / f"{self.path.removeprefix('/dev/i2c-')}-{address:04x}"
        wait_for((device / "driver").exists)
        return device

    def unbind(self) -> None:
        """Take every address from the kernel's drivers."""
        for device in self.folder.glob(f"{self.path.removeprefix('/dev/i2c-')}-*"):
            (self.folder / "delete_device").write_text(f"{int(device.name.split('-')[1], 16):#x}")


class Slot:
    """The bus behind an adapter that stays plugged in from test to test."""

    name = "slot"

    def __init__(self) -> None:
        self.bus = EmulatedI2c("nothing")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bus, name)


class Rack:
    """All adapters. Plugging one in takes the kernel half a second, so they are used again."""

    def __init__(self) -> None:
        self._serials = (f"LAB{number:04}" for number in itertools.count())
        self._idle: list[tuple[Adapter, Slot]] = []
        self._used: list[tuple[Adapter, Slot | None]] = []

    def plug_in(self, bus: EmulatedI2c, *, fresh: bool = False, **options: Any) -> Adapter:
        """:param fresh: one that the kernel has not seen before."""
        if fresh or options:
            adapter, slot = self._new(bus, **options), None
        elif self._idle:
            adapter, slot = self._idle.pop()
        else:
            slot = Slot()
            adapter = self._new(slot, **options)
        if slot is not None:
            slot.bus = bus
        self._used.append((adapter, slot))
        return adapter

    def _new(self, bus: Any, **options: Any) -> Adapter:
        serial = next(self._serials)
        taken = {adapter.plug.port for adapter, _ in (*self._idle, *self._used)}
        port = next(port for port in itertools.count() if port not in taken)
        plug = Plug(TinyUsb(bus, serial=serial, **options), port=port)
        return Adapter(wait_for(lambda: _path_of(serial)), plug)

    def clear(self) -> None:
        """What a test has used is pulled out, or is idle again."""
        gone = []
        for adapter, slot in self._used:
            if slot is not None and adapter.folder.exists():
                adapter.unbind()
                slot.bus = EmulatedI2c("nothing")
                self._idle.append((adapter, slot))
            else:
                adapter.plug.unplug()
                gone.append(adapter)
        wait_for(lambda: not any(adapter.folder.exists() for adapter in gone))
        self._used.clear()


@pytest.fixture(scope="session")
def rack(load) -> Iterator[Rack]:
    for module in ("vhci_hcd", "i2c_tiny_usb", "i2c-dev"):
        load(module)
    rack = Rack()
    yield rack
    for adapter, _ in rack._idle:
        adapter.plug.unplug()


@pytest.fixture
def plug_in(rack) -> Iterator[Callable[..., Adapter]]:
    """plug_in(bus) gives an adapter with the chips of ``bus`` behind it."""
    yield rack.plug_in
    rack.clear()


def _path_of(serial: str) -> str | None:
    """/dev/i2c-N of the adapter with that serial number, once it is there."""
    for folder in I2C.glob("i2c-*"):
        if _serial(folder) == serial and Path(f"/dev/{folder.name}").exists():
            return f"/dev/{folder.name}"
    return None


def _serial(adapter: Path) -> str:
    """Of the USB device that the adapter is; empty for others, and for one that is just leaving."""
    try:
        # A link, from the physical place of which two up is the device.
        return (adapter / "../../serial").read_text().strip()
    except OSError:
        return ""


@pytest.fixture
def opened(plug_in) -> Iterator[Callable[[str], SmbusI2c]]:
    """opened("/dev/i2c-3") as hwctl opens it; closed at the end of the test.

    Asks for ``plug_in``, so that this is done before the adapters are pulled out: the kernel
    holds the USB hub until the last one has closed what hung on it (see test_lab_football.py).
    """
    buses: list[SmbusI2c] = []

    def opened(path: str) -> SmbusI2c:
        bus = KernelBuses().open("i2c1", Bus(kind="i2c", path=path))
        assert isinstance(bus, SmbusI2c)
        buses.append(bus)
        return bus

    yield opened
    for bus in buses:
        bus.close()
