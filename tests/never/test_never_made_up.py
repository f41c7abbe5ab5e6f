"""9. An unknown value is shown as 0, as the last value without its age, or as "fine"."""

import json

import pytest

from hwctl.faces.api import documents
from hwctl.faces.metrics import render
from hwctl.model.readings import Quality
from hwctl.model.rig import Os, Power, SupplyStatus

MEASURED = {
    "supplies": ("volts", "amps", "watts", "celsius", "runtime_s", "runtime_low_s", "mains"),
    "nodes": ("load", "celsius", "watts", "throttled"),
    "outlets": ("on", "volts", "amps", "watts"),
    "fans": ("duty", "rpm"),
    "strips": ("watts", "fps"),
}


def metrics(stage) -> dict[str, float]:
    lines = [
        line.rpartition(" ")
        for line in render(stage.engine).decode().splitlines()
        if not line.startswith("#")
    ]
    return {name: float(value) for name, _, value in lines}


def test_before_the_first_reading_nothing_is_known(rehearsal):
    stage = rehearsal()
    rig = stage.engine.rig()
    for name, fields in MEASURED.items():
        for thing in getattr(rig, name):
            values = {field: getattr(thing, field) for field in fields}
            assert values == dict.fromkeys(fields), thing.id
            assert thing.quality is Quality.ABSENT
    assert {s.status for s in rig.supplies} == {SupplyStatus.UNKNOWN}
    assert {(n.power, n.os) for n in rig.nodes} == {(Power.UNKNOWN, Os.UNKNOWN)}
    shown = {
        name for name in metrics(stage)
        if name.startswith(("hwctl_supply", "hwctl_node", "hwctl_outlet", "hwctl_fan"))
    }  # fmt: skip
    assert shown == set()


def test_nothing_is_known_of_a_charge_that_nobody_told(rehearsal):
    stage = rehearsal(changes={"settings.supply.bank.charge_at_first_start": None})
    stage.run(60)
    supply = stage.engine.rig().supplies[0]
    assert (supply.charge, supply.charge_margin, supply.runtime_s) == (None, None, None)
    assert "hwctl_supply_charge_ratio" not in "".join(metrics(stage))
    assert stage.engine.rig().shutdown.left_s is None


@pytest.mark.parametrize("fault", ["nak", "timeout", "ones", "zeros"])
def test_gauges_meters_and_fans_that_fail_are_not_known_and_not_zero(rehearsal, fault):
    stage = rehearsal()
    stage.run(10)
    for device in stage.world.parts.addresses:
        stage.control("gauge", device=device, fault=fault)
    stage.run(20)
    rig = stage.engine.rig()
    bad = {Quality.STALE, Quality.SUSPECT, Quality.ABSENT}
    for supply in rig.supplies:
        assert (supply.volts, supply.amps, supply.watts, supply.runtime_s) == (None,) * 4
        assert supply.status is SupplyStatus.UNKNOWN
        assert supply.quality in bad
        assert supply.age_s >= 15
    assert all(outlet.watts is None for outlet in rig.outlets)
    assert all(node.watts is None for node in rig.nodes)
    assert all((fan.rpm, fan.duty) == (None, None) and fan.quality in bad for fan in rig.fans)
    names = "".join(metrics(stage))
    for name in ("supply_volts", "supply_watts", "supply_charge", "fan_speed", "fan_duty"):
        assert f"hwctl_{name}" not in names
    assert rig.problems
    assert not rig.healthy


@pytest.mark.parametrize("fault", ["exporter-dead", "exporter-nan", "exporter-html", "unplugged"])
def test_a_node_that_falls_silent_keeps_its_value_with_its_age(rehearsal, fault):
    stage = rehearsal()
    stage.control("node", node="pi1", load=0.7)
    stage.run(30)
    before = stage.engine.rig().nodes[1]
    assert before.load == pytest.approx(0.7, abs=0.02)
    stage.control("node", node="pi1", fault=fault, on=True)
    seen = []
    for _ in range(60):
        stage.rehearsal.step(1.0)
        node = stage.engine.rig().nodes[1]
        assert node.load is not None
        assert abs(node.load - 0.7) < 0.02
        seen.append((node.os, node.quality))
        if node.age_s > 4:
            assert node.quality is Quality.STALE
            assert 'hwctl_node_load_ratio{node="pi1"}' not in metrics(stage)
    assert seen[-1] == (Os.UNREACHABLE, Quality.STALE)
    assert node.age_s == pytest.approx(60, abs=1.5)
    assert metrics(stage)['hwctl_node_up{node="pi1"}'] == 0.0
    assert metrics(stage)['hwctl_node_up{node="pi0"}'] == 1.0


def test_a_node_without_power_has_no_load(rehearsal):
    stage = rehearsal()
    stage.run(20)
    stage.power("pi1", "off", force=True)
    stage.run(20)
    node = stage.engine.rig().nodes[1]
    assert (node.power, node.os) == (Power.OFF, Os.HALTED)
    assert (node.load, node.celsius, node.age_s) == (None, None, None)
    assert 'hwctl_node_load_ratio{node="pi1"}' not in metrics(stage)


def test_the_document_says_null(rehearsal):
    """What the snapshot does not know is null in the JSON that goes out."""
    stage = rehearsal()
    document = json.loads(documents.rig_json(stage.engine.rig()))
    for name, fields in MEASURED.items():
        for thing in document[name]:
            assert {field: thing[field] for field in fields} == dict.fromkeys(fields)
