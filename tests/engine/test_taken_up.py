"""What was under way is taken up, though the journal was not to be had at the start."""

import sqlite3

import pytest

from hwctl.model.rig import OpState


@pytest.mark.parametrize("trouble", ["locked", "gone"])
def test_a_node_that_was_cut_comes_on(rehearsal, trouble):
    stage = rehearsal()
    stage.run(5)
    op = stage.power("pi1", "cycle", force=True)
    stage.run_until(lambda: stage.op(op).step == "drain", 60, 0.25)
    assert not stage.on("pi1")
    file = stage.state_dir / "journal.db"
    if trouble == "locked":
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        stage.restart()
        other.execute("COMMIT")
        other.close()
    else:
        # The disk is not there yet: a folder stands where the file will be.
        stage.journal.close()
        kept = {one: one.read_bytes() for one in stage.state_dir.iterdir()}
        for one in kept:
            one.unlink()
        file.mkdir()
        stage.restart()
        stage.run(10)
        assert stage.journal.problem
        assert not stage.on("pi1")
        file.rmdir()
        for one, body in kept.items():
            one.write_bytes(body)
    stage.run_until(lambda: stage.on("pi1"), 60)
    stage.run_until(lambda: stage.op(op).state.ended, 200)
    assert stage.op(op).state is OpState.DONE
