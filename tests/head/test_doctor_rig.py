"""What the doctor says of a rig's ports, files in sysfs and outlets on the network."""

import os
import socket
from dataclasses import replace

import pytest

from hwctl.config.draft import Use
from hwctl.config.load import load
from hwctl.engine.head import machine as real
from hwctl.engine.head.doctor import examine
from hwctl.engine.head.findings import Level
from hwctl.engine.head.machine import Who
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers import hwmon_fan, pwm_fan

RELAYS = '[device.relays]\ndriver = "lcus"\nbus = "one"\nchannels = 4\n'
HUB = '[bus.sys]\nkind = "sysfs"\n[device.hub]\ndriver = "usb_port"\nbus = "sys"\nport = "1-1.3"\n'
PORT = "/sys/bus/usb/devices/1-1:1.0/1-1-port3"
SUBJECT = "port 3 of hub 1-1"


@pytest.fixture
def rig(tmp_path):
    """A rig on a board that is no Raspberry Pi, with some buses and devices."""

    def written(text):
        (tmp_path / "rig.toml").write_text(
            f'[rig]\nname = "rig"\n[board]\nmodel = "RockPro64"\n{text}'
        )
        settings = tmp_path / "rig.hwctl.toml"
        settings.write_text('wiring = "rig.toml"\n[shutdown]\nstages = []\n')
        return load(settings)

    return written


@pytest.fixture
def said(pi, rig):
    """said(text, subject): the one finding about it, or None."""

    def ask(text, subject):
        found = [one for one in examine(pi.machine(), rig(text)) if one.subject == subject]
        assert len(found) <= 1, found
        for one in found:
            assert bool(one.command) == (one.level is not Level.OK), one
            assert "\n" not in one.command
        return found[0] if found else None

    return ask


def bus(kind, path):
    return f'[bus.one]\nkind = "{kind}"\npath = "{path}"\n'


# --- ports -----------------------------------------------------------------------------------


def test_a_port_that_is_there_under_its_lasting_name(pi, said):
    pi.put("/dev/ttyUSB0", mode=0o660)
    pi.link("/dev/hwctl/relays", "../ttyUSB0")
    text = bus("serial", "/dev/hwctl/relays") + RELAYS
    assert said(text, "bus one").level is Level.OK
    for subject in ("name of bus one", "console on bus one", "ModemManager", "brltty"):
        assert said(text, subject) is None


@pytest.mark.parametrize("kind", ["serial", "modbus", "hid"])
def test_a_port_that_is_not_there(said, kind):
    found = said(bus(kind, "/dev/hwctl/relays"), "bus one")
    assert (found.level, found.what) == (Level.MISSING, "/dev/hwctl/relays does not exist")
    assert "is it plugged in?" in found.command


def test_a_port_that_is_closed_names_the_group(pi, said):
    pi.put("/dev/ttyUSB0", mode=0o660)
    pi.me = Who("pi", 1000, frozenset({1000}))
    found = said(bus("serial", "/dev/ttyUSB0"), "bus one")
    assert found.level is Level.MISSING
    assert found.command == "sudo usermod -aG gpio pi"


@pytest.mark.parametrize(
    ("kind", "node", "folder", "more"),
    [
        ("serial", "ttyUSB0", "tty/ttyUSB0", ""),
        ("modbus", "ttyACM3", "tty/ttyACM3", ""),
        ("hid", "hidraw0", "hidraw/hidraw0", " --kind hidraw"),
    ],
)
def test_a_counted_name_is_made_one_that_stays(pi, said, kind, node, folder, more):
    pi.put(f"/dev/{node}", mode=0o660)
    pi.put("/sys/devices/pci/usb1/1-1/1-1.2/1-1.2:1.0/x/uevent")
    pi.link(f"/sys/class/{folder}/device", "../../../devices/pci/usb1/1-1/1-1.2/1-1.2:1.0/x")
    found = said(bus(kind, f"/dev/{node}"), "name of bus one")
    assert found.level is Level.WARNING
    assert found.command == (
        f"hwctl udev --port 1-1.2 --name one{more} | "
        "sudo tee -a /etc/udev/rules.d/71-hwctl-ports.rules"
    )
    pi.link("/dev/hwctl/ch340-1-1.2", f"../{node}")
    assert "it is /dev/hwctl/ch340-1-1.2" in said(bus(kind, f"/dev/{node}"), "name of bus one").what


def test_the_console_on_a_board_s_own_port(pi, said):
    pi.put("/dev/ttyAMA0", mode=0o660)
    pi.link("/dev/serial0", "ttyAMA0")
    text = bus("serial", "/dev/ttyAMA0")
    assert said(text, "console on bus one") is None
    pi.put("/proc/cmdline", "console=serial0,115200 console=tty1 root=/dev/mmcblk0p2\n")
    assert "do_serial_cons 1" in said(text, "console on bus one").command
    pi.drop("/usr/bin/raspi-config")
    assert "serial-getty@ttyAMA0" in said(text, "console on bus one").command


def test_a_pi_s_own_port_that_is_off(pi, said):
    assert "do_serial_hw 0" in said(bus("serial", "/dev/serial0"), "bus one").command


def test_programs_that_grab_serial_adapters(pi, said):
    pi.put("/usr/sbin/ModemManager")
    pi.put("/usr/lib/udev/rules.d/85-brltty.rules")
    text = bus("serial", "/dev/hwctl/relays")
    found = said(text, "ModemManager")
    assert found.level is Level.WARNING
    assert found.command == "sudo systemctl mask --now ModemManager.service"
    assert said(text, "brltty").command == "sudo apt purge brltty"
    # Nothing of theirs: the board's own port, a gateway, a HID device.
    for other in (("serial", "/dev/ttyAMA0"), ("modbus", "10.0.0.7:502"), ("hid", "/dev/hidraw0")):
        assert said(bus(*other), "ModemManager") is None
        assert said(bus(*other), "brltty") is None
    pi.link("/etc/systemd/system/ModemManager.service", "/dev/null")
    assert said(text, "ModemManager") is None


@pytest.mark.parametrize(
    ("path", "place"),
    [("10.0.0.7:502", "10.0.0.7:502"), ("tcp://gate", "gate:502"), ("gate:4196", "gate:4196")],
)
def test_a_gateway_that_is_reached_or_not(pi, said, path, place):
    assert said(bus("modbus", path), "bus one").what == f"{place} takes connections"
    pi.faults[place] = "No route to host"
    found = said(bus("modbus", path), "bus one")
    assert (found.level, found.what) == (Level.WARNING, f"{place}: No route to host")
    assert found.command == f"ping -c 3 {place.partition(':')[0]}"


def test_a_gateway_s_name_never_reaches_a_shell(pi, said):
    pi.faults["x;reboot:502"] = "unknown"
    assert said(bus("modbus", "x;reboot:502"), "bus one").command == "ping -c 3 'x;reboot'"


# --- hub ports -------------------------------------------------------------------------------


@pytest.fixture
def hub(pi):
    """A hub that says that it switches its ports, whose files the rules have given away."""
    pi.put(f"{PORT}/disable", "0\n", mode=0o664)
    pi.put(f"{PORT}/power/pm_qos_no_power_off", "0\n")
    pi.put("/sys/bus/usb/devices/1-1/idVendor", "05e3\n")
    pi.put("/sys/bus/usb/devices/1-1/idProduct", "0608\n")
    return pi


def test_a_hub_port_that_can_be_switched(hub, said):
    found = said(HUB, SUBJECT)
    assert found.level is Level.OK
    assert "try it once" in found.what, "hubs say so that do nothing"
    assert said(HUB, f"{SUBJECT}: whose") is None


@pytest.mark.parametrize(
    ("spoil", "what", "command"),
    [
        (
            lambda pi: pi.put("/proc/sys/kernel/osrelease", "5.15.0\n"),
            "from Linux 6.0 on", "sudo apt full-upgrade",
        ),
        (lambda pi: pi.drop(f"{PORT}/disable"), "no file to switch it by", "uname -r"),
        (
            lambda pi: (pi.drop(f"{PORT}/power/pm_qos_no_power_off"),
                        pi.put(f"{PORT}/power/control")),
            "says that it cannot switch power", "sudo uhubctl",
        ),
        (
            lambda pi: pi.put(f"{PORT}/peer"),
            "is half of a USB 3 port", f"readlink {PORT}/peer",
        ),
        (
            lambda pi: pi.put(f"{PORT}/disable", mode=0o644),
            "disable: closed to pi", "sudo hwctl install",
        ),
        (
            lambda pi: (pi.root / PORT[1:]).rename(pi.root / PORT[1:].replace("port3", "port1")),
            "no such port, of 1", "lsusb -t",
        ),
        (
            lambda pi: (pi.root / PORT[1:]).parent.rename(pi.root / "sys/gone"),
            "there is no such hub", "lsusb -t",
        ),
    ],
)  # fmt: skip
def test_a_hub_port_that_cannot(hub, said, spoil, what, command):
    hub.me = Who("pi", 4242, frozenset({os.getgid()}))
    assert said(HUB, SUBJECT).level is Level.OK
    spoil(hub)
    found = said(HUB, SUBJECT)
    assert found.level is Level.MISSING
    assert what in found.what
    assert found.command.startswith(command)


def test_a_person_who_is_not_in_the_group_of_the_port(hub, said):
    hub.me = Who("pi", 4242, frozenset())
    found = said(HUB, SUBJECT)
    assert found.level is Level.MISSING
    assert found.command == "sudo usermod -aG gpio pi"


def test_both_halves_are_looked_at(hub, said):
    hub.put(f"{PORT}/peer")
    both = f'{HUB}usb3_port = "2-1.3"\n'
    assert said(both, SUBJECT).level is Level.OK
    assert said(both, "port 3 of hub 2-1").what == "there is no such hub"


@pytest.mark.parametrize("own", ["2109:3431", "0424:9514"])
def test_ports_of_a_raspberry_pi_s_own_hub_go_off_together(hub, said, own):
    vendor, product = own.split(":")
    hub.put("/sys/bus/usb/devices/1-1/idVendor", f"{vendor}\n")
    hub.put("/sys/bus/usb/devices/1-1/idProduct", f"{product}\n")
    found = said(HUB, f"{SUBJECT}: whose")
    assert found.level is Level.WARNING
    assert "together only" in found.what
    hub.put("/proc/device-tree/model", "Pine64 RockPro64\0")
    assert said(HUB, f"{SUBJECT}: whose") is None


def test_a_root_hub_of_a_raspberry_pi(hub, said):
    text = HUB.replace("1-1.3", "1-2")
    assert "together only" in said(text, "port 2 of hub usb1: whose").what


# --- fans of the kernel's --------------------------------------------------------------------


def with_fans(rig, driver, **options):
    loaded = rig('[bus.sys]\nkind = "sysfs"\n')
    entry = DeviceEntry.model_validate({"driver": driver.name, "bus": "sys", **options})
    wiring = loaded.wiring.model_copy(update={"device": {"fans": entry}})
    return replace(loaded, wiring=wiring, devices={"fans": Use(driver, driver.options(**options))})


def test_fans_that_a_kernel_driver_drives(pi, rig):
    pi.me = Who("pi", 4242, frozenset({os.getgid()}))
    loaded = with_fans(rig, hwmon_fan.DRIVER, chip="nct6775")

    def found():
        (one,) = [f for f in examine(pi.machine(), loaded) if f.subject == "device fans"]
        return one

    assert (found().level, found().what) == (Level.MISSING, "the kernel shows no such chip")
    folder = "/sys/class/hwmon/hwmon2"
    pi.put(f"{folder}/name", "nct6775\n")
    assert "drives nothing" in found().what
    pi.put(f"{folder}/pwm1", "255\n", mode=0o664)
    pi.put(f"{folder}/pwm1_enable", "5\n", mode=0o644)
    assert found().what == f"{folder}/pwm1_enable: closed to pi"
    assert found().command == "sudo hwctl install"
    pi.put(f"{folder}/pwm1_enable", "5\n", mode=0o664)
    assert found().level is Level.OK
    pi.put("/sys/class/hwmon/hwmon3/name", "nct6775\n")
    assert "2 chips fit" in found().what


def test_an_output_that_is_not_exported_yet_needs_its_chip_s_file_only(pi, rig):
    pi.me = Who("pi", 4242, frozenset({os.getgid()}))
    loaded = with_fans(rig, pwm_fan.DRIVER, chip="pwmchip0")
    pi.put("/sys/class/pwm/pwmchip0/npwm", "2\n", mode=0o444)
    pi.put("/sys/class/pwm/pwmchip0/export", "", mode=0o220)
    (one,) = [f for f in examine(pi.machine(), loaded) if f.subject == "device fans"]
    assert one.level is Level.OK, "it can be written, and not read"


# --- the unit for this rig -------------------------------------------------------------------


def test_a_unit_that_was_made_for_another_rig(pi, said):
    unit = "/etc/systemd/system/hwctl.service"
    text = bus("serial", "/dev/ttyAMA0") + HUB
    assert said(text, "unit for this rig") is None, "nothing is installed: said elsewhere"
    pi.put(unit, "[Service]\nDeviceAllow=char-gpiochip rw\n")
    found = said(text, "unit for this rig")
    assert (found.level, found.command) == (Level.MISSING, "sudo hwctl install")
    assert found.what == f"{unit} lacks DeviceAllow=char-ttyAMA rw"
    pi.put(unit, "[Service]\nDeviceAllow=char-ttyAMA rw\n")
    assert said(text, "unit for this rig").what == f"{unit} lacks ReadWritePaths=-/sys/devices"
    pi.put(unit, "[Service]\nDeviceAllow=char-ttyAMA rw\nReadWritePaths=-/sys/devices\n")
    assert said(text, "unit for this rig").level is Level.OK


# --- the network -----------------------------------------------------------------------------

HEAD_LINE = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
ETH0 = "eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
"""192.168.0.0/24, as Linux writes it."""
USB0 = "usb0\t00002A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
"""10.42.0.0/24."""


def waker(host):
    return f'[device.pc]\ndriver = "wake_on_lan"\nmac = "b8:27:eb:00:00:01"\nhost = "{host}"\n'


@pytest.mark.parametrize(
    ("routes", "host", "level", "what"),
    [
        ("", "255.255.255.255", Level.MISSING, "in no network"),
        (DEFAULT + ETH0, "255.255.255.255", Level.OK, "leaves by eth0"),
        (
            DEFAULT + ETH0 + USB0, "255.255.255.255", Level.WARNING,
            "in 2: 192.168.0.255 (eth0), 10.42.0.255 (usb0)",
        ),
        (ETH0 + USB0, "10.42.0.255", Level.OK, "leaves by usb0"),
        (ETH0 + USB0, "10.42.0.12", Level.WARNING, "the network's is 10.42.0.255"),
        (DEFAULT + ETH0, "10.42.0.255", Level.WARNING, "in none of the head's networks"),
        (ETH0, "1.2.3.4.5", Level.MISSING, "no IPv4 address"),
        ("eth0 nonsense\n" + ETH0, "192.168.0.255", Level.OK, "eth0"),
    ],
)  # fmt: skip
def test_where_a_waking_packet_goes(pi, said, routes, host, level, what):
    pi.put("/proc/net/route", HEAD_LINE + routes)
    found = said(waker(host), "device pc")
    assert found.level is level
    assert what in found.what


def plug(host):
    return f'[device.plug]\ndriver = "shelly"\nhost = "{host}"\n'


def test_a_name_that_nobody_knows(pi, said):
    assert said(plug("plug.lan"), "name plug.lan").level is Level.OK
    pi.faults["plug.lan"] = "Name or service not known"
    found = said(plug("plug.lan"), "name plug.lan")
    assert (found.level, found.what) == (
        Level.MISSING, "Name or service not known: plug cannot be reached",
    )  # fmt: skip
    assert "/etc/hosts" in found.command


@pytest.mark.parametrize("host", ["10.42.0.20", "fe80::1"])
def test_an_address_needs_no_name(pi, said, host):
    pi.faults[host] = "was asked for"
    assert said(plug(host), f"name {host}") is None


def test_names_and_links_of_this_machine():
    assert real.name_fault("localhost") == ""
    assert real.name_fault("no-such-host.invalid")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        place = listening.getsockname()
        assert real.link_fault(*place) == ""
    assert "refused" in real.link_fault(*place)


# --- programs --------------------------------------------------------------------------------


def command(program):
    return f'[device.plug]\ndriver = "command"\non = ["{program}", "1"]\noff = ["{program}", "0"]\n'


@pytest.mark.parametrize(
    ("program", "mode", "level", "what"),
    [
        ("/usr/local/bin/plug", 0o755, Level.OK, "is there"),
        ("/usr/local/bin/plug", None, Level.MISSING, "does not exist"),
        ("/usr/local/bin/plug", 0o750, Level.MISSING, "may not run it"),
        ("/usr/local/bin/plug", 0o757, Level.WARNING, "anybody may change it"),
        ("/usr/local/bin/plug", 0o4755, Level.WARNING, "cannot become root"),
        ("/usr/bin/sudo", 0o755, Level.WARNING, "cannot become root"),
        ("/home/pi/plug", 0o755, Level.MISSING, "/home is hidden"),
        ("/tmp/plug", 0o755, Level.MISSING, "/tmp is hidden"),
    ],
)
def test_a_program_as_the_service_would_find_it(pi, said, program, mode, level, what):
    if mode is not None:
        pi.put(program, "#!/bin/true\n", mode=mode)
    found = said(command(program), f"program {program}")
    assert found.level is level
    assert what in found.what
