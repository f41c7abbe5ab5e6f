"""Makes docs/configuration.md from the models: ``python -m hwctl.config.docs [--check]``."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from hwctl.config.generate import DOCS, key_rows, main, table
from hwctl.config.schema import ID_WORDS
from hwctl.model.settings import DriverUse, Settings
from hwctl.model.wiring import Channel, Wiring

FILE = DOCS / "configuration.md"

HEAD = ("key", "holds", "default", "what it is")

INTRODUCTION = f"""\
# Configuration

Made from the models by `python -m hwctl.config.docs`; do not edit.

A rig has two files in TOML, side by side. `wiring/<build>.toml` says what is wired to what, each
pin once. `wiring/<build>.hwctl.toml` says what to do with it, and names the first.
`hwctl check FILE` reads them and names every fault as FILE:LINE: what is wrong; what to do.

Keys that end in a unit are in that unit: `_s` seconds, `_wh` watt-hours, `_ohms`, `_amps`,
`_volts`, `_watts`. Ratios (charge, duty, brightness, load) run from 0 to 1. A number is never
written as text. A key that is not listed here is an error.
An ID has {ID_WORDS}.
"""

WIRING = """\
## The wiring file: `<build>.toml`

Beside `driver`, `bus` and `note`, a `[device.ID]` has the keys of its driver, which stand in
[hardware.md](hardware.md). A `note` says why something unusual is right: it silences the warnings
about pins that the kernel may use as well, and, if it names the resistor that pulls, the one
about a relay that is energised while the head boots.
"""

SETTINGS = """\
## The settings file: `<build>.hwctl.toml`

Every table but `[host.ID]` may be left out. `[host.ID]` and `[supply.ID]` take their ids from the
wiring's nodes and supplies.
"""


def text() -> str:
    """The whole page."""
    parts = [INTRODUCTION, WIRING, *_file(Wiring)]
    parts += [_inline("A place on a device", Channel), SETTINGS, *_file(Settings)]
    parts += [
        _inline("A driver over the network", DriverUse)
        + "\nThe driver's own keys stand beside it; see [hardware.md](hardware.md).\n"
    ]
    return "\n".join(parts)


def _file(model: type[BaseModel]) -> Iterator[str]:
    tables: list[str] = []
    plain: list[str] = []
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        if get_origin(annotation) is dict:
            entry = get_args(annotation)[1]
            if isinstance(entry, type) and issubclass(entry, BaseModel):
                tables.append(_table(f"[{name}.ID]", entry))
            else:
                rows = [["`ID`", "a list of ids", "none", field.description or ""]]
                tables.append(f"### `[{name}]`\n\n{table(HEAD, rows)}\n")
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            tables.append(_table(f"[{name}]", annotation))
        else:
            plain.append(name)
    if plain:
        rows = [row for row in key_rows(model) if row[0].strip("`") in plain]
        yield f"### Before the first table\n\n{table(HEAD, rows)}\n"
    yield from tables


def _table(heading: str, model: type[BaseModel]) -> str:
    about = " ".join((model.__doc__ or "").replace("``", "`").split())
    lead = f"{about}\n\n" if about else ""
    return f"### `{heading}`\n\n{lead}{table(HEAD, key_rows(model))}\n"


def _inline(title: str, model: type[BaseModel]) -> str:
    return f"### {title}\n\nWritten as an inline table.\n\n{table(HEAD, key_rows(model))}\n"


def run(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    return main(FILE, text(), arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
