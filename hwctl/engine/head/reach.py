"""Outlets on the network, and those that are programs: would an order reach them from here?"""

import ipaddress
import shlex
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

from hwctl.config.load import Loaded
from hwctl.engine.head.contents import HIDDEN
from hwctl.engine.head.findings import Finding, missing, ok, warning
from hwctl.engine.head.machine import Machine

AT_ONCE = 16
"""Names that are asked for at the same time."""
ROUTES = "/proc/net/route"
EVERYBODY = "255.255.255.255"
PROGRAMS = ("on", "off", "state", "cycle")
"""Keys of a `command` outlet."""
RAISING = frozenset({"sudo", "su", "doas", "pkexec"})
"""Programs that are to make root of whoever starts them."""


def check_reach(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    names: dict[str, list[str]] = {}
    programs: dict[str, None] = {}
    for device, use in rig.devices.items():
        if use.driver.bus != "net" or "outlet" not in use.driver.roles:
            continue
        if use.driver.name == "command":
            programs.update(dict.fromkeys(_programs(use.options)))
            continue
        host = getattr(use.options, "host", None)
        if not isinstance(host, str):
            continue
        if not use.driver.switches_off:
            yield _broadcast(machine, f"device {device}", host)
        elif not _is_address(host):
            names.setdefault(host, []).append(device)
    yield from _names(machine, names)
    for program in programs:
        yield _program(machine, program)


def _names(machine: Machine, names: dict[str, list[str]]) -> Iterator[Finding]:
    if not names:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(names))) as pool:
        faults = list(pool.map(machine.name_fault, names))
    for (host, devices), fault in zip(names.items(), faults, strict=True):
        subject = f"name {host}"
        if not fault:
            yield ok(subject, f"is known, for {', '.join(devices)}")
        else:
            yield missing(
                subject,
                f"{fault}: {', '.join(devices)} cannot be reached",
                f"echo ADDRESS {shlex.quote(host)} | sudo tee -a /etc/hosts   # its address",
            )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _broadcast(machine: Machine, subject: str, host: str) -> Finding:
    """By which way a datagram to everybody leaves."""
    here = list(_networks(machine))
    if not here:
        return missing(subject, "the head is in no network", "ip -4 address")
    shown = ", ".join(f"{net.broadcast_address} ({device})" for device, net in here)
    if host == EVERYBODY:
        if len(here) == 1:
            return ok(subject, f"{host} leaves by {here[0][0]}")
        return warning(
            subject,
            f"{host} leaves by one network only, and the head is in {len(here)}: {shown}",
            "ip route get 255.255.255.255   # then name the right one as `host`",
        )
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return missing(subject, f"{host} is no IPv4 address", "ip -4 address")
    for device, net in here:
        if address == net.broadcast_address:
            return ok(subject, f"{host} leaves by {device}")
        if address in net:
            return warning(
                subject,
                f"{host} is one machine's address: it is not answered for while that sleeps; the "
                f"network's is {net.broadcast_address}",
                f"ip -4 address show {shlex.quote(device)}",
            )
    return warning(
        subject,
        f"{host} is in none of the head's networks ({shown}); routers pass no such datagram on",
        f"ip route get {address}",
    )


def _networks(machine: Machine) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
    """Device and network of each route that leads to no router. Linux: net/ipv4/fib_trie.c,
    fib_route_seq_show: destination, gateway and mask as hexadecimal words of the machine's order,
    which is the little one on all that hwctl runs on."""
    for line in (machine.text(ROUTES) or "").splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[0] == "lo":
            continue
        try:
            there, gateway, mask = (
                int.from_bytes(bytes.fromhex(fields[at]), "little") for at in (1, 2, 7)
            )
            network = ipaddress.IPv4Network((there, str(ipaddress.IPv4Address(mask))))
        except ValueError:
            continue
        if gateway == 0 and network.prefixlen not in (0, 32):
            yield fields[0], network


def _programs(options: Any) -> Iterator[str]:  # noqa: ANN401 - a driver's own options
    for key in PROGRAMS:
        words = getattr(options, key, None)
        if words:
            yield str(words[0])


def _program(machine: Machine, program: str) -> Finding:
    subject = f"program {program}"
    node = machine.stat(program)
    quoted = shlex.quote(program)
    inside = next((one for one in HIDDEN if PurePosixPath(program).is_relative_to(one)), None)
    if inside:
        return missing(
            subject,
            f"the service cannot see it: {inside} is hidden from it",
            f"sudo install -m 0755 {quoted} /usr/local/bin/",
        )
    if node is None:
        return missing(subject, "does not exist", f"ls -l {quoted}")
    if not stat.S_ISREG(node.st_mode) or not node.st_mode & 0o001:
        return missing(subject, "the service may not run it", f"sudo chmod 0755 {quoted}")
    if node.st_mode & stat.S_IWOTH:
        return warning(subject, "anybody may change it", f"sudo chmod o-w {quoted}")
    raises = node.st_mode & (stat.S_ISUID | stat.S_ISGID) or PurePosixPath(program).name in RAISING
    if raises:
        return warning(
            subject,
            "cannot become root, or anybody else, in the service (NoNewPrivileges)",
            f"sudo -u hwctl setpriv --no-new-privs {quoted}   # with your arguments",
        )
    return ok(subject, "is there")
