"""The whole rig under a clock that the test moves."""

from typing import Any

import pytest
from gpiozero import OutputDevice

from hwctl.model.errors import HostError
from hwctl_emulated.world import World

STATUS = {"op": "status"}
OUT, IN, FANS, METER1 = 0x40, 0x41, 0x2E, 0x45


def status(world: World) -> dict[str, Any]:
    return world.control(STATUS)


def feed(world: World, pin: str) -> OutputDevice:
    factory = world.gpio("gpio")
    return OutputDevice(pin, active_high=False, initial_value=None, pin_factory=factory)


def until(world: World, node: str, state: str, most: float = 120.0) -> None:
    end = world.now + most
    while status(world)["nodes"][node]["state"] != state:
        assert world.now < end, f"{node} is not {state} after {most} s"
        world.advance_to(world.now + 0.25)


def amps(bus, read, address: int, ohms: float = 0.01) -> float:
    """From an INA219's shunt register."""
    return int.from_bytes(read(bus, address, 1, 2), signed=True) * 10e-6 / ohms


def outage(world: World) -> None:
    world.control({"op": "mains", "on": False})


def drive_fans(world: World, write, setting: int) -> None:
    for register in (0x30, 0x40):
        write(world.i2c("i2c1"), FANS, register, setting)


# --- the beginning --------------------------------------------------------------------------


def test_the_rig_was_running(world):
    seen = status(world)
    assert {node["state"] for node in seen["nodes"].values()} == {"up"}
    assert {outlet["on"] for outlet in seen["outlets"].values()} == {True}
    assert all(fan["rpm"] > 1000 for fan in seen["fans"].values())
    assert seen["supplies"]["bank"]["charge"] == pytest.approx(0.55, abs=0.011)
    assert seen["supplies"]["bank"]["watts"] > 10


def test_adopting_the_relays_changes_nothing(world):
    device = feed(world, "J8:29")
    assert device.value == 1
    device.close()
    world.advance_to(60)
    assert status(world)["nodes"]["pi1"]["boots"] == 1
    assert status(world)["outlets"]["feed1"]["on"]


# --- what hwctl measures ----------------------------------------------------------------------


def test_gauges_tell_what_the_bank_gives(world, read):
    outage(world)
    world.advance_to(30)
    bus, bank = world.i2c("i2c1"), status(world)["supplies"]["bank"]
    volts = (int.from_bytes(read(bus, OUT, 5, 3)) >> 4) * 195.3125e-6
    shunt = (int.from_bytes(read(bus, OUT, 4, 3), signed=True) >> 4) * 312.5e-9
    assert volts == pytest.approx(bank["volts"], rel=1e-3)
    assert shunt / 0.002 == pytest.approx(bank["amps"], rel=2e-3, abs=2e-3)
    assert (int.from_bytes(read(bus, IN, 5, 3)) >> 4) * 195.3125e-6 < 0.1


def test_the_input_gauge_sees_the_mains(world, read):
    world.advance_to(10)
    bus = world.i2c("i2c1")
    volts = (int.from_bytes(read(bus, IN, 5, 3)) >> 4) * 195.3125e-6
    shunt = (int.from_bytes(read(bus, IN, 4, 3), signed=True) >> 4) * 312.5e-9
    assert volts == pytest.approx(20, rel=1e-3)
    assert 30 < volts * shunt / 0.002 < 61


def test_a_meter_tells_what_its_node_draws(world, read):
    world.advance_to(20)
    bus, node = world.i2c("i2c1"), status(world)["nodes"]["pi1"]
    volts = (int.from_bytes(read(bus, METER1, 2, 2)) >> 3) * 4e-3
    assert volts == pytest.approx(5.1, abs=0.1)
    assert volts * amps(bus, read, METER1) == pytest.approx(node["watts"], rel=0.03)


def test_the_fans_follow_their_registers(world, read, write):
    drive_fans(world, write, 0xFF)
    world.advance_to(30)
    fast = status(world)["fans"]["intake"]["rpm"]
    high, low = read(world.i2c("i2c1"), FANS, 0x3E, 2)
    assert 3_932_160 * 2 / ((high << 8 | low) >> 3) == pytest.approx(fast, rel=0.02)
    drive_fans(world, write, 0x50)
    world.advance_to(60)
    assert status(world)["fans"]["intake"]["rpm"] < fast / 2


def test_energy_counts_on_while_nobody_looks(world, read, write):
    outage(world)
    bus = world.i2c("i2c1")
    lsb = 20 / (1 << 19)
    write(bus, OUT, 2, *round(13107.2e6 * lsb * 0.002).to_bytes(2))
    world.advance_to(1)
    before = int.from_bytes(read(bus, OUT, 9, 5))
    given = status(world)["supplies"]["bank"]["energy_out"]
    world.advance_to(1801)
    joules = (int.from_bytes(read(bus, OUT, 9, 5)) - before) * 16 * 3.2 * lsb
    assert joules == pytest.approx(
        status(world)["supplies"]["bank"]["energy_out"] - given, rel=0.003
    )


# --- power and data -----------------------------------------------------------------------------


def test_halting_then_cutting_loses_nothing_and_power_brings_it_back(world, read):
    world.advance_to(5)
    assert world.command("pi1", "sudo systemctl poweroff") == (0, "")
    until(world, "pi1", "halted")
    world.advance_to(world.now + 1)
    assert 0.1 < amps(world.i2c("i2c1"), read, METER1) < 1.6 / 5.1
    relay = feed(world, "J8:29")
    relay.off()
    seen = status(world)["nodes"]["pi1"]
    assert (seen["state"], seen["dirty"], seen["watts"]) == ("off", 0, 0)
    world.advance_to(world.now + 10)
    assert abs(amps(world.i2c("i2c1"), read, METER1)) < 0.01
    relay.on()
    world.advance_to(world.now + 0.5)
    assert amps(world.i2c("i2c1"), read, METER1) > 0.9
    until(world, "pi1", "up")
    assert status(world)["nodes"]["pi1"]["boots"] == 2


def test_cutting_a_working_node_is_felt_at_once_and_leaves_a_dirty_disk(world):
    world.advance_to(5)
    relay = feed(world, "J8:31")
    relay.off()
    relay.on()
    seen = status(world)["nodes"]["pi2"]
    assert (seen["state"], seen["dirty"]) == ("booting", 1)


def test_the_network_answers_only_while_the_node_is_up(world):
    world.page("pi3")
    world.command("pi3", "systemctl poweroff")
    with pytest.raises(HostError):
        world.page("pi3")
    with pytest.raises(HostError):
        world.command("pi3", "systemctl poweroff")


def test_the_bank_runs_out_and_takes_everything_with_it(world, read):
    outage(world)
    world.control({"op": "charge", "supply": "bank", "charge": 0.05})
    while status(world)["supplies"]["bank"]["volts"] > 0:
        world.advance_to(world.now + 30)
        assert world.now < 3600
    world.advance_to(world.now + 1)
    seen = status(world)
    assert {node["dirty"] for node in seen["nodes"].values()} == {1}
    assert not seen["head"]
    with pytest.raises(OSError, match="No such device"):
        read(world.i2c("i2c1"), OUT, 5, 3)
    world.control({"op": "mains", "on": True})
    world.advance_to(world.now + 60)
    seen = status(world)
    assert seen["head"]
    # The head has booted: its lines are inputs, pulled up, and the relays active low.
    assert {outlet["on"] for outlet in seen["outlets"].values()} == {False}
    assert {node["state"] for node in seen["nodes"].values()} == {"off"}
    assert read(world.i2c("i2c1"), FANS, 0x30, 1) == b"\xff"  # the power-up watchdog


def test_energy_is_conserved_in_the_whole_rig(world):
    before = status(world)["supplies"]["bank"]
    world.advance_to(900)
    outage(world)
    world.advance_to(2700)
    after = status(world)["supplies"]["bank"]
    gained = after["joules"] - before["joules"]
    balance = after["energy_in"] - after["energy_out"] - after["losses"]
    assert gained == pytest.approx(balance, abs=0.001 * after["energy_out"])
    assert after["losses"] > 0.05 * after["energy_out"]


def test_rails_know_when_they_carry_too_much(world):
    relays = [feed(world, pin) for pin in ("J8:7", "J8:29", "J8:31", "J8:26")]
    for relay in relays:
        relay.off()
    world.advance_to(20)
    world.overruns["5v"] = 0
    world.peaks["5v"] = 0.0
    for relay in relays:
        relay.on()
    world.advance_to(21)
    rail = status(world)["rails"]["5v"]
    assert 4 < rail["peak_amps"] < 12
    assert rail["overruns"] == 0


# --- air and light -------------------------------------------------------------------------------


def test_air_cools_and_standing_fans_let_it_get_hot(world, write):
    for node in world.nodes:
        world.control({"op": "node", "node": node, "load": 1.0})
    drive_fans(world, write, 0xFF)
    world.advance_to(1200)
    cool = status(world)["nodes"]["pi1"]["celsius"]
    for fan in world.air.fans:
        world.control({"op": "fan", "fan": fan, "stalled": True})
    world.advance_to(3600)
    seen = status(world)
    assert seen["fans"]["intake"]["rpm"] == 0
    assert cool < 55
    assert seen["nodes"]["pi1"]["celsius"] > 78


def test_the_strip_shows_and_draws_from_the_bank(world):
    outage(world)
    for node in world.nodes:
        world.control({"op": "node", "node": node, "load": 0.0})
    world.advance_to(30)
    dark = status(world)["supplies"]["bank"]["watts"]
    spi = world.spi("spi0")
    spi.configure(speed_hz=2_400_000)
    # 110 is a 1: every channel of 60 LEDs full, then a reset.
    spi.write(bytes([0]) + bytes([0b11011011, 0b01101101, 0b10110110] * 180) + bytes(90))
    world.advance_to(31)
    seen = status(world)
    assert seen["strips"]["lid"]["pixels"] == "ff" * 180
    assert seen["supplies"]["bank"]["watts"] - dark == pytest.approx(60 * 0.055 * 5.1, rel=0.1)


# --- repeatability -------------------------------------------------------------------------------


def course(world: World, write) -> dict[str, Any]:
    outage(world)
    world.advance_to(40)
    world.command("pi2", "sudo systemctl reboot")
    world.advance_to(100.1)
    drive_fans(world, write, 0xC0)
    feed(world, "J8:7").off()
    world.advance_to(200)
    return status(world)


def test_the_same_seed_makes_the_same_world(make_world, write):
    first, second = course(make_world(5), write), course(make_world(5), write)
    assert first == second


def test_how_often_one_looks_changes_nothing(make_world):
    one, other = make_world(5), make_world(5)
    one.advance_to(90)
    for tenth in range(901):
        other.advance_to(tenth / 10)
        other.page("pi1")
    assert status(one) == status(other)
    assert one.page("pi1") == other.page("pi1")


def test_another_seed_makes_another_world(make_world, write):
    first, second = course(make_world(5), write), course(make_world(6), write)
    for node in first["nodes"]:
        assert first["nodes"][node]["boot_id"] != second["nodes"][node]["boot_id"]
        assert first["nodes"][node]["celsius"] != second["nodes"][node]["celsius"]
    assert first["supplies"]["bank"]["charge"] != second["supplies"]["bank"]["charge"]


def test_time_does_not_run_backwards(world):
    world.advance_to(10)
    before = status(world)
    world.advance_to(3)
    assert status(world) == before


def test_load_varies_between_nodes_within_a_minute(world):
    spread = 0.0
    for second in range(60):
        world.advance_to(second)
        loads = [node["load"] for node in status(world)["nodes"].values()]
        spread = max(spread, max(loads) - min(loads))
    assert spread > 0.4
