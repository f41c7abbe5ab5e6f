"""Rigs of any size, as files: racks of 14 nodes, each with its own relay board, meters and fans."""

from pathlib import Path

RACK = 14
"""Nodes of a rack: as many meters fit on one bus beside a fan controller and a supply's gauge."""
LEDS = 300

_HEAD = """\
[rig]
name = "racks"
title = "{nodes} nodes"

[board]
model = "Raspberry Pi 4B"

[bus.strip]
kind = "spi"
path = "/dev/spidev0.0"

[device.strip]
driver = "ws281x_spi"
bus = "strip"
leds = {leds}
limit_amps = 6.0

[strip.front]
device = "strip"

[supply.main]
kind = "battery"
capacity_wh = {capacity}
output_gauge = {{ device = "gauge" }}

[device.gauge]
driver = "ina228"
bus = "i2c-0"
address = 0x4f
shunt_ohms = 0.0005
max_amps = 200.0
"""
_RACK = """
[bus.i2c-{rack}]
kind = "i2c"
path = "/dev/i2c-{number}"

[bus.relays-{rack}]
kind = "gpio"
path = "relay-board-{rack}"

[device.fans-{rack}]
driver = "emc230x"
bus = "i2c-{rack}"
address = 0x2e

[fan.fan-{rack}]
device = "fans-{rack}"
channel = 1
rpm_max = 4800
"""
_NODE = """
[device.relay-{node}]
driver = "gpio_relay"
bus = "relays-{rack}"
pin = "GPIO{line}"

[device.meter-{node}]
driver = "ina219"
bus = "i2c-{rack}"
address = {address}
shunt_ohms = 0.01

[outlet.feed-{node}]
device = "relay-{node}"
rail = "{rail}"
node = "n{node}"
meter = {{ device = "meter-{node}" }}

[node.n{node}]
role = "{role}"
"""
_SETTINGS = """\
wiring = "racks.toml"

[supply.main]
charge_at_first_start = 0.8

[shutdown]
armed = true
"""
_HOST = """
[host.n{node}]
load = {{ driver = "node_exporter", url = "http://10.{a}.{b}.{c}:9100/metrics" }}
control = {{ driver = "ssh", address = "10.{a}.{b}.{c}", user = "hwctl" }}
"""


_RAIL = """
[rail.{name}]
supply = "main"
volts = 5.1
budget_amps = {amps}
"""


def write(
    nodes: int,
    folder: Path,
    *,
    one_rail_amps: float | None = None,
    node_keys: str = "",
    hosts: bool = True,
) -> Path:
    """Write a rig of ``nodes`` nodes.

    :param one_rail_amps: all on one rail with this budget; else a rail of 40 A for each rack.
    :param node_keys: lines for each node's table.
    :param hosts: whether nodes can be asked about their load, and told to halt.
    :returns: its settings file.
    """
    wiring = [_HEAD.format(nodes=nodes, leds=LEDS, capacity=25.0 * nodes)]
    if one_rail_amps is not None:
        wiring.append(_RAIL.format(name="all", amps=one_rail_amps))
    settings = [_SETTINGS]
    for node in range(nodes):
        rack, place = divmod(node, RACK)
        if place == 0:
            wiring.append(_RACK.format(rack=rack, number=rack + 1))
            if one_rail_amps is None:
                wiring.append(_RAIL.format(name=f"rack-{rack}", amps=40.0))
        wiring.append(
            _NODE.format(
                node=node, rack=rack, line=place + 4, address=0x40 + place,
                role="orchestrator" if node == 0 else "compute",
                rail=f"rack-{rack}" if one_rail_amps is None else "all",
            )
            + node_keys
        )  # fmt: skip
        if hosts:
            settings.append(_HOST.format(node=node, a=42, b=node // 200, c=node % 200 + 10))
    (folder / "racks.toml").write_text("".join(wiring))
    config = folder / "racks.hwctl.toml"
    config.write_text("".join(settings))
    return config
