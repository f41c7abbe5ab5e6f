"""Most cycles per hour, whichever commands they are made of, and over restarts."""

import pytest

from hwctl.model.errors import NotPossibleError

LIMITED = {"settings.power.cycles_per_hour": 2}


def switch(stage, action, **rest):
    op = stage.power("pi1", action, **rest)
    stage.run_until(lambda: stage.op(op).state.ended, 300, 1.0)
    assert stage.op(op).state == "done"


@pytest.fixture
def worn(rehearsal):
    """A football whose pi1 has been off and on as often as it may be, and is off."""
    stage = rehearsal(changes=LIMITED)
    stage.run(3)
    for action in ("off", "on", "off"):
        switch(stage, action, force=True)
    return stage


@pytest.mark.parametrize("restarted", [False, True])
def test_off_and_on_count_as_cycles(worn, restarted):
    if restarted:
        worn.restart()
        worn.run(5)
    for action in ("on", "cycle"):
        with pytest.raises(NotPossibleError, match="cycled 2 times within the hour"):
            worn.power("pi1", action)
    worn.run(3600, 10.0)
    switch(worn, "on", force=False)


def test_who_insists_is_obeyed_and_off_is_never_refused(worn):
    switch(worn, "on", force=True)
    switch(worn, "off", force=True)
    assert not worn.on("pi1")
