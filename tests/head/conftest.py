"""Machines made of files: what the doctor and the installer look at, below a folder."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.head.machine import Machine, Who

ROOT = Path(__file__).resolve().parents[2]
FOOTBALL = ROOT / "wiring/football.hwctl.toml"


class Chips:
    """A kernel that says a label for some device files, and that others are no GPIO chips."""

    def __init__(self):
        self.labels = {}

    def open(self, path):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def ioctl(self, fd, request, argument):
        label = self.labels.get(Path(f"/proc/self/fd/{fd}").readlink().name)
        if label is None:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        assert request == uapi.GET_CHIPINFO
        argument.label = label.encode()
        argument.lines = 54


class Head:
    """One made-up machine."""

    def __init__(self, root):
        self.root = root
        self.chips = Chips()
        self.me = Who("pi", 1000, frozenset({1000}))
        self.in_step = True
        self.taken = set()
        self.faults = {}
        """URL, name, or host and port -> what keeps it from being read, resolved or reached."""
        self.packages = {}

    def put(self, path, text="", mode=0o644, group=None):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        if group is not None:
            os.chown(file, -1, group)

    def link(self, path, to):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(to)

    def drop(self, path):
        (self.root / path.lstrip("/")).unlink()

    def machine(self, **changes):
        return replace(
            Machine(
                root=self.root,
                python=(3, 11, 2),
                who=self.me,
                clock_in_step=lambda: self.in_step,
                port_taken=lambda host, port: port in self.taken,
                page_fault=lambda url: self.faults.get(url, ""),
                name_fault=lambda name: self.faults.get(name, ""),
                link_fault=lambda host, port: self.faults.get(f"{host}:{port}", ""),
                package_version=self.packages.get,
                kernel=self.chips,
            ),
            **changes,
        )


@pytest.fixture
def head(tmp_path):
    """An empty machine."""
    return Head(tmp_path / "head")


@pytest.fixture
def pi(head):
    """A Raspberry Pi with Raspberry Pi OS Bookworm, ready for the football.

    Its device files belong to the group of whoever runs the tests: that group's number stands in
    its /etc/group as gpio, i2c and spi.
    """
    own = os.getgid()
    head.put("/proc/device-tree/model", "Raspberry Pi Zero 2 W Rev 1.0\0")
    head.put("/proc/cpuinfo", "Hardware\t: BCM2835\nRevision\t: 902120\nSerial\t\t: 0\n")
    head.put("/proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-v8\n")
    head.put("/etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n')
    head.put("/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-252.so")
    head.put("/usr/bin/raspi-config")
    head.put("/usr/sbin/i2cset")
    head.put("/boot/firmware/config.txt", "dtparam=i2c_arm=on\ndtparam=spi=on\n")
    head.put("/boot/firmware/cmdline.txt", "console=tty1 rootwait\n")
    head.put("/run/systemd/timesync/synchronized")
    head.put("/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs", "Y\n")
    head.put("/sys/module/spidev/parameters/bufsiz", "32768\n")
    head.put("/etc/passwd", "root:x:0:0::/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n")
    head.put("/etc/group", f"root:x:99990:\ngpio:x:{own}:pi\ni2c:x:{own}:pi\nspi:x:{own}:pi\n")
    head.me = Who("pi", 1000, frozenset({1000, own}))
    for node in ("gpiochip0", "i2c-1", "spidev0.0"):
        head.put(f"/dev/{node}", mode=0o660)
    head.chips.labels["gpiochip0"] = "pinctrl-bcm2835"
    head.put("/etc/hwctl/ssh/id_ed25519", "key", 0o600)
    known = "".join(f"10.42.0.{n} ssh-ed25519 AAAA\n" for n in (10, 11, 12, 13))
    head.put("/etc/hwctl/ssh/known_hosts", known)
    return head
