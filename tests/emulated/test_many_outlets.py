"""Every kind of outlet: a rig of the test's own, its real drivers, and nodes that feel it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hwctl.config.load import Loaded, load
from hwctl.engine.journal import open_journal
from hwctl.engine.rehearsal import Rehearsal
from hwctl_emulated.assembly import MAKERS
from hwctl_emulated.world import World

EPOCH = 1_795_000_000.0

BUSES = {
    "i2c": 'kind = "i2c"\npath = "/dev/i2c-1"',
    "i2c2": 'kind = "i2c"\npath = "/dev/i2c-2"',
    "gpio": 'kind = "gpio"\npath = "pinctrl-bcm2835"',
    "serial": 'kind = "serial"\npath = "/dev/hwctl/PORT"',
    "modbus": 'kind = "modbus"\npath = "/dev/hwctl/PORT"',
    "hid": 'kind = "hid"\npath = "/dev/hwctl/PORT"',
    "sysfs": 'kind = "sysfs"\npath = "/sys"',
    "net": "",
}
SHARED = {"i2c", "i2c2", "gpio", "sysfs"}
"""Buses that all their devices share; each of the others has one device here."""


@dataclass(frozen=True)
class Kind:
    """One outlet, as its wiring file has it."""

    driver: str
    bus: str
    options: str = ""
    channel: int = 0
    told: bool = True
    """Whether the device tells what became of an order."""
    other: bool = False
    """Whether it does something else than feed a node and not."""


KINDS: dict[str, Kind] = {
    "relay": Kind("gpio_relay", "gpio", 'pin = "GPIO5"\nactive_low = true'),
    "relay-nc": Kind("gpio_relay", "gpio", 'pin = "GPIO17"\ncontact = "normally-closed"'),
    "relay-nc-low": Kind(
        "gpio_relay", "gpio", 'pin = "GPIO7"\nactive_low = true\ncontact = "normally-closed"'
    ),
    "atx": Kind("atx", "gpio", 'pin = "GPIO22"\nsense = "GPIO23"'),
    "button": Kind("power_button", "gpio", 'pin = "GPIO24"\nsense = "GPIO25"', other=True),
    "pcf8574": Kind("pcf8574", "i2c", "address = 0x24", 3),
    "pcf8574-nc": Kind(
        "pcf8574", "i2c", 'address = 0x38\ncontact = "normally-closed"\nactive_low = false', 7
    ),
    "mcp23017": Kind("mcp230xx", "i2c", "address = 0x21\nactive_low = true", 12),
    "mcp23008": Kind("mcp230xx", "i2c", 'address = 0x22\npart = "MCP23008"', 7),
    "seeed": Kind(
        "seeed_relay", "i2c", 'contact = "normally-closed"\nat_start = "released"', 2, told=False
    ),
    "sequent": Kind("sequent_relay", "i2c", "address = 0x3f", 8),
    "ctrl": Kind("clusterctrl", "i2c", 'board = "ctrl"', 3),
    "hat": Kind("clusterctrl", "i2c2", 'board = "hat"', 4),
    "lcus": Kind("lcus", "serial", "channels = 4", 2),
    "lcus-mute": Kind("lcus", "serial", "channels = 1", 1, told=False),
    "kmtronic": Kind("kmtronic", "serial", "channels = 8", 8),
    "kmtronic-1": Kind("kmtronic", "serial", "channels = 1", 1),
    "numato": Kind("numato", "serial", "channels = 16", 11),
    "numato-64": Kind("numato", "serial", "channels = 64", 40),
    "modbus": Kind("modbus_relay", "modbus", 'unit = 7\nflash = "waveshare"', 8),
    "modbus-nc": Kind("modbus_relay", "modbus", 'contact = "normally-closed"', 1),
    "hid": Kind("hid_relay", "hid", "channels = 2", 2),
    "usb": Kind("usb_port", "sysfs", 'port = "1-1.3"\nusb3_port = "2-1.3"'),
    "usb-2": Kind("usb_port", "sysfs", 'port = "1-1.4"'),
    "tasmota": Kind("tasmota", "net", 'host = "10.42.0.50"\nrelays = 2\npassword = "s3&cret"', 2),
    "tasmota-pulse": Kind("tasmota", "net", 'host = "10.42.0.51"\ncycles = true', 1),
    "shelly-1": Kind(
        "shelly", "net", 'host = "10.42.0.52"\ngeneration = 1\npassword = "secret"', 0
    ),
    "shelly-2": Kind("shelly", "net", 'host = "10.42.0.53"\npassword = "secret"', 3),
    "poe": Kind("snmp_poe", "net", 'host = "10.42.0.54"', 5),
    "nut": Kind(
        "nut_outlet", "net", 'host = "10.42.0.55"\nups = "ups"\nuser = "u"\npassword = "p\\"w"', 2
    ),
    "command": Kind(
        "command",
        "net",
        'on = ["/usr/local/bin/plug", "on"]\noff = ["/usr/local/bin/plug", "off"]\n'
        'state = ["/usr/local/bin/plug", "?"]',
    ),
    "wake": Kind("wake_on_lan", "net", 'mac = "02:00:00:00:00:09"', told=False, other=True),
}
SWITCHES = [name for name, kind in KINDS.items() if not kind.other]


def files(folder: Path, kinds: dict[str, Kind]) -> Path:
    """Write a rig with a node behind one outlet of each kind. :returns: the settings file."""
    wiring = [
        '[rig]\nname = "many"\n[board]\nmodel = "Raspberry Pi 4B"',
        '[supply.wall]\nkind = "mains"\ncapacity_wh = 1.0',
        f'[rail.5v]\nsupply = "wall"\nvolts = 5.1\nbudget_amps = {4.0 + 4.0 * len(kinds)}',
    ]
    settings = ['wiring = "many.toml"', "[power]\ncycles_per_hour = 60\n[shutdown]\nhalt_s = 10"]
    for at, (name, kind) in enumerate(kinds.items()):
        bus = kind.bus if kind.bus in SHARED else f"{kind.bus}-{name}"
        head = f"[bus.{bus}]"
        if BUSES[kind.bus] and not any(head in table for table in wiring):
            wiring.append(f"{head}\n" + BUSES[kind.bus].replace("PORT", name))
        on_bus = f'bus = "{bus}"\n' if BUSES[kind.bus] else ""
        wiring.append(f'[device.{name}]\ndriver = "{kind.driver}"\n{on_bus}{kind.options}')
        meter, meter_bus = f"meters-{at // 3}", f"meters-{at // 12}"
        if at % 12 == 0:
            wiring.append(f'[bus.{meter_bus}]\nkind = "i2c"\npath = "/dev/i2c-{20 + at // 12}"')
        if at % 3 == 0:
            wiring.append(
                f'[device.{meter}]\ndriver = "ina3221"\nbus = "{meter_bus}"\n'
                f"address = {0x40 + at % 12 // 3}\nshunt_ohms = [0.01, 0.01, 0.01]"
            )
        wiring.append(
            f'[outlet.{name}]\ndevice = "{name}"\nchannel = {kind.channel}\nrail = "5v"\n'
            f'node = "{name}"\nmeter = {{ device = "{meter}", channel = {at % 3 + 1} }}\n'
            f'[node.{name}]\nrole = "compute"'
        )
        address = f"10.42.1.{at + 1}"
        settings.append(
            f'[host.{name}]\nload = {{ driver = "node_exporter", '
            f'url = "http://{address}:9100/metrics" }}\n'
            f'control = {{ driver = "ssh", address = "{address}", user = "hwctl" }}'
        )
    (folder / "many.toml").write_text("\n".join(wiring))
    path = folder / "many.hwctl.toml"
    path.write_text("\n".join(settings))
    return path


@dataclass
class Rig:
    loaded: Loaded
    world: World
    rehearsal: Rehearsal

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.world.control({"op": "status"})["nodes"][name]
        return found

    def carry_out(self, nodes: list[str], action: str, *, force: bool = False) -> None:
        """Order it of all of them, and wait until each is done."""
        engine = self.rehearsal.engine
        ops = [engine.power(node, action, by="test", force=force) for node in nodes]  # type: ignore[arg-type]
        end = self.rehearsal.clock.now() + 600
        while not all(engine.operation(op.id).state.ended for op in ops):
            assert self.rehearsal.clock.now() < end, [engine.operation(op.id) for op in ops]
            self.rehearsal.step(0.5)
        for op in ops:
            assert engine.operation(op.id).state == "done", engine.operation(op.id)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    journals = []

    def make(*names: str) -> Rig:
        loaded = load(files(tmp_path, {name: KINDS[name] for name in names}))
        world = World(loaded.wiring, loaded.settings, seed=1, scenario="steady", start_wall=EPOCH)
        journals.append(open_journal(tmp_path / "state"))
        made = Rig(loaded, world, Rehearsal(loaded, world, journals[-1]))
        made.rehearsal.run(3, 0.5)
        return made

    yield make
    for journal in journals:
        journal.close()


def test_every_driver_of_an_outlet_has_its_part_and_its_row_here():
    from hwctl.config import drivers

    outlets = {name for name in drivers.names() if "outlet" in drivers.find(name).roles}
    assert outlets <= MAKERS.keys()
    assert outlets <= {kind.driver for kind in KINDS.values()}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_node_is_halted_and_cut_and_comes_back(rig, name):
    rig = rig(name)
    assert rig.node(name)["state"] == "up"
    before = {n.id: n for n in rig.rehearsal.engine.rig().nodes}[name]
    assert before.power == ("on" if KINDS[name].told else before.power)
    rig.carry_out([name], "off")
    assert (rig.node(name)["state"], rig.node(name)["dirty"]) == ("off", 0)
    rig.carry_out([name], "on")
    assert (rig.node(name)["state"], rig.node(name)["boots"]) == ("up", 2)
    rig.carry_out([name], "cycle")
    assert (rig.node(name)["state"], rig.node(name)["boots"]) == ("up", 3)
    assert rig.node(name)["dirty"] == 0


def test_all_of_them_in_one_rig(rig):
    rig = rig(*SWITCHES)
    rig.carry_out(SWITCHES, "off")
    assert {rig.node(name)["state"] for name in SWITCHES} == {"off"}
    rig.carry_out(SWITCHES, "on")
    assert {(rig.node(name)["boots"], rig.node(name)["dirty"]) for name in SWITCHES} == {(2, 0)}
    assert {node.power for node in rig.rehearsal.engine.rig().nodes} == {"on"}


@pytest.mark.parametrize("name", ["modbus", "tasmota-pulse", "shelly-1", "shelly-2"])
def test_a_device_that_cycles_by_itself_needs_no_head_for_it(rig, name):
    rig = rig(name)
    rig.rehearsal.engine.power(name, "cycle", by="test", force=True)
    while rig.node(name)["state"] == "up":
        rig.rehearsal.step(0.25)
    # The head has died; its world goes on.
    rig.world.advance_to(rig.world.now + 60)
    assert (rig.node(name)["state"], rig.node(name)["boots"]) == ("up", 2)


# --- what acts on the node itself -------------------------------------------------------------


def test_a_button_asks_cuts_and_starts(rig):
    rig = rig("button")
    rig.carry_out(["button"], "off")
    assert (rig.node("button")["state"], rig.node("button")["dirty"]) == ("off", 0)
    rig.carry_out(["button"], "on")
    assert (rig.node("button")["state"], rig.node("button")["boots"]) == ("up", 2)
    rig.carry_out(["button"], "off", force=True)
    assert (rig.node("button")["state"], rig.node("button")["dirty"]) == ("off", 1)
    rig.carry_out(["button"], "cycle")
    assert rig.node("button")["state"] == "up"


def test_a_magic_packet_starts_what_has_power_and_is_halted(rig):
    rig = rig("wake")
    rig.world.command("wake", "systemctl poweroff")
    rig.rehearsal.run(30, 0.5)
    assert (rig.node("wake")["state"], rig.node("wake")["powered"]) == ("halted", True)
    rig.carry_out(["wake"], "on")
    assert (rig.node("wake")["state"], rig.node("wake")["boots"]) == ("up", 2)
    rig.world.net.datagram("255.255.255.255", 9, b"\xff" * 6 + bytes(6) * 16)
    rig.rehearsal.run(1, 0.5)
    assert rig.node("wake")["boots"] == 2
