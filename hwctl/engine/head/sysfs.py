"""Files of the kernel that one rig's drivers write: hub ports, hwmon's fans, PWM outputs.

Sources     as hwctl_drivers/usb_port.py: Linux 6.1 drivers/usb/core/port.c; mvp/uhubctl's README
"""

import stat
from collections.abc import Iterator, Sequence

from hwctl.config.load import Loaded
from hwctl.engine.head.basics import is_pi, kernel_version
from hwctl.engine.head.devices import let_in
from hwctl.engine.head.findings import Finding, missing, ok, warning
from hwctl.engine.head.machine import Machine, Who
from hwctl.engine.head.opened import chips

HUBS = "/sys/bus/usb/devices"
SWITCHES_PORTS = (6, 0)
"""Linux: `disable` in a port's folder."""
ON_BOARD = frozenset({"2109:3431", "0424:9514", "0424:9512"})
"""The hubs on a Raspberry Pi 4, 2 and 3, and B, whose ports are the board's own (unverified)."""


def check_sysfs(machine: Machine, users: Sequence[Who], rig: Loaded) -> Iterator[Finding]:
    for name, use in rig.devices.items():
        bus = rig.wiring.device[name].bus
        if use.driver.bus != "sysfs" or bus is None:
            continue
        halves = getattr(use.options, "halves", None)
        if use.driver.name == "usb_port" and halves:
            other = getattr(use.options, "usb3_port", None) is not None
            for half in halves:
                subject = f"port {half.number} of hub {half.hub}"
                folder = f"/sys/{half.folder}"
                yield _port(machine, users, subject, folder, other=other)
                yield from _own_port(machine, half.hub, subject)
        elif "fan" in use.driver.roles:
            yield _fan(machine, users, f"device {name}", chips(machine, use))


def _port(
    machine: Machine, users: Sequence[Who], subject: str, folder: str, *, other: bool
) -> Finding:
    kernel = kernel_version(machine)
    if kernel is not None and kernel < SWITCHES_PORTS:
        return missing(
            subject, "its power can be switched from Linux 6.0 on", "sudo apt full-upgrade"
        )
    interface = folder.rpartition("/")[0]
    if not machine.exists(interface):
        return missing(subject, "there is no such hub", "lsusb -t   # in the same port as before?")
    if not machine.exists(folder):
        there = machine.find(interface, "*-port[0-9]*")
        return missing(
            subject, f"there is no such port, of {len(there)}" if there else "is no hub", "lsusb -t"
        )
    file = f"{folder}/disable"
    node = machine.stat(file)
    if node is None:
        return missing(subject, "this kernel has no file to switch it by", "uname -r   # 6.0 on")
    power = machine.find(f"{folder}/power", "*")
    # Without power management in the kernel the folder is empty, and nothing is known.
    if power and f"{folder}/power/pm_qos_no_power_off" not in power:
        return missing(
            subject,
            "the hub says that it cannot switch power: what is plugged in would stay fed",
            "sudo uhubctl   # lists the hubs that can",
        )
    if not other and machine.exists(f"{folder}/peer"):
        return missing(
            subject,
            "is half of a USB 3 port, and the wiring names no `usb3_port`",
            f"readlink {folder}/peer",
        )
    return _writable(machine, users, subject, [file], "says that it switches: try it once")


def _own_port(machine: Machine, hub: str, subject: str) -> Iterator[Finding]:
    if not is_pi(machine):
        return
    vendor = machine.word(f"{HUBS}/{hub}/idVendor")
    product = machine.word(f"{HUBS}/{hub}/idProduct")
    if hub.startswith("usb") or f"{vendor}:{product}" in ON_BOARD:
        yield warning(
            f"{subject}: whose",
            "is the Raspberry Pi's own: its ports go off together only, whatever the hub says",
            "sudo uhubctl   # shows an external hub that switches each port",
        )


def _fan(machine: Machine, users: Sequence[Who], subject: str, folders: Sequence[str]) -> Finding:
    if not folders:
        return missing(
            subject,
            "the kernel shows no such chip",
            "grep . /sys/class/hwmon/*/name ; ls -l /sys/class/pwm",
        )
    if len(folders) > 1:
        return missing(
            subject, f"{len(folders)} chips fit: say which", "ls -l /sys/class/hwmon/*/device"
        )
    files = machine.find(folders[0], "pwm[0-9]", "pwm[0-9]_enable", "export", "pwm*/duty_cycle")
    files = [one for one in files if (node := machine.stat(one)) and node.st_mode & 0o222]
    if not files:
        return missing(
            subject, f"{folders[0]} drives nothing", f"ls -l {folders[0]}/   # pwm* must be there"
        )
    return _writable(machine, users, subject, files, folders[0])


def _writable(
    machine: Machine, users: Sequence[Who], subject: str, files: Sequence[str], fine: str
) -> Finding:
    for file in files:
        node = machine.stat(file)
        if node is None:
            continue  # just gone
        shut = [user.name for user in users if not user.may_write(node)]
        if shut:
            given = bool(node.st_mode & stat.S_IWGRP)
            command = let_in(machine.group_name(node.st_gid), shut, given=given)
            return missing(subject, f"{file}: closed to {' and '.join(shut)}", command)
    return ok(subject, f"{fine}; open to {' and '.join(user.name for user in users)}")
