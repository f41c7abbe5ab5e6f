"""What one rig needs of its head."""

import base64
import hashlib
import hmac
import re
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hwctl.config.load import Loaded
from hwctl.engine.head.basics import INSTALL
from hwctl.engine.head.devices import access, bufsiz, raise_bufsiz
from hwctl.engine.head.findings import Finding, missing, ok, warning
from hwctl.engine.head.machine import Machine, Who
from hwctl.engine.head.opened import lines
from hwctl.engine.head.ports import PORT_KINDS, check_grabbers, check_port
from hwctl.engine.head.reach import check_reach
from hwctl.engine.head.service_state import active, unit_path
from hwctl.engine.head.sysfs import check_sysfs
from hwctl.model.errors import ConfigError, DeviceDataError

AT_ONCE = 64
"""Nodes that are asked at the same time."""
I2CSET = "/usr/sbin/i2cset"


def check_rig(machine: Machine, users: Sequence[Who], rig: Loaded) -> Iterator[Finding]:
    for name, bus in rig.wiring.bus.items():
        subject = f"bus {name}"
        if bus.kind == "gpio":
            yield _gpio(machine, users, subject, bus.path)
        elif bus.kind in PORT_KINDS:
            yield from check_port(machine, users, name, bus)
        elif bus.kind != "sysfs":
            yield access(machine, subject, bus.path, users)
    yield from check_grabbers(machine, rig)
    yield from check_sysfs(machine, users, rig)
    yield from check_reach(machine, rig)
    yield from _unit(machine, rig)
    yield from _strips(machine, rig)
    yield from _last_word(machine, rig)
    yield from _ssh(machine, rig)
    yield from _pages(machine, rig)
    if rig.settings.service.watchdog is not None:
        yield access(machine, "watchdog", rig.settings.service.watchdog, users)
    yield _port(machine, rig)


def _unit(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    """Whether the unit that is installed opens what this rig needs."""
    path = unit_path(machine)
    text = (machine.text(path) if path else None) or ""
    if not text:
        return
    classes = re.findall(r"^DeviceAllow=char-(\S+)", text, re.MULTILINE)
    try:
        wanted = lines(machine, rig, classes)
    except ConfigError as error:
        yield missing(error.where, error.what, f"hwctl check CONFIG   # {error.hint}")
        return
    there = text.splitlines()
    lacking = [line for line in wanted if line not in there]
    if lacking:
        # It was made for another rig, or before a hub or a chip was there.
        yield missing("unit for this rig", f"{path} lacks {lacking[0]}", INSTALL)
    elif wanted:
        yield ok("unit for this rig", f"{path} opens what it needs")


def _gpio(machine: Machine, users: Sequence[Who], subject: str, wanted: str) -> Finding:
    if "/" in wanted:
        return access(machine, subject, wanted, users)
    chips = machine.gpio_chips()
    named = [chip for chip in chips if wanted in (chip.label, chip.path.name)]
    if named:
        return access(machine, subject, f"/dev/{named[0].path.name}", users)
    shut = [chip for chip in chips if chip.error is not None]
    if shut:
        # A chip says its label only to those who may open it.
        return access(machine, subject, f"/dev/{shut[0].path.name}", users)
    there = ", ".join(map(str, chips)) or "none"
    return missing(
        subject, f'no GPIO chip is "{wanted}"; here: {there}', "gpiodetect   # then mend `path`"
    )


class _Spi:
    """An SPI device of which only the size of its transfers is known."""

    def __init__(self, max_transfer: int) -> None:
        self.max_transfer = max_transfer

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        """Nothing to configure."""

    def write(self, data: bytes) -> None:
        """Nobody there."""


def _strips(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    """Whether a frame fits into one transfer: its own driver says so."""
    size = bufsiz(machine)
    if size is None:
        return
    for name, strip in rig.wiring.strip.items():
        use = rig.devices[strip.device]
        if use.driver.bus != "spi":
            continue
        try:
            use.driver.open(_Spi(size), use.options).probe()
        except DeviceDataError as error:
            yield missing(f"strip {name}", error.what, raise_bufsiz(machine, 32768))
        else:
            yield ok(f"strip {name}", f"a frame fits into one transfer of {size} bytes")


def _last_word(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    if not any(rig.devices[fan.device].driver.full for fan in rig.wiring.fan.values()):
        return
    if machine.exists(I2CSET):
        yield ok("fans", f"{I2CSET} drives them at full when the service has ended")
    else:
        yield warning(
            "fans",
            "no i2cset: when the service has ended, only the chip's own watchdog drives them",
            "sudo apt install i2c-tools",
        )


def _ssh(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    logins: list[Any] = []
    for host in rig.hosts.values():
        options = host.control.options if host.control else None
        if hasattr(options, "key") and hasattr(options, "known_hosts"):
            logins.append(options)
    for key in dict.fromkeys(one.key for one in logins):
        if machine.exists(key):
            yield ok("ssh key", str(key))
        elif machine.hidden(key):
            yield _unseen("ssh key", key)
        else:
            yield missing("ssh key", f"{key} does not exist", make_key(key))
    for file in dict.fromkeys(one.known_hosts for one in logins):
        if machine.hidden(file):
            yield _unseen("known hosts", file)
            continue
        known = machine.text(file) or ""
        strangers: dict[int, list[str]] = {}
        for one in logins:
            if one.known_hosts == file and not _is_known(known, one.address, one.port):
                strangers.setdefault(one.port, []).append(one.address)
        if not strangers:
            yield ok("known hosts", f"{file} knows every node")
        for port, names in strangers.items():
            scan = shlex.join(["ssh-keyscan", "-p", str(port), *names])
            yield missing(
                "known hosts",
                f"{file} does not know {', '.join(names)}",
                f"{scan} | sudo tee -a {shlex.quote(str(file))}",
            )


def _unseen(subject: str, path: Path) -> Finding:
    return warning(subject, f"{path} is not for your eyes", "sudo hwctl doctor CONFIG")


def make_key(key: Path) -> str:
    """The command that makes the service's key; it is never made unasked."""
    words = ["sudo", "-u", "hwctl", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hwctl"]
    return shlex.join([*words, "-f", str(key)])


def _is_known(text: str, address: str, port: int) -> bool:
    """Whether a known_hosts file has a line for an address (sshd(8), SSH_KNOWN_HOSTS)."""
    names = (address, f"[{address}]:{port}")
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0].startswith(("#", "@")):
            continue
        if any(name in words[0].split(",") or _hashes_to(words[0], name) for name in names):
            return True
    return False


def _hashes_to(field: str, name: str) -> bool:
    parts = field.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, digest = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except ValueError:
        return False
    return hmac.digest(salt, name.encode(), hashlib.sha1) == digest


def _pages(machine: Machine, rig: Loaded) -> Iterator[Finding]:
    urls = {
        node: str(host.load.options.url)
        for node, host in rig.hosts.items()
        if host.load and hasattr(host.load.options, "url")
    }
    if not urls:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(urls))) as pool:
        faults = dict(zip(urls, pool.map(machine.page_fault, urls.values()), strict=True))
    for node, url in urls.items():
        if not faults[node]:
            yield ok(f"node {node}", url)
        else:
            # It may simply be off: what a rig is for is to switch it on.
            yield warning(
                f"node {node}", f"{url}: {faults[node]}",
                "sudo apt install prometheus-node-exporter   # on the node, once it is on",
            )  # fmt: skip


def _port(machine: Machine, rig: Loaded) -> Finding:
    host, port = rig.settings.service.host, rig.settings.service.port
    subject = f"port {port}"
    if port == 0 or not machine.port_taken(host, port):
        return ok(subject, f"free on {host}")
    if active(machine):
        return ok(subject, "taken, by hwctl itself")
    return missing(subject, f"somebody else listens on {host}", f"sudo ss -ltnp 'sport = :{port}'")
