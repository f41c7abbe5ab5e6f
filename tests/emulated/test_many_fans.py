"""Every kind of fan: air moves at the start, follows the heat, and never trusts what is lost."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hwctl.config.load import load
from hwctl.engine.journal import open_journal
from hwctl.engine.rehearsal import Rehearsal
from hwctl.model.errors import ConfigError
from hwctl.model.readings import Quality
from hwctl.model.rig import FanState
from hwctl_emulated.assembly import MAKERS
from hwctl_emulated.world import World

EPOCH = 1_795_000_000.0
SAFE, FULL_RPM = 0.9, 4000.0


@dataclass(frozen=True)
class Kind:
    """A controller and one of its fans, as their wiring file has them."""

    driver: str
    options: str = ""
    channel: int = 1
    bus: str = "i2c"
    turns: bool = True
    """Whether it tells how fast its fan turns."""
    step: float = 0.01
    """How finely it is driven."""


KINDS = {
    "emc2301": Kind("emc230x"),
    "emc2302": Kind("emc230x", channel=2),
    "emc2305": Kind("emc230x", "address = 0x4d", 5),
    "max31790": Kind("max31790", channel=6),
    "pca9685": Kind("pca9685", channel=15, turns=False),
    "pca9685-inverted": Kind("pca9685", "inverted = true", 0, turns=False),
    "board": Kind("hwmon_fan", 'chip = "nct6775"\ndevice = "nct6775.656"', 2, "sysfs"),
    "linux-emc2305": Kind("hwmon_fan", 'chip = "emc2305"', 4, "sysfs", step=0.1),
    "pwm": Kind("pwm_fan", 'chip = "fe20c000.pwm"', 1, "sysfs", turns=False),
    "pwm-inversed": Kind("pwm_fan", 'chip = "pwmchip0"\npolarity = "inversed"', 0, "sysfs", False),
    "pwm-i2c": Kind("pwm_fan", 'chip = "1-0041"\nperiod_us = 655', 15, "sysfs", False),
}
WATCHFUL = ["emc2301", "emc2302", "emc2305", "max31790"]
"""Those whose chip drives at full by itself when nobody feeds it."""


def wiring(kinds: dict[str, Kind], extra: str = "") -> str:
    """A rig with a node and such fans, each on its own controller."""
    tables = [
        '[rig]\nname = "fans"\n[board]\nmodel = "Raspberry Pi 4B"',
        '[bus.sysfs]\nkind = "sysfs"\npath = "/sys"',
        '[supply.wall]\nkind = "mains"\ncapacity_wh = 1.0',
        '[rail.5v]\nsupply = "wall"\nvolts = 5.1\nbudget_amps = 8.0',
        '[device.relay]\ndriver = "usb_port"\nbus = "sysfs"\nport = "1-1.3"',
        '[outlet.feed]\ndevice = "relay"\nrail = "5v"\nnode = "pi"\n[node.pi]\nrole = "compute"',
    ]
    if any(kind.bus == "i2c" for kind in kinds.values()):
        tables.append('[bus.i2c]\nkind = "i2c"\npath = "/dev/i2c-1"')
    for name, kind in kinds.items():
        tables.append(
            f'[device.{name}-dev]\ndriver = "{kind.driver}"\nbus = "{kind.bus}"\n{kind.options}'
        )
        tables.append(
            f'[fan.{name}]\ndevice = "{name}-dev"\nchannel = {kind.channel}\nrpm_max = {FULL_RPM}'
        )
    return "\n".join([*tables, extra])


SETTINGS = f"""
wiring = "fans.toml"
[cooling]
safe_duty = {SAFE}
[host.pi]
load = {{ driver = "node_exporter", url = "http://10.42.1.1:9100/metrics" }}
control = {{ driver = "ssh", address = "10.42.1.1", user = "hwctl" }}
"""


@dataclass
class Rig:
    world: World
    rehearsal: Rehearsal

    def fan(self, name: str) -> FanState:
        return {fan.id: fan for fan in self.rehearsal.engine.rig().fans}[name]

    def rpm(self, name: str) -> float:
        """How fast it truly turns."""
        found: float = self.world.control({"op": "status"})["fans"][name]["rpm"]
        return found

    def node(self, **order: Any) -> None:
        self.world.control({"op": "node", "node": "pi", **order})

    def run(self, seconds: float) -> None:
        self.rehearsal.run(seconds, 1.0 if seconds > 100 else 0.5)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    journals = []

    def make(*names: str, extra: str = "") -> Rig:
        (tmp_path / "fans.toml").write_text(wiring({name: KINDS[name] for name in names}, extra))
        config = tmp_path / "fans.hwctl.toml"
        config.write_text(SETTINGS)
        loaded = load(config)
        world = World(loaded.wiring, loaded.settings, seed=1, scenario="steady", start_wall=EPOCH)
        journals.append(open_journal(tmp_path / "state"))
        return Rig(world, Rehearsal(loaded, world, journals[-1]))

    yield make
    for journal in journals:
        journal.close()


def speed(duty: float) -> float:
    """Of an emulated fan, give or take what two of one type differ by."""
    return FULL_RPM * (0.1 + 0.9 * duty)


def test_every_driver_of_a_fan_has_its_part_and_its_row_here():
    from hwctl.config import drivers

    fans = {name for name in drivers.names() if "fan" in drivers.find(name).roles}
    assert fans <= MAKERS.keys()
    assert fans == {kind.driver for kind in KINDS.values()}


@pytest.mark.parametrize("name", KINDS)
def test_air_moves_follows_the_heat_and_does_not_trust_what_is_lost(rig, name):
    kind, rig = KINDS[name], rig(name)
    # Before hwctl has said anything, the fan turns as the last one had left it.
    rig.world.advance_to(3)
    assert rig.rpm(name) == pytest.approx(speed(0.5), rel=0.07)
    # At the start nothing is known of the node: the safe duty.
    rig.node(fault="exporter-dead", on=True)
    rig.run(12)
    safe = rig.fan(name).duty
    assert safe == pytest.approx(SAFE, abs=kind.step)
    assert rig.rpm(name) == pytest.approx(speed(safe), rel=0.07)
    rig.node(fault="exporter-dead", on=False)
    rig.node(load=0.0)
    rig.run(400)
    cool = rig.fan(name)
    assert cool.quality is Quality.OK
    assert cool.duty is not None
    assert cool.duty < SAFE - 0.2
    assert rig.rpm(name) == pytest.approx(speed(cool.duty), rel=0.07)
    rig.node(load=1.0)
    rig.run(400)
    warm = rig.fan(name)
    assert "°C" in warm.cause
    assert warm.duty is not None
    assert warm.duty > cool.duty + 0.1
    assert rig.rpm(name) == pytest.approx(speed(warm.duty), rel=0.07)
    rig.node(load=0.0)
    rig.run(400)
    rig.node(fault="temp-lost", on=True)
    rig.run(30)
    lost = rig.fan(name)
    assert "lost" in lost.cause or "stale" in lost.cause
    assert lost.duty == pytest.approx(safe, abs=0.005)
    assert rig.rpm(name) == pytest.approx(speed(safe), rel=0.07)
    assert lost.rpm == (pytest.approx(rig.rpm(name), rel=0.05) if kind.turns else None)


@pytest.mark.parametrize("name", KINDS)
def test_a_controller_that_was_reset_is_driven_again(rig, name):
    rig = rig(name)
    rig.run(60)
    rig.world.control({"op": "reset", "device": f"{name}-dev"})
    rig.run(30)
    fan = rig.fan(name)
    assert fan.quality is Quality.OK
    assert fan.duty is not None
    assert rig.rpm(name) == pytest.approx(speed(fan.duty), rel=0.07)


@pytest.mark.parametrize("name", KINDS)
def test_a_dead_hwctl_leaves_full_air_or_the_air_that_there_was(rig, name):
    rig = rig(name)
    rig.node(load=0.0)
    rig.run(60)
    before = rig.rpm(name)
    assert before < 0.8 * FULL_RPM
    rig.world.advance_to(rig.world.now + 60)
    left = FULL_RPM if name in WATCHFUL else before
    assert rig.rpm(name) == pytest.approx(left, rel=0.07)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.turns])
def test_a_fan_that_stands_still_is_told(rig, name):
    rig = rig(name)
    rig.run(20)
    rig.world.control({"op": "fan", "fan": name, "stalled": True})
    rig.run(20)
    assert rig.fan(name).rpm == 0
    assert "stands still" in rig.fan(name).cause


SYSFS = [name for name, kind in KINDS.items() if kind.bus == "sysfs"]
BATTERY = '[device.cells]\ndriver = "power_supply"\nbus = "sysfs"\nname = "BAT0"\n'
BATTERY += '[supply.pack]\nkind = "battery"\ncapacity_wh = 50.0\n'
BATTERY += 'output_gauge = { device = "cells" }'


def test_all_that_the_kernel_shows_is_in_one_tree(rig):
    """Fans, a battery and a hub's port do not hide one another."""
    rig = rig(*SYSFS, extra=BATTERY)
    rig.run(20)
    tree = rig.world.sysfs("sysfs")
    assert tree.names("class/hwmon") == ["hwmon0", "hwmon1"]
    assert tree.names("class/pwm") == ["pwmchip0", "pwmchip1", "pwmchip2"]
    assert {rig.fan(name).quality for name in SYSFS} == {Quality.OK}
    state = rig.rehearsal.engine.rig()
    assert {supply.id: supply.quality for supply in state.supplies}["pack"] is Quality.OK
    rig.rehearsal.engine.power("pi", "off", by="test", force=True)
    rig.run(20)
    assert rig.world.control({"op": "status"})["nodes"]["pi"]["powered"] is False
    # One of them falls silent, and no other.
    rig.world.control({"op": "silence", "device": "board-dev", "on": True})
    rig.run(20)
    assert rig.fan("board").quality is Quality.ABSENT
    assert {rig.fan(name).quality for name in SYSFS if name != "board"} == {Quality.OK}


@pytest.mark.parametrize(
    ("name", "channel"),
    [("emc2301", 6), ("max31790", 7), ("pca9685", 16), ("board", 9), ("pwm", 64)],
)
def test_a_fan_that_a_controller_does_not_have(rig, name, channel):
    made = rig(name)
    fans = {name: made.world.wiring.fan[name].model_copy(update={"channel": channel})}
    wrong = made.world.wiring.model_copy(update={"fan": fans})
    with pytest.raises(ConfigError, match=f"no channel {channel}"):
        World(wrong, made.world.settings, seed=1, scenario="steady", start_wall=EPOCH)
