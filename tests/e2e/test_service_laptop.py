"""hwctl as users start it, on a laptop: its battery, fans and hub ports are the kernel's files."""

import json

import pytest

WIRING = """
[rig]
name = "laptop"
[board]
model = "ThinkPad"
[bus.sys]
kind = "sysfs"
path = "/sys"
[device.battery]
driver = "power_supply"
bus = "sys"
name = "BAT0"
[supply.battery]
kind = "battery"
capacity_wh = 50.0
output_gauge = { device = "battery" }
[rail.5v]
supply = "battery"
volts = 5.1
budget_amps = 4.0
[device.board]
driver = "hwmon_fan"
bus = "sys"
chip = "nct6775"
[device.pwm]
driver = "pwm_fan"
bus = "sys"
chip = "pwmchip0"
[fan.case]
device = "board"
channel = 2
rpm_max = 3000
[fan.lid]
device = "pwm"
channel = 1
rpm_max = 3000
[device.port]
driver = "usb_port"
bus = "sys"
port = "1-1.3"
[outlet.port]
device = "port"
rail = "5v"
node = "pi"
[node.pi]
role = "compute"
"""
SETTINGS = """
wiring = "football.toml"
[supply.battery]
charge_at_first_start = 0.6
[shutdown]
stages = [["compute"]]
[host.pi]
load = { driver = "node_exporter", url = "http://10.42.1.1:9100/metrics" }
control = { driver = "ssh", address = "10.42.1.1", user = "hwctl" }
"""


@pytest.fixture
def laptop(service):
    (service.folder / "football.toml").write_text(WIRING)
    service.write(SETTINGS)
    return service


def test_a_laptop_s_battery_and_fans(laptop, wait_for):
    assert "good" in laptop.hwctl("check", str(laptop.config))
    laptop.start(speed=20.0)
    wait_for("all are up", laptop.all_up)
    laptop.world({"op": "mains", "on": False})

    def of(kind, name):
        return laptop.get(f"/api/v1/{kind}/{name}")

    battery = wait_for(
        "it gives", lambda: (s := of("supplies", "battery"))["amps"] and s["amps"] > 0 and s
    )
    truth = laptop.world()["supplies"]["battery"]
    assert battery["quality"] == "ok"
    assert battery["volts"] == pytest.approx(truth["pack_volts"], rel=0.02)
    # The fans move air, and follow a load.
    laptop.world({"op": "node", "node": "pi", "load": 0.0})
    wait_for("less air", lambda: all(fan["duty"] < 0.6 for fan in laptop.get("/api/v1/fans")))
    assert of("fans", "case")["rpm"] > 0
    assert of("fans", "lid")["rpm"] is None
    laptop.world({"op": "node", "node": "pi", "fault": "temp-lost", "on": True})
    wait_for("safe air", lambda: all(fan["duty"] >= 0.89 for fan in laptop.get("/api/v1/fans")))
    wait_for("it blows", lambda: min(f["rpm"] for f in laptop.world()["fans"].values()) > 2500)
    # What the kernel shows no more is not known any more, and nothing else is lost with it.
    laptop.world({"op": "silence", "device": "battery", "on": True})
    lost = wait_for(
        "the battery is lost", lambda: (s := of("supplies", "battery"))["quality"] == "absent" and s
    )
    assert (lost["volts"], lost["amps"], lost["watts"]) == (None, None, None)
    laptop.hwctl("power", "off", "pi", "--force")
    assert laptop.world()["nodes"]["pi"]["powered"] is False
    kinds = {event["kind"] for event in json.loads(laptop.hwctl("events", "--json"))}
    assert {"driver.failed", "power.done"} <= kinds
    assert laptop.stop() == 0
