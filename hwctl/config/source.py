"""One TOML file, read: its plain values, where they stand, and what was wrong with reading it."""

import json
import math
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hwctl.config.problems import Problem, nearest, quoted, quoted_path
from hwctl.config.toml_lines import KeyPath, TomlLines, scan

MOST_BYTES = 1 << 20
"""A rig of 1,000 nodes needs a quarter of this; more is some other file."""
MOST_NESTED = 12
"""Our deepest key has a depth of 5; without a limit a hostile file exhausts the stack."""
_INTEGERS = range(-(1 << 63), 1 << 63)
"""What TOML promises to keep: https://toml.io/en/v1.0.0#integer."""
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is TOML."""

    path: Path
    values: dict[str, Any]
    """Only tables, lists, text, 64-bit whole numbers, finite numbers and booleans."""
    lines: TomlLines
    dropped: set[KeyPath] = field(default_factory=set)
    """Keys whose values no key of ours takes, taken out and told of when the file was read."""

    def problem(
        self,
        key: KeyPath,
        what: str,
        hint: str,
        severity: Literal["error", "warning"] = "error",
    ) -> Problem:
        """A problem at the line of ``key``."""
        return Problem(str(self.path), self.lines.line(key), what, hint, severity)

    def place(self, key: KeyPath) -> str:
        """Where ``key`` stands, for the middle of a sentence: "football.toml:45"."""
        return f"{self.path.name}:{self.lines.line(key)}"


def read(path: Path, problems: list[Problem]) -> Source | None:
    """Read one file; what is wrong is added to ``problems``.

    :returns: ``None`` if the file cannot be used at all.
    """
    text = _text(path, problems)
    if text is None:
        return None
    try:
        values = tomllib.loads(text)
        source = Source(path, values, scan(text))
    except tomllib.TOMLDecodeError as error:
        problems.append(_not_toml(path, text, str(error)))
        return None
    except RecursionError:
        problems.append(Problem(str(path), 1, "is nested too deeply", "use fewer brackets"))
        return None
    except ValueError:  # Python's own limit on the digits of a number
        problems.append(
            Problem(str(path), 1, "holds a number of thousands of digits", "shorten it")
        )
        return None
    if not values:
        problems.append(
            Problem(str(path), 1, "is empty", "start from a file of the folder wiring/")
        )
        return None
    problems.extend(_sift(source, values, ()))
    return source


def as_json(values: Any) -> str:  # noqa: ANN401 - TOML's values
    """``values`` for pydantic's strict JSON mode, whose types are those of TOML: a list may
    become a tuple and text a path, but text never becomes a number."""
    return json.dumps(values)


def _text(path: Path, problems: list[Problem]) -> str | None:
    def fault(what: str, hint: str, line: int = 1) -> None:
        problems.append(Problem(str(path), line, what, hint))

    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            fault("is a directory", "name a file in it")
            return None
        if not stat.S_ISREG(kind):
            fault("is not a regular file", "name a file")
            return None
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        fault("does not exist", missing_hint(path))
        return None
    except PermissionError:
        fault("may not be read by this user", "check its owner and mode with `ls -l`")
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        fault(f"cannot be read: {reason}", "check the path")
        return None
    if len(data) > MOST_BYTES:
        fault(f"has more than {MOST_BYTES:,} bytes", "name a configuration file")
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        fault(
            f"is not UTF-8: byte 0x{data[error.start]:02x}",
            "save it as UTF-8",
            min(data.count(b"\n", 0, error.start) + 1, _length(data.decode("latin-1"))),
        )
        return None
    if text.startswith("\ufeff"):
        fault("begins with a byte order mark", "save it as UTF-8 without one")
        return None
    return text


def missing_hint(path: Path) -> str:
    """What to do about a file that is not there: names the nearest one that is."""
    try:
        there = sorted(one.name for one in path.parent.glob("*.toml"))
    except (OSError, ValueError):
        there = []
    close = nearest(path.name, there)
    return f"did you mean {quoted_path(path.parent / close)}?" if close else "check the path"


def _length(text: str) -> int:
    """The number of lines, at least 1."""
    return max(1, text.count("\n") + (not text.endswith("\n")))


def _not_toml(path: Path, text: str, message: str) -> Problem:
    place = _PLACE.search(message)
    last = _length(text)
    line = min(int(place[1]), last) if place and place[1] else last
    column = f" (column {place[2]})" if place and place[2] else ""
    said = _PLACE.sub("", message)
    if said.startswith("Cannot declare"):
        return Problem(
            str(path),
            line,
            f"the table of this line stands here a second time{column}",
            "join the two, or give one another name",
        )
    if said.startswith(("Cannot overwrite", "Cannot mutate")):
        return Problem(
            str(path),
            line,
            f"a key of this line has a value already{column}",
            "remove one of the two",
        )
    return Problem(
        str(path),
        line,
        f"is not TOML: {said[:1].lower()}{said[1:]}{column}",
        "see https://toml.io for how to write it",
    )


def _sift(source: Source, values: Any, path: KeyPath) -> Iterator[Problem]:  # noqa: ANN401
    """Drop what TOML can say and no key of ours takes, and tell of it."""
    items = list(values.items() if isinstance(values, dict) else enumerate(values))
    for key, value in reversed(items):  # so that indices stay right while elements go
        here = (*path, key)
        fault = _unusable(value, len(here))
        if fault:
            del values[key]
            source.dropped.add(here)
            yield source.problem(here, f"{quoted(key)} is {fault}", "no key takes that")
        elif isinstance(value, dict | list):
            yield from _sift(source, value, here)


def _unusable(value: object, depth: int) -> str | None:
    match value:
        case dict() | list():
            return "nested too deeply" if depth > MOST_NESTED else None
        case str() | bool():
            return None
        case int():
            return None if value in _INTEGERS else "a whole number of more than 64 bits"
        case float():
            return None if math.isfinite(value) else f"{value}, not a finite number"
        case _:
            return "a date or time"
