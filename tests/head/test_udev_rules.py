"""The udev rules: in form, against systemd-udevd's own reader, and by command."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hwctl.config import udev
from hwctl.config.drivers import own_drivers
from hwctl.model.drivers import Driver, Options, UsbId
from hwctl.model.errors import ConfigError

FILE = Path(__file__).resolve().parents[2] / "udev" / "70-hwctl.rules"
RELAY = Driver(
    name="hid_relay", summary="a relay", parts=("HID relay",), bus="net",
    roles=frozenset({"outlet"}), options=Options, open=lambda bus, options: None,
    proof="none", usb=(UsbId(0x16C0, 0x05DF, "hid-relay", "hidraw"),),
)  # fmt: skip


def lines(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_file_is_what_the_drivers_make():
    assert FILE.read_text() == udev.text(own_drivers())


def test_it_is_read_before_devices_are_handed_to_whoever_sits_there():
    assert FILE.name < "73-seat-late.rules"
    assert FILE.name > "60-serial.rules"


def test_every_rule_is_well_formed():
    text = udev.text([*own_drivers(), RELAY])
    assert len(lines(text)) > 20
    assert list(udev.faults(text)) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('ACTION!="remove", SUBSYSTEM=="tty" GROUP="x"', "is not KEY"),
        ('ACTION!="remove",SUBSYSTEM=="tty", GROUP="x"', "is not KEY"),
        ('ACTION!="remove", SUBSYSTEM==\'tty\', GROUP="x"', "is not KEY"),
        ('ACTION!="remove", SUBSYSTEM=="tty", GRUOP="x"', "GRUOP is not a key"),
        ('ACTION!="remove", SUBSYSTEM=="tty", GROUP=="x"', "GROUP cannot stand with =="),
        ('ACTION!="remove", SUBSYSTEM="tty", GROUP="x"', "SUBSYSTEM cannot stand with ="),
        ('ACTION!="remove", SUBSYSTEM=="tty", ATTR=="x", GROUP="x"', "without"),
        ('ACTION!="remove", SUBSYSTEM=="tty", GROUP{a}="x"', "takes none"),
        ('ACTION!="remove", SUBSYSTEM=="tty"', "assigns nothing"),
        ('ACTION!="remove", KERNEL=="tty*", GROUP="x"', "names no SUBSYSTEM"),
        ('SUBSYSTEM=="tty", GROUP="x"', "on removal too"),
        (
            'ACTION!="remove", SUBSYSTEM=="tty", ATTRS{idVendor}=="1a86", GROUP="x"',
            "any parent could match",
        ),
    ],
)
def test_the_lexer_sees_what_is_wrong(line, fault):
    assert any(fault in one for one in udev.faults(line)), list(udev.faults(line))


def test_a_driver_s_own_usb_device_is_given_and_kept_awake():
    text = udev.text([RELAY])
    rules = [line for line in lines(text) if "05df" in line]
    given, imported, by_serial, awake = rules
    assert 'IMPORT{builtin}="usb_id"' in imported
    assert given.startswith('ACTION!="remove", SUBSYSTEM=="hidraw", SUBSYSTEMS=="usb"')
    assert 'GROUP="hwctl", MODE="0660", TAG+="uaccess", SYMLINK+="hwctl/hid-relay-%b"' in given
    assert 'SYMLINK+="hwctl/hid-relay-$env{ID_SERIAL_SHORT}"' in by_serial
    assert 'ATTR{power/control}="on"' in awake
    assert "hidraw" not in udev.text([])
    assert "hidraw" in udev.device_classes([RELAY])
    assert "hidraw" not in udev.device_classes([])


def test_nobody_loses_a_device_to_hwctl():
    groups = udev.usual_groups(["root", "i2c", "dialout", "audio"])
    assert groups == {"i2c-dev": "i2c", "tty": "dialout"}
    text = udev.text([], groups)
    assert list(udev.faults(text)) == []
    for line in lines(text):
        if "GROUP=" in line:
            wanted = "i2c" if '"i2c-dev"' in line else "dialout" if '"tty"' in line else "hwctl"
            assert f'GROUP="{wanted}"' in line


def test_a_board_without_a_serial_number_is_named_by_its_port():
    rule = udev.port_rule("1-1.2", "relay0")
    assert list(udev.faults(rule)) == []
    assert 'KERNELS=="1-1.2"' in rule
    assert 'SYMLINK+="hwctl/relay0"' in rule
    assert 'SUBSYSTEM=="i2c-dev"' in udev.port_rule("2-3", "bus", "i2c-dev")


@pytest.mark.parametrize(
    ("port", "name", "where"),
    [
        ("1", "relay0", "--port"),
        ("1-1.2:1.0", "relay0", "--port"),
        ("1-0", "relay0", "--port"),
        ('1-1", RUN+="/bin/sh', "relay0", "--port"),
        ("1-1.2", "../sda", "--name"),
        ("1-1.2", 'x", RUN+="sh', "--name"),
        ("1-1.2", "", "--name"),
        ("1-1.2", "Relay 0", "--name"),
    ],
)
def test_nothing_but_a_port_and_a_name_gets_into_a_rule(port, name, where):
    with pytest.raises(ConfigError) as caught:
        udev.port_rule(port, name)
    assert caught.value.where == where
    assert caught.value.hint


# --- systemd-udevd's own reader, on a /sys of our own ----------------------------------------

TTY = "/devices/platform/xhci/usb1/1-1/1-1.2/1-1.2:1.0/ttyUSB0/tty/ttyUSB0"
INSIDE = """
set -e
fake=$1
mount -t tmpfs none /run
mount -t tmpfs none /dev
mkdir -p /run/udev/rules.d
cp "$fake"/rules/* /run/udev/rules.d/
mknod /dev/ttyUSB0 c 188 0
mknod /dev/i2c-7 c 89 7
mount --bind "$fake/group" /etc/group
mount --bind "$fake/sys" /sys
export SYSTEMD_DEVICE_VERIFY_SYSFS=0
for device in $2; do udevadm test --action=add "/sys$device" 2>&1; done
echo "== links"
cd /dev && find hwctl -type l -printf '%p %l\\n'
echo "== nodes"
stat -c '%n %G %a' ttyUSB0 i2c-7
echo "== power"
cat /sys/devices/platform/xhci/usb1/1-1/1-1.2/power/control
"""


def sysfs_device(sys, path, subsystem, uevent="", **attributes):
    folder = sys / path.lstrip("/")
    folder.mkdir(parents=True)
    (folder / "uevent").write_text(uevent)
    for name, value in attributes.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{value}\n")
    kind = sys / ("bus" if subsystem == "usb" else "class") / subsystem
    kind.mkdir(parents=True, exist_ok=True)
    (folder / "subsystem").symlink_to(os.path.relpath(kind, folder))


def usb_device(sys, port, vendor, product, **attributes):
    path = f"/devices/platform/xhci/usb1/{port.partition('.')[0]}/{port}"
    ids = {"idVendor": vendor, "idProduct": product, "bDeviceClass": "ff"}
    sysfs_device(
        sys, path, "usb", "DEVTYPE=usb_device\n", **ids, power__control="auto", **attributes
    )
    face = {"bInterfaceNumber": "00", "bInterfaceClass": "ff"}
    sysfs_device(sys, f"{path}/{port}:1.0", "usb", "DEVTYPE=usb_interface\n", **face)
    return path


@pytest.fixture
def told(tmp_path):
    """What udevd does with two adapters of which it is told by a made-up /sys."""
    if os.geteuid() or not shutil.which("udevadm") or not shutil.which("unshare"):
        pytest.skip("needs root, udevadm and unshare")
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"no mount namespace of our own here: {tried.stderr.strip()}")
    sys = tmp_path / "sys"
    hub = "/devices/platform/xhci/usb1"
    sysfs_device(sys, hub, "usb", "DEVTYPE=usb_device\n")
    clone = usb_device(sys, "1-1.2", "1a86", "7523")
    sysfs_device(sys, TTY, "tty", "MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0\n", dev="188:0")
    tiny = usb_device(sys, "1-1.3", "0403", "c631", serial="A../../b 1")
    i2c = f"{tiny}/1-1.3:1.0/i2c-7/i2c-dev/i2c-7"
    sysfs_device(sys, i2c, "i2c-dev", "MAJOR=89\nMINOR=7\nDEVNAME=i2c-7\n", dev="89:7")
    (tmp_path / "group").write_text(Path("/etc/group").read_text() + "hwctl:x:64123:\n")
    rules = tmp_path / "rules"
    rules.mkdir()
    shutil.copy(FILE, rules)
    (rules / "71-hwctl-ports.rules").write_text(udev.port_rule("1-1.2", "relay0") + "\n")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", INSIDE, "sh", tmp_path, f"{TTY} {clone} {i2c}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def part(told, name):
    return re.search(rf"== {name}\n(.*?)(?:==|\Z)", told, re.DOTALL)[1].split("\n")[:-1]


def test_udevd_understands_every_line(told):
    complaints = [
        line
        for line in told.splitlines()
        if re.search(r"rules\.d/7[01]-hwctl\S*:\d+ ", line)
        and not re.search(r":\d+ (GROUP|MODE|LINK|ATTR|Importing|Skipping builtin 'usb_id') ", line)
    ]
    assert complaints == []


def test_udevd_gives_the_nodes_and_names_that_stay(told):
    assert sorted(part(told, "links")) == [
        "hwctl/ch340-1-1.2 ../ttyUSB0",
        "hwctl/i2c-tiny-usb-1-1.3 ../i2c-7",
        # A serial number that would lead out of /dev/hwctl does not.
        "hwctl/i2c-tiny-usb-A.._.._b_1 ../i2c-7",
        "hwctl/relay0 ../ttyUSB0",
    ]
    assert part(told, "nodes") == ["ttyUSB0 hwctl 660", "i2c-7 hwctl 660"]


def test_udevd_keeps_the_adapter_awake(told):
    assert part(told, "power")[0].startswith("on")
