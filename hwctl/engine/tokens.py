"""Who may command over HTTP: named tokens in a file of the state directory.

The file holds the SHA-256 of each secret, never the secret. A secret has 256 random bits, so a
plain hash suffices: there is nothing to guess. The file may be changed while the service runs;
:meth:`TokenStore.check` looks at its inode, size and time of change before each lookup.
"""

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwctl.model.errors import ConfigError, NotPossibleError, RequestError, UnknownTargetError

SCOPES = ("read", "power", "config", "admin")
"""``read``: see everything. ``power``: and switch nodes and the shutdown. ``config``: and set fans
and strips. ``admin``: everything. ``power`` does not include ``config``, nor the other way."""
_IMPLIES = {
    "read": frozenset({"read"}),
    "power": frozenset({"read", "power"}),
    "config": frozenset({"read", "config"}),
    "admin": frozenset(SCOPES),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FORMAT = 1
_NO_DIGEST = "0" * 64
"""Compared with where there is no such token, so that both answers take the same time."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token may do."""

    id: str
    """Public part of the token; safe to log."""
    name: str
    scopes: frozenset[str]
    """As given; see :meth:`allows` for what they include."""
    nodes: frozenset[str]
    """The only nodes it may command. Empty: no such limit."""
    created: float
    """Wall-clock seconds since the epoch."""

    def allows(self, scope: str) -> bool:
        """Whether one of its scopes includes ``scope``."""
        return any(scope in _IMPLIES[own] for own in self.scopes)


@dataclass(frozen=True, slots=True)
class _Entry:
    grant: Grant
    digest: str


class TokenStore:
    """The tokens in one file. Safe to use from several threads and processes at once.

    :param path: the file; it need not exist. It is written with mode 0600; by root it is given to
        whom its directory belongs to, for that is who the service runs as.
    :param clock: wall-clock seconds since the epoch.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._guard = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._entries: dict[str, _Entry] = {}

    def create(self, name: str, scopes: Iterable[str], nodes: Iterable[str] = ()) -> str:
        """Make a token and return it; it can never be shown again.

        :raises RequestError: a name or scope that cannot be.
        :raises NotPossibleError: the name is taken.
        :raises ConfigError: the file cannot be read or written.
        """
        wanted = frozenset(scopes)
        if not _NAME.fullmatch(name):
            raise RequestError(
                f"{name!r} cannot name a token",
                hint="up to 64 letters, digits, dots, dashes and underscores",
            )
        unknown = wanted - set(SCOPES)
        if unknown or not wanted:
            raise RequestError(
                f"no such scope: {', '.join(sorted(unknown)) or '(none given)'}",
                hint=f"one or more of {', '.join(SCOPES)}",
            )
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        grant = Grant(token_id, name, wanted, frozenset(nodes), self._clock())
        with self._locked():
            entries = self._read()
            if any(entry.grant.name == name for entry in entries.values()):
                raise NotPossibleError(
                    f"there is a token named {name} already",
                    where=str(self._path),
                    hint=f"hwctl token revoke {name}",
                )
            entries[token_id] = _Entry(grant, _digest(secret))
            self._write(entries)
        return f"hwctl_{token_id}_{secret}"

    def list(self) -> Sequence[Grant]:
        """All grants, the oldest first. :raises ConfigError: the file cannot be read."""
        return sorted(
            (entry.grant for entry in self._current().values()), key=lambda one: one.created
        )

    def revoke(self, name: str) -> None:
        """End a token at once. :raises UnknownTargetError: there is none of that name."""
        with self._locked():
            entries = self._read()
            left = {key: entry for key, entry in entries.items() if entry.grant.name != name}
            if len(left) == len(entries):
                raise UnknownTargetError(
                    f"no token is named {name}", where=str(self._path), hint="hwctl token list"
                )
            self._write(left)

    def check(self, token: str) -> Grant | None:
        """What ``token`` may do, or ``None``. :raises ConfigError: the file cannot be read."""
        prefix, _, rest = token.partition("_")
        token_id, _, secret = rest.partition("_")
        entry = self._current().get(token_id) if prefix == "hwctl" else None
        same = hmac.compare_digest(_digest(secret), entry.digest if entry else _NO_DIGEST)
        return entry.grant if entry is not None and same else None

    def grant(self, token_id: str) -> Grant | None:
        """The grant with that public id if it still stands."""
        entry = self._current().get(token_id)
        return entry.grant if entry else None

    def _current(self) -> dict[str, _Entry]:
        """The entries as they are in the file now, read again only if it changed."""
        with self._guard:
            stamp = self._stamp()
            if stamp != self._seen:
                self._entries = self._read()
                self._seen = stamp
            return self._entries

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            facts = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    def _read(self) -> dict[str, _Entry]:
        try:
            if self._path.stat().st_mode & 0o022:
                raise ConfigError(
                    "others may write to it, so what it grants cannot be trusted",
                    where=str(self._path),
                    hint=f"look at its content, then: chmod 600 {self._path}",
                )
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(error) from error
        except UnicodeDecodeError as error:
            raise self._corrupt() from error
        try:
            return _decode(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._corrupt() from error

    def _write(self, entries: dict[str, _Entry]) -> None:
        """Replace the file whole: after a power loss it is the old one or the new one."""
        scratch = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            handle = self._create(scratch)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(_encode(entries), file, indent=1)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
                scratch.replace(self._path)
            except OSError:
                scratch.unlink(missing_ok=True)
                raise
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ConfigError(
                f"cannot be written: {error.strerror}",
                where=str(self._path),
                hint="run the command as the user that hwctl runs as, or give --state-dir",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out, in this process and in others."""
        lock = self._path.with_name(f".{self._path.name}.lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                handle = self._create(lock)
            except FileExistsError:
                handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        except OSError as error:
            raise ConfigError(
                f"cannot be locked: {error.strerror}",
                where=str(self._path),
                hint="run the command as the user that hwctl runs as, or give --state-dir",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _create(self, path: Path) -> int:
        """A new file. Only such a one is given away: whoever owns the directory could have put a
        link to anything there."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if os.geteuid() == 0:
            folder = self._path.parent.stat()
            os.fchown(handle, folder.st_uid, folder.st_gid)
        return handle

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"cannot be read: {error.strerror}",
            where=str(self._path),
            hint="run the command as the user that hwctl runs as, or give --state-dir",
        )

    def _corrupt(self) -> ConfigError:
        return ConfigError(
            "is not a token file, or is damaged; it was left as it is",
            where=str(self._path),
            hint="restore it from a backup, or move it away and create the tokens anew",
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _encode(entries: dict[str, _Entry]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "tokens": [
            {
                "id": entry.grant.id,
                "name": entry.grant.name,
                "scopes": sorted(entry.grant.scopes),
                "nodes": sorted(entry.grant.nodes),
                "created": entry.grant.created,
                "sha256": entry.digest,
            }
            for entry in entries.values()
        ],
    }


def _decode(data: dict[str, Any]) -> dict[str, _Entry]:
    """:raises ValueError, KeyError, TypeError, AttributeError: it is no such document."""
    if data["format"] != _FORMAT:
        raise ValueError(data["format"])
    entries = {}
    for raw in data["tokens"]:
        scopes = frozenset(map(str, raw["scopes"]))
        if not scopes or scopes - set(SCOPES) or len(bytes.fromhex(raw["sha256"])) != 32:
            raise ValueError(raw)
        grant = Grant(
            id=str(raw["id"]),
            name=str(raw["name"]),
            scopes=scopes,
            nodes=frozenset(map(str, raw["nodes"])),
            created=float(raw["created"]),
        )
        entries[grant.id] = _Entry(grant, raw["sha256"])
    return entries
