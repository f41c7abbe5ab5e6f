"""prometheus-node-exporter: what a node says of its load, memory and temperature.

Part        node_exporter 1.x (tested with Debian's 1.5.0), HTTP, usually on port 9100
Sources     a page of Debian's prometheus-node-exporter 1.5.0 (tests/drivers/golden);
            prometheus/node_exporter#737 and #744 (guest time)
Size        full page 57,510 bytes, the five collectors asked for here 17,918 (2 CPUs, no sensors)
Quirks      - Guest time is counted within user and nice, and has its own series (#737, #744).
            - More than 40 scrapes at a time are refused with status 503 and a line of text.
            - A collector that is switched off on the node makes the whole page fail with
              status 400: leave it out of `collect`.
            - ``boot_id`` is the boot time that the kernel derives from its clock. It changes with
              every boot, and also when a clock that was wrong at boot is set.
            - Whether a node is throttled does not follow from its clock frequency (an idle one is
              slow as well), so ``throttled`` stays unknown.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AnyUrl, Field, StringConstraints, UrlConstraints, field_validator

from hwctl.model.drivers import Driver, LoadSample, Net, Options
from hwctl.model.errors import HostError
from hwctl.model.units import Celsius, Ratio

COLLECT = ("cpu", "hwmon", "meminfo", "stat", "thermal_zone")
"""``stat`` for the boot time."""
MOST = 1 << 20
"""Bytes of the longest page; a full one of a 2-CPU machine has 58 kB."""
ABSURD = 1e12
"""No seconds reach this; a timestamp behind a value, which is in milliseconds, does."""
ABSURD_BYTES = 1e15
"""A thousand terabytes of memory."""
CPU = b"node_cpu_seconds_total"
IDLE = (b"idle", b"iowait")
WITHIN_OTHERS = (b"guest", b"guest_nice")
CPU_ZONES = (b"cpu", b"soc", b"x86_pkg_temp", b"core")
"""Parts of the types of thermal zones that follow the CPU, e.g. cpu-thermal, soc_thermal."""
COLDEST, HOTTEST = -20.0, 125.0
"""Degrees Celsius; a sensor that reads outside is not believed."""


def parse(page: bytes, where: str = "") -> LoadSample:
    """The sample in a page, by a scan for the few series that count.

    :raises HostError: no page of node_exporter, a truncated one, or a value that cannot be.
    """
    if not page.endswith(b"\n") or not (cpu := list(_series(page, CPU))):
        raise HostError(
            f"its answer is no whole page of node_exporter: {page[:60]!r}",
            where=where,
            hint="open the address in a browser: the page must list node_cpu_seconds_total",
        )
    seconds: dict[bytes, float] = {}
    counts: dict[bytes, int] = {}
    for labels, text in cpu:
        mode = labels[labels.find(b'mode="') + 6 :].partition(b'"')[0]
        seconds[mode] = seconds.get(mode, 0.0) + _number(text, where)
        counts[mode] = counts.get(mode, 0) + 1
    cpus = counts.get(b"idle", 0)
    last = page[page.rfind(b"\n", 0, -1) + 1 :]
    if last.startswith(CPU + b"{") or any(count != cpus for count in counts.values()):
        raise HostError(
            f"its page is truncated; it ends in {last[-60:]!r}",
            where=where,
            hint="open the address in a browser: other families follow the CPUs'",
        )
    idle = sum(seconds.get(mode, 0.0) for mode in IDLE)
    busy = sum(seconds[mode] for mode in seconds if mode not in IDLE + WITHIN_OTHERS)
    boot = _value(page, b"node_boot_time_seconds")
    if boot is not None:
        _number(boot, where)
    return LoadSample(
        busy_s=busy,
        total_s=busy + idle,
        cpus=cpus,
        celsius=_celsius(page),
        memory=_memory(page, where),
        boot_id=None if boot is None else boot.decode("ascii", "replace"),
    )


def _series(page: bytes, name: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Labels and value of each line of a metric with labels."""
    start = page.find(b"\n" + name + b"{") + 1
    if not start:
        return
    prefix = len(name) + 1
    end = page.find(b"\n#", start)
    for line in page[start : len(page) if end < 0 else end].splitlines():
        if line[:prefix] != name + b"{":
            return
        labels, _, value = line[prefix:].rpartition(b" ")
        yield labels, value


def _value(page: bytes, name: bytes) -> bytes | None:
    """The value of a metric without labels."""
    start = page.find(b"\n" + name + b" ")
    if start < 0:
        return None
    start += len(name) + 2
    return page[start : page.find(b"\n", start)]


def _number(text: bytes, where: str, most: float = ABSURD) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most or b"_" in text:  # NaN fails as well; float() takes 1_000
        raise HostError(
            f"its page has a value that cannot be: {text[:40]!r}",
            where=where,
            hint="look for other software on that port",
        )
    return value


def _memory(page: bytes, where: str) -> Ratio | None:
    """The share of memory in use."""
    of_all = _value(page, b"node_memory_MemTotal_bytes")
    of_free = _value(page, b"node_memory_MemAvailable_bytes")
    if of_all is None or of_free is None:
        return None
    total = _number(of_all, where, ABSURD_BYTES)
    available = _number(of_free, where, ABSURD_BYTES)
    return Ratio(1 - available / total) if 0 < total >= available else None


def _celsius(page: bytes) -> Celsius | None:
    """The hottest thermal zone of the CPU; without one, the hottest sensor of all."""
    zones = (
        text
        for labels, text in _series(page, b"node_thermal_zone_temp")
        if any(part in labels.lower() for part in CPU_ZONES)
    )
    sensors = (text for _, text in _series(page, b"node_hwmon_temp_celsius"))
    for texts in (zones, sensors):
        if believed := [c for c in map(_plausible, texts) if c is not None]:
            return Celsius(max(believed))
    return None


def _plausible(text: bytes) -> float | None:
    try:
        celsius = float(text)
    except ValueError:
        return None
    return celsius if COLDEST <= celsius <= HOTTEST else None


class NodeExporterOptions(Options):
    """What the settings file says of one node's exporter."""

    url: Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http"], host_required=True)] = Field(
        description="http://ADDRESS:9100/metrics"
    )
    collect: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], ...] = Field(
        default=COLLECT, description="collectors to ask for; all if empty"
    )
    limit_s: float = Field(default=2.0, gt=0, le=30, description="for one answer")

    @field_validator("url")
    @classmethod
    def _plain(cls, url: AnyUrl) -> AnyUrl:
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("give host, port and path only; `collect` chooses the collectors")
        return url


class NodeExporter:
    """One node."""

    def __init__(self, net: Net, options: NodeExporterOptions) -> None:
        self._net = net
        self._limit_s = options.limit_s
        self._host = options.url.host or ""
        self._port = options.url.port or 80
        path = options.url.path if options.url.path not in {None, "", "/"} else "/metrics"
        query = "&".join(f"collect[]={name}" for name in options.collect)
        self._path = f"{path}?{query}" if query else f"{path}"
        self._where = f"node_exporter at {self._host}:{self._port}"

    async def sample(self) -> LoadSample:
        """Ask once. :raises HostError: no answer, or nonsense."""
        page = await self._net.get(
            self._host, self._port, self._path, limit_s=self._limit_s, most=MOST
        )
        return parse(page, self._where)

    async def close(self) -> None:
        """Nothing is held: connections are the engine's."""


DRIVER = Driver(
    name="node_exporter",
    summary="load, memory and temperature of any machine that runs prometheus-node-exporter",
    parts=("prometheus-node-exporter",),
    bus="net",
    roles=frozenset({"load"}),
    options=NodeExporterOptions,
    open=NodeExporter,
    proof="Debian's node_exporter 1.5.0; equal to prometheus_client's parser on made-up pages",
)
