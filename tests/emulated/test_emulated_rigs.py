"""Scenarios, orders, and rigs other than the football: what the files say is what there is."""

from typing import Any

import pytest

from hwctl.model.errors import ConfigError, RequestError, UnknownTargetError
from hwctl.model.settings import Settings
from hwctl.model.wiring import Wiring
from hwctl_emulated.scenario import Afternoon, Seen
from hwctl_emulated.world import World

OUT = 0x40


def status(world: World) -> dict[str, Any]:
    return world.control({"op": "status"})


def outage(world: World) -> None:
    world.control({"op": "mains", "on": False})


# --- scenarios ------------------------------------------------------------------------------------


def test_an_afternoon(make_world):
    world = make_world(scenario="afternoon")
    world.advance_to(599)
    assert status(world)["mains"]
    first = status(world)["supplies"]["bank"]["charge"]
    world.advance_to(601)
    assert not status(world)["mains"]
    for node in world.nodes:
        world.command(node, "sudo systemctl poweroff")
    world.advance_to(1700)
    assert not status(world)["mains"]
    world.advance_to(1900)
    assert status(world)["mains"]
    assert status(world)["supplies"]["bank"]["charge"] < first
    while status(world)["mains"]:
        world.advance_to(world.now + 60)
        assert world.now < 6 * 3600
    assert status(world)["supplies"]["bank"]["charge"] >= first - 0.1


def test_the_mains_is_back_after_four_and_a_half_hours_in_any_case():
    afternoon = Afternoon()
    present = [afternoon.mains(Seen(float(t), down=False, charge=0.9)) for t in range(17_000)]
    assert present == [True] * 600 + [False] * 16_200 + [True] * 200


def test_the_mains_switch_wins_over_the_scenario(world):
    outage(world)
    world.advance_to(1)
    assert not status(world)["mains"]
    world.control({"op": "mains", "on": None})
    world.advance_to(2)
    assert status(world)["mains"]


def test_an_unknown_scenario(make_world):
    with pytest.raises(ConfigError, match="midnight"):
        make_world(scenario="midnight")


def test_a_fast_world_stretches_the_watchdog(make_world, write):
    fast = make_world(speed=60)
    fast.control({"op": "reset", "device": "fans"})
    fast.advance_to(44)
    assert fast.parts.fans["fans"].duty(0) == 0
    fast.advance_to(46)
    assert fast.parts.fans["fans"].duty(0) == 1


# --- orders ---------------------------------------------------------------------------------------


def test_gauge_faults_come_and_go(world, read):
    bus = world.i2c("i2c1")
    world.control({"op": "gauge", "device": "bank-out", "fault": "ones"})
    assert read(bus, OUT, 5, 3) == b"\xff\xff\xff"
    world.control({"op": "gauge", "device": "bank-out", "fault": None})
    assert read(bus, OUT, 0x3E, 2) == b"TI"


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"op": "explode"},
        {"op": "node", "node": "pi1", "fault": "explode", "on": True},
        {"op": "node", "node": "pi1", "load": 3},
        {"op": "gauge", "device": "bank-out", "fault": "explode"},
        {"op": "charge", "supply": "bank", "charge": 2},
        {"op": "mains", "on": "yes"},
    ],
)
def test_orders_that_cannot_be_are_refused(world, order):
    with pytest.raises(RequestError) as caught:
        world.control(order)
    assert caught.value.hint


@pytest.mark.parametrize(
    "order",
    [
        {"op": "node", "node": "pi9", "load": 0.5},
        {"op": "gauge", "device": "relay0", "fault": "nak"},
        {"op": "fan", "fan": "none", "stalled": True},
        {"op": "reset", "device": "none"},
    ],
)
def test_orders_for_nobody(world, order):
    with pytest.raises(UnknownTargetError):
        world.control(order)


def test_buses_that_are_not_wired(world):
    with pytest.raises(UnknownTargetError, match="i2c7"):
        world.i2c("i2c7")


# --- other rigs -----------------------------------------------------------------------------------


def rig(**changes: Any) -> Wiring:
    """Two supplies, a switched and an unswitched node, one fan."""
    tables: dict[str, Any] = {
        "rig": {"name": "other"},
        "board": {"model": "Raspberry Pi 4B"},
        "bus": {"a": {"kind": "i2c"}, "b": {"kind": "i2c"}, "g": {"kind": "gpio"}},
        "device": {
            "cell": {"driver": "ina228", "bus": "a", "shunt_ohms": 0.01, "max_amps": 5},
            "wall": {"driver": "ina219", "bus": "b", "address": 0x41, "reversed": True},
            "relay": {"driver": "gpio_relay", "bus": "g", "pin": "GPIO22"},
            "air": {"driver": "emc230x", "bus": "b", "address": 0x2F},
        },
        "supply": {
            "grid": {"kind": "mains", "capacity_wh": 1, "output_gauge": {"device": "wall"}},
            "cell": {"kind": "battery", "capacity_wh": 20, "output_gauge": {"device": "cell"}},
        },
        "rail": {
            "12v": {"supply": "grid", "volts": 12, "budget_amps": 5},
            "5v": {"supply": "cell", "volts": 5, "budget_amps": 5},
        },
        "outlet": {"one": {"device": "relay", "rail": "5v", "node": "worker"}},
        "node": {"worker": {"role": "compute"}, "switch": {"role": "switch"}},
        "fan": {"top": {"device": "air", "channel": 1}},
    }
    return Wiring.model_validate(tables | changes)


def other(wiring: Wiring) -> World:
    settings = Settings(wiring="other.toml")
    return World(wiring, settings, seed=1, scenario="steady", start_wall=0.0)


def test_another_rig_is_wired_by_its_file_alone(read):
    world = other(rig())
    world.advance_to(10)
    seen = status(world)
    assert seen["nodes"]["worker"]["state"] == seen["nodes"]["switch"]["state"] == "up"
    assert seen["supplies"]["cell"]["charge"] == pytest.approx(0.8, abs=0.02)
    assert read(world.i2c("b"), 0x2F, 0xFD, 1) == b"\x37"
    # The wall's shunt is reversed: forward current reads negative.
    assert int.from_bytes(read(world.i2c("b"), 0x41, 1, 2), signed=True) < 0
    assert (int.from_bytes(read(world.i2c("b"), 0x41, 2, 2)) >> 3) * 0.004 == pytest.approx(
        12, rel=0.01
    )
    outage(world)
    world.advance_to(20)
    seen = status(world)
    # The head and the unswitched node hang on the first supply, the worker on the battery.
    assert not seen["head"]
    assert seen["nodes"]["switch"]["state"] == "off"
    assert not seen["outlets"]["one"]["on"]  # its line fell to the pull-down of GPIO22


def test_fifty_nodes():
    pins = [2, 3, 4, *range(5, 28)]
    wiring = rig(
        device={
            f"r{n}": {"driver": "gpio_relay", "bus": "g", "pin": f"GPIO{pin}"}
            for n, pin in enumerate(pins)
        },
        outlet={
            f"o{n}": {"device": f"r{n % len(pins)}", "rail": "5v", "node": f"n{n}"}
            for n in range(50)
        },
        node={f"n{n}": {"role": "compute"} for n in range(50)},
        fan={},
        supply={
            "grid": {"kind": "mains", "capacity_wh": 1},
            "cell": {"kind": "power-bank", "capacity_wh": 2000},
        },
    )
    world = other(wiring)
    world.advance_to(30)
    loads = {node["load"] for node in status(world)["nodes"].values()}
    assert len(loads) > 10
    assert status(world)["rails"]["5v"]["overruns"] > 0


def device(**options: Any) -> dict[str, Any]:
    return {"device": {"x": options}, "outlet": {}, "fan": {}, "supply": {}, "rail": {}}


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        (device(driver="ina999", bus="a"), "device.x", "ina999"),
        (device(driver="ina228", bus="g"), "device.x", "no i2c bus"),
        (device(driver="ina228", bus="a", address="x"), "device.x", "a number"),
        (device(driver="gpio_relay", bus="g", pin="J8:1"), "device.x", "J8:1"),
        (device(driver="gpio_relay", bus="g", pin="GPIO5", active_low=1), "device.x", "true or"),
        (device(driver="ws281x_spi", bus="a"), "device.x", "no spi bus"),
        ({"outlet": {"o": {"device": "cell", "rail": "5v"}}}, "outlet.o", "cell"),
        ({"outlet": {"o": {"device": "relay", "rail": "9v"}}}, "outlet.o", "9v"),
        ({"fan": {"f": {"device": "air", "channel": 9}}}, "device.air", "1 to 5"),
        ({"board": {"model": "RockPro64"}}, "board.model", "RockPro64"),
    ],
)
def test_what_cannot_be_emulated_is_named(changes, where, what):
    with pytest.raises(ConfigError, match=what) as caught:
        other(rig(**changes))
    assert caught.value.where == where
    assert caught.value.hint


def test_the_error_for_an_unknown_driver_says_which_there_are():
    with pytest.raises(ConfigError) as caught:
        other(rig(**device(driver="ina999", bus="a")))
    for driver in ("emc230x", "gpio_relay", "ina219", "ina228", "ws281x_spi"):
        assert driver in caught.value.hint
