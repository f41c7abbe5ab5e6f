"""The exporter's page, judged by prometheus_client's parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hwctl.model.errors import HostError
from hwctl_emulated.node import FAULTS
from hwctl_emulated.page import go_float


def parse(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1605.22, "1605.22"),
        (809_720.0, "809720"),
        (1_234_567.0, "1.234567e+06"),
        (2.5276502016e10, "2.5276502016e+10"),
        (1.7952331728954291e9, "1.7952331728954291e+09"),
        (2.1884e-05, "2.1884e-05"),
        (0.000154959, "0.000154959"),
        (1e6, "1e+06"),
        (999_999.5, "999999.5"),
        (-12.5, "-12.5"),
        (-3e-7, "-3e-07"),
        (1e21, "1e+21"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_floats_are_printed_as_go_prints_them(value, text):
    """The first ones stand on the page of Debian's node_exporter 1.5.0."""
    assert go_float(value) == text


def test_the_page_parses_and_holds_what_the_world_knows(world):
    world.control({"op": "node", "node": "pi1", "load": 0.5})
    world.advance_to(300)
    values = parse(world.page("pi1"))
    node = world.nodes["pi1"]
    cpus = {dict(labels)["cpu"] for name, labels in values if name == "node_cpu_seconds_total"}
    modes = {dict(labels)["mode"] for name, labels in values if name == "node_cpu_seconds_total"}
    assert cpus == {"0", "1", "2", "3"}
    assert modes >= {"idle", "iowait", "user", "system"}
    total = values["node_memory_MemTotal_bytes", ()]
    assert 0 < values["node_memory_MemAvailable_bytes", ()] < total <= 4 * (1 << 30)
    assert values["node_load1", ()] == pytest.approx(node.load1, abs=0.01)
    shown = values["node_thermal_zone_temp", (("type", "cpu-thermal"), ("zone", "0"))]
    assert shown == pytest.approx(node.celsius, abs=0.5)
    assert values["node_time_seconds", ()] == pytest.approx(world.start_wall + world.now)
    assert values["node_boot_time_seconds", ()] == int(node.boot_wall)
    assert values["node_cpu_scaling_frequency_hertz", (("cpu", "0"),)] == 1.8e9
    names = [name for name, _labels in values]
    assert "node_uname_info" in names
    assert "go_goroutines" in names


def test_busy_time_follows_the_load(world):
    def idle(node: str) -> float:
        return sum(
            value
            for (name, labels), value in parse(world.page(node)).items()
            if name == "node_cpu_seconds_total" and dict(labels)["mode"] in ("idle", "iowait")
        )

    world.control({"op": "node", "node": "pi1", "load": 0.75})
    world.advance_to(100)
    before = idle("pi1")
    world.advance_to(200)
    assert idle("pi1") - before == pytest.approx(4 * 100 * 0.25, rel=0.02)


@pytest.mark.parametrize(
    "query",
    [
        "collect[]=cpu&collect[]=meminfo&collect[]=thermal_zone",
        "collect%5B%5D=cpu&collect%5B%5D=meminfo&collect%5B%5D=thermal_zone",
    ],
)
def test_filters(world, query):
    whole, part = world.page("pi2"), world.page("pi2", query)
    assert len(part) < len(whole)
    names = {name for name, _labels in parse(part)}
    assert {
        "node_cpu_seconds_total",
        "node_memory_MemTotal_bytes",
        "node_thermal_zone_temp",
    } < names
    assert "node_load1" not in names
    assert "go_goroutines" in names
    marks = {
        dict(labels)["collector"]
        for name, labels in parse(part)
        if name == "node_scrape_collector_success"
    }
    assert marks == {"cpu", "meminfo", "thermal_zone"}


def test_a_known_collector_without_families_and_an_unknown_one(world):
    assert b"node_cpu" not in world.page("pi2", "collect[]=diskstats")
    got = world.answer("pi2", "/metrics?collect[]=nonsense")
    assert got.status == 400
    assert got.body.endswith(b"missing collector: nonsense")


def test_families_are_in_order_and_told_once(world):
    names = [
        line.split()[2] for line in world.page("pi0").decode().splitlines() if "# TYPE" in line
    ]
    assert names == sorted(set(names))


def test_other_paths(world):
    assert world.answer("pi0", "/").kind.startswith("text/html")
    assert world.answer("pi0", "/nowhere").status == 404


def faulty(world, fault: str):
    world.control({"op": "node", "node": "pi1", "fault": fault, "on": True})
    return world.answer("pi1", "/metrics")


def test_exporter_faults(world):
    assert faulty(world, "exporter-nan").body.count(b"NaN") == 32
    world.nodes["pi1"].faults.clear()
    cpu = [
        line
        for line in faulty(world, "exporter-negative").body.decode().splitlines()
        if line.startswith("node_cpu_seconds_total")
    ]
    assert all(float(line.split()[-1]) < 0 for line in cpu)
    world.nodes["pi1"].faults.clear()
    assert len(faulty(world, "exporter-huge").body) > 10_000_000
    world.nodes["pi1"].faults.clear()
    assert faulty(world, "exporter-truncated").then == "cut"
    world.nodes["pi1"].faults.clear()
    assert faulty(world, "exporter-endless").then == "repeat"
    world.nodes["pi1"].faults.clear()
    busy = faulty(world, "exporter-busy")
    assert (busy.status, b"try again later" in busy.body) == (503, True)
    world.nodes["pi1"].faults.clear()
    assert b"<html>" in faulty(world, "exporter-html").body


@pytest.mark.parametrize(
    "fault",
    ["exporter-dead", "unplugged", "exporter-busy", "exporter-truncated", "exporter-endless"],
)
def test_a_page_that_cannot_be_had_raises(world, fault):
    assert fault in FAULTS
    world.control({"op": "node", "node": "pi1", "fault": fault, "on": True})
    with pytest.raises(HostError) as caught:
        world.page("pi1")
    assert caught.value.where == "pi1"


def test_a_lost_temperature_leaves_the_page(world):
    world.control({"op": "node", "node": "pi1", "fault": "temp-lost", "on": True})
    assert b"temp" not in world.page("pi1", "collect[]=thermal_zone&collect[]=hwmon").lower()
