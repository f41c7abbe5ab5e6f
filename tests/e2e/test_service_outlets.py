"""hwctl as users start it, on a rig whose outlets are of many kinds: ptys, sockets, programs."""

import json

import pytest

NODES = {
    "lcus": ('driver = "lcus"\nbus = "port"\nchannels = 2', 2),
    "board": ('driver = "modbus_relay"\nbus = "line"', 8),
    "usb": ('driver = "hid_relay"\nbus = "usb"\nchannels = 2', 1),
    "shelly": ('driver = "shelly"\nhost = "10.42.0.52"\npassword = "p"', 1),
    "poe": ('driver = "snmp_poe"\nhost = "10.42.0.53"', 5),
    "script": (
        'driver = "command"\non = ["/bin/false", "on"]\noff = ["/bin/false", "off"]\n'
        'state = ["/bin/false", "state"]',
        0,
    ),
}
BUSES = """
[rig]
name = "outlets"
[board]
model = "Raspberry Pi 4B"
[bus.port]
kind = "serial"
path = "/dev/hwctl/ch340-1-1"
[bus.line]
kind = "modbus"
path = "10.42.0.9:502"
[bus.usb]
kind = "hid"
path = "/dev/hidraw0"
[supply.wall]
kind = "mains"
capacity_wh = 1.0
[rail.5v]
supply = "wall"
volts = 5.1
budget_amps = 40.0
"""


@pytest.fixture
def outlets(service):
    wiring = BUSES
    settings = 'wiring = "football.toml"\n[shutdown]\nstages = [["compute"]]\n'
    for at, (name, (device, channel)) in enumerate(NODES.items()):
        wiring += (
            f'[device.{name}-dev]\n{device}\n[node.{name}]\nrole = "compute"\n[outlet.{name}]\n'
        )
        wiring += f'device = "{name}-dev"\nchannel = {channel}\nrail = "5v"\nnode = "{name}"\n'
        settings += f'[host.{name}]\nload = {{ driver = "node_exporter", '
        settings += f'url = "http://10.42.1.{at + 1}:9100/metrics" }}\n'
    (service.folder / "football.toml").write_text(wiring)
    service.write(settings)
    return service


def test_every_node_is_cut_and_comes_back(outlets, wait_for):
    outlets.start(speed=25.0)
    wait_for("all are up", outlets.all_up)
    outlets.hwctl("power", "off", *NODES, "--force")
    assert {node["state"] for node in outlets.world()["nodes"].values()} == {"off"}
    assert {node["power"] for node in outlets.get("/api/v1/nodes")} == {"off"}
    outlets.hwctl("power", "on", *NODES)
    nodes = outlets.world()["nodes"].values()
    assert {(node["state"], node["boots"]) for node in nodes} == {("up", 2)}
    assert outlets.stop() == 0


def test_a_device_that_answers_nothing_delays_nobody(outlets, wait_for):
    outlets.start(speed=25.0)
    wait_for("all are up", outlets.all_up)
    silent = {"shelly-dev", "poe-dev", "lcus-dev"}

    def told(kind):
        events = json.loads(outlets.hwctl("events", "--json"))
        return silent <= {event["subject"] for event in events if event["kind"] == kind}

    for name in silent:
        outlets.world({"op": "silence", "device": name, "on": True})
    wait_for("their failures are told", lambda: told("driver.failed"))
    assert "done" in outlets.hwctl("power", "off", "script", "--force")
    assert outlets.node("board")["power"] == "on"
    for name in silent:
        outlets.world({"op": "silence", "device": name, "on": False})
    wait_for("they are found again", lambda: told("driver.recovered"))
    assert outlets.stop() == 0
