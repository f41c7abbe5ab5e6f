"""The HTTP interface, and what its clients do to the ticks."""

import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import rigs
from bench.children import get, running, said, service, until
from bench.figure import ROOT, Figure, Job, Result, Setup
from bench.measure import percentile

FOOTBALL = ROOT / "wiring" / "football.hwctl.toml"
SETTLE_S = 3.0
"""For a rig to come up: first scrapes, first readings."""
CLIENTS = 8
EVERYTHING = (
    "/api/v1/rig", "/api/v1/nodes", "/metrics", "/api/v1/events", "/api/v1/rig",
    "/api/v1/operations", "/api/v1/outlets", "/api/v1/fans", "/api/v1/strips",
    "/api/v1/supplies", "/api/v1/shutdown", "/healthz",
)  # fmt: skip
"""What the clients ask for, one after the other; the whole document twice."""

API = Figure(
    "api_rig_56_nodes", "ms",
    "GET /api/v1/rig with 56 nodes, median, one client on a kept-open connection, while the "
    "service runs the rig on emulated hardware and ticks 4 times a second",
    limit=1,
)  # fmt: skip
EMPTY = Figure(
    "api_empty_fastapi_route", "ms",
    "The same client and an empty FastAPI route, served the same way",
    peer_of=API.name,
)  # fmt: skip
_DELAY = (
    f"Delay of a tick with {{}}, 99th percentile, while {CLIENTS} clients ask for everything "
    "without pause: how late it began and how long it took together"
)
DELAY_4 = Figure("tick_delay_p99_8_clients", "ms", _DELAY.format("the football"), 20)
DELAY_56 = Figure(
    "tick_delay_p99_8_clients_56_nodes", "ms", _DELAY.format("56 nodes"), peer_of=DELAY_4.name
)


def measure_api(setup: Setup) -> Iterator[Result]:
    """Ours, then the empty route."""
    folder = setup.folder("api")
    requests = 300 if setup.quick else 3000
    with service(rigs.write(56, folder), folder) as (_child, port):
        time.sleep(SETTLE_S)
        taken, size = _asked(port, "/api/v1/rig", requests)
        yield Result(
            API.name, statistics.median(taken) * 1e3,
            f"{size / 1000:.0f} kB; 99th percentile {percentile(taken, 0.99) * 1e3:.2f} ms",
        )  # fmt: skip
    log = folder / "empty.log"
    with running([sys.executable, "-m", "bench.empty_app"], log) as child:
        until("the empty route", child, log, lambda: said(log, r"port (\d+)\n") is not None)
        taken, _size = _asked(int(said(log, r"port (\d+)\n") or 0), "/empty", requests)
        yield Result(EMPTY.name, statistics.median(taken) * 1e3)


def _asked(port: int, path: str, requests: int) -> tuple[list[float], int]:
    """Seconds of each request, a millisecond's pause between them; bytes of the last answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(20):
        get(connection, path)
    taken, body = [], b""
    for _ in range(requests):
        time.sleep(0.001)
        started = time.perf_counter()
        body = get(connection, path)
        taken.append(time.perf_counter() - started)
    connection.close()
    return taken, len(body)


def measure_delay(figure: Figure, nodes: int, setup: Setup) -> Iterator[Result]:
    """The real service, and clients in a process of their own."""
    folder = setup.folder(figure.name)
    seconds = 6.0 if setup.quick else 26.0
    config = FOOTBALL if nodes == 4 else rigs.write(nodes, folder)
    ticks = folder / "ticks"
    module = [sys.executable, "-m", "bench.timed_service"]
    with service(config, folder, module, {"BENCH_TICKS": str(ticks)}) as (_child, port):
        time.sleep(SETTLE_S)
        quiet = [late + took for late, took, _ in _rows(ticks, time.monotonic() - SETTLE_S / 2)]
        began = time.monotonic() + 0.5
        command = [sys.executable, "-m", "bench.clients", str(port), str(CLIENTS), str(seconds)]
        done = subprocess.run(
            [*command, *EVERYTHING], cwd=ROOT, check=True, capture_output=True, text=True
        )
        rows = _rows(ticks, began)
    busy = [late + took for late, took, _ in rows]
    core = [max(0.0, late + took - waited) for late, took, waited in rows]
    answers = int(done.stdout.split()[1])
    yield Result(
        figure.name, percentile(busy, 0.99) * 1e3,
        f"{len(busy)} ticks, {answers / seconds:.0f} answers/s; median "
        f"{statistics.median(busy) * 1e3:.2f} ms, longest {max(busy) * 1e3:.2f} ms; "
        f"median without clients {statistics.median(quiet) * 1e3:.2f} ms; 99th percentile without "
        f"the waits for a core {percentile(core, 0.99) * 1e3:.2f} ms",
    )  # fmt: skip


def _rows(ticks: Path, since: float) -> list[tuple[float, float, float]]:
    """Lateness, duration and wait for a core of the ticks that began after ``since``, in seconds.

    The emulated rig's clock runs at speed 1 from the machine's monotonic clock, from a zero of
    its own: moments are told from the end of the file.
    """
    rows = [[float(word) for word in row.split()] for row in ticks.read_text().splitlines()]
    last = rows[-1][0]
    span = time.monotonic() - since
    return [(late, took, waited) for at, late, took, waited in rows if at >= last - span]


JOBS = (
    Job((API, EMPTY), measure_api),
    Job((DELAY_4,), partial(measure_delay, DELAY_4, 4)),
    Job((DELAY_56,), partial(measure_delay, DELAY_56, 56)),
)
