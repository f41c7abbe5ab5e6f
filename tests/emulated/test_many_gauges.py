"""Every kind of gauge: what the rig says of its supply and its outlets, and what is true."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hwctl.config.load import load
from hwctl.engine.journal import open_journal
from hwctl.engine.rehearsal import Rehearsal
from hwctl.engine.senses import gauge_key
from hwctl.model.readings import Quality
from hwctl.model.rig import SupplyState, SupplyStatus
from hwctl_emulated.assembly import MAKERS
from hwctl_emulated.world import World

EPOCH = 1_795_000_000.0
CELLS = 3
"""In series, of the emulated pack."""


@dataclass(frozen=True)
class Kind:
    """One gauge, as its wiring file has it."""

    driver: str
    options: str = ""
    bus: str = "i2c"
    channel: int = 0
    at: str = "output"
    """What it measures: the supply's output, its pack, or one cell, whose amps are all cells'."""
    amps: bool = True
    """Whether it measures them."""
    meter: str = ""
    """The options of a second one, behind an outlet; none for those that sit at a battery."""


SHUNT, SHUNTS = "shunt_ohms = 0.01", "shunt_ohms = [0.01, 0.01, 0.01]"
KINDS = {
    "ina219": Kind("ina219", SHUNT, meter=f"address = 0x41\n{SHUNT}"),
    "ina219-reversed": Kind("ina219", f"{SHUNT}\nreversed = true\nbus_range = 32"),
    "ina226": Kind("ina226", SHUNT, meter=f"address = 0x41\n{SHUNT}"),
    "ina228": Kind("ina228", f"{SHUNT}\nmax_amps = 10", meter=f"address=65\n{SHUNT}\nmax_amps=5"),
    "ina238": Kind("ina238", f"{SHUNT}\nmax_amps = 10", meter=f"address=65\n{SHUNT}\nmax_amps=5"),
    "ina237": Kind("ina238", f'part = "INA237"\n{SHUNT}\nmax_amps = 10\nreversed = true'),
    "ina3221": Kind("ina3221", SHUNTS, channel=2, meter=f"address = 0x41\n{SHUNTS}"),
    "max17040": Kind("max17040", 'part = "max17040"', at="cell", amps=False),
    "max17048": Kind("max17040", 'part = "max17048"', at="cell", amps=False),
    "max17042": Kind("max17042", 'part = "max17042"\nshunt_ohms = 0.005', at="cell"),
    "max17055": Kind(
        "max17042", 'part = "max17055"\nreversed = true\nshunt_ohms = 0.004', at="cell"
    ),
    "bq27441": Kind("bq27xxx", 'part = "bq27441"', at="cell"),
    "bq27546": Kind("bq27xxx", 'part = "bq27546"\nreversed = true', at="cell"),
    "laptop": Kind("power_supply", 'name = "BAT0"', "sysfs", at="pack"),
    "ups": Kind("power_supply", 'name = "battery"', "sysfs", at="pack"),
}
METERS = [name for name, kind in KINDS.items() if kind.meter]
AT_CELLS = [name for name, kind in KINDS.items() if kind.at != "output"]


def wiring(kind: Kind) -> str:
    """A battery with that gauge, and a node behind an outlet that such a meter measures."""
    gauge = f'device = "gauge", channel = {kind.channel}'
    meter = ""
    if kind.meter:
        meter = f'meter = {{ device = "meter", channel = {kind.channel} }}'
    tables = [
        '[rig]\nname = "gauges"\n[board]\nmodel = "Raspberry Pi 4B"',
        '[bus.i2c]\nkind = "i2c"\npath = "/dev/i2c-1"',
        '[bus.sysfs]\nkind = "sysfs"\npath = "/sys"',
        '[bus.gpio]\nkind = "gpio"\npath = "pinctrl-bcm2835"',
        '[device.relay]\ndriver = "gpio_relay"\nbus = "gpio"\npin = "GPIO5"',
        f'[device.gauge]\ndriver = "{kind.driver}"\nbus = "{kind.bus}"\n{kind.options}',
        f'[supply.pack]\nkind = "battery"\ncapacity_wh = 60.0\noutput_gauge = {{ {gauge} }}',
        '[rail.5v]\nsupply = "pack"\nvolts = 5.1\nbudget_amps = 8.0',
        f'[outlet.feed]\ndevice = "relay"\nrail = "5v"\nnode = "pi"\n{meter}',
        '[node.pi]\nrole = "compute"',
    ]
    if kind.meter:
        tables.append(f'[device.meter]\ndriver = "{kind.driver}"\nbus = "i2c"\n{kind.meter}')
    return "\n".join(tables)


SETTINGS = """
wiring = "gauges.toml"
[supply.pack]
charge_at_first_start = 0.6
[host.pi]
load = { driver = "node_exporter", url = "http://10.42.1.1:9100/metrics" }
control = { driver = "ssh", address = "10.42.1.1", user = "hwctl" }
"""


@dataclass
class Rig:
    world: World
    rehearsal: Rehearsal

    @property
    def supply(self) -> SupplyState:
        return self.rehearsal.engine.rig().supplies[0]

    @property
    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.world.control({"op": "status"})
        return found

    def expected(self, kind: Kind) -> tuple[float, float]:
        """Volts and amperes where the gauge sits."""
        pack = self.truth["supplies"]["pack"]
        volts, amps = pack["pack_volts"], pack["pack_amps"]
        match kind.at:
            case "output":
                return pack["volts"], pack["amps"]
            case "cell":
                return volts / CELLS, amps * CELLS
            case _:
                return volts, amps

    def silence(self, kind: Kind, on: bool) -> None:
        order: dict[str, Any] = {"device": "gauge"}
        if kind.bus == "i2c":
            order |= {"op": "gauge", "fault": "nak" if on else None}
        else:
            order |= {"op": "silence", "on": on}
        self.world.control(order)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[[str], Rig]]:
    journals = []

    def make(name: str) -> Rig:
        (tmp_path / "gauges.toml").write_text(wiring(KINDS[name]))
        config = tmp_path / "gauges.hwctl.toml"
        config.write_text(SETTINGS)
        loaded = load(config)
        world = World(loaded.wiring, loaded.settings, seed=1, scenario="steady", start_wall=EPOCH)
        world.control({"op": "node", "node": "pi", "load": 0.5})
        journals.append(open_journal(tmp_path / "state"))
        made = Rig(world, Rehearsal(loaded, world, journals[-1]))
        made.rehearsal.run(5, 0.5)
        return made

    yield make
    for journal in journals:
        journal.close()


def test_every_driver_of_a_gauge_has_its_part_and_its_row_here():
    from hwctl.config import drivers

    gauges = {name for name in drivers.names() if "gauge" in drivers.find(name).roles}
    assert gauges <= MAKERS.keys()
    assert gauges == {kind.driver for kind in KINDS.values()}


@pytest.mark.parametrize("mains", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_what_a_supply_is_said_to_give_is_what_it_gives(rig, name, mains):
    kind, rig = KINDS[name], rig(name)
    rig.world.control({"op": "mains", "on": mains})
    rig.rehearsal.run(20, 0.5)
    supply, (volts, amps) = rig.supply, rig.expected(kind)
    assert supply.quality is Quality.OK
    assert supply.volts == pytest.approx(volts, rel=0.01, abs=0.02)
    # What sits at the cells sees them being charged; the output only ever gives.
    assert (amps < 0) is (mains and kind.at != "output")
    if not kind.amps:
        assert (supply.amps, supply.watts) == (None, None)
        return
    assert supply.amps == pytest.approx(amps, rel=0.02, abs=0.02)
    assert supply.watts == pytest.approx(volts * amps, rel=0.02, abs=0.1)


@pytest.mark.parametrize("name", METERS)
def test_what_an_outlet_is_said_to_give_is_what_its_node_takes(rig, name):
    rig = rig(name)
    for busy in (0.1, 0.9):
        rig.world.control({"op": "node", "node": "pi", "load": busy})
        rig.rehearsal.run(5, 0.5)
        outlet, truth = rig.rehearsal.engine.rig().outlets[0], rig.truth
        volts, watts = truth["supplies"]["pack"]["volts"], truth["nodes"]["pi"]["watts"]
        assert outlet.volts == pytest.approx(volts, rel=0.01)
        assert outlet.amps == pytest.approx(watts / volts, rel=0.02, abs=0.02)
        assert outlet.watts == pytest.approx(watts, rel=0.02, abs=0.1)
        assert rig.rehearsal.engine.rig().nodes[0].watts == outlet.watts
    rig.rehearsal.engine.power("pi", "off", by="test", force=True)
    rig.rehearsal.run(20, 0.5)
    outlet = rig.rehearsal.engine.rig().outlets[0]
    assert outlet.on is False
    assert outlet.watts == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("name", KINDS)
def test_a_gauge_that_is_lost_says_nothing_and_comes_back(rig, name):
    kind, rig = KINDS[name], rig(name)
    rig.silence(kind, True)
    rig.rehearsal.run(60, 0.5)
    supply = rig.supply
    assert supply.quality is Quality.ABSENT
    assert (supply.volts, supply.amps, supply.watts) == (None, None, None)
    rig.silence(kind, False)
    rig.rehearsal.run(60, 0.5)
    assert rig.supply.quality is Quality.OK
    assert rig.supply.volts == pytest.approx(rig.expected(kind)[0], rel=0.01, abs=0.02)


@pytest.mark.parametrize("name", AT_CELLS)
def test_a_gauge_at_the_cells_follows_their_charge(rig, name):
    kind, rig = KINDS[name], rig(name)
    rig.world.control({"op": "mains", "on": False})
    seen = []
    for charge in (0.9, 0.5, 0.1):
        rig.world.control({"op": "charge", "supply": "pack", "charge": charge})
        rig.rehearsal.run(20, 0.5)
        sample = rig.rehearsal.engine.senses.sample(
            gauge_key("gauge", 0), rig.rehearsal.clock.now(), 5.0
        )
        assert sample is not None
        assert sample.charge == pytest.approx(charge, abs=0.03)
        seen.append(sample.volts)
        assert sample.volts == pytest.approx(rig.expected(kind)[0], rel=0.01, abs=0.02)
    assert seen == sorted(seen, reverse=True)


def test_a_gauge_without_watts_leaves_the_charge_unknown_more_and_more(rig):
    """Nothing is counted, so what a person said at the start is worth less and less."""
    rig = rig("max17048")
    rig.world.control({"op": "mains", "on": False})
    rig.rehearsal.run(1800, 1.0)
    supply = rig.supply
    assert supply.charge == 0.6
    assert supply.charge_margin > 0.3
    assert (supply.status, supply.runtime_s) == (SupplyStatus.UNKNOWN, None)
    assert rig.truth["supplies"]["pack"]["charge"] < 0.59
