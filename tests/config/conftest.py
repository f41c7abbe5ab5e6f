"""A small rig whose drivers come from another package (``plugin/``), to be spoilt by tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hwctl.config import drivers

PLUGIN = Path(__file__).parent / "plugin"

WIRING = """\
[rig]
name = "small"

[board]
model = "Raspberry Pi Zero 2 W"

[bus.i2c1]
kind = "i2c"
path = "/dev/i2c-1"

[bus.gpio]
kind = "gpio"
path = "pinctrl-bcm2835"

[bus.spi0]
kind = "spi"
path = "/dev/spidev0.0"

[supply.bank]
kind = "power-bank"
capacity_wh = 99.54
output_gauge = { device = "bank-out" }
max_watts = 100.0

[rail.5v]
supply = "bank"
volts = 5.0
budget_amps = 12.0

[device.bank-out]
driver = "acme_gauge"
bus = "i2c1"
address = 0x40
shunt_ohms = 0.002

[device.meter0]
driver = "acme_gauge"
bus = "i2c1"
address = 0x44
shunt_ohms = 0.01

[device.relay0]
driver = "acme_relay"
bus = "gpio"
pin = "J8:7"
active_low = true

[device.relay1]
driver = "acme_relay"
bus = "gpio"
pin = "J8:29"
active_low = true

[device.box]
driver = "acme_expander"
bus = "i2c1"
address = 0x20

[device.fans]
driver = "acme_fans"
bus = "gpio"
pwm = "J8:12"
tacho = "J8:16"

[device.lights]
driver = "acme_strip"
bus = "spi0"
leds = 60

[outlet.feed0]
device = "relay0"
rail = "5v"
node = "pi0"
meter = { device = "meter0" }

[outlet.feed1]
device = "relay1"
rail = "5v"
node = "pi1"
meter = { device = "box", channel = 1 }

[node.pi0]
role = "orchestrator"

[node.pi1]
role = "compute"

[fan.intake]
device = "fans"
channel = 1

[fan.exhaust]
device = "fans"
channel = 2

[strip.lid]
device = "lights"
rail = "5v"
"""

SETTINGS = """\
wiring = "small.toml"

[service]
port = 8470

[supply.bank]
charge_at_first_start = 0.5

[cooling]
curve = [[40.0, 0.25], [70.0, 0.8]]

[lights]
battery_leds = 8

[shutdown]
armed = true
stages = [["compute"], ["orchestrator"]]
floor = 0.10
restart_charge = 0.30

[host.pi0]
load = { driver = "acme_page", url = "http://10.42.0.10/" }
control = { driver = "acme_login", address = "10.42.0.10" }

[host.pi1]
load = { driver = "acme_page", url = "http://10.42.0.11/" }
control = { driver = "acme_login", address = "10.42.0.11" }
"""

Spoil = tuple[str, str]
WriteRig = Callable[..., Path]


def spoilt(text: str, changes: tuple[Spoil, ...]) -> str:
    """``text`` with each first part, which must be in it, replaced by the second."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The other package is installed."""
    monkeypatch.syspath_prepend(PLUGIN)
    drivers.forget()
    yield
    drivers.forget()


@pytest.fixture
def rig(tmp_path: Path) -> WriteRig:
    """Writes the small rig with changes; gives the settings file."""

    def write(wiring: tuple[Spoil, ...] = (), settings: tuple[Spoil, ...] = ()) -> Path:
        (tmp_path / "small.toml").write_text(spoilt(WIRING, wiring))
        path = tmp_path / "small.hwctl.toml"
        path.write_text(spoilt(SETTINGS, settings))
        return path

    return write
