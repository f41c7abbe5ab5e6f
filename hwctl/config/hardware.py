"""Makes docs/hardware.md from the drivers: ``python -m hwctl.config.hardware [--check]``.

Only drivers of this distribution are listed, so that the page does not depend on what else is
installed.
"""

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


def _section(driver: Driver) -> str:
    last = driver.first_channel + driver.channels - 1
    channels = f"Channels: {driver.first_channel} to {last}.\n\n" if driver.channels > 1 else ""
    speed = f"Clock: at least {driver.min_speed_hz:,} Hz.\n\n" if driver.min_speed_hz else ""
    keys = table(("key", "holds", "default", "what it is"), key_rows(driver.options))
    summary = f"{driver.summary[:1].upper()}{driver.summary[1:]}."
    return f"## {driver.name}\n\n{summary}\n\n{channels}{speed}{keys}\n"


def run(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    return main(FILE, text(own_drivers()), arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
