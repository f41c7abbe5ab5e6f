"""Prometheus: names, values, and the absence of what is not known."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hwctl import __version__
from hwctl.faces.metrics import Metric, render
from hwctl.model.readings import Quality
from hwctl.model.rig import Os, Power

NAMES = {
    "hwctl_supply_charge_ratio": {"supply"},
    "hwctl_supply_volts": {"supply"},
    "hwctl_supply_amperes": {"supply"},
    "hwctl_supply_watts": {"supply"},
    "hwctl_supply_runtime_seconds": {"supply"},
    "hwctl_node_load_ratio": {"node"},
    "hwctl_node_temperature_celsius": {"node"},
    "hwctl_node_up": {"node"},
    "hwctl_outlet_on": {"outlet"},
    "hwctl_fan_duty_ratio": {"fan"},
    "hwctl_fan_speed_rpm": {"fan"},
    "hwctl_strip_frames_total": {"strip"},
    "hwctl_strip_watts": {"strip"},
    "hwctl_driver_errors_total": {"driver", "kind"},
    "hwctl_shutdown_needed_seconds": set(),
    "hwctl_build_info": {"version"},
}


def samples(service):
    body = render(service)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.fixture
def service(stand_in):
    return stand_in.StandIn()


def test_names_and_labels_are_those_of_the_interface(service):
    found = samples(service)
    labels = {name: {key for key, _ in pairs} for name, pairs in found}
    histogram = {name for name in labels if name.startswith("hwctl_tick_duration_seconds")}
    assert {name: labels[name] for name in labels if name not in histogram} == NAMES
    assert histogram == {
        f"hwctl_tick_duration_seconds_{part}" for part in ("bucket", "count", "sum")
    }


def test_values(service):
    found = samples(service)
    assert found["hwctl_supply_charge_ratio", (("supply", "bank"),)] == 0.62
    assert found["hwctl_node_load_ratio", (("node", "pi1"),)] == pytest.approx(0.3)
    assert found["hwctl_node_up", (("node", "pi1"),)] == 1
    assert found["hwctl_outlet_on", (("outlet", "feed0"),)] == 1
    assert found["hwctl_strip_frames_total", (("strip", "lid"),)] == 1234
    assert found["hwctl_driver_errors_total", (("driver", "bank-out"), ("kind", "timeout"))] == 3
    assert found["hwctl_build_info", (("version", __version__),)] == 1
    assert found["hwctl_shutdown_needed_seconds", ()] == 150


def test_the_tick_histogram_is_cumulative(service):
    found = samples(service)
    buckets = [
        found["hwctl_tick_duration_seconds_bucket", (("le", bound),)]
        for bound in ("0.001", "0.01", "0.1", "+Inf")
    ]
    assert buckets == [5, 8, 9, 10]
    assert found["hwctl_tick_duration_seconds_count", ()] == 10
    assert found["hwctl_tick_duration_seconds_sum", ()] == 0.25


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.SUSPECT, Quality.ABSENT])
def test_what_is_stale_or_unknown_is_absent(service, quality):
    rig = service.rig()
    service.change(
        supplies=tuple(replace(one, quality=quality) for one in rig.supplies),
        nodes=tuple(replace(one, quality=quality) for one in rig.nodes),
        outlets=tuple(replace(one, quality=quality) for one in rig.outlets),
        fans=tuple(replace(one, quality=quality) for one in rig.fans),
        strips=tuple(replace(one, quality=quality) for one in rig.strips),
        shutdown=replace(rig.shutdown, needed_s=None),
    )
    names = {name for name, _ in samples(service) if "tick" not in name}
    assert names == {
        "hwctl_node_up",
        "hwctl_strip_frames_total",
        "hwctl_driver_errors_total",
        "hwctl_build_info",
    }


def test_one_unknown_value_is_absent_and_the_others_are_not(service):
    service.change_node("pi1", celsius=None)
    service.change_supply(runtime_s=None)
    found = samples(service)
    assert ("hwctl_node_temperature_celsius", (("node", "pi1"),)) not in found
    assert ("hwctl_node_load_ratio", (("node", "pi1"),)) in found
    assert ("hwctl_node_temperature_celsius", (("node", "pi2"),)) in found
    assert ("hwctl_supply_runtime_seconds", (("supply", "bank"),)) not in found


@pytest.mark.parametrize(
    ("os", "power", "up"),
    [
        (Os.UP, Power.ON, 1),
        (Os.BOOTING, Power.ON, 0),
        (Os.HALTED, Power.ON, 0),
        (Os.UNREACHABLE, Power.ON, 0),
        (Os.UNKNOWN, Power.OFF, 0),
        (Os.UNKNOWN, Power.ON, None),
        (Os.UNKNOWN, Power.UNKNOWN, None),
    ],
)
def test_up_is_only_told_where_it_is_known(service, os, power, up):
    service.change_node("pi1", os=os, power=power)
    assert samples(service).get(("hwctl_node_up", (("node", "pi1"),))) == up


def test_over_http(site):
    with site.client() as client:
        plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert any(
        family.name == "hwctl_node_up" for family in text_string_to_metric_families(plain.text)
    )


@pytest.mark.parametrize("label", ["plain", 'quo"te', "back\\slash", "new\nline", "ümläut", ""])
def test_any_label_is_read_back_as_it_was(label):
    metric = Metric("hwctl_x", "gauge", "text", (("", (("node", label),), 1.5),))
    (family,) = text_string_to_metric_families("\n".join(metric.lines()) + "\n")
    (sample,) = family.samples
    assert (sample.labels, sample.value) == ({"node": label}, 1.5)
