"""What the machine has of buses, and who may use them."""

import shlex
import stat
from collections.abc import Iterator, Sequence

from hwctl.engine.head.basics import CONFIG_TXT, INSTALL, add_to_config_txt, is_pi
from hwctl.engine.head.findings import Finding, missing, ok, warning
from hwctl.engine.head.machine import Machine, Who

SPIDEV_BUFSIZ = "/sys/module/spidev/parameters/bufsiz"
CMDLINE = ("/boot/firmware/cmdline.txt", "/boot/cmdline.txt")


def access(machine: Machine, subject: str, path: str, users: Sequence[Who]) -> Finding:
    """Whether everybody who has to can open ``path`` for reading and writing."""
    node = machine.stat(path)
    if node is None:
        return missing(subject, f"{path} does not exist", _make(machine, path))
    group = machine.group_name(node.st_gid)
    owner = f"{path}, group {group}, mode {stat.S_IMODE(node.st_mode):04o}"
    shut = [user.name for user in users if not user.may(node)]
    if not shut:
        return ok(subject, f"{owner}: open to {' and '.join(user.name for user in users)}")
    command = let_in(group, shut, given=stat.S_IMODE(node.st_mode) & 0o060 == 0o060)
    return missing(subject, f"{owner}: closed to {' and '.join(shut)}", command)


def let_in(group: str, shut: Sequence[str], *, given: bool) -> str:
    """The command that opens a file to those who are shut out.

    :param given: whether its group may do what they are to do.
    """
    # The rules give it to a group, the unit puts the service into that: one command.
    person = next((name for name in shut if name != "hwctl"), None)
    closed = not given or group == "root"
    return INSTALL if person is None or closed else f"sudo usermod -aG {group} {person}"


def check_devices(
    machine: Machine, users: Sequence[Who], kinds: frozenset[str] | None
) -> Iterator[Finding]:
    """Every bus of the machine. What the rig needs of them is looked at elsewhere, so that here
    nothing is more than a warning.

    :param kinds: of bus, that the rig has; ``None`` without a configuration.
    """
    chips = machine.gpio_chips()
    for chip in chips:
        label = f'gpio "{chip.label}"' if chip.error is None else "gpio"
        yield _softened(access(machine, label, f"/dev/{chip.path.name}", users))
    if not chips and _wanted("gpio", kinds):
        yield warning("gpio", "no /dev/gpiochip*", "uname -r   # 5.10 or newer, with GPIO_CDEV")

    nodes = machine.find("/dev", "i2c-[0-9]*")
    for path in nodes:
        yield _softened(access(machine, "i2c", path, users))
    if not nodes and _wanted("i2c", kinds):
        yield warning("i2c", "no /dev/i2c-*", _make(machine, "/dev/i2c-1"))

    nodes = machine.find("/dev", "spidev[0-9]*")
    for path in nodes:
        yield _softened(access(machine, "spi", path, users))
    if not nodes and _wanted("spi", kinds):
        yield warning("spi", "no /dev/spidev*", _make(machine, "/dev/spidev0.0"))
    if size := bufsiz(machine):
        yield ok("spidev.bufsiz", f"{size} bytes in one transfer")


def bufsiz(machine: Machine) -> int | None:
    """The most bytes in one SPI transfer; ``None`` while spidev is not loaded."""
    word = machine.word(SPIDEV_BUFSIZ)
    return int(word) if word.isdigit() else None


def raise_bufsiz(machine: Machine, size: int) -> str:
    """The command that lets spidev take transfers of ``size`` bytes."""
    file = next((path for path in CMDLINE if machine.exists(path)), None)
    if file is None:
        return (
            f"echo options spidev bufsiz={size} | sudo tee /etc/modprobe.d/hwctl-spidev.conf "
            "&& sudo reboot"
        )
    return f"sudo sed -i 's/$/ spidev.bufsiz={size}/' {file} && sudo reboot"


def _make(machine: Machine, path: str) -> str:
    """The command that may bring a device node into being."""
    if path.startswith("/dev/i2c-"):
        if machine.find("/sys/bus/i2c/devices", "i2c-[0-9]*"):
            return "sudo modprobe i2c-dev"
        if machine.exists("/usr/bin/raspi-config"):
            return "sudo raspi-config nonint do_i2c 0"
        if is_pi(machine) or machine.exists(CONFIG_TXT[0]):
            return add_to_config_txt(machine, "dtparam=i2c_arm=on")
        return "sudo modprobe i2c-dev"
    if path.startswith("/dev/spidev"):
        if machine.exists("/usr/bin/raspi-config"):
            return "sudo raspi-config nonint do_spi 0"
        if is_pi(machine) or machine.exists(CONFIG_TXT[0]):
            return add_to_config_txt(machine, "dtparam=spi=on")
        return "sudo modprobe spidev   # and a device-tree node that names it"
    if path.startswith(("/dev/hwctl/", "/dev/ttyUSB", "/dev/ttyACM", "/dev/hidraw")):
        return "ls -l /dev/hwctl /dev/serial/by-path   # is it plugged in?"
    if path.startswith(("/dev/serial", "/dev/ttyAMA", "/dev/ttyS")) and is_pi(machine):
        if machine.exists("/usr/bin/raspi-config"):
            return "sudo raspi-config nonint do_serial_hw 0 && sudo reboot"
        return add_to_config_txt(machine, "enable_uart=1")
    return shlex.join(["ls", "-l", path.rpartition("/")[0] or "/dev"])


def _wanted(kind: str, kinds: frozenset[str] | None) -> bool:
    return kinds is None or kind in kinds


def _softened(finding: Finding) -> Finding:
    if not finding.command:
        return finding
    return warning(finding.subject, finding.what, finding.command)
