"""A world process with every kind of outlet: real ptys, real sockets, the real drivers on top."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from hwctl.config.load import Loaded, load
from hwctl.engine.buses import WorldBuses
from hwctl.engine.clock import ScaledClock
from hwctl.engine.net import RealNet
from hwctl.engine.ports import SerialPort
from hwctl.model.drivers import HttpRequest, SnmpAgent
from hwctl.model.errors import (
    BusError,
    ConfigError,
    DeviceError,
    DeviceNotFoundError,
    HostError,
)
from hwctl_emulated import client
from hwctl_emulated.client import WorldClient

WIRING = """
[rig]
name = "buses"
[board]
model = "Raspberry Pi 4B"
[bus.i2c]
kind = "i2c"
path = "/dev/i2c-1"
[bus.port]
kind = "serial"
path = "/dev/hwctl/ch340-1-1"
[bus.line]
kind = "modbus"
path = "10.42.0.9:502"
[bus.usb]
kind = "hid"
path = "/dev/hidraw0"
[bus.sys]
kind = "sysfs"
path = "/sys"
[supply.wall]
kind = "mains"
capacity_wh = 1.0
[rail.5v]
supply = "wall"
volts = 5.1
budget_amps = 50.0
"""
DEVICES = {
    "expander": ('driver = "mcp230xx"\nbus = "i2c"', 15),
    "lcus": ('driver = "lcus"\nbus = "port"\nchannels = 8', 8),
    "board1": ('driver = "modbus_relay"\nbus = "line"\nunit = 1\nflash = "waveshare"', 1),
    "board2": ('driver = "modbus_relay"\nbus = "line"\nunit = 2', 8),
    "hid": ('driver = "hid_relay"\nbus = "usb"\nchannels = 2', 1),
    "hub": ('driver = "usb_port"\nbus = "sys"\nport = "1-1.3"\nusb3_port = "2-1.3"', 0),
    "plug": ('driver = "tasmota"\nhost = "10.42.0.50"', 1),
    "shelly1": ('driver = "shelly"\nhost = "10.42.0.51"\ngeneration = 1\npassword = "p"', 0),
    "shelly2": ('driver = "shelly"\nhost = "10.42.0.52"\npassword = "p"', 1),
    "poe": ('driver = "snmp_poe"\nhost = "10.42.0.53"\ncommunity = "rig"', 5),
    "ups": (
        'driver = "nut_outlet"\nhost = "localhost"\nups = "ups"\nuser = "u"\npassword = "p"', 2
    ),
    "script": ('driver = "command"\non = ["/bin/false", "on"]\noff = ["/bin/false", "off"]\n'
               'state = ["/bin/false", "state"]', 0),
    "card": ('driver = "wake_on_lan"\nmac = "02:00:00:00:00:09"', 0),
}  # fmt: skip
SWITCHES = [name for name in DEVICES if name != "card"]


def files(folder: Path) -> Path:
    wiring = WIRING
    for name, (device, channel) in DEVICES.items():
        wiring += f'[device.{name}]\n{device}\n[node.{name}]\nrole = "compute"\n[outlet.{name}]\n'
        wiring += f'device = "{name}"\nchannel = {channel}\nrail = "5v"\nnode = "{name}"\n'
    (folder / "buses.toml").write_text(wiring)
    config = folder / "buses.hwctl.toml"
    config.write_text(
        'wiring = "buses.toml"\n[shutdown]\nstages = [["compute"]]\n'
        '[host.card]\ncontrol = { driver = "ssh", address = "10.42.0.60", user = "hwctl" }\n'
    )
    return config


class Rig:
    """hwctl's drivers on a world in a process of its own."""

    def __init__(self, config: Path, world: WorldClient) -> None:
        self.loaded: Loaded = load(config)
        self.world = world
        info = world.info
        clock = ScaledClock(info.speed, info.zero_monotonic, info.zero_sim, info.start_wall)
        self.net = RealNet(clock, world.address, world.file, world.programs)
        self._buses = WorldBuses(world)
        self._opened: dict[str, Any] = {}
        self._runner = asyncio.Runner()
        """One loop for all, as the engine has it."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        for bus in self._opened.values():
            bus.close()
        self._runner.run(self._part())
        self._runner.close()
        self.world.stop()

    async def _part(self) -> None:
        self.net.close()

    def bus(self, name: str) -> Any:
        if name not in self._opened:
            self._opened[name] = self._buses.open(name, self.loaded.wiring.bus[name])
        return self._opened[name]

    def device(self, name: str) -> Any:
        driver, options = self.loaded.devices[name]
        bus = self.loaded.wiring.device[name].bus
        return driver.open(self.net if bus is None else self.bus(bus), options)

    def do(self, name: str, what: str, *arguments: Any) -> Any:
        """One call of a driver, blocking or not."""
        device = self.device(name)
        if self.loaded.wiring.device[name].bus is None:
            return self.run(getattr(device, what)(*arguments))
        device.probe()
        return getattr(device, what)(*arguments)

    def fed(self, name: str) -> bool:
        found: bool = self.world.control({"op": "status"})["outlets"][name]["on"]
        return found

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.world.control({"op": "status"})["nodes"][name]
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def start(speed: float = 1.0) -> Rig:
        config = files(tmp_path)
        rigs.append(
            Rig(
                config,
                client.start(
                    config, state_dir=tmp_path / "state", speed=speed, seed=3, scenario="steady"
                ),
            )
        )
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.close()


def test_every_outlet_is_on_switches_and_tells(start):
    rig = start()
    for name in SWITCHES:
        channel = DEVICES[name][1]
        assert rig.fed(name), name
        assert rig.do(name, "get", channel) is True, name
        rig.do(name, "set", channel, False)
        assert not rig.fed(name), name
        assert rig.node(name)["state"] == "off", name
        assert rig.do(name, "get", channel) is False, name
    for name in SWITCHES:
        rig.do(name, "set", DEVICES[name][1], True)
        assert (rig.fed(name), rig.node(name)["state"]) == (True, "booting"), name


def test_a_restarted_head_finds_the_ports_as_they_were(start):
    rig = start()
    rig.do("lcus", "set", 8, False)
    rig.bus("port").close()
    rig.world.close()
    again = start()
    assert again.world.info == rig.world.info
    assert again.do("lcus", "get", 8) is False
    assert not again.fed("lcus")


def test_what_answers_nothing_is_an_error_of_its_own_device_only(start):
    rig = start()
    for name in ("lcus", "board1", "hid", "hub", "plug", "poe", "ups"):
        rig.world.control({"op": "silence", "device": name, "on": True})
    for name, error in (
        ("lcus", DeviceError),
        ("board1", DeviceError),
        ("hid", BusError),
        ("hub", DeviceNotFoundError),
        ("plug", HostError),
        ("poe", HostError),
        ("ups", HostError),
    ):
        with pytest.raises(error):
            rig.do(name, "get", DEVICES[name][1])
    assert rig.do("board2", "get", 8) is True
    assert rig.do("shelly2", "get", 1) is True
    rig.world.control({"op": "silence", "device": "plug", "on": False})
    assert rig.do("plug", "get", 1) is True


def test_a_timed_off_is_the_devices_own(start, eventually):
    rig = start(speed=50.0)
    rig.do("shelly2", "cycle", 1, 5.0)
    rig.do("board1", "cycle", 1, 5.0)
    assert not rig.fed("shelly2")
    assert not rig.fed("board1")
    eventually(lambda: rig.fed("shelly2") and rig.fed("board1"))


def test_a_magic_packet_wakes_by_a_real_datagram(start, eventually):
    rig = start(speed=50.0)
    control = rig.loaded.hosts["card"].control
    rig.run(control.driver.open(rig.net, control.options).halt())
    eventually(lambda: rig.node("card")["state"] == "halted")
    assert rig.node("card")["powered"]
    rig.do("card", "set", 0, True)
    eventually(lambda: rig.node("card")["boots"] == 2)
    assert rig.node("card")["dirty"] == 0


def test_no_program_of_the_user_is_run(start):
    rig = start()
    with pytest.raises(HostError, match="no outlet's program"):
        rig.run(rig.net.run(["/bin/true"], limit_s=5))
    assert rig.run(rig.net.run(["/bin/false", "state"], limit_s=5)) == (0, "on\n")


def test_outlets_lead_into_the_world_even_on_this_machine(start):
    world = start().world
    host, port = world.address("localhost", 3493)
    assert (host, port) != ("localhost", 3493)
    assert world.address("localhost", 3494) == ("localhost", 3494)


def test_a_switch_that_is_asked_wrongly(start):
    rig = start()
    oid = "1.3.6.1.2.1.105.1.1.1.3.1.5"
    agent = SnmpAgent("10.42.0.53", community="rig")
    get = rig.net.snmp_get
    assert rig.run(get(agent, oid, limit_s=5)) == 1
    with pytest.raises(HostError):
        rig.run(get(agent, "1.3.6.1.2.1.105.1.1.1.3.2.5", limit_s=5))
    with pytest.raises(HostError):
        rig.run(get(SnmpAgent("10.42.0.53", community="other"), oid, limit_s=0.3))
    with pytest.raises(HostError):
        rig.run(rig.net.snmp_set(agent, oid, 7, limit_s=5))


def test_a_web_page_that_is_not_there(start):
    rig = start()
    request = HttpRequest("GET", "10.42.0.50", 80, "/nothing")
    answer = rig.run(rig.net.http(request, limit_s=5, most=1000))
    assert answer.status == 404


def test_a_bus_that_is_not_wired(start):
    world = start().world
    for use in (world.tty, world.hid, world.sysfs):
        with pytest.raises(ConfigError, match="nowhere"):
            use("nowhere")


def test_files_keep_within_their_folder(start):
    files = start().bus("sys")
    with pytest.raises(DeviceError, match="leads out"):
        files.read("../etc/passwd")
    with pytest.raises(DeviceNotFoundError):
        files.read("bus/usb/devices/9-9")
    assert files.names("bus/usb/devices") == ["1-1", "1-1:1.0", "2-1", "2-1:1.0"]


def test_a_pty_is_quiet_until_it_is_spoken_to(start):
    rig = start()
    port = SerialPort(rig.world.tty("port"), "port")
    port.configure(baud=9600)
    assert port.read(1, limit_s=0.05) == b""
    port.write(b"\xff")
    assert port.read(200, limit_s=5, until=b"CH8: ").startswith(b"CH1: ")
    port.close()
