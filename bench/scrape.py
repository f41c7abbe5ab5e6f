"""Sixty nodes, asked once a second: the network's own loop, and what else one would take."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench.children import running, said, until
from bench.figure import ROOT, Figure, Job, Result, Setup
from bench.measure import WINDOW_S, CpuOfSelf, rounds_of
from hwctl.engine.clock import RealClock
from hwctl.engine.net import RealNet
from hwctl.engine.network import HostEntry, Network
from hwctl.engine.workers import Report
from hwctl.model.drivers import LoadSample
from hwctl_drivers.node_exporter import NodeExporter, NodeExporterOptions

NODES = 60
PAGE = ROOT / "tests" / "drivers" / "golden" / "node_exporter-1.5.0.txt"
"""Of Debian's node_exporter 1.5.0, asked for the collectors that the driver asks for."""

SCRAPE = Figure(
    "scrape_60_nodes", "%",
    f"{NODES} nodes once a second, scraped and parsed, of one core: the network's own loop and "
    "driver, kept-open connections, pages of 18 kB in chunks",
    limit=2,
)  # fmt: skip
PARSER = Figure(
    "scrape_60_nodes_prometheus_parser", "%",
    "Only the parsing of the same pages, by prometheus_client's parser",
    peer_of=SCRAPE.name,
)  # fmt: skip
HTTPX = Figure(
    "scrape_60_nodes_httpx_prometheus", "%",
    "The same nodes scraped by httpx over kept-open connections and parsed by prometheus_client",
    peer_of=SCRAPE.name,
)  # fmt: skip


def measure(setup: Setup) -> Iterator[Result]:
    """One after the other, against the same servers."""
    windows = 2 if setup.quick else 6
    folder = setup.folder("exporters")
    log = folder / "log"
    command = [sys.executable, "-m", "bench.exporters", str(PAGE), str(NODES)]
    with running(command, log) as child:
        until("the exporters", child, log, lambda: said(log, r"ports (.*)\n") is not None)
        ports = [int(port) for port in (said(log, r"ports (.*)\n") or "").split()]
        yield _ours(ports, windows)
        page = PAGE.read_bytes()
        each = rounds_of(lambda: _parsed(page), 5 if setup.quick else 15, 20)
        yield Result(PARSER.name, 100 * NODES * each, f"{each * 1e3:.2f} ms a page")
        percent, pages = asyncio.run(_with_httpx(ports, windows))
        yield Result(HTTPX.name, percent, f"{pages / (windows * WINDOW_S):.1f} pages/s")


def _ours(ports: list[int], windows: int) -> Result:
    clock = RealClock()
    net = RealNet(clock)
    heard: Counter[str] = Counter()
    errors: list[Report] = []

    def report(one: Report) -> None:
        if isinstance(one.value, LoadSample):
            heard[one.device] += 1
        else:
            errors.append(one)

    hosts = [
        HostEntry(
            f"node{index}",
            NodeExporter(
                net,
                NodeExporterOptions.model_validate({"url": f"http://127.0.0.1:{port}/metrics"}),
            ),
            None,
            1.0,
        )
        for index, port in enumerate(ports)
    ]
    network = Network(hosts, (), clock, report)
    network.start()
    time.sleep(2.5)  # for all connections to be open
    before, cpu = heard.total(), CpuOfSelf()
    for _ in range(windows):
        time.sleep(WINDOW_S)
        cpu.mark()
    percent, pages = cpu.percent(), heard.total() - before
    network.stop()
    if errors:
        return Result(SCRAPE.name, None, f"{len(errors)} answers failed: {errors[0].error}")
    return Result(SCRAPE.name, percent, f"{pages / (windows * WINDOW_S):.1f} pages/s")


def _parsed(page: bytes) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(page.decode()))


async def _with_httpx(ports: list[int], windows: int) -> tuple[float, int]:
    pages = 0

    async def follow(client: httpx.AsyncClient, url: str, delay: float) -> None:
        nonlocal pages
        await asyncio.sleep(delay)
        while True:
            due = time.monotonic() + 1.0
            answer = await client.get(url)
            _parsed(answer.content)
            pages += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    limits = httpx.Limits(max_connections=NODES, max_keepalive_connections=NODES)
    async with httpx.AsyncClient(limits=limits, timeout=10, trust_env=False) as client:
        tasks = [
            asyncio.create_task(
                follow(client, f"http://127.0.0.1:{port}/metrics", index / len(ports))
            )
            for index, port in enumerate(ports)
        ]
        await asyncio.sleep(2.5)
        before, cpu = pages, CpuOfSelf()
        for _ in range(windows):
            await asyncio.sleep(WINDOW_S)
            cpu.mark()
        percent, scraped = cpu.percent(), pages - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return percent, scraped


JOBS = (Job((SCRAPE, PARSER, HTTPX), measure),)
