"""What `hwctl install` puts on a head, as text."""

import json
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath

from hwctl.config.drivers import loadable
from hwctl.config.load import Loaded
from hwctl.config.udev import KINDS, NAME, WRITTEN, device_classes, text, usual_groups
from hwctl.engine.head import opened
from hwctl.engine.head.basics import (
    DROP_IN,
    STORE_SURVIVES,
    UNIT,
    board,
    is_pi,
    revision,
    systemd_version,
)
from hwctl.engine.head.machine import Machine
from hwctl.model.drivers import I2cOptions
from hwctl.model.errors import ConfigError

CONFIG_DIR = PurePosixPath("/etc/hwctl")
SYSUSERS = "/etc/sysusers.d/hwctl.conf"
TMPFILES = "/etc/tmpfiles.d/hwctl.conf"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
RULES = f"/etc/udev/rules.d/{NAME}"
MODULES = "/etc/modules-load.d/hwctl.conf"
MODULE_NAMES = ("i2c-dev", "spidev", "usbserial", "cdc-acm", "hid")
"""A device class must be there when the service starts, for the unit names it."""

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not used, but refused
"""What the unit's ProtectHome and PrivateTmp hide from the service (systemd.exec(5))."""
I2CSET = "/usr/bin/env i2cset"
_PLAIN = re.compile(r"/[\w./+-]+", re.ASCII)
"""Paths that mean the same in a unit file with and without quoting."""
_I2C_NODE = re.compile(r"/dev/i2c-(\d+)", re.ASCII)


def system_files(machine: Machine, hwctl: Path, config: str, rig: Loaded | None) -> dict[str, str]:
    """By path: everything but the rig's own files.

    :param hwctl: the command, as the service starts it.
    :param config: the settings file on the head.
    :raises ConfigError: the service could not start that command.
    """
    check_command(hwctl)
    if not _PLAIN.fullmatch(config):
        raise ConfigError(
            "a unit cannot name this file", where=config, hint="use letters, digits, . _ + - only"
        )
    drivers = loadable()
    groups = usual_groups(machine.groups())
    classes = device_classes(drivers)
    found = {
        SYSUSERS: _template("sysusers.conf"),
        TMPFILES: _template("tmpfiles.conf"),
        MODULES: "\n".join(MODULE_NAMES) + "\n",
        RULES: text(drivers, groups),
        UNIT_PATH: unit(
            hwctl=str(hwctl),
            config=config,
            groups=list(
                dict.fromkeys(one.group for one in (*KINDS, *WRITTEN) if one.subsystem in groups)
            ),
            classes=classes,
            last_words=last_words(rig),
            devices=opened.devices(machine, rig, classes) if rig else [],
            folders=opened.folders(machine, rig) if rig else [],
            watchdog=rig.settings.service.watchdog if rig else None,
        ),
    }
    if (systemd_version(machine) or 0) >= STORE_SURVIVES:
        found[DROP_IN] = _template("keep-descriptors.conf")
    return found


def unit(
    *,
    hwctl: str,
    config: str,
    groups: list[str],
    classes: list[str],
    last_words: list[str],
    devices: Sequence[str] = (),
    folders: Sequence[str] = (),
    watchdog: str | None = None,
) -> str:
    """hwctl.service."""
    # The watchdog by its node: its class in /proc/devices has no other use, or too many (misc).
    allowed = [*(f"char-{name}" for name in classes), *devices, *([watchdog] if watchdog else [])]
    return _filled(
        _template("hwctl.service"),
        HWCTL=hwctl,
        CONFIG=config,
        GROUPS=f"SupplementaryGroups={' '.join(groups)}" if groups else "",
        DEVICES="\n".join(f"DeviceAllow={device} rw" for device in allowed),
        FOLDERS="\n".join(f"ReadWritePaths=-{folder}" for folder in folders),
        STOP="\n".join(last_words),
    )


def last_words(rig: Loaded | None) -> list[str]:
    """What drives the fans at full when hwctl has ended, however it ended.

    One i2cset for each fan: no Python, no shell; env looks for it, and where i2c-tools is missing
    systemd goes on. A chip's own watchdog does the same a few seconds later, and is the one that
    counts when the whole head is dead.
    """
    if rig is None:
        return []
    lines = []
    for fan in rig.wiring.fan.values():
        use, entry = rig.devices[fan.device], rig.wiring.device[fan.device]
        node = _I2C_NODE.fullmatch(rig.wiring.bus[entry.bus].path) if entry.bus else None
        # i2cset knows a bus by its number only: one with a name of its own is left to the chip.
        if node is None or use.driver.full is None or not isinstance(use.options, I2cOptions):
            continue
        sent = use.driver.full(use.options, fan.channel)
        mode = " i" if len(sent) > 2 else ""
        words = " ".join(f"0x{byte:02x}" for byte in sent)
        address = f"0x{use.options.address:02x}"
        lines.append(f"ExecStopPost=-{I2CSET} -y {node[1]} {address} {words}{mode}")
    if lines:
        lines.insert(
            0, "# Fans to full, without Python; so do chips with a watchdog of their own, later."
        )
    return lines


def starting_rig(machine: Machine) -> dict[str, str]:
    """A rig with nothing in it, on this machine's board."""
    lines = [f"model = {json.dumps(board(machine), ensure_ascii=True)}"]
    code = revision(machine) if is_pi(machine) else None
    if code is not None:
        lines.append(f"revision = 0x{code:x}")
    return {
        str(CONFIG_DIR / "rig.toml"): _filled(_template("rig.toml"), BOARD="\n".join(lines)),
        str(CONFIG_DIR / "rig.hwctl.toml"): _template("rig.hwctl.toml"),
    }


def check_command(hwctl: Path) -> None:
    """:raises ConfigError: systemd could not start it, or not see what it needs."""
    if not _PLAIN.fullmatch(str(hwctl)):
        raise ConfigError(
            "a unit cannot name this command", where=str(hwctl), hint="install it in /opt/hwctl"
        )
    own = hwctl.parent == Path(sys.executable).parent
    for place in (hwctl, hwctl.resolve(), *([Path(sys.base_prefix)] if own else [])):
        inside = next((one for one in HIDDEN if place.is_relative_to(one)), None)
        if inside:
            raise ConfigError(
                f"the service could not see {place}: {inside} is hidden from it",
                where=str(hwctl),
                hint="install hwctl where a service can be: sudo python3 -m venv /opt/hwctl, then "
                "sudo /opt/hwctl/bin/pip install hwctl, then sudo /opt/hwctl/bin/hwctl install",
            )


def _template(name: str) -> str:
    return files("hwctl.engine.head").joinpath("files", name).read_text(encoding="utf-8")


def _filled(template: str, **values: str) -> str:
    """Placeholders replaced; a line that held nothing but an empty one is left out."""
    lines = []
    for line in template.splitlines():
        named = re.fullmatch(r"@([A-Z]+)@", line)
        if named:
            lines += values[named[1]].splitlines()
        else:
            lines.append(re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], line))
    return "\n".join(lines) + "\n"
