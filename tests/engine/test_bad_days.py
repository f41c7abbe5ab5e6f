"""What bad hardware and a bad disk get: the rest goes on. Whole engine, emulated chips."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwctl.engine.journal import Journal
from hwctl.engine.rehearsal import Rehearsal
from hwctl.model.errors import JournalUnavailableError
from hwctl.model.readings import Quality
from hwctl.model.rig import OpState
from hwctl_emulated.world import World

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("fault", "qualities"),
    [
        ("nak", {Quality.ABSENT}),
        ("timeout", {Quality.ABSENT}),
        ("ones", {Quality.SUSPECT}),
        ("zeros", {Quality.SUSPECT}),
    ],
)
def test_a_gauge_that_lies_or_is_silent(
    rehearsal: Make, fault: str, qualities: set[Quality]
) -> None:
    """Absent or suspect, never a number; one event on failure, one on recovery."""
    stage = rehearsal()
    stage.run(30)
    charge = stage.engine.rig().supplies[0].charge
    stage.control("gauge", device="bank-out", fault=fault)
    stage.run(60)
    supply = stage.engine.rig().supplies[0]
    assert supply.quality in qualities
    assert (supply.watts, supply.volts, supply.amps) == (None, None, None)
    assert supply.charge is not None
    assert abs(supply.charge - charge) < 0.02, "what was counted stays"
    rig = stage.engine.rig()
    assert all(node.quality is Quality.OK and node.watts is not None for node in rig.nodes)
    assert all(fan.rpm for fan in rig.fans)
    assert any("bank-out" in problem for problem in rig.problems)
    stage.control("gauge", device="bank-out", fault=None)
    stage.run(60)
    assert stage.engine.rig().supplies[0].quality is Quality.OK
    told = [e.kind for e in stage.engine.events(0, 500) if e.subject == "bank-out"]
    assert told == ["driver.failed", "driver.recovered"]
    assert stage.engine.rig().shutdown.state == "standby"


def test_a_feed_meter_that_dies_leaves_the_draw_unknown(rehearsal: Make) -> None:
    stage = rehearsal()
    stage.run(30)
    stage.control("gauge", device="meter2", fault="nak")
    stage.run(30)
    node = next(node for node in stage.engine.rig().nodes if node.id == "pi2")
    assert node.watts is None
    assert node.load is not None


def full(pages: int) -> Callable[[Path], sqlite3.Connection]:
    def connect(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA max_page_count={pages}")
        return db

    return connect


@pytest.fixture
def without_disk(football_loaded: Any, tmp_path: Path) -> Rehearsal:
    """The football with a journal that has room for nothing."""
    world = World(
        football_loaded.wiring, football_loaded.settings, seed=1, scenario="steady",
        start_wall=1.75e9,
    )  # fmt: skip
    journal = Journal(tmp_path / "journal.db", open_file=full(1))
    return Rehearsal(football_loaded, world, journal)


def test_without_a_journal_it_cools_and_lights_and_refuses(without_disk: Rehearsal) -> None:
    without_disk.run(60, 1.0)
    engine = without_disk.engine
    rig = engine.rig()
    assert not rig.healthy
    assert any("journal" in problem for problem in rig.problems)
    assert all(fan.rpm and fan.duty for fan in rig.fans)
    assert all(node.load is not None for node in rig.nodes)
    assert engine.last_tick_age() < 60
    with pytest.raises(JournalUnavailableError) as refused:
        engine.power("pi2", "cycle", by="test")
    assert refused.value.hint
    with pytest.raises(JournalUnavailableError):
        engine.shutdown_start(reason="", by="test")
    without_disk.run(60, 1.0)
    status = without_disk.world.control({"op": "status"})
    assert all(outlet["on"] for outlet in status["outlets"].values())
    assert all(node["boots"] == 0 or node["powered"] for node in status["nodes"].values())
    assert any(event.kind == "journal.failed" for event in engine.events(0, 100))


def test_a_command_whose_cut_cannot_be_journalled_is_not_cut(
    rehearsal: Make, tmp_path: Path
) -> None:
    """The disk fills up between the beginning of an operation and its cut."""
    stage = rehearsal()
    stage.run(20)
    op = stage.power("pi2", "off")
    stage.run_until(lambda: stage.op(op).step == "prove-halt", 30)
    db = stage.journal._db
    assert db is not None
    db.execute("PRAGMA query_only=ON")
    stage.run_until(lambda: stage.op(op).state.ended, 300)
    ended = stage.op(op)
    assert ended.state is OpState.FAILED
    assert "journal" in (ended.error or "")
    assert stage.on("pi2")
    db.execute("PRAGMA query_only=OFF")
    stage.run(30)
    assert stage.engine.rig().healthy


def test_low_battery_without_a_journal_halts_but_does_not_cut(
    football_loaded: Any, tmp_path: Path
) -> None:
    """Halting saves the data and needs no record; cutting does."""
    settings = football_loaded.settings
    settings = settings.model_copy(
        update={
            "supply": {"bank": settings.supply["bank"].model_copy(
                update={"charge_at_first_start": 0.21})}
        }
    )  # fmt: skip
    from dataclasses import replace

    loaded = replace(football_loaded, settings=settings)
    world = World(loaded.wiring, settings, seed=1, scenario="steady", start_wall=1.75e9)
    stage = Rehearsal(loaded, world, Journal(tmp_path / "j.db", open_file=full(1)))
    world.control({"op": "mains", "on": False})
    for _ in range(4000):
        stage.step(1.0)
        if all(
            node["state"] == "halted" for node in world.control({"op": "status"})["nodes"].values()
        ):
            break
    status = world.control({"op": "status"})
    assert all(node["state"] == "halted" for node in status["nodes"].values())
    assert all(outlet["on"] for outlet in status["outlets"].values())
    assert all(node["dirty"] == 0 for node in status["nodes"].values())
