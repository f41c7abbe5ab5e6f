"""The football's own files, and worlds made of them."""

import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from smbus2 import i2c_msg

from hwctl.model.settings import Settings
from hwctl.model.wiring import Wiring
from hwctl_emulated import client
from hwctl_emulated.client import WorldClient
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.world import World

WIRING = Path(__file__).parents[2] / "wiring"
LIMIT_S = 30.0
EPOCH = 1_795_000_000.0


@pytest.fixture
def football_config() -> Path:
    return WIRING / "football.hwctl.toml"


@pytest.fixture
def football() -> tuple[Wiring, Settings]:
    wiring = tomllib.loads((WIRING / "football.toml").read_text())
    settings = tomllib.loads((WIRING / "football.hwctl.toml").read_text())
    return Wiring.model_validate(wiring), Settings.model_validate(settings)


@pytest.fixture
def make_world(football) -> Callable[..., World]:
    def make(seed: int = 1, scenario: str = "steady", speed: float = 1.0) -> World:
        wiring, settings = football
        return World(wiring, settings, seed=seed, scenario=scenario, start_wall=EPOCH, speed=speed)

    return make


@pytest.fixture
def world(make_world) -> World:
    return make_world()


@pytest.fixture
def read() -> Callable[[EmulatedI2c, int, int, int], bytes]:
    """read(bus, address, register, length) as smbus2 does it."""

    def read(bus, address: int, register: int, length: int) -> bytes:
        message = i2c_msg.read(address, length)
        bus.i2c_rdwr(i2c_msg.write(address, [register]), message)
        return bytes(message)

    return read


@pytest.fixture
def write() -> Callable[..., None]:
    """write(bus, address, register, byte, byte, ...)"""

    def write(bus, address: int, *data: int) -> None:
        bus.i2c_rdwr(i2c_msg.write(address, list(data)))

    return write


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """What a function gives as soon as it is true: another process has its own time."""

    def eventually(wanted: Callable[[], Any]) -> Any:
        until = time.monotonic() + LIMIT_S
        while not (found := wanted()):
            assert time.monotonic() < until, "it did not come"
            time.sleep(0.005)
        return found

    return eventually


@pytest.fixture
def begin(football_config, tmp_path) -> Iterator[Callable[..., WorldClient]]:
    """begin() starts or adopts the world of this test; all end with it."""
    begun: list[WorldClient] = []

    def begin(speed: float = 50.0, seed: int = 3) -> WorldClient:
        world = client.start(
            football_config, state_dir=tmp_path, speed=speed, seed=seed, scenario="steady"
        )
        begun.append(world)
        return world

    yield begin
    for world in begun:
        world.stop()
