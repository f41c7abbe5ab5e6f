"""``hwctl doctor``: what this machine has, lacks, and how to get it. Looks, and changes nothing."""

from hwctl.config.load import Loaded
from hwctl.engine.head.basics import check_platform
from hwctl.engine.head.devices import check_devices
from hwctl.engine.head.findings import Finding, Level
from hwctl.engine.head.machine import Machine, Who
from hwctl.engine.head.needs import check_rig
from hwctl.engine.head.service_state import check_service, service_user


def examine(machine: Machine, rig: Loaded | None = None) -> list[Finding]:
    """Everything that was looked at, in the order in which it is best mended.

    :param rig: what the machine is to run; without one, nothing is missing that nobody needs.
    """
    kinds = None if rig is None else frozenset(bus.kind for bus in rig.wiring.bus.values())
    users = _users(machine)
    findings = list(check_platform(machine, gpio=None if kinds is None else "gpio" in kinds))
    findings += check_devices(machine, users, kinds)
    findings += check_service(machine)
    if rig is not None:
        findings += check_rig(machine, users, rig)
    return findings


def lacking(findings: list[Finding]) -> bool:
    """Whether anything is missing that cannot be done without."""
    return any(one.level is Level.MISSING for one in findings)


def _users(machine: Machine) -> list[Who]:
    """Whoever asks, and the service if it has a user of its own."""
    service = service_user(machine)
    return [machine.who, *([service] if service and service.name != machine.who.name else [])]
