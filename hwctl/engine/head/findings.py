"""What the doctor says: one line for each thing looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """The rig runs; something is worse than it could be, or will be wanted later."""
    MISSING = "missing"
    """The rig of the configuration cannot do without it."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    subject: str
    what: str
    command: str = ""
    """The one command that gets what is missing; empty where all is well."""


def ok(subject: str, what: str) -> Finding:
    return Finding(Level.OK, subject, what)


def warning(subject: str, what: str, command: str) -> Finding:
    return Finding(Level.WARNING, subject, what, command)


def missing(subject: str, what: str, command: str) -> Finding:
    return Finding(Level.MISSING, subject, what, command)
