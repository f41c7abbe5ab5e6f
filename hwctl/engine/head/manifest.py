"""What `hwctl install` has put on a head, so that exactly that can be taken off again."""

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwctl.model.errors import ConfigError

PATH = "/var/lib/hwctl/install.json"
_MOST_BYTES = 1 << 20


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class Manifest:
    files: dict[str, str] = field(default_factory=dict)
    """Path on the head -> SHA-256 of what was written; two, with a space between, of a file that an
    install has changed, so that one that was cut short knows either."""
    folders: list[str] = field(default_factory=list)
    """Made for it, the outermost first."""
    user: bool = False
    """Whether the user `hwctl` was made."""

    def wrote(self, path: str, text: str) -> bool:
        """Whether an install has left ``path`` like this."""
        return digest(text) in self.files.get(path, "").split()

    def write(self, file: Path) -> None:
        """Whole or not at all. :raises OSError:"""
        value = {"files": self.files, "folders": self.folders, "user": self.user}
        replace(file, json.dumps(value, indent=2, sort_keys=True) + "\n", 0o644)


def read(file: Path) -> Manifest:
    """An empty one where nothing was installed.

    The folder is the service's own, and whoever uninstalls is root: a manifest that the service
    could have written is not obeyed.

    :raises ConfigError: it is not root's (or the caller's), or not a manifest.
    """
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise _refused(file, error.strerror or str(error)) from error
    with os.fdopen(fd, encoding="utf-8", errors="replace") as opened:
        about = os.fstat(fd)
        if about.st_uid not in (0, os.geteuid()) or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _refused(file, f"it could have been written by user {about.st_uid}")
        raw = opened.read(_MOST_BYTES)
    try:
        value: Any = json.loads(raw)
        files, folders, user = value["files"], value["folders"], value["user"]
    except (ValueError, TypeError, KeyError) as error:
        raise _refused(file, "it is no manifest") from error
    paths = [*files, *folders] if isinstance(files, dict) and isinstance(folders, list) else [None]
    if not all(isinstance(p, str) and p.startswith("/") and ".." not in p for p in paths):
        raise _refused(file, "it names no absolute paths")
    return Manifest({str(k): str(v) for k, v in files.items()}, list(folders), bool(user))


def replace(file: Path, text: str, mode: int) -> None:
    """Write a file so that it is there whole or as it was. :raises OSError:"""
    beside = file.with_name(f".{file.name}.hwctl-new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        beside.rename(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _refused(file: Path, what: str) -> ConfigError:
    return ConfigError(
        what, where=str(file), hint="look into it; without it nothing is known to be hwctl's"
    )
