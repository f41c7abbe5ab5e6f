"""Outlets that cannot be read back: faces say `assumed`, and what was ordered outlives a crash."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hwctl.config.load import load
from hwctl.engine.journal import Journal, open_journal
from hwctl.engine.rehearsal import Rehearsal
from hwctl.faces import metrics
from hwctl.faces.api.documents import rig_document
from hwctl.faces.cli import show
from hwctl.model.rig import Power
from hwctl_emulated.world import World

WIRING = Path(__file__).resolve().parents[2] / "wiring"
RELAY = """\
[device.relay1]
driver = "gpio_relay"
bus = "gpio"
pin = "J8:29"
active_low = true
"""
BOARD = """\
[device.relay1] # takes orders and tells nothing; its feeds are on while no coil is energised
driver = "seeed_relay"
bus = "i2c1"
contact = "normally-closed"
at_start = "released"
"""
OUTLET = 'device = "relay1"'


@dataclass
class Blind:
    """A football whose pi1 is fed by a board that cannot be read."""

    world: World
    journal: Journal
    rehearsal: Rehearsal
    state: Path

    def outlet(self) -> Any:
        return next(o for o in self.rehearsal.engine.rig().outlets if o.id == "feed1")

    def power(self) -> Power:
        return next(n for n in self.rehearsal.engine.rig().nodes if n.id == "pi1").power

    def switch(self, action: Any) -> Any:
        op = self.rehearsal.engine.power("pi1", action, by="test")
        for _ in range(300):
            self.rehearsal.step(1.0)
            op = self.rehearsal.engine.operation(op.id)
            if op.state.ended:
                return op
        raise AssertionError(op)

    def really_on(self) -> bool:
        return bool(self.world.control({"op": "status"})["outlets"]["feed1"]["on"])


@pytest.fixture
def blind(tmp_path: Path) -> Iterator[Blind]:
    wiring = (WIRING / "football.toml").read_text()
    for old, new in ((RELAY, BOARD), (OUTLET, f"{OUTLET}\nchannel = 1")):
        assert old in wiring
        wiring = wiring.replace(old, new)
    (tmp_path / "football.toml").write_text(wiring)
    settings = tmp_path / "football.hwctl.toml"
    settings.write_text((WIRING / "football.hwctl.toml").read_text())
    loaded = load(settings)
    world = World(loaded.wiring, loaded.settings, seed=1, scenario="steady", start_wall=1.8e9)
    journal = open_journal(tmp_path / "state")
    made = Blind(world, journal, Rehearsal(loaded, world, journal), tmp_path / "state")
    yield made
    made.journal.close()


def test_before_the_first_order_it_is_not_known(blind: Blind) -> None:
    blind.rehearsal.run(30, 1.0)
    assert (blind.outlet().on, blind.outlet().read_back) == (None, "assumed")
    assert blind.power() is Power.ON, "its system is up, which is more than an assumption"
    document = rig_document(blind.rehearsal.engine.rig())
    assert show.assumed(document["outlets"]) == set()
    assert 'hwctl_outlet_on{outlet="feed1"}' not in metrics.render(blind.rehearsal.engine).decode()


def test_what_was_ordered_is_shown_as_assumed_by_every_face(blind: Blind) -> None:
    blind.rehearsal.run(30, 1.0)
    op = blind.switch("off")
    assert op.state.value == "done", op.error
    assert not blind.really_on()
    assert (blind.outlet().on, blind.outlet().read_back) == (False, "assumed")
    assert blind.power() is Power.OFF
    document = rig_document(blind.rehearsal.engine.rig())
    assert show.assumed(document["outlets"]) == {"pi1"}
    console = show.console()
    with console.capture() as shown:
        console.print(show.status(document))
    (line,) = [one for one in shown.get().splitlines() if one.startswith("pi1 ")]
    assert "assumed" in line
    assert 'hwctl_outlet_on{outlet="feed1"} 0' in metrics.render(blind.rehearsal.engine).decode()


def test_what_was_ordered_outlives_a_crash(blind: Blind) -> None:
    blind.rehearsal.run(30, 1.0)
    blind.switch("off")
    blind.journal.close()
    blind.journal = open_journal(blind.state)
    blind.rehearsal.restart(blind.journal)
    blind.rehearsal.step(0.25)
    assert (blind.outlet().on, blind.outlet().read_back) == (False, "assumed")
    blind.rehearsal.run(20, 1.0)
    assert blind.power() is Power.OFF
    assert not blind.really_on(), "nothing was switched by the start"
    op = blind.switch("on")
    assert op.state.value == "done", op.error
    assert blind.really_on()
    assert (blind.outlet().on, blind.outlet().read_back) == (True, "assumed")
