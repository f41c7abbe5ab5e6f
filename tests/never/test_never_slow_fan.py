"""6. A lost, stuck, stale or implausible temperature lets a fan slow down.

The policy's own share is proven in tests/policy/test_cooling_never.py; here is the whole way, from
a node's page to the registers of the fan controller.
"""

import pytest

FANS = ("intake", "exhaust")
HOLD = 0.012
"""What the controller's 8 bits and the policy's steps may take away."""


def duties(stage) -> dict[str, float]:
    """As the chip drives them."""
    chip = stage.world.parts.fans["fans"]
    return {name: chip.duty(stage.loaded.wiring.fan[name].channel - 1) for name in FANS}


def hot(rehearsal):
    """Everyone busy, then everyone but pi2 idle: pi2 alone keeps the fans up."""
    stage = rehearsal()
    for node in stage.loaded.wiring.node:
        stage.control("node", node=node, load=0.9)
    stage.run(400, 2.0)
    for node in ("pi0", "pi1", "pi3"):
        stage.control("node", node=node, load=0.05)
    stage.run(150, 2.0)
    return stage


@pytest.mark.parametrize(
    "fault", ["temp-lost", "temp-stuck", "exporter-dead", "exporter-html", "exporter-nan",
              "exporter-truncated", "unplugged"],
)  # fmt: skip
def test_no_fault_of_a_node_slows_a_fan(rehearsal, fault):
    stage = hot(rehearsal)
    before = duties(stage)
    stage.control("node", node="pi2", fault=fault, on=True)
    for _ in range(150):
        stage.rehearsal.step(2.0)
        for fan, duty in duties(stage).items():
            assert duty >= before[fan] - HOLD
    safe = stage.loaded.settings.cooling.safe_duty
    if fault != "temp-stuck":
        assert min(duties(stage).values()) >= safe - HOLD


def test_without_the_fault_they_do_slow_down(rehearsal):
    """The test above would prove nothing if nothing ever slowed a fan."""
    stage = hot(rehearsal)
    before = duties(stage)
    stage.control("node", node="pi2", load=0.05)
    stage.run(200, 2.0)
    assert all(duty < before[fan] - 0.1 for fan, duty in duties(stage).items())


def test_every_node_lost_at_once(rehearsal):
    stage = hot(rehearsal)
    before = duties(stage)
    for node in stage.loaded.wiring.node:
        stage.control("node", node=node, fault="unplugged", on=True)
    for _ in range(60):
        stage.rehearsal.step(2.0)
        assert all(duty >= before[fan] - HOLD for fan, duty in duties(stage).items())
    assert min(duties(stage).values()) >= 0.9 - HOLD


def test_killed_and_started_again_it_knows_no_temperature_and_slows_no_fan(rehearsal):
    stage = hot(rehearsal)
    before = duties(stage)
    stage.restart()
    for _ in range(3):
        stage.rehearsal.step(0.25)
        assert all(duty >= before[fan] - HOLD for fan, duty in duties(stage).items())
