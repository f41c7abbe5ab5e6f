"""Serial ports, Modbus ports and gateways, and HID devices of one rig: there, and its own?"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from hwctl.config.load import Loaded
from hwctl.config.udev import PORTS_FILE
from hwctl.engine.head.basics import CONFIG_TXT, is_pi
from hwctl.engine.head.devices import access
from hwctl.engine.head.findings import Finding, ok, warning
from hwctl.engine.head.machine import Machine, Who
from hwctl.engine.head.service_state import RULE_FOLDERS
from hwctl.model.wiring import Bus

PORT_KINDS = frozenset({"serial", "modbus", "hid"})
"""Of buses."""
MODBUS_PORT = 502
"""Modbus Messaging on TCP/IP Implementation Guide 1.0b, 4.3.2 (unverified)."""
MODEM_MANAGER = "/usr/sbin/ModemManager"
MASKED = "/etc/systemd/system/ModemManager.service"
BRLTTY = ("85-brltty.rules", "90-brltty.rules", "brltty.rules")
"""Names of its rules in udev's folders, by distribution (unverified)."""
_COUNTED = re.compile(r"/dev/(ttyUSB|ttyACM|hidraw)\d+", re.ASCII)
"""Names that are given in the order in which devices come."""
_USB_PORT = re.compile(r"[1-9]\d*-[1-9]\d*(\.[1-9]\d*)*", re.ASCII)
_OWN_UART = re.compile(r"tty(AMA|S|SC|mxc|O|HS|THS)\d+", re.ASCII)
"""Ports of the board itself: nobody takes them for a modem or a braille display."""


def check_port(machine: Machine, users: Sequence[Who], name: str, bus: Bus) -> Iterator[Finding]:
    """One bus of a kind in :data:`PORT_KINDS`."""
    subject = f"bus {name}"
    if bus.kind == "modbus" and not bus.path.startswith("/"):
        yield _gateway(machine, subject, bus.path)
        return
    yield access(machine, subject, bus.path, users)
    if _COUNTED.fullmatch(bus.path):
        yield _uncertain(machine, name, bus)
    if bus.kind != "hid":
        yield from _console(machine, name, bus.path)


def check_grabbers(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    """Programs that open every serial adapter that is plugged in, to see what it is."""
    adapters = [
        bus.path
        for bus in rig.wiring.bus.values()
        if bus.kind in ("serial", "modbus")
        and bus.path.startswith("/")
        and not _OWN_UART.fullmatch(_node(machine, bus.path))
    ]
    if not adapters:
        return
    if machine.exists(MODEM_MANAGER) and not machine.exists(MASKED):
        yield warning(
            "ModemManager",
            "takes serial ports that are plugged in for modems, holds them and writes to them",
            "sudo systemctl mask --now ModemManager.service",
        )
    if any(machine.exists(f"{folder}/{file}") for folder in RULE_FOLDERS for file in BRLTTY):
        yield warning(
            "brltty",
            "takes CH340, CP210x and FTDI adapters for braille displays: the port vanishes",
            "sudo apt purge brltty",
        )


def _gateway(machine: Machine, subject: str, path: str) -> Finding:
    place = path.removeprefix("tcp://")
    host, colon, number = place.rpartition(":")
    if not colon:
        host, number = place, str(MODBUS_PORT)
    if not number.isdigit() or not host:
        return warning(
            subject,
            f"{path!a} is neither a serial port nor HOST:PORT",
            "hwctl check CONFIG   # then mend `path`",
        )
    fault = machine.link_fault(host, int(number))
    if not fault:
        return ok(subject, f"{host}:{number} takes connections")
    # It may simply be off, as a node may.
    return warning(subject, f"{host}:{number}: {fault}", shlex.join(["ping", "-c", "3", host]))


def _uncertain(machine: Machine, name: str, bus: Bus) -> Finding:
    """A port whose name is another when two are plugged in the other way round."""
    real = machine.real(bus.path)
    links = machine.find("/dev/hwctl", "*")
    same = [one for one in links if real is not None and machine.real(one) == real]
    what = f"{bus.path} may be another device after the next boot"
    subject = f"name of bus {name}"
    if same:
        return warning(subject, f"{what}; it is {same[0]} as well", f"ls -l {shlex.quote(same[0])}")
    kind = "hidraw" if bus.kind == "hid" else "tty"
    place = machine.real(f"/sys/class/{kind}/{PurePosixPath(bus.path).name}/device") or ""
    ports = [part for part in PurePosixPath(place).parts if _USB_PORT.fullmatch(part)]
    if not ports:
        return warning(subject, what, "ls -l /dev/hwctl /dev/serial/by-path")
    words = ["hwctl", "udev", "--port", ports[-1], "--name", name]
    words += ["--kind", kind] if kind != "tty" else []
    return warning(
        subject,
        f"{what}; call it /dev/hwctl/{name} by its port",
        f"{shlex.join(words)} | sudo tee -a {PORTS_FILE}",
    )


def _console(machine: Machine, name: str, path: str) -> Iterator[Finding]:
    """Whether the kernel talks on the same port."""
    node = _node(machine, path)
    consoles = re.findall(r"\bconsole=([\w/]+)", machine.text("/proc/cmdline") or "")
    if node not in {_node(machine, f"/dev/{one}") for one in consoles}:
        return
    yield warning(
        f"console on bus {name}",
        f"the kernel's console and a login are on {node}, too: a board takes it for orders",
        "sudo raspi-config nonint do_serial_cons 1 && sudo reboot"
        if machine.exists("/usr/bin/raspi-config")
        else f"sudo systemctl mask --now serial-getty@{node}.service   # and console={node} out of "
        f"{'cmdline.txt' if is_pi(machine) or machine.exists(CONFIG_TXT[0]) else 'its cmdline'}",
    )


def _node(machine: Machine, path: str) -> str:
    return PurePosixPath(machine.real(path) or path).name
