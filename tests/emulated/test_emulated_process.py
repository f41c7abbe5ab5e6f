"""The world as a process: sockets, HTTP, ssh, and a client that dies.

These run at many times life so that a boot takes a fraction of a second; what must come is waited
for until a generous limit, never for a fixed time.
"""

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest
from gpiozero import Button, OutputDevice
from smbus2 import i2c_msg

from hwctl.model.errors import BusError, ConfigError, RequestError
from hwctl_emulated import client
from hwctl_emulated.client import WorldClient
from hwctl_emulated.files import load
from hwctl_emulated.server import Server

LIMIT_S = 30.0
STATUS = {"op": "status"}


@pytest.fixture
def world(begin) -> WorldClient:
    return begin()


def node(world: WorldClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.control(STATUS)["nodes"][name]
    return found


# --- buses ------------------------------------------------------------------------------------


def test_i2c_over_the_socket(world):
    bus = world.i2c("i2c1")
    first, second = i2c_msg.read(0x40, 2), i2c_msg.read(0x2E, 3)
    bus.i2c_rdwr(i2c_msg.write(0x40, [0x3E]), first)
    bus.i2c_rdwr(i2c_msg.write(0x2E, [0xFD]), second)
    assert (bytes(first), bytes(second)) == (b"TI", b"\x36\x5d\x80")
    with pytest.raises(OSError, match=r"\[Errno 6\]"):
        bus.i2c_rdwr(i2c_msg.read(0x77, 1))
    world.control({"op": "gauge", "device": "bank-out", "fault": "timeout"})
    with pytest.raises(OSError, match=r"\[Errno 110\]"):
        bus.i2c_rdwr(i2c_msg.read(0x40, 1))


def test_spi_over_the_socket(world):
    spi = world.spi("spi0")
    spi.configure(speed_hz=2_400_000)
    spi.write(bytes([0]) + bytes([0b11011011, 0b01101101, 0b10110110] * 180) + bytes(90))
    assert world.control(STATUS)["strips"]["lid"]["pixels"] == "ff" * 180
    with pytest.raises(OSError, match="too long"):
        spi.write(bytes(spi.max_transfer + 1))


def test_gpio_over_the_socket(world):
    relay = OutputDevice(
        "J8:29", active_high=False, initial_value=None, pin_factory=world.gpio("gpio")
    )
    assert relay.value == 1
    relay.off()
    assert node(world, "pi1")["state"] == "off"
    relay.on()
    assert node(world, "pi1")["state"] == "booting"
    pin = world.gpio("gpio").pin("GPIO22")
    assert (pin.function, pin.pull, pin.state) == ("input", "down", False)
    pin.pull = "up"
    assert pin.state


def test_edges_come_over_the_socket(world):
    told = threading.Event()

    def pressed() -> None:
        told.set()

    button = Button("GPIO22", pull_up=False, pin_factory=world.gpio("gpio"))
    button.when_pressed = pressed
    world.gpio("gpio").pin("GPIO22").pull = "up"
    assert told.wait(LIMIT_S)
    button.close()


def test_buses_do_not_share_a_connection(world):
    one, other = world.i2c("i2c1"), world.i2c("i2c1")
    one.close()
    message = i2c_msg.read(0x40, 2)
    other.i2c_rdwr(i2c_msg.write(0x40, [0x3E]), message)
    assert bytes(message) == b"TI"
    with pytest.raises(OSError, match="gone"):
        one.i2c_rdwr(message)


def test_a_bus_that_is_not_wired_and_an_order_that_cannot_be(world):
    with pytest.raises(ConfigError, match="i2c7"):
        world.i2c("i2c7")
    with pytest.raises(RequestError, match="explode"):
        world.control({"op": "explode"})


def test_its_time_follows_the_clock(world):
    before = world.control(STATUS)["now"]
    info = world.info
    after = info.zero_sim + (time.monotonic() - info.zero_monotonic) * info.speed
    assert 0 <= before <= after
    assert (info.speed, info.seed) == (50.0, 3)
    assert info.start_wall <= time.time()


# --- life and death -------------------------------------------------------------------------------


def test_a_world_outlives_its_client_and_is_adopted_as_it_was(begin):
    first = begin()
    relay = OutputDevice("J8:29", active_high=False, pin_factory=first.gpio("gpio"))
    first.i2c("i2c1").i2c_rdwr(i2c_msg.write(0x2E, [0x30, 0x5A]))
    assert relay.value == 0
    first.close()  # the sockets end as they do with kill -9: the world sees them close
    second = begin()
    assert second.info == first.info
    outlets = second.control(STATUS)["outlets"]
    assert [outlets[name]["on"] for name in ("feed0", "feed1", "feed2")] == [True, False, True]
    setting = i2c_msg.read(0x2E, 1)
    second.i2c("i2c1").i2c_rdwr(i2c_msg.write(0x2E, [0x30]), setting)
    assert bytes(setting) == b"\x5a"


def test_a_killed_client_leaves_its_world(begin, football_config, tmp_path):
    """A process of its own starts the world, turns a relay, and is killed."""
    import subprocess
    import sys

    program = (
        "import sys, time; from pathlib import Path; from hwctl_emulated import client\n"
        "from gpiozero import OutputDevice\n"
        "w = client.start(Path(sys.argv[1]), state_dir=Path(sys.argv[2]), speed=50.0, seed=3,"
        " scenario='steady')\n"
        "r = OutputDevice('J8:31', active_high=False, pin_factory=w.gpio('gpio'))\n"
        "print(w.info.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(football_config), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        pid = int(other.stdout.readline())
        other.kill()
    world = begin()
    assert world.info.pid == pid
    assert not world.control(STATUS)["outlets"]["feed2"]["on"]


def test_another_seed_is_another_world(begin):
    first = begin(seed=3)
    second = begin(seed=4)
    assert second.info.pid != first.info.pid
    assert second.info.seed == 4
    with pytest.raises(BusError, match="gone"):
        first.control(STATUS)


def test_a_lost_world_is_an_oserror_on_every_bus(world):
    bus, spi = world.i2c("i2c1"), world.spi("spi0")
    relay = OutputDevice(
        "J8:29", active_high=False, initial_value=None, pin_factory=world.gpio("gpio")
    )
    os.kill(world.info.pid, signal.SIGKILL)
    for use in (
        lambda: bus.i2c_rdwr(i2c_msg.read(0x40, 1)),
        lambda: spi.write(b"\0"),
        relay.on,
        lambda: world.control(STATUS),
    ):
        with pytest.raises(BusError, match="gone"):
            use()


def test_sigterm_ends_it_at_once_and_takes_the_socket_away(world, tmp_path, eventually):
    os.kill(world.info.pid, signal.SIGTERM)
    eventually(lambda: not (tmp_path / "world.sock").exists())
    with pytest.raises(BusError):
        eventually(lambda: world.control(STATUS) is None)


def test_a_world_that_nobody_visits_ends(football_config, tmp_path):
    async def run() -> None:
        server = Server(
            load(football_config),
            state_dir=tmp_path,
            speed=1.0,
            seed=1,
            scenario="steady",
            first_client_s=0.05,
        )
        await asyncio.wait_for(server.serve(), LIMIT_S)

    asyncio.run(run())
    assert not (tmp_path / "world.sock").exists()


def test_a_world_ends_some_time_after_its_last_client(football_config, tmp_path, eventually):
    async def run() -> None:
        server = Server(
            load(football_config),
            state_dir=tmp_path,
            speed=1.0,
            seed=1,
            scenario="steady",
            next_client_s=0.05,
        )
        life = asyncio.create_task(server.serve())
        await asyncio.to_thread(eventually, (tmp_path / "world.sock").exists)
        visitor = await asyncio.to_thread(WorldClient, tmp_path)
        assert (await asyncio.to_thread(visitor.control, STATUS))["mains"]
        visitor.close()
        await asyncio.wait_for(life, LIMIT_S)

    asyncio.run(run())
    assert not (tmp_path / "world.sock").exists()


def test_nonsense_on_the_socket_ends_that_connection_only(world, tmp_path):
    from hwctl_emulated.wire import connect, pack

    for junk in (b"GET / HTTP/1.1\r\n\r\n", pack({"op": []})[:8] + b"[]......", b"\0" * 7 + b"\1{"):
        link = connect(tmp_path)
        link.sendall(junk + b"x" * 64)
        link.settimeout(LIMIT_S)
        while link.recv(4096):
            pass
        link.close()
    assert world.control(STATUS)["mains"]


def test_a_file_that_cannot_be_says_why(tmp_path, football_config):
    with pytest.raises(ConfigError, match="cannot be read"):
        client.start(tmp_path / "no.hwctl.toml", state_dir=tmp_path, speed=1.0, seed=1)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        (football_config.parent / "football.toml").read_text().replace('"ina219"', '"ina999"', 1)
    )
    config = tmp_path / "wrong.hwctl.toml"
    config.write_text(football_config.read_text().replace("football.toml", "wrong.toml"))
    with pytest.raises(ConfigError, match="ina999"):
        client.start(config, state_dir=tmp_path, speed=1.0, seed=1)
