"""What of the machine the service's unit opens for one rig, beyond what it opens for all.

Sources     systemd.exec(5): ReadWritePaths, ProtectKernelTunables (makes /sys read-only);
            systemd.resource-control(5): DeviceAllow takes a node or a class of /proc/devices
"""

import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from hwctl.config.draft import Use
from hwctl.config.load import Loaded
from hwctl.engine.head.machine import Machine
from hwctl.model.drivers import I2cOptions
from hwctl.model.errors import ConfigError

WRITING = frozenset({"outlet", "fan"})
"""Roles whose drivers write. A gauge only reads, and what it reads is open to all."""
ALL_DEVICES = "/sys/devices"
"""Every device of the machine. It is opened where no narrower folder is known: of files in it the
service can still write only those that the udev rules have given to its group."""
UNIT_PATH = re.compile(r"/[\w./:@,+-]+", re.ASCII)
"""Paths that a unit file takes as they are."""
_CLASS = re.compile(r"(tty[A-Za-z]+|hidraw|i2c|spidev|gpiochip)-?\d[\d.]*", re.ASCII)
"""Names of nodes that begin with their class; `spidev` is class `spi`."""
_I2C_NODE = re.compile(r"/dev/i2c-(\d+)", re.ASCII)
_USB_BUS = re.compile(r"usb\d+", re.ASCII)


def devices(machine: Machine, rig: Loaded, classes: Collection[str]) -> list[str]:
    """For DeviceAllow: what the rig's buses need that ``classes`` do not cover.

    :raises ConfigError: a bus has a path that a unit cannot name.
    """
    found: dict[str, None] = {}
    for name, bus in rig.wiring.bus.items():
        if bus.kind == "sysfs" or not bus.path.startswith("/dev/"):
            continue
        if bus.path.startswith("/dev/hwctl/"):
            continue  # the rules' own names, for devices whose classes are open
        if not UNIT_PATH.fullmatch(bus.path):
            raise ConfigError(
                "a unit cannot name this device",
                where=f"bus {name}: {bus.path!a}",
                hint="use letters, digits and . _ : @ , + - only",
            )
        node = PurePosixPath(machine.real(bus.path) or bus.path).name
        named = _CLASS.fullmatch(node)
        kind = {"spidev": "spi"}.get(named[1], named[1]) if named else None
        if kind is None:
            found[bus.path] = None
        elif kind not in classes:
            found[f"char-{kind}"] = None
    return list(found)


def folders(machine: Machine, rig: Loaded) -> list[str]:
    """For ReadWritePaths: folders in /sys with the files that the rig's drivers write.

    The narrowest that stay while a device is unplugged and plugged in again: the controller of a
    USB bus, the device that a fan controller is. Of a file that cannot be found now,
    :data:`ALL_DEVICES`, as of everything while another machine's files are prepared.
    """
    found: set[str] = set()
    for name, use in rig.devices.items():
        if not use.driver.roles & WRITING:
            continue
        bus = rig.wiring.device[name].bus
        if use.driver.bus == "sysfs" and bus is not None:
            if (rig.wiring.bus[bus].path or "/sys").rstrip("/") == "/sys":
                found.update(_folders_of(machine, use))
        elif use.driver.bus == "i2c" and bus is not None and use.driver.kernel is not None:
            found.update(_taken(machine, rig.wiring.bus[bus].path, use))
    return [ALL_DEVICES] if ALL_DEVICES in found else sorted(found)


def lines(machine: Machine, rig: Loaded, classes: Collection[str]) -> list[str]:
    """Those lines of the unit that are there for this rig only."""
    return [
        *(f"DeviceAllow={device} rw" for device in devices(machine, rig, classes)),
        *(f"ReadWritePaths=-{folder}" for folder in folders(machine, rig)),
    ]


def _folders_of(machine: Machine, use: Use) -> Iterator[str]:
    halves = getattr(use.options, "halves", None)
    if use.driver.name == "usb_port" and halves:
        for half in halves:
            bus = half.interface.partition("-")[0]
            yield _steady(machine, f"/sys/bus/usb/devices/usb{bus}")
        return
    places = chips(machine, use)
    if not places:
        yield ALL_DEVICES
    for place in places:
        yield _steady(machine, place)


def chips(machine: Machine, use: Use) -> list[str]:
    """The folders in /sys/class that a `hwmon_fan` or `pwm_fan` drives, as far as they are there:
    more than one if the wiring does not say which."""
    options = use.options
    chip, device = getattr(options, "chip", ""), getattr(options, "device", None)
    match use.driver.name:
        case "hwmon_fan":
            named = machine.find("/sys/class/hwmon", "hwmon*")
            fitting = [one for one in named if machine.word(f"{one}/name") == chip]
        case "pwm_fan":
            named = machine.find("/sys/class/pwm", "pwmchip*")
            if any(one.endswith(f"/{chip}") for one in named):
                return [f"/sys/class/pwm/{chip}"]
            fitting, device = named, chip
        case _:
            return []
    return [one for one in fitting if device is None or device in _parents(machine, one)]


def _parents(machine: Machine, path: str) -> tuple[str, ...]:
    return PurePosixPath(machine.real(path) or path).parts


def _taken(machine: Machine, node: str, use: Use) -> Iterator[str]:
    """A chip that a kernel driver has."""
    number = _I2C_NODE.fullmatch(node)
    if number is None or not isinstance(use.options, I2cOptions):
        return
    folder = f"/sys/bus/i2c/devices/{number[1]}-{use.options.address:04x}"
    if machine.exists(f"{folder}/driver"):
        yield _steady(machine, folder)


def _steady(machine: Machine, path: str) -> str:
    """What stays of ``path`` when its device comes and goes."""
    real = machine.real(path)
    if real is None or not real.startswith(f"{ALL_DEVICES}/") or not UNIT_PATH.fullmatch(real):
        return ALL_DEVICES
    parts = PurePosixPath(real).parts
    end = next((at for at, part in enumerate(parts) if _USB_BUS.fullmatch(part)), None)
    if end is None and len(parts) > 2 and parts[-2] in ("hwmon", "pwm"):
        # The number in a class changes, the device that it is for does not.
        end = len(parts) - 2 if parts[-3] != "virtual" else len(parts) - 1
    return str(PurePosixPath(*parts[:end]))
