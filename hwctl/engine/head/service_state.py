"""Whether hwctl is installed as a service, and as this version would install it."""

import re
from collections.abc import Iterator

from hwctl.config.drivers import loadable
from hwctl.config.udev import NAME, text, usual_groups
from hwctl.engine.head.basics import INSTALL, UNIT
from hwctl.engine.head.findings import Finding, ok, warning
from hwctl.engine.head.machine import Machine, Who

USER = "hwctl"
UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
RULE_FOLDERS = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")


def unit_path(machine: Machine) -> str | None:
    return _first(machine, UNIT_FOLDERS, UNIT)


def service_user(machine: Machine) -> Who | None:
    """The service's user, with the groups that the unit adds."""
    path = unit_path(machine)
    unit = (machine.text(path) if path else None) or ""
    groups = re.findall(r"^SupplementaryGroups=(.*)$", unit, re.MULTILINE)
    return machine.user(USER, frozenset(" ".join(groups).split()))


def active(machine: Machine) -> bool:
    """Whether the service has processes now."""
    return any(machine.exists(f"{root}/system.slice/{UNIT}") for root in CGROUPS)


def check_service(machine: Machine) -> Iterator[Finding]:
    user = machine.user(USER)
    if user is None:
        yield warning("user", f"there is no user {USER}", INSTALL)
    else:
        yield ok("user", f"{USER}, uid {user.uid}")

    rules = _first(machine, RULE_FOLDERS, NAME)
    if rules is None:
        yield warning("udev rules", f"{NAME} is not installed", INSTALL)
    elif machine.text(rules) not in _known_rules(machine):
        yield warning("udev rules", f"{rules} is not what this hwctl makes", INSTALL)
    else:
        yield ok("udev rules", rules)

    unit = unit_path(machine)
    if unit is None:
        yield warning("unit", f"{UNIT} is not installed", INSTALL)
        return
    wants = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
    start = f"sudo systemctl enable --now {UNIT}"
    if not machine.exists(wants):
        yield warning("unit", f"{unit} does not start at boot", start)
    elif not active(machine):
        yield warning("unit", f"{unit} is not active", f"sudo systemctl restart {UNIT}")
    else:
        yield ok("unit", f"{unit} is enabled and active")


def _known_rules(machine: Machine) -> tuple[str, ...]:
    """As a package brings them, and as `hwctl install` makes them for this machine."""
    drivers = loadable()
    return text(drivers), text(drivers, usual_groups(machine.groups()))


def _first(machine: Machine, folders: tuple[str, ...], name: str) -> str | None:
    return next((path for one in folders if machine.exists(path := f"{one}/{name}")), None)
