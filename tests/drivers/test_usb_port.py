"""Ports of USB hubs, on files: the emulated hub, and a tree like that of Linux 6.1 on disk.

The tree's names were read in Linux's drivers/usb/core/port.c, and are checked on a running kernel
by tests/lab/test_lab_usb_port.py.
"""

import errno
import os

import pytest
from pydantic import ValidationError

from hwctl.engine.ports import SysfsFolder
from hwctl.model.errors import (
    BusError,
    DeviceDataError,
    DeviceError,
    DeviceMismatchError,
    DeviceNotFoundError,
)
from hwctl_drivers.usb_port import DRIVER, UsbPortOptions
from hwctl_emulated.usb_port import UsbPort as Port


class Kernel:
    """An emulated part as a bus, and what was written to it."""

    def __init__(self, part):
        self.part = part
        self.written = []
        self.refuse = {}
        """Errors by path, when it is written."""

    def read(self, path):
        return self.part.read(path).rstrip("\n")

    def write(self, path, text):
        if path in self.refuse:
            raise self.refuse[path]
        self.part.write(path, text)
        self.written.append((path, text))

    def names(self, path=""):
        try:
            return self.part.names(path)
        except OSError:
            return []


def opened(bus, port="1-1.3", usb3_port=None):
    return DRIVER.open(bus, UsbPortOptions(port=port, usb3_port=usb3_port))


def test_probing_changes_nothing():
    bus = Kernel(Port("1-1.3", "2-1.3"))
    relay = opened(bus, usb3_port="2-1.3")
    relay.probe()
    assert relay.get() is True
    assert bus.written == []


@pytest.mark.parametrize(
    ("port", "path"),
    [
        ("1-1.3", "bus/usb/devices/1-1:1.0/1-1-port3/disable"),
        ("1-2", "bus/usb/devices/1-0:1.0/usb1-port2/disable"),
        ("3-1.4.2.7", "bus/usb/devices/3-1.4.2:1.0/3-1.4.2-port7/disable"),
        ("12-10.11", "bus/usb/devices/12-10:1.0/12-10-port11/disable"),
    ],
)
def test_where_the_file_is(port, path):
    """uhubctl has 1-1:1.0/1-1-port2 and 2-0:1.0/usb2-port1 as examples."""
    bus = Kernel(Port(port))
    relay = opened(bus, port)
    relay.probe()
    relay.set(0, False)
    assert bus.written == [(path, "1")]
    assert (relay.get(), bus.part.relay()) == (False, False)
    relay.set(0, True)
    assert bus.written[1:] == [(path, "0")]
    assert (relay.get(), bus.part.relay()) == (True, True)


USB2 = "bus/usb/devices/1-1:1.0/1-1-port3/disable"
USB3 = "bus/usb/devices/2-1:1.0/2-1-port3/disable"


def test_both_halves_are_switched_the_faster_one_first_to_on():
    bus = Kernel(Port("1-1.3", "2-1.3"))
    relay = opened(bus, usb3_port="2-1.3")
    relay.set(0, False)
    assert bus.written == [(USB2, "1"), (USB3, "1")]
    assert (relay.get(), bus.part.relay()) == (False, False)
    bus.written.clear()
    relay.set(0, True)
    assert bus.written == [(USB3, "0"), (USB2, "0")]
    assert relay.get() is True


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (USB2, "port 3 of hub 1-1 is off but port 3 of hub 2-1 is on"),
        (USB3, "port 3 of hub 1-1 is on but port 3 of hub 2-1 is off"),
    ],
)
def test_halves_that_disagree_are_an_error_and_fed(path, said):
    bus = Kernel(Port("1-1.3", "2-1.3"))
    bus.part.write(path, "1")
    relay = opened(bus, usb3_port="2-1.3")
    with pytest.raises(DeviceDataError, match=said) as caught:
        relay.get()
    assert "uhubctl" in caught.value.hint
    assert bus.part.relay() is True
    relay.set(0, False)
    assert relay.get() is False


@pytest.mark.parametrize("path", [USB2, USB3])
def test_a_half_that_fails_is_reported(path):
    bus = Kernel(Port("1-1.3", "2-1.3"))
    bus.refuse[path] = DeviceError("refused", where="usb")
    relay = opened(bus, usb3_port="2-1.3")
    with pytest.raises(DeviceError, match="refused"):
        relay.set(0, False)
    assert bus.part.relay() is True


def test_the_other_half_may_not_be_forgotten():
    with pytest.raises(DeviceMismatchError, match="half of a USB 3 port") as caught:
        opened(Kernel(Port("1-1.3", "2-1.3"))).probe()
    assert "usb3_port" in caught.value.hint


@pytest.mark.parametrize(
    ("part", "port", "error", "said"),
    [
        (Port("1-1.3"), "1-2.3", DeviceNotFoundError, "no hub 1-2"),
        (Port("1-1.3"), "1-1.4", DeviceNotFoundError, "has 1 ports, no port 4"),
        (Port("1-1.3", kernel=(5, 19)), "1-1.3", DeviceMismatchError, "kernel cannot switch"),
        (Port("1-1.3", switches=False), "1-1.3", DeviceMismatchError, "cannot switch power"),
    ],
    ids=["no hub", "no port", "old kernel", "not switched"],
)
def test_what_cannot_be_switched_is_named(part, port, error, said):
    with pytest.raises(error, match=said) as caught:
        opened(Kernel(part), port).probe()
    assert caught.value.hint
    assert part.relay() is True


def test_a_hub_that_is_plugged_in_anew_feeds_all_ports():
    bus = Kernel(Port("1-1.3"))
    relay = opened(bus)
    relay.set(0, False)
    bus.part.power_on()
    assert relay.get() is True


# --- on disk, through the bus that a real head has ---


@pytest.fixture
def sys(tmp_path):
    """A hub of four ports at 1-1, with a stick in port 1, as Linux 6.1 lays it out."""
    devices = tmp_path / "bus/usb/devices"
    devices.mkdir(parents=True)
    hub = tmp_path / "devices/pci0000:00/usb1/1-1"
    for number in range(1, 5):
        port = hub / f"1-1:1.0/1-1-port{number}"
        (port / "power").mkdir(parents=True)
        (port / "disable").write_text("0\n")
        (port / "power/pm_qos_no_power_off").write_text("1\n")
    (hub / "1-1.1/1-1.1:1.0").mkdir(parents=True)
    (hub / "1-1.1/1-1.1:1.0/bInterfaceClass").write_text("08\n")
    for name in ("1-1", "1-1/1-1:1.0", "1-1/1-1.1", "1-1/1-1.1/1-1.1:1.0"):
        (devices / name.rpartition("/")[2]).symlink_to(hub.parent / name)
    return tmp_path


@pytest.fixture
def folder(sys):
    return SysfsFolder(str(sys), "usb")


def disabled(sys, number):
    return (sys / f"devices/pci0000:00/usb1/1-1/1-1:1.0/1-1-port{number}/disable").read_text()


def test_on_disk_one_port_is_switched_and_no_other(sys, folder):
    relay = opened(folder)
    relay.probe()
    relay.set(0, False)
    assert [disabled(sys, n)[0] for n in (1, 2, 3, 4)] == ["0", "0", "1", "0"]
    assert relay.get() is False


def test_something_else_is_plugged_in_there(folder):
    with pytest.raises(DeviceMismatchError, match=r"1-1\.1 is no hub") as caught:
        opened(folder, "1-1.1.2").probe()
    assert "lsusb" in caught.value.hint


def test_a_hub_that_was_pulled_out(sys, folder):
    relay = opened(folder)
    (sys / "bus/usb/devices/1-1:1.0").unlink()
    for act in (relay.get, lambda: relay.set(0, True), relay.probe):
        with pytest.raises(DeviceNotFoundError) as caught:
            act()
        assert "plugged in" in caught.value.hint


def test_a_kernel_without_power_management_is_believed(sys, folder):
    for port in (sys / "devices/pci0000:00/usb1/1-1/1-1:1.0").iterdir():
        (port / "power/pm_qos_no_power_off").unlink()
        (port / "power").rmdir()
    opened(folder).probe()
    assert opened(folder).get() is True


def test_a_file_that_says_something_else(sys, folder):
    (sys / "devices/pci0000:00/usb1/1-1/1-1:1.0/1-1-port3/disable").write_text("maybe\n")
    with pytest.raises(DeviceDataError, match="'maybe'"):
        opened(folder).get()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_belongs_to_root(sys, folder):
    (sys / "devices/pci0000:00/usb1/1-1/1-1:1.0/1-1-port3/disable").chmod(0o444)
    with pytest.raises(BusError, match="no permission") as caught:
        opened(folder).set(0, False)
    assert "udev" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"port": "1"},
        {"port": "usb1-port2"},
        {"port": "1-0"},
        {"port": "1-1:1.0"},
        {"port": "../1-1"},
        {"port": "1-1.3", "usb3_port": "1-2.3"},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        UsbPortOptions(**options)


def test_a_port_is_claimed_with_both_halves():
    both = UsbPortOptions(port="1-1.3", usb3_port="2-1.3").claims()
    assert set(both) & set(UsbPortOptions(port="2-1.3").claims())
    assert not set(both) & set(UsbPortOptions(port="1-1.4", usb3_port="2-1.4").claims())


@pytest.mark.parametrize(
    ("act", "number"),
    [
        (lambda part: part.read("bus/usb/devices/1-2"), errno.ENOENT),
        (lambda part: part.read("bus/usb"), errno.EISDIR),
        (lambda part: part.names(USB2), errno.ENOTDIR),
        (lambda part: part.names("class"), errno.ENOENT),
        (lambda part: part.write(USB2, "2"), errno.EINVAL),
        (lambda part: part.write(USB3, "1"), errno.ENOENT),
        (lambda part: part.write("bus/usb/devices/1-1/bDeviceClass", "0"), errno.EACCES),
    ],
)
def test_the_emulated_files_refuse_as_the_kernel_does(act, number):
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        act(Port("1-1.3"))
    assert caught.value.errno == number
