"""The form of udev rules: what the rules of this project may say, and how.

Sources     udev(7); systemd 252, udev-event.c (RUN is split into words after what it names was put
            in; no shell is involved unless it is the program)
"""

import re
from collections.abc import Iterator

KEYS = {
    "ACTION": "m", "KERNEL": "m", "KERNELS": "m", "SUBSYSTEM": "m", "SUBSYSTEMS": "m", "TEST": "m",
    "DRIVER": "m", "ATTRS": "m{", "ATTR": "ma{", "ENV": "ma{", "IMPORT": "a{", "SYMLINK": "a",
    "GROUP": "a", "MODE": "a", "TAG": "a", "RUN": "a",
}  # fmt: skip
"""The keys that our rules use: m, they match; a, they assign; {, they take an attribute."""
PROGRAMS = frozenset({"/usr/bin/find"})
"""What a rule may run: nothing that takes text for a program."""
HARMLESS = frozenset({"$sys", "$devpath"})
"""What may be put into a program's arguments: names that the kernel made. Nothing that a device
says of itself."""
_TOKEN = re.compile(r'([A-Z]+)(\{[\w/]+\})?(==|!=|\+=|=)"([^"\\]*)"')
_PUT_IN = re.compile(r"\$\$|%%|\$\w+(?:\{[^}]*\})?|%\w(?:\{[^}]*\})?")


def faults(rules: str) -> Iterator[str]:
    """What is wrong with the form of the rules; systemd 252 has no `udevadm verify`."""
    for number, line in enumerate(rules.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        for fault in _faults(line):
            yield f"{number}: {fault}"


def _faults(line: str) -> Iterator[str]:
    assigns, parent, kernel = False, False, False
    for token in line.split(", "):
        found = _TOKEN.fullmatch(token)
        if not found:
            yield f"{token!r} is not KEY, operator, quoted value"
            continue
        key, attribute, operator, value = found.groups()
        use = KEYS.get(key)
        matches = operator in ("==", "!=")
        assigns |= not matches
        parent |= key == "SUBSYSTEMS"
        kernel |= key in ("SUBSYSTEM", "SUBSYSTEMS")
        if use is None:
            yield f"{key} is not a key of ours"
        elif ("{" in use) != bool(attribute):
            yield f"{key} is with an attribute where it takes none, or without"
        elif ("m" if matches else "a") not in use:
            yield f"{key} cannot stand with {operator}"
        if key == "ATTRS" and not parent:
            yield "ATTRS before SUBSYSTEMS: any parent could match"
        if key == "RUN":
            yield from _run_faults(operator, value)
    if not line.startswith('ACTION!="remove", '):
        yield "is carried out on removal too"
    if not assigns:
        yield "assigns nothing"
    if not kernel:
        yield "names no SUBSYSTEM"


def _run_faults(operator: str, value: str) -> Iterator[str]:
    if operator != "+=":
        yield "RUN takes away what other rules run"
    program = value.partition(" ")[0]
    if program not in PROGRAMS:
        yield f"RUN starts {program or 'nothing'}, which no rule of ours may"
    for named in _PUT_IN.findall(value):
        if named not in HARMLESS:
            yield f"RUN is given {named}, which may be text from outside"
