"""The audit record: every command, by whom, from where, why, how it was before and after.

Kept in the journal, written by the writer's thread: a command never waits for its record. What
cannot be written is an event, since the log of the service is then all that is left.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hwctl.engine.clock import Clock
from hwctl.engine.journal import Journal
from hwctl.engine.service import AuditEntry
from hwctl.engine.writer import Writer
from hwctl.model.errors import HwctlError, JournalUnavailableError
from hwctl.policy.operation import Op

AWAY_S = 60.0
MOST_CALLERS = 256
"""Of callers that were turned away; more are not told apart, nor recorded, until some are old."""
SHORT = 300
"""Characters kept of an error."""
ENDS_KEPT = 1024
"""Of operations that end before their command is written down."""


@dataclass(slots=True)
class Draft:
    """A command under way."""

    by: str
    origin: str
    what: str
    targets: Sequence[tuple[str, str]]
    """Each target, and how it is."""
    reason: str = ""
    after: str | None = None
    """Where the command is done at once: how its target is now."""
    operations: Sequence[str | None] = ()
    """One per target, where they take time."""


def power_command(kind: str, *, force: bool) -> str:
    """What the record calls the command of an operation."""
    return f"power {kind}{' --force' if force else ''}"


class Audit:
    """Writes and reads the record."""

    def __init__(
        self, clock: Clock, journal: Journal, writer: Writer, lost: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._writer = writer
        self._lost = lost
        self._guard = threading.Lock()
        self._away: dict[tuple[str, str], tuple[float, int]] = {}
        self._ends: OrderedDict[str, tuple[str | None, str]] = OrderedDict()
        """By operation: how its node is now, and the result. The writer's alone."""

    @contextmanager
    def command(self, draft: Draft) -> Iterator[Draft]:
        """Record what becomes of a command; a refusal is recorded and raised on."""
        try:
            yield draft
        except HwctlError as error:
            self._keep(draft, f"refused: {str(error)[:SHORT]}", refused=True)
            raise
        self._keep(draft, "accepted" if draft.operations else "done")

    def ended(self, op: Op, after: str) -> None:
        """An operation has ended; ``after``: how its node is now."""
        result = str(op.state) if op.error is None else f"{op.state}: {op.error[:SHORT]}"

        def save() -> None:
            # The tick may end an operation while its command is still on its way to the writer.
            self._ends[op.id] = (after, result)
            while len(self._ends) > ENDS_KEPT:
                self._ends.popitem(last=False)
            try:
                self._journal.record_end(op.id, after, result)
            except JournalUnavailableError:
                self._lost(f"{op.kind} {op.target} {result}")

        self._writer.submit(save)

    def make_up(self, op: Op) -> None:
        """Of an operation whose record was lost with the process that began it."""
        draft = Draft(
            op.by, op.origin, power_command(op.kind, force=op.force), [(op.target, "")], op.reason,
            operations=[op.id],
        )  # fmt: skip
        self._keep(draft, "accepted", at=op.started_wall)

    def turned_away(self, what: str, by: str, origin: str, why: str) -> None:
        """Of one caller once a minute, with the number of those since: who floods the door must
        neither delay an order nor push out what others did."""
        now, caller = self._clock.wall(), (by, origin)
        with self._guard:
            if len(self._away) >= MOST_CALLERS:
                self._away = {
                    one: seen for one, seen in self._away.items() if now - seen[0] < AWAY_S
                }
            last, more = self._away.get(caller, (float("-inf"), 0))
            if now - last < AWAY_S:
                self._away[caller] = (last, more + 1)
                return
            if len(self._away) >= MOST_CALLERS:
                return
            self._away[caller] = (now, 0)
        since = f" ({more} more from there before)" if more else ""
        refused = Draft(by, origin, what, [("", "")])
        self._keep(refused, f"turned away: {why[:SHORT]}{since}", refused=True)

    def entries(self, after: int, limit: int) -> list[AuditEntry]:
        return [AuditEntry(*row) for row in self._journal.records(after, limit)]

    def _keep(
        self, draft: Draft, result: str, *, refused: bool = False, at: float | None = None
    ) -> None:
        at = self._clock.wall() if at is None else at
        operations = draft.operations or [None] * len(draft.targets)
        targets = list(zip(draft.targets, operations, strict=True))

        def save() -> None:
            try:
                for (target, before), operation in targets:
                    after, said = self._ends.get(
                        operation or "", (before if refused else draft.after, result)
                    )
                    self._journal.record(
                        (
                            at, draft.by, draft.origin, draft.what, target, draft.reason, before,
                            after, said, operation,
                        )
                    )  # fmt: skip
            except JournalUnavailableError:
                self._lost(f"{draft.what} by {draft.by} from {draft.origin}: {result}")

        self._writer.submit(save)
