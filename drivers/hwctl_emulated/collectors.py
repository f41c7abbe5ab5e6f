"""What a node's exporter knows: one function for each of node_exporter's collectors.

Names and HELP texts are those of Debian's prometheus-node-exporter 1.5.0 as run on x86-64. The
Pi's own families (thermal zone, cpufreq, hwmon) are from memory of its source (unverified).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hwctl_emulated.node import MODES, Node

Samples = list[tuple[str, float]]
"""(what follows the name: labels in braces, ``_sum`` or nothing; value)"""


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    kind: str
    help: str
    samples: Samples


def families(node: Node, wall: float, wanted: Iterable[str]) -> list[Family]:
    """Everything the page has, in the order of its names."""
    marks = sorted(set(wanted))
    found = _of_the_exporter(node, wall)
    for name in marks:
        if name in COLLECTORS:
            found += COLLECTORS[name](node, wall)
    found.append(
        Family(
            "node_scrape_collector_duration_seconds",
            "gauge",
            "node_exporter: Duration of a collector scrape.",
            [(f'{{collector="{name}"}}', 1.0e-4 + 1.7e-6 * len(name)) for name in marks],
        )
    )
    found.append(
        Family(
            "node_scrape_collector_success",
            "gauge",
            "node_exporter: Whether a collector succeeded.",
            [(f'{{collector="{name}"}}', 1.0) for name in marks],
        )
    )
    return sorted(found, key=lambda family: family.name)


def _gauge(name: str, text: str, value: float, labels: str = "") -> Family:
    return Family(name, "gauge", text, [(labels, value)])


def _of_the_exporter(node: Node, wall: float) -> list[Family]:
    up = max(0.0, wall - node.boot_wall)
    quantiles: Samples = [
        (f'{{quantile="{quantile}"}}', seconds)
        for quantile, seconds in (
            ("0", 2.8e-05),
            ("0.25", 4.1e-05),
            ("0.5", 6.3e-05),
            ("0.75", 0.000112),
            ("1", 0.000981),
        )
    ]
    quantiles += [("_sum", 0.0127), ("_count", 171)]
    build = (
        '{branch="debian/sid",goarch="arm64",goos="linux",goversion="go1.19.8",'
        'revision="1.5.0-1+b6",version="1.5.0"}'
    )
    allocated = 1_900_000.0 + 60_000 * (wall % 37)
    return [
        Family(
            "go_gc_duration_seconds",
            "summary",
            "A summary of the pause duration of garbage collection cycles.",
            quantiles,
        ),
        _gauge("go_goroutines", "Number of goroutines that currently exist.", 8),
        _gauge("go_info", "Information about the Go environment.", 1, '{version="go1.19.8"}'),
        _gauge("go_memstats_alloc_bytes", "Number of bytes allocated and still in use.", allocated),
        _gauge("go_threads", "Number of OS threads created.", 6),
        _gauge(
            "node_exporter_build_info",
            "A metric with a constant '1' value labeled by version, revision, branch, goversion "
            "from which node_exporter was built, and the goos and goarch for the build.",
            1,
            build,
        ),
        Family(
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            [("", round(0.004 * up, 2))],
        ),
        _gauge("process_resident_memory_bytes", "Resident memory size in bytes.", 19_857_408),
        Family(
            "promhttp_metric_handler_requests_total",
            "counter",
            "Total number of scrapes by HTTP status code.",
            [('{code="200"}', int(up)), ('{code="500"}', 0), ('{code="503"}', 0)],
        ),
    ]


def _cpu(node: Node, wall: float) -> list[Family]:
    del wall
    bad = _damage(node)
    samples: Samples = [
        # The kernel counts in hundredths of a second.
        (f'{{cpu="{cpu}",mode="{mode}"}}', bad(int(modes[mode] * 100) / 100))
        for cpu, modes in enumerate(node.cpu_s)
        for mode in MODES
    ]
    guests: Samples = [
        (f'{{cpu="{cpu}",mode="{mode}"}}', 0)
        for cpu in range(node.board.cpus)
        for mode in ("nice", "user")
    ]
    return [
        Family(
            "node_cpu_guest_seconds_total",
            "counter",
            "Seconds the CPUs spent in guests (VMs) for each mode.",
            guests,
        ),
        Family(
            "node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", samples
        ),
    ]


def _damage(node: Node) -> Callable[[float], float]:
    if "exporter-nan" in node.faults:
        return lambda _value: float("nan")
    if "exporter-negative" in node.faults:
        return lambda value: -value - 1
    return lambda value: value


def _cpufreq(node: Node, wall: float) -> list[Family]:
    del wall
    # 600 MHz, the slowest step of a Pi; ondemand runs an idle core at it.
    samples: Samples = [
        (f'{{cpu="{cpu}"}}', round(max(0.6e9, node.board.hertz * (node.speed if busy else 0)), -8))
        for cpu, busy in enumerate(node.busy)
    ]
    tops: Samples = [(f'{{cpu="{cpu}"}}', node.board.hertz) for cpu in range(node.board.cpus)]
    return [
        Family(
            "node_cpu_scaling_frequency_hertz",
            "gauge",
            "Current scaled CPU thread frequency in hertz.",
            samples,
        ),
        Family(
            "node_cpu_scaling_frequency_max_hertz",
            "gauge",
            "Maximum scaled CPU thread frequency in hertz.",
            tops,
        ),
    ]


def _meminfo(node: Node, wall: float) -> list[Family]:
    del wall
    total = node.board.memory * 0.97 // 4096 * 4096
    used = total * (0.08 + 0.5 * node.load) // 4096 * 4096
    cached = total * 0.12 // 4096 * 4096
    values = {
        "Buffers_bytes": 38_117_376.0,
        "Cached_bytes": cached,
        "MemAvailable_bytes": total - used,
        "MemFree_bytes": max(0.0, total - used - cached),
        "MemTotal_bytes": total,
        "SwapFree_bytes": 104_853_504.0,
        "SwapTotal_bytes": 104_853_504.0,
    }
    return [
        _gauge(f"node_memory_{name}", f"Memory information field {name}.", value)
        for name, value in values.items()
    ]


def _loadavg(node: Node, wall: float) -> list[Family]:
    del wall
    return [
        _gauge("node_load1", "1m load average.", round(node.load1, 2)),
        _gauge("node_load15", "15m load average.", round(0.8 * node.load1, 2)),
        _gauge("node_load5", "5m load average.", round(0.9 * node.load1, 2)),
    ]


def _thermal_zone(node: Node, wall: float) -> list[Family]:
    del wall
    if node.shown_celsius is None:
        return []
    return [
        _gauge(
            "node_thermal_zone_temp",
            "Zone temperature in Celsius",
            round(node.shown_celsius, 3),
            '{type="cpu-thermal",zone="0"}',
        )
    ]


def _hwmon(node: Node, wall: float) -> list[Family]:
    del wall
    if node.shown_celsius is None:
        return []
    chip = "thermal_thermal_zone0"
    return [
        _gauge(
            "node_hwmon_chip_names",
            "Annotation metric for human-readable chip names",
            1,
            f'{{chip="{chip}",chip_name="cpu_thermal"}}',
        ),
        _gauge(
            "node_hwmon_temp_celsius",
            "Hardware monitor for temperature (input)",
            round(node.shown_celsius, 3),
            f'{{chip="{chip}",sensor="temp1"}}',
        ),
    ]


def _stat(node: Node, wall: float) -> list[Family]:
    del wall
    switches = sum(modes["user"] for modes in node.cpu_s) * 900
    return [
        _gauge(
            "node_boot_time_seconds",
            "Node boot time, in unixtime.",
            float(int(node.boot_wall)),
        ),
        Family(
            "node_context_switches_total",
            "counter",
            "Total number of context switches.",
            [("", float(int(switches)))],
        ),
        _gauge(
            "node_procs_running",
            "Number of processes in runnable state.",
            1 + sum(busy > 0.5 for busy in node.busy),
        ),
    ]


def _time(node: Node, wall: float) -> list[Family]:
    del node
    return [
        _gauge("node_time_seconds", "System time in seconds since epoch (1970).", round(wall, 6))
    ]


def _uname(node: Node, wall: float) -> list[Family]:
    del wall
    labels = (
        f'{{domainname="(none)",machine="aarch64",nodename="{node.name}",'
        'release="6.12.47+rpt-rpi-v8",sysname="Linux",'
        'version="#1 SMP PREEMPT Debian 1:6.12.47-1+rpt1"}'
    )
    text = "Labeled system information as provided by the uname system call."
    return [_gauge("node_uname_info", text, 1, labels)]


COLLECTORS: dict[str, Callable[[Node, float], list[Family]]] = {
    "cpu": _cpu,
    "cpufreq": _cpufreq,
    "hwmon": _hwmon,
    "loadavg": _loadavg,
    "meminfo": _meminfo,
    "stat": _stat,
    "thermal_zone": _thermal_zone,
    "time": _time,
    "uname": _uname,
}
OTHERS = frozenset(
    {"diskstats", "filefd", "filesystem", "netdev", "netstat", "os", "pressure", "sockstat"}
    | {"textfile", "timex", "vmstat", "rapl", "powersupplyclass", "netclass", "udp_queues"}
)
"""Collectors that the real one has too, and whose families nobody here needs."""
