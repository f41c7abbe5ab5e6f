"""The journal: what was intended before it was done, and what came of it. SQLite, WAL, FULL.

An operation is written when it begins and at every step; an action's intent is committed before
the action is ordered, its outcome after. Whatever cannot be written is not begun.

The service goes on without a journal (it cools and lights), so opening never fails: ``problem``
says what is wrong, and writing raises :class:`JournalUnavailableError` until it works again.
"""

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from hwctl.model.errors import JournalUnavailableError
from hwctl.model.rig import Event, OpState, StepRecord
from hwctl.policy.operation import Op, Outcome, Step

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    text TEXT NOT NULL, severity TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY, started REAL NOT NULL, ended INTEGER NOT NULL, wall_offset REAL NOT NULL,
    body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS operations_started ON operations (started);
CREATE TABLE IF NOT EXISTS intents (
    id INTEGER PRIMARY KEY, operation TEXT NOT NULL, step TEXT NOT NULL, what TEXT NOT NULL,
    cause TEXT NOT NULL, at REAL NOT NULL, outcome TEXT, outcome_at REAL);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, operation TEXT NOT NULL, asked TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, by TEXT NOT NULL, origin TEXT NOT NULL,
    what TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL, before TEXT NOT NULL,
    after TEXT, result TEXT NOT NULL, operation TEXT);
CREATE INDEX IF NOT EXISTS audit_operation ON audit (operation);
CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, value TEXT NOT NULL, at REAL NOT NULL);
"""
KEPT_IN_MEMORY = 2000
KEPT_ON_DISK = 50_000
"""Events, and commands; at a few hundred bytes each this stays under 20 MB."""
OPERATIONS_ON_DISK = 5_000
"""Ended ones, with what was intended for them; some 2 KB each."""

_ENGINE_TIMES = ("expires", "entered", "ordered", "quiet_since", "switched", "switched_on")


_OP_FIELDS = tuple(field.name for field in fields(Op))


def _op_to_json(op: Op) -> str:
    # Not asdict, which copies deeply and takes four times as long: a command waits for this.
    body = {name: getattr(op, name) for name in _OP_FIELDS}
    body["steps"] = [asdict(step) for step in op.steps]
    body["outcome"] = None if op.outcome is None else asdict(op.outcome)
    return json.dumps(body)


def _op_from_json(body: str, shift: float) -> Op:
    """``shift``: what to add to its engine times, whose zero was another process's."""
    raw: dict[str, Any] = json.loads(body)
    known = {field.name for field in fields(Op)}
    raw = {key: value for key, value in raw.items() if key in known}
    raw["steps"] = tuple(StepRecord(**record) for record in raw["steps"])
    raw["state"] = OpState(raw["state"])
    raw["step"] = Step(raw["step"]) if raw["step"] else None
    if raw["outcome"] is not None:
        raw["outcome"] = Outcome(**{**raw["outcome"], "step": Step(raw["outcome"]["step"])})
    op = Op(**raw)
    moved = {
        name: getattr(op, name) + shift for name in _ENGINE_TIMES if getattr(op, name) is not None
    }
    return replace(op, **moved)


class Journal:
    """One file. Every method may be called from any thread."""

    def __init__(self, path: Path, *, open_file: Callable[[Path], sqlite3.Connection]) -> None:
        self._path = path
        self._open_file = open_file
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._problem: str | None = None
        self._events: deque[Event] = deque(maxlen=KEPT_IN_MEMORY)
        self._unwritten: deque[Event] = deque(maxlen=KEPT_IN_MEMORY)
        self._next_event = 1
        self.set_aside: Path | None = None
        """Where a file that was no journal was moved to, if there was one."""
        with self._lock, suppress(JournalUnavailableError):
            self._connect()

    @property
    def problem(self) -> str | None:
        """Why nothing can be written now, or ``None``."""
        return self._problem

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    # --- opening and failing ---

    def _connect(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        try:
            self._db = self._prepare()
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error) and "malformed" not in str(error):
                raise self._unavailable(error) from error
            # Nothing is lost: the file is kept beside, whatever it is.
            aside = self._path.with_name(f"{self._path.name}.unreadable")
            try:
                self._path.rename(aside)
                self._db = self._prepare()
            except (OSError, sqlite3.Error) as second:
                raise self._unavailable(second) from error
            self.set_aside = aside
        except OSError as error:
            raise self._unavailable(error) from error
        self._load_events(self._db)
        return self._db

    def _prepare(self) -> sqlite3.Connection:
        db = self._open_file(self._path)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise sqlite3.OperationalError(
                    f"written by a newer hwctl (schema {version}, this one knows {SCHEMA_VERSION})"
                )
            db.executescript(SCHEMA)
            if version != SCHEMA_VERSION:  # it is a write, and another process may hold the lock
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _load_events(self, db: sqlite3.Connection) -> None:
        rows = db.execute(
            "SELECT id, at, kind, subject, text, severity, data FROM events "
            "ORDER BY id DESC LIMIT ?",
            (KEPT_IN_MEMORY,),
        ).fetchall()
        known = [
            Event(number, at, kind, subject, text, severity, json.loads(data))
            for number, at, kind, subject, text, severity, data in reversed(rows)
        ]
        waiting = list(self._events)
        self._next_event = max(self._next_event, known[-1].id + 1 if known else 1)
        self._events.clear()
        self._events.extend(known)
        self._events.extend(waiting)

    def _unavailable(self, error: Exception) -> JournalUnavailableError:
        self._problem = f"the journal {self._path.name} cannot be written: {error}"
        return JournalUnavailableError(
            self._problem,
            where=self._path.name,
            hint=f"free space on, or make writable, the disk of {self._path.parent}",
        )

    def _write(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> int:
        """All or none of them, on disk when it returns. :returns: the last row's id."""
        with self._lock:
            db = self._connect()
            try:
                if len(statements) == 1 and not self._unwritten:
                    # A transaction by itself. A command waits for it, and at each statement other
                    # threads may take the interpreter.
                    ((sql, values),) = statements
                    last = db.execute(sql, values).lastrowid or 0
                    self._problem = None
                    return last
                db.execute("BEGIN IMMEDIATE")
                last = 0
                # What happened while nothing could be written comes first.
                waiting = list(self._unwritten)
                for event in waiting:
                    db.execute(_EVENT_SQL, _event_row(event))
                for sql, values in statements:
                    last = db.execute(sql, values).lastrowid or 0
                db.execute("COMMIT")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise self._unavailable(error) from error
            except BaseException:
                # Not the disk's fault, and nothing may stay half done.
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            for _ in waiting:
                self._unwritten.popleft()
            self._problem = None
            return last

    def try_again(self) -> bool:
        """Whether it can be written (again)."""
        try:
            self._write([("INSERT OR REPLACE INTO memory VALUES ('alive', '1', 0)", ())])
        except JournalUnavailableError:
            return False
        return True

    # --- events ---

    def event(
        self, at: float, kind: str, subject: str, text: str, severity: str, data: dict[str, Any]
    ) -> Event:
        """Keep an event; in memory alone while nothing can be written."""
        # A device may say what no UTF-8 holds.
        text = text.encode("utf-8", "backslashreplace").decode()
        with self._lock:
            event = Event(self._next_event, at, kind, subject, text, severity, data)
            self._next_event += 1
            self._events.append(event)
        try:
            self._write([(_EVENT_SQL, _event_row(event))])
            if event.id % 1000 == 0:
                self._write([("DELETE FROM events WHERE id < ?", (event.id - KEPT_ON_DISK,))])
                self._write(_TRIM)  # an operation is several events
        except JournalUnavailableError:
            self._unwritten.append(event)
        return event

    def events(self, after: int, limit: int) -> list[Event]:
        """Those with a higher id, oldest first, at most the newest ``limit``."""
        with self._lock:
            newer = [event for event in self._events if event.id > after]
        return newer[-limit:] if limit > 0 else []

    # --- operations, intents, memory ---

    def save(
        self, ops: Sequence[Op], wall_offset: float, key: tuple[str, str] | None = None
    ) -> None:
        """Write operations as they are now, all or none. ``wall_offset``: wall minus engine time.

        ``key``: (idempotency key, what was asked), kept with them.
        """
        rows: list[tuple[str, tuple[Any, ...]]] = [
            (
                "INSERT OR REPLACE INTO operations VALUES (?, ?, ?, ?, ?)",
                (op.id, op.started_wall, int(op.state.ended), wall_offset, _op_to_json(op)),
            )
            for op in ops
        ]
        if key is not None:
            together = " ".join(op.id for op in ops)
            rows.append(
                (
                    "INSERT INTO keys VALUES (?, ?, ?, ?)",
                    (key[0], together, key[1], ops[0].started_wall),
                )
            )
        self._write(rows)

    def load(self, wall_offset: float, *, limit: int = 200) -> list[Op]:
        """The operations under way, and the latest ended ones, oldest first."""
        rows = self._read(
            "SELECT body, wall_offset FROM operations WHERE ended = 0 OR id IN "
            "(SELECT id FROM operations ORDER BY started DESC LIMIT ?) ORDER BY started",
            (limit,),
        )
        return [_op_from_json(body, offset - wall_offset) for body, offset in rows]

    def by_key(self, key: str) -> tuple[str, str] | None:
        """(operations, what was asked) of an idempotency key."""
        rows = self._read("SELECT operation, asked FROM keys WHERE key = ?", (key,))
        return (rows[0][0], rows[0][1]) if rows else None

    def intent(self, operation: str, step: str, what: str, cause: str, at: float) -> int:
        """Commit what is about to be done. :raises JournalUnavailableError: do not do it."""
        return self._write(
            [
                (
                    "INSERT INTO intents (operation, step, what, cause, at) VALUES (?, ?, ?, ?, ?)",
                    (operation, step, what, cause, at),
                )
            ]
        )

    def outcome(self, intent: int, outcome: str, at: float) -> None:
        self._write(
            [("UPDATE intents SET outcome = ?, outcome_at = ? WHERE id = ?", (outcome, at, intent))]
        )

    def intents(self, operation: str) -> list[tuple[str, str, str | None]]:
        """(step, what, outcome) of an operation, in order."""
        return [
            (step, what, outcome)
            for step, what, outcome in self._read(
                "SELECT step, what, outcome FROM intents WHERE operation = ? ORDER BY id",
                (operation,),
            )
        ]

    def cuts(self, since: float) -> list[tuple[str, float]]:
        """(outlet, when) of each feed that was ordered to be cut after ``since``; wall seconds."""
        rows = self._read(
            "SELECT what, at FROM intents WHERE step IN ('cut', 'cycle') AND at > ? ORDER BY id",
            (since,),
        )
        return [(what.rpartition(" ")[2], at) for what, at in rows]

    def record(self, row: Sequence[str | float | None]) -> None:
        """Keep a command: an :class:`~hwctl.engine.service.AuditEntry` without its id."""
        number = self._write([(_AUDIT_SQL, tuple(row))])
        if number % 1000 == 0:
            self._write([("DELETE FROM audit WHERE id < ?", (number - KEPT_ON_DISK,))])

    def record_end(self, operation: str, after: str, result: str) -> None:
        """What became of a recorded command's operation."""
        self._write(
            [
                (
                    "UPDATE audit SET after = ?, result = ? WHERE operation = ? AND after IS NULL",
                    (after, result, operation),
                )
            ]
        )

    def unrecorded(self) -> set[str]:
        """Operations without a record of their command: the process ended between the two."""
        rows = self._read(
            "SELECT id FROM operations WHERE NOT EXISTS "
            "(SELECT 1 FROM audit WHERE audit.operation = operations.id)",
            (),
        )
        return {operation for (operation,) in rows}

    def records(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Recorded commands with their ids, oldest first, at most the newest ``limit``."""
        return self._read(
            "SELECT id, at, by, origin, what, target, reason, before, after, result, operation "
            "FROM audit WHERE id > ? ORDER BY id DESC LIMIT ?",
            (after, limit),
        )[::-1]

    def remember(self, key: str, value: dict[str, Any], at: float) -> None:
        """Keep a small thing that was learned, or a state that outlives the process."""
        self._write(
            [("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (key, json.dumps(value), at))]
        )

    def recall(self, key: str) -> tuple[dict[str, Any], float] | None:
        """(value, when it was kept)."""
        rows = self._read("SELECT value, at FROM memory WHERE key = ?", (key,))
        return (json.loads(rows[0][0]), rows[0][1]) if rows else None

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connect().execute(sql, values).fetchall()
            except (sqlite3.Error, JournalUnavailableError):
                return []


_TRIM: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (
        "DELETE FROM operations WHERE ended = 1 AND id NOT IN "
        "(SELECT id FROM operations ORDER BY started DESC LIMIT ?)",
        (OPERATIONS_ON_DISK,),
    ),
    ("DELETE FROM intents WHERE operation NOT IN (SELECT id FROM operations)", ()),
    ("DELETE FROM keys WHERE at < (SELECT min(started) FROM operations)", ()),
)
_AUDIT_SQL = (
    "INSERT INTO audit (at, by, origin, what, target, reason, before, after, result, operation) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_EVENT_SQL = "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"


def _event_row(event: Event) -> tuple[Any, ...]:
    return (
        event.id,
        event.at,
        event.kind,
        event.subject,
        event.text,
        event.severity,
        json.dumps(event.data),
    )


def open_journal(state_dir: Path) -> Journal:
    """The journal of a state directory, which is made if it can be."""

    def connect(path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)

    return Journal(state_dir / "journal.db", open_file=connect)
