"""What the machine is: board, system, kernel, Python, clock; and what follows for the outlets."""

import re
from collections.abc import Iterator

from hwctl.engine.head.findings import Finding, missing, ok, warning
from hwctl.engine.head.machine import Machine

PYTHON = (3, 11)
KERNEL = (5, 10)
"""GPIO uAPI v2: in Linux since 5.10 (hwctl.engine.gpio_uapi)."""
STORE_SURVIVES = 254
"""systemd: FileDescriptorStorePreserve= (its NEWS, version 254; unverified)."""
UNIT = "hwctl.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/keep-descriptors.conf"
CONFIG_TXT = ("/boot/firmware/config.txt", "/boot/config.txt")
PERSIST = (
    "/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs",
    "/sys/module/pinctrl_rp1/parameters/persist_gpio_outputs",
)
"""Whether a released output stays: raspberrypi/linux pull requests 6117 and 6150. The second
path's name is (unverified)."""
INSTALL = "sudo hwctl install"


def board(machine: Machine) -> str:
    """The board's name for itself, from the device tree or the firmware."""
    dmi = "/sys/class/dmi/id"
    words = f"{machine.word(f'{dmi}/sys_vendor')} {machine.word(f'{dmi}/product_name')}".strip()
    return machine.word("/proc/device-tree/model") or words or "a board that does not say its name"


def is_pi(machine: Machine) -> bool:
    return machine.word("/proc/device-tree/model").startswith("Raspberry Pi")


def revision(machine: Machine) -> int | None:
    """A Raspberry Pi's revision code."""
    found = re.search(
        r"^Revision\s*: ([0-9a-f]+)$", machine.text("/proc/cpuinfo") or "", re.MULTILINE
    )
    return int(found[1], 16) if found else None


def systemd_version(machine: Machine) -> int | None:
    """From the name of its library, so that nothing has to be run."""
    found = machine.find(
        "/usr/lib", "systemd/libsystemd-shared-*.so", "*/systemd/libsystemd-shared-*.so"
    )
    numbers = [int(n[1]) for path in found if (n := re.search(r"shared-(\d+)", path))]
    return max(numbers, default=None)


def kernel_version(machine: Machine) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", machine.word("/proc/sys/kernel/osrelease"))
    return (int(found[1]), int(found[2])) if found else None


def add_to_config_txt(machine: Machine, line: str) -> str:
    """The command that adds a line to the firmware's config.txt."""
    file = next((path for path in CONFIG_TXT if machine.exists(path)), CONFIG_TXT[0])
    return f"echo {line} | sudo tee -a {file} && sudo reboot"


def check_platform(machine: Machine, *, gpio: bool | None) -> Iterator[Finding]:
    """:param gpio: whether the rig has GPIO lines; ``None`` without a configuration."""
    yield ok("board", board(machine))
    system = re.search(
        r'^PRETTY_NAME="?([^"\n]*)', machine.text("/etc/os-release") or "", re.MULTILINE
    )
    yield ok("system", system[1] if system else "does not say its name")

    release = machine.word("/proc/sys/kernel/osrelease")
    number = kernel_version(machine)
    if number is None or number >= KERNEL:
        yield ok("kernel", f"Linux {release}")
    else:
        say = missing if gpio else warning
        yield say("kernel", f"Linux {release}: GPIO lines need 5.10", "sudo apt full-upgrade")

    shown = ".".join(map(str, machine.python))
    if machine.python[:2] >= PYTHON:
        yield ok("python", shown)
    else:
        yield missing("python", f"{shown}: 3.11 is needed", "sudo apt install python3")
    # 0.0.0.2 is an empty package that a resolver takes where there is no wheel.
    if machine.package_version("lgpio") == "0.0.0.2":
        yield warning("lgpio", "0.0.0.2 is an empty stub; hwctl needs none", "pip uninstall lgpio")

    yield _clock(machine)
    yield _systemd(machine)
    if gpio is not False:
        yield _outlets(machine)


def _clock(machine: Machine) -> Finding:
    keeper = next(
        (
            name
            for name, mark in (
                ("chrony", "/run/chrony"),
                ("timesyncd", "/run/systemd/timesync"),
                ("ntpd", "/run/ntpd.pid"),
            )
            if machine.exists(mark)
        ),
        None,
    )
    if machine.clock_in_step() or machine.exists("/run/systemd/timesync/synchronized"):
        return ok("clock", f"in step{f', by {keeper}' if keeper else ''}")
    if keeper:
        return warning("clock", f"not in step yet; {keeper} runs", "timedatectl timesync-status")
    return warning("clock", "nothing keeps it in step", "sudo apt install systemd-timesyncd")


def _systemd(machine: Machine) -> Finding:
    number = systemd_version(machine)
    if number is None:
        return warning("systemd", "not found: start `hwctl run` by other means", "hwctl run --help")
    if number < STORE_SURVIVES:
        return ok(
            "systemd",
            f"{number}: its descriptor store covers a crash and a restart, not a plain stop",
        )
    if machine.exists(DROP_IN):
        return ok("systemd", f"{number}: its descriptor store covers a plain stop, too")
    return warning(
        "systemd", f"{number} could keep descriptors over a plain stop, and is not told to", INSTALL
    )


def _outlets(machine: Machine) -> Finding:
    """What becomes of GPIO outlets when the service is stopped."""
    number = systemd_version(machine)
    if number is not None and number >= STORE_SURVIVES and machine.exists(DROP_IN):
        return ok("outlets", "stay as they are over a crash, a restart, a stop and an upgrade")
    told = [machine.word(path) for path in PERSIST if machine.exists(path)]
    strict = "; but dtparam=strict_gpiod is set" if _strict(machine) else ""
    if told and all(value == "Y" for value in told) and not strict:
        return ok("outlets", "this kernel leaves a released output as it is (no strict_gpiod)")
    if strict:
        file = next(path for path in CONFIG_TXT if machine.exists(path))
        return warning(
            "outlets",
            f"fall to their pulls at a plain stop{strict}",
            f"sudo sed -i /strict_gpiod/d {file} && sudo reboot",
        )
    return warning(
        "outlets",
        "on this kernel they fall to their pulls at a plain stop; a restart keeps them",
        f"sudo systemctl restart {UNIT}   # never stop, while the rig is up",
    )


def _strict(machine: Machine) -> bool:
    text = next((t for path in CONFIG_TXT if (t := machine.text(path)) is not None), "")
    return re.search(r"^\s*dtparam=(?:[^#\n]*,)?strict_gpiod\b", text, re.MULTILINE) is not None
