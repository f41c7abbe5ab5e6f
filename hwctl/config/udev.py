"""Makes udev/70-hwctl.rules: ``python -m hwctl.config.udev [--check]``.

From the table of buses below, the table of common USB adapters, and what the drivers themselves
name. The file in the checkout holds the drivers of this distribution only; ``hwctl install`` makes
one from all that are installed, with the groups that the machine has.

Sources     udev(7) and systemd-udevd 252 for the language; liquidctl's 71-liquidctl.rules for
            naming a file so that it is read before 73-seat-late.rules; device classes as
            /proc/devices lists them; ModemManager's "Common udev tags" (ID_MM_DEVICE_IGNORE and
            ID_MM_PORT_IGNORE); Linux 6.1 drivers/usb/core/port.c and drivers/pwm/sysfs.c (a hub's
            ports have no event of their own, and an exported PWM's is a change of its chip)

Files in sysfs that drivers write belong to root, and GROUP and MODE are for device nodes only. So
`find` hands them over, for each hub, chip or controller that appears, again when it is plugged in
again. There is no shell in this, and nothing that a device says of itself: the rules put in $sys
and $devpath only, which are names of the kernel's making, and find gives its finds to chgrp and
chmod as arguments. (systemd-tmpfiles follows no link that a `*` stands for, as all of
/sys/bus/usb/devices are; what the unit could run as root before it starts would come too late for
a hub that is plugged in afterwards.)
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwctl.config.drivers import own_drivers
from hwctl.config.generate import DOCS, main
from hwctl.config.problems import quoted
from hwctl.config.udev_form import faults
from hwctl.model.drivers import Driver, UsbId, UsbNode
from hwctl.model.errors import ConfigError

NAME = "70-hwctl.rules"
"""Before 73-seat-late.rules, which hands devices with the tag `uaccess` to whoever sits there, and
after 60-serial.rules."""
FILE = DOCS.parent / "udev" / NAME
FIND = "/usr/bin/find"
PORTS_FILE = "/etc/udev/rules.d/71-hwctl-ports.rules"
"""Where the lines of :func:`port_rule` go."""
GROUP = "hwctl"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device node."""

    subsystem: str
    kernel: str
    """What its nodes are called; empty: only those on a known USB device are hwctl's."""
    group: str
    """Who has it on Raspberry Pi OS or Debian, where that group is there."""
    classes: tuple[str, ...]
    """In /proc/devices, for the unit's DeviceAllow."""


KINDS = (
    Kind("gpio", "gpiochip[0-9]*", "gpio", ("gpiochip",)),
    Kind("i2c-dev", "i2c-[0-9]*", "i2c", ("i2c",)),
    Kind("spidev", "spidev[0-9]*", "spi", ("spi",)),
    Kind("tty", "", "dialout", ("ttyUSB", "ttyACM")),
    Kind("hidraw", "", "plugdev", ("hidraw",)),
)

WATCHDOGS = (("watchdog", "watchdog[0-9]*"), ("misc", "watchdog"))
"""Subsystem and name; the first one has both (drivers/watchdog/watchdog_dev.c of Linux 6.1)."""


@dataclass(frozen=True, slots=True)
class Written:
    """Files in sysfs that drivers write."""

    title: str
    match: str
    """Whose: the rule's part that tells it."""
    subsystem: str
    group: str
    """Who has them on Raspberry Pi OS; empty: nobody but root."""
    depth: int
    """Folders down from the device to the file, the file included."""
    files: str
    """Extended regular expression, of the path from the device on."""


WRITTEN = (
    Written(
        "ports of hubs", 'SUBSYSTEM=="usb", DRIVER=="hub"', "usb", "",
        2, "/[^/]+-port[0-9]+/disable",
    ),
    Written("hwmon's fans", 'SUBSYSTEM=="hwmon"', "hwmon", "", 1, "/pwm[0-9]+(_enable)?"),
    Written(
        "PWM outputs", 'SUBSYSTEM=="pwm"', "pwm", "gpio",
        2, "/(export|pwm[0-9]+/(period|duty_cycle|polarity|enable))",
    ),
)  # fmt: skip

ADAPTERS = (
    # Serial: one port each, so that one name means one node. The ids are those of Debian 12's
    # /usr/lib/udev/hwdb.d/20-usb-vendor-model.hwdb.
    UsbId(0x1A86, 0x7523, "ch340"),
    UsbId(0x0403, 0x6001, "ft232"),
    UsbId(0x10C4, 0xEA60, "cp210x"),
    UsbId(0x067B, 0x2303, "pl2303"),
    # I2C, by the kernel's own drivers: i2c-tiny-usb.c; hid-cp2112 and hid-mcp2221, ids as above.
    UsbId(0x0403, 0xC631, "i2c-tiny-usb", "i2c-dev"),
    UsbId(0x1C40, 0x0534, "i2c-tiny-usb", "i2c-dev"),
    UsbId(0x10C4, 0xEA90, "cp2112", "i2c-dev"),
    UsbId(0x04D8, 0x00DD, "mcp2221", "i2c-dev"),
)
"""Adapters that any driver may sit behind."""

_PORT = re.compile(r"[1-9]\d{0,2}-[1-9]\d?(\.[1-9]\d?){0,5}", re.ASCII)
"""Bus, port of the root hub, and a port for each of up to five hubs (USB 2.0, section 4.1.1)."""
_LINK = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)

INTRODUCTION = """\
# Gives hwctl its devices, and those on USB names that stay: /dev/hwctl/NAME-PORT, and
# /dev/hwctl/NAME-SERIAL where the device has a serial number.
#
# Made from the drivers by `python -m hwctl.config.udev`; do not edit. `hwctl udev --port` prints
# a line that gives a device at one port a name of your own.
"""


def text(drivers: Iterable[Driver], groups: Mapping[str, str] | None = None) -> str:
    """The whole file.

    :param groups: by subsystem, who is to have its nodes; the group ``hwctl`` where none is named.
    """
    groups = groups or {}
    parts = [INTRODUCTION, "# Buses"]
    parts += [
        _rule(f'SUBSYSTEM=="{kind.subsystem}", KERNEL=="{kind.kernel}"', _given(kind, groups))
        for kind in KINDS
        if kind.kernel
    ]
    parts += [
        "\n# The head's watchdog, for the service alone",
        *(_rule(f'SUBSYSTEM=="{subsystem}", KERNEL=="{kernel}"', f'GROUP="{GROUP}", MODE="0660"')
          for subsystem, kernel in WATCHDOGS),
    ]  # fmt: skip
    parts.append(
        "\n# Files in sysfs that drivers write: no shell, and no names but the kernel's own"
    )
    for one in WRITTEN:
        parts += [f"# {one.title}", _rule(one.match, f'RUN+="{_handed(one, groups)}"')]
    drivers = list(drivers)
    own = {usb for driver in drivers for usb in driver.usb}
    for usb in known(drivers):
        kind = _kind(usb.node)
        ids = f'ATTRS{{idVendor}}=="{usb.vendor:04x}", ATTRS{{idProduct}}=="{usb.product:04x}"'
        node = f'SUBSYSTEM=="{kind.subsystem}", SUBSYSTEMS=="usb", {ids}'
        itself = ids.replace("ATTRS", "ATTR")
        parts += [
            f"\n# {usb.name} {usb.vendor:04x}:{usb.product:04x}",
            _rule(node, _given(kind, groups), f'SYMLINK+="hwctl/{usb.name}-%b"'),
            # usb_id leaves no character in a serial number that could make another path of it. In
            # a rule of its own: udev looks at ENV before it imports.
            _rule(node, 'IMPORT{builtin}="usb_id"'),
            _rule(
                node,
                'ENV{ID_SERIAL_SHORT}=="?*"',
                f'SYMLINK+="hwctl/{usb.name}-$env{{ID_SERIAL_SHORT}}"',
            ),
            # Asleep, it would miss what it is told.
            _rule(
                'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device"', itself,
                'TEST=="power/control", ATTR{power/control}="on"',
            ),
        ]  # fmt: skip
        if usb in own and usb.node == "tty":
            # It is no modem. An adapter that anything may sit behind may have one there.
            parts.append(
                _rule(
                    'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device"', itself,
                    'ENV{ID_MM_DEVICE_IGNORE}="1"',
                )
            )  # fmt: skip
    return "\n".join(parts) + "\n"


def port_rule(
    port: str, name: str, node: UsbNode = "tty", groups: Mapping[str, str] | None = None
) -> str:
    """One rule: whatever stands at a USB port is /dev/hwctl/``name``.

    For devices without a serial number, of which two look alike.

    :param port: as the kernel writes it, "1-1.2".
    :raises ConfigError: ``port`` or ``name`` is malformed.
    """
    if not _PORT.fullmatch(port):
        raise ConfigError(
            f"{quoted(port)} is no USB port",
            where="--port",
            hint="write it as the kernel does, `1-1.2`: `ls /sys/bus/usb/devices` lists them",
        )
    if not _LINK.fullmatch(name):
        raise ConfigError(
            f"{quoted(name)} cannot be a device's name",
            where="--name",
            hint="up to 40 lower-case letters, digits, `-` and `_`",
        )
    kind = _kind(node)
    given = [_given(kind, groups or {}), f'SYMLINK+="hwctl/{name}"']
    if node == "tty":
        given.append('ENV{ID_MM_PORT_IGNORE}="1"')  # hwctl's, and so no modem
    return _rule(
        f'SUBSYSTEM=="{kind.subsystem}", SUBSYSTEMS=="usb", KERNELS=="{port}"', *given
    )  # fmt: skip


def known(drivers: Iterable[Driver]) -> list[UsbId]:
    """The USB devices that get a name, each once, sorted by name."""
    found = {*ADAPTERS, *(usb for driver in drivers for usb in driver.usb)}
    return sorted(found, key=lambda usb: (usb.name, usb.vendor, usb.product, usb.node))


def device_classes(drivers: Iterable[Driver]) -> list[str]:
    """Those of the nodes that the rules hand out."""
    nodes = {usb.node for usb in known(drivers)}
    return [
        name for kind in KINDS if kind.kernel or kind.subsystem in nodes for name in kind.classes
    ]


def usual_groups(existing: Iterable[str]) -> dict[str, str]:
    """By subsystem, the group that the distribution means for it, if it is there.

    So that nobody who has a device today loses it to hwctl.
    """
    existing = set(existing)
    return {one.subsystem: one.group for one in (*KINDS, *WRITTEN) if one.group in existing}


def _kind(node: UsbNode) -> Kind:
    return next(kind for kind in KINDS if kind.subsystem == node)


def _given(kind: Kind, groups: Mapping[str, str]) -> str:
    return f'GROUP="{groups.get(kind.subsystem, GROUP)}", MODE="0660", TAG+="uaccess"'


def _handed(what: Written, groups: Mapping[str, str]) -> str:
    """The program that gives files in sysfs to a group."""
    group = groups.get(what.subsystem, GROUP)
    return (
        f"{FIND} '$sys$devpath' -maxdepth {what.depth} -type f -regextype posix-extended "
        f"-regex '.*{what.files}' -exec /usr/bin/chgrp {group} {{}} + "
        f"-exec /usr/bin/chmod g+w {{}} +"
    )


def _rule(*parts: str) -> str:
    return ", ".join(('ACTION!="remove"', *parts))


def run(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    rules = text(own_drivers())
    for fault in faults(rules):
        sys.stderr.write(f"{NAME}:{fault}\n")
        return 1
    return main(FILE, rules, arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
