"""Ports of a hub under Linux's own hub driver: switched, read back, and judged by uhubctl.

The hubs are QEMU's (lab/boot.py): the first switches its ports' power, the second does not. uhubctl
asks the hub itself, past the kernel's files.
"""

import re
import subprocess
from pathlib import Path

import pytest

from hwctl.engine.buses import KernelBuses
from hwctl.model.errors import DeviceMismatchError, DeviceNotFoundError
from hwctl.model.wiring import Bus
from hwctl_drivers.usb_port import DRIVER, UsbPortOptions
from hwctl_emulated.usb_port import UsbPort as Emulated

DEVICES = Path("/sys/bus/usb/devices")
QEMU_HUB = "0409"


@pytest.fixture(scope="session")
def hubs(load):
    """Names of the two hubs, the one that switches first."""
    for module in ("xhci_pci", "ftdi_sio"):
        load(module)


@pytest.fixture
def hub(hubs, eventually):
    """The hub that switches, once both serial adapters behind it are there."""
    found = eventually(lambda: _hubs().get("1"))
    eventually(lambda: all(list(DEVICES.glob(f"{found}.{n}/{found}.{n}:1.0/tty*")) for n in (1, 2)))
    return found


@pytest.fixture
def dumb_hub(hubs, eventually):
    return eventually(lambda: _hubs().get("2"))


def _hubs():
    """QEMU's hubs, by the port of the root hub that they are in."""
    return {
        path.parent.name.rpartition("-")[2]: path.parent.name
        for path in DEVICES.glob("*-[12]/idVendor")
        if path.read_text().strip() == QEMU_HUB
    }


@pytest.fixture
def port():
    """port("1-1.3", usb3_port=...) as hwctl opens it."""
    bus = KernelBuses().open("usb", Bus(kind="sysfs", path="/sys"))
    return lambda name, **options: DRIVER.open(bus, UsbPortOptions(port=name, **options))


def uhubctl(*arguments):
    done = subprocess.run(["uhubctl", *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def powered(hub, number):
    """What the hub says of one port, to uhubctl."""
    said = uhubctl("-l", hub, "-p", str(number))
    (word,) = re.findall(rf"Port {number}: [0-9a-f]{{4}} (\w+)", said)
    return word == "power"


def ttys(hub, number):
    return sorted(path.name for path in DEVICES.glob(f"{hub}.{number}/{hub}.{number}:1.0/tty*"))


def test_a_node_loses_its_power_and_gets_it_back(hub, port, eventually):
    relay = port(f"{hub}.1")
    relay.probe()
    assert (relay.get(), powered(hub, 1)) == (True, True)
    (neighbour,) = ttys(hub, 2)
    relay.set(0, False)
    eventually(lambda: not (DEVICES / f"{hub}.1").exists())
    assert (relay.get(), powered(hub, 1)) == (False, False)
    assert ttys(hub, 2) == [neighbour]
    assert powered(hub, 2)
    relay.set(0, True)
    eventually(lambda: ttys(hub, 1))
    assert (relay.get(), powered(hub, 1)) == (True, True)


def test_what_uhubctl_switches_is_read_back(hub, port, eventually):
    relay = port(f"{hub}.2")
    uhubctl("-l", hub, "-p", "2", "-a", "off")
    assert relay.get() is False
    eventually(lambda: not (DEVICES / f"{hub}.2").exists())
    uhubctl("-l", hub, "-p", "2", "-a", "on")
    assert relay.get() is True
    eventually(lambda: ttys(hub, 2))


def test_an_empty_port_is_switched_as_well(hub, port):
    relay = port(f"{hub}.4")
    relay.probe()
    for on in (False, True):
        relay.set(0, on)
        assert (relay.get(), powered(hub, 4)) == (on, on)


def test_a_hub_that_cannot_switch_is_refused(hub, dumb_hub, port):
    """It has the file, all the same; uhubctl does not touch it either."""
    assert (DEVICES / f"{dumb_hub}:1.0" / f"{dumb_hub}-port1" / "disable").exists()
    with pytest.raises(DeviceMismatchError, match="cannot switch power"):
        port(f"{dumb_hub}.1").probe()
    said = uhubctl()
    assert f"hub {hub} " in said
    assert f"hub {dumb_hub} " not in said


def test_a_root_hub_that_cannot_switch_is_refused(hub, port):
    """As the controller's own hub: its name differs from others'."""
    bus = hub.partition("-")[0]
    assert (DEVICES / f"{bus}-0:1.0" / f"usb{bus}-port1" / "disable").exists()
    with pytest.raises(DeviceMismatchError, match=f"hub usb{bus} says that it cannot"):
        port(f"{bus}-1").probe()


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("{hub}.5", DeviceNotFoundError, "has 4 ports, no port 5"),
        ("{hub}.4.1", DeviceNotFoundError, "there is no hub"),
        ("{hub}.1.1", DeviceMismatchError, "is no hub"),
    ],
)
def test_ports_that_there_are_not(hub, port, name, error, said):
    with pytest.raises(error, match=said):
        port(name.format(hub=hub)).probe()


@pytest.mark.parametrize("on", [True, False])
def test_the_emulated_files_are_those_of_the_kernel(hub, port, on):
    name = f"{hub}.3"
    part = Emulated(name)
    folder = f"bus/usb/devices/{hub}:1.0/{hub}-port3"
    for bus in (port(name), DRIVER.open(part, UsbPortOptions(port=name))):
        bus.set(0, on)
    real = Path("/sys") / folder
    for file in ("disable", "over_current_count", "power/pm_qos_no_power_off"):
        assert part.read(f"{folder}/{file}") == (real / file).read_text(), file
    assert set(part.names(folder)) <= {path.name for path in real.iterdir()}
    port(name).set(0, True)
