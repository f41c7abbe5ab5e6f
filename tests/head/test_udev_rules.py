"""The udev rules: in form, against systemd-udevd's own reader, and by command."""

import os
import re
import shlex
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
        (
            'ACTION!="remove", SUBSYSTEM=="usb", DRIVER="hub", TAG+="x"',
            "DRIVER cannot stand with =",
        ),
        (
            'ACTION!="remove", SUBSYSTEM=="usb", RUN="/usr/bin/find $sys$devpath"',
            "takes away what other rules run",
        ),
        (
            'ACTION!="remove", SUBSYSTEM=="usb", RUN+="/bin/sh -c \'chgrp x $sys$devpath/*\'"',
            "RUN starts /bin/sh",
        ),
        ('ACTION!="remove", SUBSYSTEM=="usb", RUN+="find $sys$devpath"', "RUN starts find"),
        (
            'ACTION!="remove", SUBSYSTEM=="usb", RUN+="/usr/bin/find $attr{product}"',
            "given $attr{product}, which may be text from outside",
        ),
        (
            'ACTION!="remove", SUBSYSTEM=="usb", RUN+="/usr/bin/find /sys/%s{serial}"',
            "given %s{serial}",
        ),
        (
            'ACTION!="remove", SUBSYSTEM=="usb", RUN+="/usr/bin/find $env{ID_MODEL}"',
            "$env{ID_MODEL}",
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
    assert udev.usual_groups(["gpio"]) == {"gpio": "gpio", "pwm": "gpio"}
    text = udev.text([], groups)
    assert list(udev.faults(text)) == []
    for line in lines(text):
        if "GROUP=" in line:
            wanted = "i2c" if '"i2c-dev"' in line else "dialout" if '"tty"' in line else "hwctl"
            assert f'GROUP="{wanted}"' in line


def test_modemmanager_is_kept_from_what_is_surely_no_modem():
    text = udev.text(own_drivers())
    ignored = [line for line in lines(text) if "ID_MM_DEVICE_IGNORE" in line]
    assert {re.search(r'idVendor}=="(\w+)"', line)[1] for line in ignored} == {"2a19"}
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in udev.port_rule("1-1.2", "relay0")
    assert "ID_MM" not in udev.port_rule("1-1.2", "relay0", "hidraw")


@pytest.mark.parametrize(
    ("tree", "subsystem", "group", "given"),
    [
        (
            ["1-1-port1/disable", "1-1-port12/disable", "1-1-port1/power/disable",
             "1-1-port1/connect_type", "bInterfaceNumber"],
            "usb", "hwctl", {"1-1-port1/disable", "1-1-port12/disable"},
        ),
        (
            ["pwm1", "pwm2_enable", "pwm1_freq", "fan1_input", "name", "power/pwm1"],
            "hwmon", "hwctl", {"pwm1", "pwm2_enable"},
        ),
        (
            ["export", "unexport", "npwm", "pwm0/period", "pwm11/duty_cycle", "pwm0/polarity",
             "pwm0/enable", "pwm0/capture", "pwm0/power/control"],
            "pwm", "gpio",
            {"export", "pwm0/period", "pwm11/duty_cycle", "pwm0/polarity", "pwm0/enable"},
        ),
    ],
)  # fmt: skip
def test_files_in_sysfs_are_handed_over_and_no_others(tmp_path, tree, subsystem, group, given):
    """By the rule's own program, its words split as udevd splits them; a space is no end of one."""
    device = tmp_path / "devices" / "a bus" / "x"
    for name in tree:
        file = device / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o644)
    # What a link leads to is somebody else's.
    (tmp_path / "pwm1").touch(0o644)
    (device / "device").symlink_to(tmp_path)
    (rule,) = [
        line
        for line in lines(udev.text([], udev.usual_groups(["gpio"])))
        if f'SUBSYSTEM=="{subsystem}"' in line and "RUN+=" in line
    ]
    command = re.search(r'RUN\+="([^"]*)"', rule)[1]
    assert f"/usr/bin/chgrp {group} " in command
    words = command.replace("$sys", str(tmp_path)).replace("$devpath", "/devices/a bus/x")
    own = next(Path(tmp_path).iterdir()).stat().st_gid
    words = [str(own) if word == group else word for word in shlex.split(words)]
    subprocess.run(words, check=True)
    changed = {
        str(file.relative_to(device))
        for file in device.rglob("*")
        if file.is_file() and file.stat().st_mode & 0o020
    }
    assert changed == given
    assert not (tmp_path / "pwm1").stat().st_mode & 0o020


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
echo "== handed"
export SYSTEMD_LOG_LEVEL=info
for device in $3; do
    # As udevd does: the words of RUN, and no shell.
    udevadm test --action=bind "/sys$device" 2>/dev/null | sed -n "s/^run: '\\(.*\\)'$/\\1/p" |
        while IFS= read -r line; do printf '%s\\n' "$line" | xargs env; done
done
cd /sys/devices && find . -type f -perm -020 -printf '%P %g %m\\n' | sort
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
    ports = f"{hub}/1-0:1.0"
    files = {"usb1-port1__disable": 0, "usb1-port2__disable": 0, "usb1-port1__connect_type": "x"}
    sysfs_device(sys, ports, "usb", "DEVTYPE=usb_interface\nDRIVER=hub\n", **files)
    (sys / "bus/usb/drivers/hub").mkdir(parents=True)
    (sys / ports[1:] / "driver").symlink_to(
        os.path.relpath(sys / "bus/usb/drivers/hub", sys / ports[1:])
    )
    fan = "/devices/platform/fan/hwmon/hwmon3"
    sysfs_device(sys, fan, "hwmon", pwm1=0, pwm1_enable=1, fan1_input=900)
    (tmp_path / "group").write_text(Path("/etc/group").read_text() + "hwctl:x:64123:\n")
    rules = tmp_path / "rules"
    rules.mkdir()
    shutil.copy(FILE, rules)
    (rules / "71-hwctl-ports.rules").write_text(udev.port_rule("1-1.2", "relay0") + "\n")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", INSIDE, "sh", tmp_path, f"{TTY} {clone} {i2c}",
         f"{ports} {fan}"],
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


def test_udevd_hands_files_in_sysfs_to_the_group(told):
    assert part(told, "handed") == [
        "platform/fan/hwmon/hwmon3/pwm1 hwctl 664",
        "platform/fan/hwmon/hwmon3/pwm1_enable hwctl 664",
        "platform/xhci/usb1/1-0:1.0/usb1-port1/disable hwctl 664",
        "platform/xhci/usb1/1-0:1.0/usb1-port2/disable hwctl 664",
    ]
