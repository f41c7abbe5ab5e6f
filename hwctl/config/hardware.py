"""Makes docs/hardware.md from the drivers: ``python -m hwctl.config.hardware [--check]``.

Only drivers of this distribution are listed, so that the page does not depend on what else is
installed.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Sequence

from hwctl.config.drivers import own_drivers
from hwctl.config.generate import DOCS, key_rows, main, table
from hwctl.model.drivers import Driver

FILE = DOCS / "hardware.md"

INTRODUCTION = """\
# Hardware

Made from the drivers by `python -m hwctl.config.hardware`; do not edit.

"Proof" says how a driver was shown to be right, and by that also what has not been tried. A
driver of your own, from any package, plugs in as these do: see `hwctl/model/drivers.py`.
"""


def text(drivers: Iterable[Driver]) -> str:
    """The whole page."""
    drivers = sorted(drivers, key=lambda one: one.name)
    rows = [
        [
            f"[`{one.name}`](#{one.name})",
            one.summary,
            ", ".join(one.parts),
            one.bus,
            ", ".join(sorted(one.roles)),
            one.proof,
        ]
        for one in drivers
    ]
    head = ("driver", "what for", "parts", "bus", "roles", "proof")
    return "\n".join([INTRODUCTION, table(head, rows), "", *map(_section, drivers)])


OUTLET_WORDS = (
    ("reads_back", "its state is read back", "it cannot be read back: its state is assumed"),
    ("cycles", "it performs a power cycle by itself", ""),
    ("asks", "it can ask its node to halt", ""),
)
_PART = re.compile(r"^([A-Z][a-z]+) {2,}", re.MULTILINE)


def _outlet(driver: Driver) -> str:
    """What kind of outlet it is, in a sentence."""
    said = []
    for name, yes, no in OUTLET_WORDS:
        value = getattr(driver, name)
        if callable(value):
            said.append(f"{yes} if its options say so")
        elif value or no:
            said.append(yes if value else no)
    if not driver.switches_off:
        said.append("it can only switch on")
    return f"As an outlet: {'; '.join(said)}.\n\n"


def _quirks(driver: Driver) -> str:
    """The quirks that stand in the docstring of the driver's module."""
    doc = inspect.cleandoc(sys.modules[driver.open.__module__].__doc__ or "")
    pieces = _PART.split(doc)
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        if name != "Quirks":
            continue
        # The block ends where a line stands at the margin again.
        lines = [""]
        for at, line in enumerate(text.splitlines()):
            if at and line and not line.startswith(" "):
                break
            if line.strip().startswith("- "):
                lines.append(line.strip())
            else:
                lines[-1] = f"{lines[-1]} {line.strip()}".strip()
        return "Quirks:\n\n" + "\n".join(line for line in lines if line) + "\n\n"
    return ""


def _section(driver: Driver) -> str:
    first = driver.first_channel
    if callable(driver.channels):
        channels = f"Channels: from {first}, as many as `channels` says.\n\n"
    elif driver.channels > 1:
        channels = f"Channels: {first} to {first + driver.channels - 1}.\n\n"
    else:
        channels = ""
    speed = f"Clock: at least {driver.min_speed_hz:,} Hz.\n\n" if driver.min_speed_hz else ""
    keys = table(("key", "holds", "default", "what it is"), key_rows(driver.options))
    summary = f"{driver.summary[:1].upper()}{driver.summary[1:]}."
    outlet = _outlet(driver) if "outlet" in driver.roles else ""
    return f"## {driver.name}\n\n{summary}\n\n{channels}{speed}{outlet}{_quirks(driver)}{keys}\n"


def run(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    return main(FILE, text(own_drivers()), arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
