"""A node that is a real machine: Debian's prometheus-node-exporter, under real load.

Load makes its bar grow in the SPI bytes (decoded back into pixels by the emulated strip) and the
fans turn faster; its death freezes and dims the bar, and brings the fans to their safe duty.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EXPORTER = shutil.which("prometheus-node-exporter")
pytestmark = pytest.mark.skipif(
    EXPORTER is None, reason="prometheus-node-exporter is not installed (apt)"
)
Wait = Callable[..., Any]
SEGMENT = 13
"""Pixels per node: (60 LEDs - 8 for the charge) / 4."""


@contextmanager
def exporter() -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Debian's exporter on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(EXPORTER), f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield port, process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def real_load() -> Iterator[None]:
    """Every CPU of this machine busy."""
    burn = [sys.executable, "-c", "while True: pass"]
    workers = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(10)


def pixels(service: Any) -> list[tuple[int, int, int]]:
    """What the strip shows, decoded from the bits on MOSI."""
    raw = bytes.fromhex(service.world()["strips"]["lid"]["pixels"])
    return [(raw[i], raw[i + 1], raw[i + 2]) for i in range(0, len(raw), 3)]


def bar(service: Any) -> list[tuple[int, int, int]]:
    """The segment of pi1."""
    return pixels(service)[SEGMENT : 2 * SEGMENT]


def lit(service: Any) -> int:
    return sum(any(pixel) for pixel in bar(service))


def light(service: Any) -> int:
    return sum(sum(pixel) for pixel in bar(service))


def duty(service: Any) -> float:
    fans = service.get("/api/v1/fans")
    return min(fan["duty"] for fan in fans if fan["duty"] is not None)


def test_real_load_is_seen_and_a_dead_exporter_is_not_taken_for_idle(
    service: Any, wait_for: Wait
) -> None:
    with exporter() as (port, process):
        service.edit("http://10.42.0.11:9100/metrics", f"http://127.0.0.1:{port}/metrics")
        service.start()
        for other in ("pi0", "pi2", "pi3"):
            service.world({"op": "node", "node": other, "load": 0.02})
        wait_for("all nodes up", service.all_up)
        calm = wait_for(
            "a calm bar",
            lambda: (
                lit(service)
                and duty(service) < 0.7
                and service.node("pi1")["load"] is not None
                and lit(service)
            ),
            60,
        )
        before, slow = calm, duty(service)
        with real_load():
            wait_for("the load is seen", lambda: service.node("pi1")["load"] > 0.9, 40)
            wait_for("the bar is long", lambda: lit(service) >= max(before, SEGMENT - 1), 20)
            wait_for("the fans are faster", lambda: duty(service) > slow + 0.02, 40)
            bright = light(service)
            process.kill()
            died = time.monotonic()
            wait_for("pi1 is stale", lambda: service.node("pi1")["quality"] == "stale", 20)
            stale = service.node("pi1")
            assert stale["load"] > 0.5, "the last value, with its age; never 0"
            assert stale["age_s"] > 1
            frozen = [lit(service) for _ in range(20)]
            assert min(frozen) > 0
            wait_for("the bar is dimmed", lambda: 0 < light(service) < bright / 2, 10)
            wait_for("pi1 is unreachable", lambda: service.node("pi1")["os"] == "unreachable", 30)
            assert time.monotonic() - died > 4
            wait_for("the fans are at their safe duty", lambda: duty(service) >= 0.89, 20)
            assert any("pi1" in fan["cause"] for fan in service.get("/api/v1/fans"))
        metrics = service.text("/metrics")
        assert 'hwctl_node_load_ratio{node="pi1"}' not in metrics, "stale is absent, not 0"
        assert 'hwctl_node_load_ratio{node="pi0"}' in metrics
    with exporter() as (port, _):
        del port  # another port: it stays unreachable, and nothing breaks
        assert service.node("pi1")["os"] == "unreachable"


@pytest.mark.parametrize(
    "fault",
    [
        "exporter-html", "exporter-truncated", "exporter-huge", "exporter-endless",
        "exporter-busy", "exporter-nan", "exporter-negative",
    ],
)  # fmt: skip
def test_a_page_that_is_nonsense(service: Any, wait_for: Wait, fault: str) -> None:
    """That node is stale; the others, the ticks and the memory are as they were."""
    service.start()
    wait_for("all nodes up", service.all_up)
    before = _rss(service)
    service.world({"op": "node", "node": "pi2", "fault": fault, "on": True})
    wait_for("pi2 is stale", lambda: service.node("pi2")["quality"] == "stale", 30)
    assert service.node("pi2")["load"] is not None
    assert service.node("pi1")["quality"] == "ok"
    health = service.get("/healthz")
    assert health["last_tick_age_s"] < 2
    assert _rss(service) - before < 8_000, "kB"
    service.world({"op": "node", "node": "pi2", "fault": fault, "on": False})
    wait_for("pi2 is well again", lambda: service.node("pi2")["quality"] == "ok", 30)


def _rss(service: Any) -> int:
    with Path(f"/proc/{service.process.pid}/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
