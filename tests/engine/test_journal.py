"""The journal: what cannot be written is not begun, and nothing that was written is lost."""

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from hwctl.engine.journal import OPERATIONS_ON_DISK, Journal, open_journal
from hwctl.model.errors import JournalUnavailableError
from hwctl.model.rig import OpState
from hwctl.policy.operation import Op, Outcome, Step

OFFSET = 1_000.0


def an_op(**changes: object) -> Op:
    fields = {
        "id": "op-1", "kind": "cycle", "target": "pi2", "outlet": "feed2", "force": False,
        "by": "test", "reason": "because", "started_wall": 5_000.0, "expires": 4_600.0,
    }  # fmt: skip
    return Op(**{**fields, **changes})  # type: ignore[arg-type]


def full_after(pages: int):
    """A connection that finds its disk full: SQLite itself says SQLITE_FULL."""

    def connect(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA max_page_count={pages}")
        return db

    return connect


def fill(journal: Journal) -> None:
    """Write until there is no room."""
    for number in range(10_000):
        journal.intent(f"op-{number}", "cut", "switch off feed2" * 200, "x", 1.0)


def test_it_is_wal_and_synchronous_full(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.event(1.0, "a", "b", "c", "info", {})
    db = journal._db
    assert db is not None
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_an_operation_comes_back_as_it_was_on_another_clock(tmp_path: Path) -> None:
    op = an_op(
        step=Step.CUT, entered=4_100.0, ordered=4_101.0, outcome=Outcome(Step.CUT, "no"),
        boot_before="b1",
    )  # fmt: skip
    open_journal(tmp_path).save([op], OFFSET)
    (loaded,) = open_journal(tmp_path).load(wall_offset=4_000.0)
    assert loaded.entered == 4_100.0 + OFFSET - 4_000.0
    assert loaded.expires == 4_600.0 + OFFSET - 4_000.0
    assert (loaded.step, loaded.outcome) == (op.step, op.outcome)
    assert (loaded.id, loaded.kind, loaded.boot_before) == (op.id, op.kind, op.boot_before)


def test_what_a_killed_process_had_committed_is_there(tmp_path: Path) -> None:
    """SIGKILL right after the intent: another process finds it, and no outcome."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from hwctl.engine.journal import open_journal\n"
        "journal = open_journal(Path(sys.argv[1]))\n"
        "journal.intent('op-1', 'cut', 'switch off feed2', 'halt proven', 1.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    import sys

    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert open_journal(tmp_path).intents("op-1") == [("cut", "switch off feed2", None)]


def test_a_full_disk_refuses_what_it_cannot_write_and_recovers(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", open_file=full_after(30))
    with pytest.raises(JournalUnavailableError) as refused:
        fill(journal)
    assert "full" in str(refused.value)
    assert "free space" in refused.value.hint
    assert journal.problem is not None
    assert journal._db is not None
    journal._db.execute("PRAGMA max_page_count=100000")
    assert journal.try_again()
    assert journal.problem is None


def test_events_of_the_time_without_a_disk_are_written_afterwards(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", open_file=full_after(30))
    with pytest.raises(JournalUnavailableError):
        fill(journal)
    told = journal.event(7.0, "power.risk", "pi2", "y" * 3000, "warning", {})
    assert journal.events(told.id - 1, 10) == [told], "faces see it at once"
    assert journal._db is not None
    journal._db.execute("PRAGMA max_page_count=100000")
    assert journal.try_again()
    journal.close()
    assert open_journal(tmp_path).events(0, 10)[-1] == told


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_really_full_and_a_read_only_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.strip()}")
    try:
        journal = open_journal(disk)
        journal.event(1.0, "a", "b", "c", "info", {})
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(10**6))
        with pytest.raises(JournalUnavailableError):
            fill(journal)
        filler.unlink()
        assert journal.try_again()
        journal.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        refused = open_journal(disk)
        assert refused.problem is not None
        with pytest.raises(JournalUnavailableError):
            refused.intent("op", "cut", "x", "x", 1.0)
        refused.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    journal = open_journal(tmp_path / "file" / "state")
    assert journal.problem is not None
    with pytest.raises(JournalUnavailableError):
        journal.save([an_op()], OFFSET)
    assert journal.load(OFFSET) == []
    assert journal.event(1.0, "k", "s", "t", "info", {}).id == 1


@pytest.mark.parametrize("rubbish", [b"this is no database" * 100, bytes(8192), b"SQLite format 3"])
def test_a_file_that_is_no_journal_is_kept_beside(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "journal.db").write_bytes(rubbish)
    journal = open_journal(tmp_path)
    journal.event(1.0, "a", "b", "c", "info", {})
    assert journal.problem is None
    if journal.set_aside is not None:
        assert journal.set_aside.read_bytes() == rubbish
    else:
        assert rubbish.strip(b"\0") in (b"", b"SQLite format 3"), "only an empty file is reused"


def test_a_journal_of_a_newer_hwctl_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "journal.db")
    db.execute("PRAGMA user_version=99")
    db.execute("CREATE TABLE precious (x)")
    db.commit()
    db.close()
    journal = open_journal(tmp_path)
    assert journal.problem is not None
    assert "newer" in journal.problem
    assert (tmp_path / "journal.db").exists()


def test_event_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    first = open_journal(tmp_path)
    for number in range(5):
        first.event(float(number), "k", "s", str(number), "info", {"n": number})
    first.close()
    second = open_journal(tmp_path)
    assert second.event(9.0, "k", "s", "t", "info", {}).id == 6
    assert [event.text for event in second.events(3, 10)] == ["3", "4", "t"]
    assert [event.text for event in second.events(0, 2)] == ["4", "t"]


def test_an_idempotency_key_remembers_its_operation(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.save([an_op()], OFFSET, key=("k1", "cycle pi2 False"))
    assert journal.by_key("k1") == ("op-1", "cycle pi2 False")
    assert journal.by_key("k2") is None


def test_operations_are_bounded_and_those_under_way_stay(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    ops = [
        an_op(
            id=f"op-{number}",
            started_wall=1_000.0 + number,
            state=OpState.RUNNING if number == 3 else OpState.DONE,
        )
        for number in range(OPERATIONS_ON_DISK + 100)
    ]
    for op in (*ops[:3], ops[-1]):
        journal.save([op], OFFSET, (f"key of {op.id}", "asked"))
    journal.save(ops, OFFSET)
    for op in (ops[3], ops[99], ops[100]):
        journal.intent(op.id, "cut", "switch off feed2", "x", op.started_wall)
    for number in range(1000):
        journal.event(float(number), "a", "b", "c", "info", {})
    kept = [op.id for op in journal.load(OFFSET, limit=len(ops))]
    assert kept == ["op-3", *(op.id for op in ops[100:])]
    assert journal.intents("op-3")
    assert journal.intents("op-100")
    assert not journal.intents("op-99")
    assert journal.by_key("key of op-2") is None
    assert journal.by_key(f"key of {ops[-1].id}") is not None
    journal.close()
