"""4. Power comes back to a rig whose charge could not carry it through another shutdown."""

import pytest

from hwctl.model.errors import NotPossibleError
from hwctl.model.rig import OpState


def shut_down(rehearsal, changes=None):
    """Brought down by an empty bank; mains is still away."""
    said = {"settings.supply.bank.charge_at_first_start": 0.12}
    stage = rehearsal(changes=said | (changes or {}))
    stage.run(5)
    stage.control("mains", on=False)
    stage.run_until(lambda: stage.engine.rig().shutdown.state == "down", 600, 2.0)
    assert not any(stage.on(node) for node in stage.loaded.wiring.node)
    stage.edges.clear()
    return stage


def charge_low(stage) -> float:
    supply = stage.engine.rig().supplies[0]
    return supply.charge - supply.charge_margin


def test_they_stay_off_without_mains_and_come_back_at_the_restart_charge(rehearsal):
    stage = shut_down(rehearsal)
    stage.run(300, 2.0)
    assert stage.edges == []
    stage.control("mains", on=True)
    while not stage.edges:
        assert stage.now < 8000
        low = charge_low(stage)
        stage.rehearsal.step(2.0)
    assert low >= stage.loaded.settings.shutdown.restart_charge - 0.005
    stage.run_until(lambda: stage.engine.rig().shutdown.state == "standby", 600, 2.0)
    assert all(stage.on(node) for node in stage.loaded.wiring.node)
    # Orchestrator first, then the workers.
    assert stage.edges[0][1] == "feed0"


def test_mains_that_flaps_brings_nothing_back(rehearsal):
    stage = shut_down(rehearsal)
    for turn in range(20):
        stage.control("mains", on=turn % 2 == 0)
        stage.run(30)
    assert charge_low(stage) < 0.3
    assert stage.edges == []


@pytest.mark.parametrize("action", ["on", "cycle", "reset"])
@pytest.mark.parametrize("force", [False, True])
def test_an_ordinary_command_does_not_bring_power_back(rehearsal, action, force):
    stage = shut_down(rehearsal)
    with pytest.raises(NotPossibleError):
        stage.power("pi1", action, force=force)
    stage.run(60)
    assert stage.edges == []


def test_a_killed_hwctl_brings_nothing_back(rehearsal):
    stage = shut_down(rehearsal)
    stage.control("mains", on=True)
    for _ in range(6):
        stage.restart(away_s=20.0)
        stage.run(45)
    assert charge_low(stage) < 0.3
    assert stage.edges == []
    assert "mains" in (stage.engine.rig().shutdown.cause or "") or "charge" in (
        stage.engine.rig().shutdown.cause or ""
    )


@pytest.mark.parametrize("kind", ["on", "cycle"])
def test_a_command_from_before_does_not_switch_on_in_the_middle_of_the_shutdown(rehearsal, kind):
    """It was waiting for headroom; the shutdown makes some."""
    stage = rehearsal(
        changes={
            "settings.supply.bank.charge_at_first_start": 0.12,
            "wiring.node.pi1.inrush_amps": 9.5,
        }
    )
    stage.run(5)
    if kind == "on":
        off = stage.power("pi1", "off")
        stage.run_until(lambda: stage.op(off).state.ended, 60)
    # Without force, an "on" that the rail can never carry would be refused.
    op = stage.power("pi1", kind, force=kind == "on")
    stage.run_until(lambda: stage.op(op).step == "admit", 60)
    stage.edges.clear()
    stage.control("mains", on=False)
    stage.run_until(lambda: stage.engine.rig().shutdown.state == "down", 600, 2.0)
    stage.run(60)
    assert not any(on for _, _, on in stage.edges)
    assert not stage.on("pi1")
    stage.control("mains", on=True)
    stage.run_until(lambda: stage.op(op).state.ended, 8000, 4.0)
    if kind == "cycle":
        # What hwctl has cut comes on when it may.
        assert stage.op(op).state is OpState.DONE
        assert charge_low(stage) > 0.29
    else:
        assert stage.op(op).state is OpState.CANCELLED
