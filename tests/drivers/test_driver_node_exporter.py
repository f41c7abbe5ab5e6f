"""Golden page: Debian 12's prometheus-node-exporter 1.5.0, asked for the collectors that the driver
asks for; boot and start times were replaced. Lines of sensors are written by hand in its format.
"""

import asyncio
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from hwctl.model.errors import HostError
from hwctl_drivers.node_exporter import DRIVER, NodeExporterOptions, parse

PAGE = (Path(__file__).parent / "golden" / "node_exporter-1.5.0.txt").read_bytes()
URL = "http://10.42.0.10:9100/metrics"


def reference(page):
    """The same sums by prometheus_client's parser."""
    samples = [
        sample
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    ]
    cpu = [s for s in samples if s.name == "node_cpu_seconds_total"]
    total = math.fsum(s.value for s in cpu)
    idle = math.fsum(s.value for s in cpu if s.labels["mode"] in ("idle", "iowait"))
    memory = {s.name: s.value for s in samples if s.name.startswith("node_memory_Mem")}
    used = 1 - memory["node_memory_MemAvailable_bytes"] / memory["node_memory_MemTotal_bytes"]
    return total - idle, total, len({s.labels["cpu"] for s in cpu}), used


def agrees(page):
    sample = parse(page)
    busy, total, cpus, used = reference(page)
    assert sample.total_s == pytest.approx(total)
    assert sample.busy_s == pytest.approx(busy, abs=1e-9 * total)
    assert (sample.cpus, sample.memory) == (cpus, pytest.approx(used))
    return sample


def test_the_real_page_as_prometheus_own_parser_reads_it():
    sample = agrees(PAGE)
    assert (sample.cpus, sample.boot_id) == (2, "1.7e+09")
    assert (sample.celsius, sample.throttled, sample.load) == (None, None, None)


counter = st.one_of(
    st.just(0.0), st.floats(0, 1e9, allow_subnormal=False), st.integers(0, 10**9).map(float)
)
MODES = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")


@st.composite
def pages(draw):
    """Pages in node_exporter's order and spelling, with Go's shortest floats."""
    lines = [
        "# HELP node_boot_time_seconds Node boot time, in unixtime.",
        "# TYPE node_boot_time_seconds gauge",
        f"node_boot_time_seconds {draw(st.integers(1, 2**31))}",
        "# HELP node_cpu_guest_seconds_total Seconds the CPUs spent in guests (VMs).",
        "# TYPE node_cpu_guest_seconds_total counter",
        'node_cpu_guest_seconds_total{cpu="0",mode="user"} 7',
        "# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.",
        "# TYPE node_cpu_seconds_total counter",
    ]
    for cpu in range(draw(st.integers(1, 12))):
        lines += [
            f'node_cpu_seconds_total{{cpu="{cpu}",mode="{mode}"}} {draw(counter)!r}'
            for mode in MODES
        ]
    total = draw(st.integers(1, 10**12))
    lines += [
        "# HELP node_memory_MemAvailable_bytes Memory information field.",
        "# TYPE node_memory_MemAvailable_bytes gauge",
        f"node_memory_MemAvailable_bytes {draw(st.integers(0, total))}",
        "# HELP node_memory_MemTotal_bytes Memory information field.",
        "# TYPE node_memory_MemTotal_bytes gauge",
        f"node_memory_MemTotal_bytes {total}",
    ]
    return "\n".join(lines).encode() + b"\n"


@settings(max_examples=60, deadline=None)
@given(pages())
def test_made_up_pages_as_prometheus_own_parser_reads_them(page):
    agrees(page)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PAGE) - 2))
def test_a_page_cut_anywhere_is_refused_or_agrees(length):
    """Where a line happens to be whole, what was not reached is unknown, never wrong."""
    whole = parse(PAGE)
    try:
        sample = parse(PAGE[:length])
    except HostError:
        return
    assert (sample.busy_s, sample.total_s) == (whole.busy_s, whole.total_s)
    assert sample.memory in (None, whole.memory)


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_noise_is_refused(noise):
    with pytest.raises(HostError):
        parse(noise)


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<!doctype html><title>node</title>\n",
        b"Limit of concurrent requests reached (40), try again later.\n",
        PAGE[:-1],
        PAGE[: PAGE.index(b"# HELP node_cpu_seconds_total")],
    ],
    ids=["nothing", "html", "refused", "cut in a line", "cut before the CPUs"],
)
def test_what_is_no_page_is_shown(page):
    with pytest.raises(HostError, match="no whole page") as caught:
        parse(page, "node_exporter at pi0:9100")
    assert repr(page[:20])[2:-1] in caught.value.what
    assert caught.value.where == "node_exporter at pi0:9100"


@pytest.mark.parametrize("line", [b'cpu="1",mode="softirq"', b'cpu="1",mode="idle"'])
def test_a_page_cut_between_two_lines_of_cpus_is_refused(line):
    end = PAGE.index(b"node_cpu_seconds_total{" + line)
    with pytest.raises(HostError, match="truncated"):
        parse(PAGE[:end])


@pytest.mark.parametrize(
    "value",
    [b"NaN", b"+Inf", b"-Inf", b"-1", b"1e13", b"", b"x", b"1_0", b"12 1700000000000"],
)
def test_a_counter_that_cannot_be_is_refused(value):
    line = b'node_cpu_seconds_total{cpu="0",mode="user"} '
    start = PAGE.index(line) + len(line)
    page = PAGE[:start] + value + PAGE[PAGE.index(b"\n", start) :]
    with pytest.raises(HostError, match=r"cannot be|truncated"):
        parse(page)


@pytest.mark.parametrize("metric", [b"node_boot_time_seconds", b"node_memory_MemTotal_bytes"])
def test_a_gauge_that_is_not_a_number_is_refused(metric):
    start = PAGE.index(b"\n" + metric + b" ") + len(metric) + 2
    page = PAGE[:start] + b"NaN" + PAGE[PAGE.index(b"\n", start) :]
    with pytest.raises(HostError, match="cannot be"):
        parse(page)


def test_what_is_not_on_the_page_is_unknown():
    start, end = PAGE.index(b"# HELP node_cpu_seconds"), PAGE.index(b"# TYPE node_exporter_build")
    sample = parse(b"\n" + PAGE[start:end])
    assert (sample.memory, sample.celsius, sample.boot_id) == (None, None, None)
    assert sample.total_s == parse(PAGE).total_s


def test_guest_time_that_stands_among_the_modes_is_not_counted_twice():
    """As prometheus/node_exporter#737 was before it was mended."""
    guest = b"".join(
        b'node_cpu_seconds_total{cpu="%d",mode="guest"} 5000\n' % cpu for cpu in range(2)
    )
    first = PAGE.index(b"node_cpu_seconds_total{")
    assert parse(PAGE[:first] + guest + PAGE[first:]) == parse(PAGE)


def with_sensors(*lines):
    return PAGE + b"# HELP node_x x\n" + b"".join(line + b"\n" for line in lines)


ZONE = b'node_thermal_zone_temp{type="%s",zone="%d"} %s'
HWMON = b'node_hwmon_temp_celsius{chip="thermal_thermal_zone0",sensor="temp%d"} %s'


@pytest.mark.parametrize(
    ("lines", "celsius"),
    [
        ([ZONE % (b"cpu-thermal", 0, b"48.312")], 48.312),
        ([ZONE % (b"gpu-thermal", 0, b"80"), ZONE % (b"cpu-thermal", 1, b"50")], 50.0),
        ([ZONE % (b"soc-thermal", 0, b"44"), ZONE % (b"bigcore0-thermal", 1, b"61")], 61.0),
        ([ZONE % (b"x86_pkg_temp", 0, b"52"), HWMON % (1, b"90")], 52.0),
        ([ZONE % (b"cpu-thermal", 0, b"-128"), HWMON % (1, b"47")], 47.0),
        ([HWMON % (1, b"40"), HWMON % (2, b"55"), HWMON % (3, b"200")], 55.0),
        ([ZONE % (b"cpu-thermal", 0, b"NaN")], None),
        ([ZONE % (b"cpu-thermal", 0, b"126")], None),
        ([ZONE % (b"iwlwifi_1", 0, b"60")], None),
    ],
)
def test_temperature_is_the_hottest_that_can_be_believed(lines, celsius):
    assert parse(with_sensors(*lines)).celsius == celsius


def test_sampling_asks_for_five_collectors_and_keeps_its_limits(net):
    network = net(page=PAGE)
    source = DRIVER.open(network, NodeExporterOptions(url=URL))
    assert asyncio.run(source.sample()) == parse(PAGE)
    asyncio.run(source.close())
    path = (
        "/metrics?collect[]=cpu&collect[]=hwmon&collect[]=meminfo"
        "&collect[]=stat&collect[]=thermal_zone"
    )
    assert network.asked == [("10.42.0.10", 9100, path, 2.0, 1 << 20)]


def test_nonsense_names_the_node(net):
    source = DRIVER.open(net(page=b"hello\n"), NodeExporterOptions(url=URL))
    with pytest.raises(HostError) as caught:
        asyncio.run(source.sample())
    assert caught.value.where == "node_exporter at 10.42.0.10:9100"


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"url": "http://pi0"}, ("pi0", 80, "/metrics?collect[]=cpu")),
        ({"url": "http://pi0:9100/x/metrics", "collect": []}, ("pi0", 9100, "/x/metrics")),
    ],
)
def test_host_port_and_path_are_the_users(net, options, asked):
    network = net(page=PAGE)
    chosen = NodeExporterOptions(**{"collect": ["cpu"], **options})
    asyncio.run(DRIVER.open(network, chosen).sample())
    assert network.asked[0][:3] == asked


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "https://pi0:9100/metrics"},
        {"url": "http://me:secret@pi0/metrics"},
        {"url": "http://pi0/metrics?x=1"},
        {"url": "pi0:9100"},
        {"collect": ["cpu&x=1"]},
        {"limit_s": 0},
    ],
)
def test_options_that_cannot_be_are_refused(bad):
    with pytest.raises(ValidationError):
        NodeExporterOptions(**{"url": URL, **bad})
