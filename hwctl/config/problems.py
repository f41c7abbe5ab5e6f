"""What is wrong with a rig's files, one line for each fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from hwctl.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. ``str()`` gives "FILE:LINE: what is wrong; what to do"."""

    file: str
    line: int
    """1-based; 1 where the file has no lines."""
    what: str
    hint: str
    severity: Literal["error", "warning"] = "error"
    """An error keeps the rig from starting."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; {self.hint}"


class ConfigProblems(ConfigError):  # noqa: N818 - it holds many
    """Everything that is wrong, warnings included, in the order of files and lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = next((one for one in problems if one.severity == "error"), problems[0])
        super().__init__(first.what, where=f"{first.file}:{first.line}", hint=first.hint)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def quoted(name: object, most: int = 60) -> str:
    """A name as messages show it: `name`, without anything that could upset a terminal, and cut
    short after ``most`` characters."""
    text = str(name)
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return f"`{shown[:most]}…`" if len(shown) > most else f"`{shown}`"


def quoted_path(path: Path) -> str:
    """A path, whole up to the longest that Linux takes."""
    return quoted(path, 4096)


def listed(names: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that ``name`` was probably meant to be."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.65)), None)


def meant(name: str, known: Sequence[str], label: str) -> str:
    """A hint: "did you mean `x`? LABEL: `x`, `y`"; ``known`` is cut short after 24 names."""
    close = nearest(name, known)
    some = [quoted(one) for one in known[:24]] + (["…"] if len(known) > 24 else [])
    guess = f"did you mean {quoted(close)}? " if close else ""
    return f"{guess}{label}: {', '.join(some) or 'none'}"
