"""7. The outlet that feeds the head, the switch or a protected node is cut by an ordinary
command."""

import pytest

from hwctl.model.errors import NotAllowedError, RequestError

ACTIONS = ("on", "off", "cycle", "reset")
PROTECTED = {"wiring.node.pi0.protected": True}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("force", [False, True])
def test_a_protected_node_is_refused(rehearsal, action, force):
    stage = rehearsal(changes=PROTECTED)
    stage.run(5)
    with pytest.raises(NotAllowedError) as refused:
        stage.power("pi0", action, force=force)
    assert refused.value.hint
    stage.run(30)
    assert stage.edges == []
    assert stage.engine.operations() == []


@pytest.mark.parametrize("name", ["feed0", "relay0", "5v", "bank", "head", "", "pi0; reboot"])
def test_only_nodes_can_be_named(rehearsal, name):
    """The head is no node, and an outlet that feeds none has no name that a command takes."""
    stage = rehearsal(changes={"wiring.outlet.feed0.node": None})
    stage.run(3)
    for action in ACTIONS:
        with pytest.raises(RequestError):
            stage.power(name, action, force=True)
    assert stage.edges == []


@pytest.mark.parametrize("kind", ["by hand", "by low battery"])
def test_a_shutdown_leaves_it_on(rehearsal, kind):
    stage = rehearsal(changes=PROTECTED | {"settings.supply.bank.charge_at_first_start": 0.12})
    stage.run(5)
    if kind == "by hand":
        stage.engine.shutdown_start(reason="test", by="test")
    else:
        stage.control("mains", on=False)
    stage.run_until(lambda: stage.engine.rig().shutdown.state == "down", 600, 2.0)
    stage.run(60)
    assert {node for node in stage.loaded.wiring.node if stage.on(node)} == {"pi0"}
    assert all(outlet != "feed0" for _, outlet, _ in stage.edges)
