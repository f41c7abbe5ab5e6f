"""Checks of outlets by what switches them: what cannot switch, what others can change, and what is
said of a bus that does not listen to it."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from hwctl.config.draft import SettingsDraft, WiringDraft
from hwctl.config.problems import Problem, quoted
from hwctl.model.wiring import Bus

PI = re.compile(r"raspberry\s*pi\b", re.IGNORECASE)
LINE_KEYS = ("baud", "parity")
"""Of a bus; its devices' drivers know them for all kinds but Modbus on a serial port."""
PROGRAMS = ("on", "off", "state", "cycle")
"""Keys of a `command` outlet, lists whose first word is a program."""


def check_outlets(draft: WiringDraft) -> Iterator[Problem]:
    """Everything that the wiring file tells."""
    yield from _line_keys(draft)
    yield from _shared_ports(draft)
    yield from _own_ports(draft)
    yield from _programs(draft)


def check_woken(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    """Nodes that the shutdown brings down, and whose outlet can only switch on."""
    staged = {role for stage in draft.settings.shutdown.stages for role in stage}
    for name, outlet in wiring.wiring.outlet.items():
        use = wiring.devices.get(outlet.device)
        node = wiring.wiring.node.get(outlet.node or "")
        if use and node and not use.driver.switches_off and node.role in staged:
            yield wiring.source.problem(
                ("outlet", name),
                f"outlet {quoted(name)} can only wake {quoted(outlet.node)}: a shutdown halts it, "
                "and cannot cut its power",
                "wire an outlet that can, or say as `halted_watts` what it goes on drawing",
                "warning",
            )


def _line_keys(draft: WiringDraft) -> Iterator[Problem]:
    tables = draft.source.values.get("bus", {})
    for name, bus in draft.wiring.bus.items():
        if _is_modbus_line(bus):
            continue
        for key in LINE_KEYS:
            if key in tables[name]:
                kind = f"Modbus over TCP ({bus.path})" if bus.kind == "modbus" else bus.kind
                yield draft.source.problem(
                    ("bus", name, key),
                    f"{quoted(key)} does nothing on a bus of kind {kind}",
                    "remove it: the gateway has its own"
                    if bus.kind == "modbus"
                    else "remove it: each device's driver sets what the device wants"
                    if bus.kind == "serial"
                    else "remove it: it is for Modbus on a serial port",
                    "warning",
                )


def _is_modbus_line(bus: Bus) -> bool:
    return bus.kind == "modbus" and bus.path.startswith("/")


def _shared_ports(draft: WiringDraft) -> Iterator[Problem]:
    """Two devices on one serial port. Those that claim the same of it are an error already."""
    first: dict[str, str] = {}
    for name, use in draft.devices.items():
        entry = draft.wiring.device[name]
        bus = draft.wiring.bus.get(entry.bus or "")
        if bus is None or bus.kind != "serial" or use.driver.bus != "serial" or entry.note:
            continue
        other = first.setdefault(str(entry.bus), name)
        if other == name:
            continue
        if set(use.options.claims()) & set(draft.devices[other].options.claims()):
            continue
        yield draft.source.problem(
            ("device", name, "bus"),
            f"serial port {quoted(entry.bus)} has two devices: {other} "
            f"({draft.source.place(('device', other, 'bus'))}) and {name} "
            f"({draft.source.place(('device', name, 'bus'))})",
            "give each its own, or say in `note` how the two share one line",
            "warning",
        )


def _own_ports(draft: WiringDraft) -> Iterator[Problem]:
    """Ports of a root hub: on a Raspberry Pi they are the board's own, and go off together only
    (mvp/uhubctl's README)."""
    for name, use in draft.devices.items():
        if use.driver.name != "usb_port" or draft.pins is None:
            continue
        if not PI.match(draft.pins.model) and not draft.pins.known:
            continue
        for key in ("port", "usb3_port"):
            port = getattr(use.options, key, None)
            if isinstance(port, str) and "." not in port:
                yield draft.source.problem(
                    ("device", name, key),
                    f"{quoted(port)} is a port of the Raspberry Pi itself: its ports lose their "
                    "power together, or not at all",
                    "use a hub that switches each port by itself, and name its port, as `1-1.3`",
                    "warning",
                )


def _programs(draft: WiringDraft) -> Iterator[Problem]:
    for name, use in draft.devices.items():
        if use.driver.name != "command":
            continue
        told: set[str] = set()
        for key in PROGRAMS:
            words = getattr(use.options, key, None)
            if not words or words[0] in told:
                continue
            told.add(words[0])
            fault = _fault(Path(words[0]))
            if fault:
                yield draft.source.problem(("device", name, key), *fault, "warning")


def _fault(program: Path) -> tuple[str, str] | None:
    """What is wrong with a program of this machine, and what to do."""
    shown = quoted(program, 1024)
    try:
        mode = program.stat().st_mode
        above = [one for one in program.resolve().parents if _anybody_may_change(one)]
    except (FileNotFoundError, NotADirectoryError):
        return f"{shown} does not exist on this machine", "put it there, or mend its path"
    except (OSError, ValueError):
        return None  # not to be seen by whoever checks
    if not stat.S_ISREG(mode) or not mode & 0o111:
        return f"{shown} is no program", "`chmod +x` it, or mend its path"
    if mode & stat.S_IWOTH:
        return (
            f"{shown} can be changed by everybody on this machine, and runs as hwctl",
            f"chmod o-w {program}",
        )
    if above:
        return (
            f"{shown} can be replaced by everybody on this machine: {quoted(above[0], 1024)} is "
            "open to all",
            "move it to /usr/local/bin",
        )
    return None


def _anybody_may_change(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
