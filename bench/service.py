"""The service as a process: its memory, and how soon air moves."""

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from smbus2 import i2c_msg

from bench.children import free_port, hwctl, listening, program, running, service, until
from bench.figure import ROOT, Figure, Job, Result, Setup
from bench.measure import family, resident
from hwctl_emulated import client

FOOTBALL = ROOT / "wiring" / "football.hwctl.toml"
FAN_BUS, FAN_ADDRESS, FAN_SETTING = "i2c1", 0x2E, 0x30
"""The football's EMC2302, and the register of what it drives its first fan with: the first thing
that hwctl writes there is the safe duty (wiring/football.toml; EMC2302 data sheet, page 29)."""

MEMORY = Figure(
    "memory_rss", "MiB",
    "Resident memory of the service (VmRSS) that runs the football, the emulated hardware in its "
    "own process not counted, after a minute with one dashboard",
    limit=60,
)  # fmt: skip
PSS = Figure(
    "memory_pss", "MiB", "The same process, with shared pages divided by their users (Pss)",
    peer_of=MEMORY.name,
)  # fmt: skip
PDUDAEMON = Figure(
    "memory_rss_pdudaemon", "MiB", "pdudaemon with one PDU, after one command (VmRSS); from apt",
    peer_of=MEMORY.name,
)  # fmt: skip
VERSION = Figure("cli_version", "s", "`hwctl --version`, median", limit=0.15)
SAFE_FAN = Figure(
    "start_to_safe_fan", "s",
    "From exec of `hwctl run` to its first write of a fan's duty, seen on the emulated bus, "
    "median; the emulated hardware runs already",
    limit=1.5,
)  # fmt: skip
FASTAPI = Figure(
    "import_fastapi", "s", "`python -c 'import fastapi'`, median", peer_of=SAFE_FAN.name
)


def measure_memory(setup: Setup) -> Iterator[Result]:
    """Ours with a dashboard on it, then pdudaemon."""
    folder = setup.folder("memory")
    seconds = 15.0 if setup.quick else 60.0
    with service(FOOTBALL, folder) as (child, port), Dashboard(port) as dashboard:
        time.sleep(seconds)
        rss, pss = resident(child.pid)
        heard = dashboard.bytes
    if not heard:
        raise RuntimeError("the dashboard heard nothing")
    yield Result(
        MEMORY.name, rss, f"after {seconds:.0f} s; the dashboard heard {heard / 1000:.0f} kB"
    )
    yield Result(PSS.name, pss)
    yield _pdudaemon(setup)


class Dashboard:
    """What a dashboard's page does to the service: one stream of everything that moves."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.request("GET", "/api/v1/live", headers={"Accept": "text/event-stream"})
        self._answer = self._connection.getresponse()
        if self._answer.status != 200:
            raise RuntimeError(f"GET /api/v1/live: {self._answer.status}")
        self._over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join(11)
        self._connection.close()

    def _listen(self) -> None:
        while not self._over and (data := self._answer.read1(1 << 16)):
            self.bytes += len(data)


def _pdudaemon(setup: Setup) -> Result:
    found = program("pdudaemon")
    if found is None:
        return Result(PDUDAEMON.name, None, "pdudaemon is not installed: apt install pdudaemon")
    folder, port = setup.folder("pdudaemon"), free_port()
    pdu = {"driver": "localcmdline", "cmd_on": "true %s", "cmd_off": "true %s"}
    settings = {
        "daemon": {"hostname": "127.0.0.1", "port": port, "listener": "http"},
        "pdus": {"bench": pdu},
    }
    config, log = folder / "pdudaemon.conf", folder / "log"
    config.write_text(json.dumps(settings))
    command = [found, "--conf", str(config), "--loglevel", "ERROR", "--logfile", str(log)]
    try:
        with running(command, folder / "said") as child:
            until("pdudaemon", child, folder / "said", lambda: listening(port))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/power/control/on?hostname=bench&port=1")
            status = connection.getresponse().status
            time.sleep(1.0)
            rss = sum(resident(pid)[0] for pid in family(child.pid))
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        return Result(PDUDAEMON.name, None, f"pdudaemon does not run here: {error}")
    return Result(PDUDAEMON.name, rss, f"it answered the command with {status}")


def measure_version(setup: Setup) -> Iterator[Result]:
    """Twenty times."""
    yield _runs(VERSION.name, [*hwctl(), "--version"], 10 if setup.quick else 20)


def measure_start(setup: Setup) -> Iterator[Result]:
    """A new world, a new state directory and a new service each time."""
    taken = [
        _first_write(setup.folder(f"start-{number}")) for number in range(3 if setup.quick else 5)
    ]
    yield Result(
        SAFE_FAN.name, statistics.median(taken),
        f"{len(taken)} starts, {min(taken):.2f} to {max(taken):.2f} s",
    )  # fmt: skip
    command = [sys.executable, "-c", "import fastapi"]
    yield _runs(FASTAPI.name, command, 5 if setup.quick else 20)


def _runs(name: str, command: Sequence[str], times: int) -> Result:
    """The first run, which fills the disk's cache, does not count."""
    taken = []
    for number in range(times + 1):
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        if number:
            taken.append(time.perf_counter() - started)
    return Result(name, statistics.median(taken), f"{times} runs, {min(taken):.3f} s the fastest")


def _first_write(folder: Path) -> float:
    """Real seconds from exec until another duty stands in the fan controller."""
    world = client.start(FOOTBALL, state_dir=folder / "state", speed=1.0, seed=1)
    try:
        setting = _fan_setting(world)
        before = setting()
        command = [*hwctl(), "run", "--config", str(FOOTBALL), "--emulate", "--port", "0"]
        command += ["--state-dir", str(folder / "state")]
        started = time.monotonic()
        with running(command, folder / "log", {"HWCTL_SOCKET": str(folder / "s")}) as child:
            until("the fan's duty", child, folder / "log", lambda: setting() != before)
            return time.monotonic() - started
    finally:
        world.stop()


def _fan_setting(world: client.WorldClient) -> Callable[[], int]:
    """Reads the register over a connection of its own, as a logic analyser would."""
    bus = world.i2c(FAN_BUS)

    def read() -> int:
        pointer, value = i2c_msg.write(FAN_ADDRESS, [FAN_SETTING]), i2c_msg.read(FAN_ADDRESS, 1)
        bus.i2c_rdwr(pointer, value)
        return bytes(value)[0]

    return read


JOBS = (
    Job((MEMORY, PSS, PDUDAEMON), measure_memory),
    Job((VERSION,), measure_version),
    Job((SAFE_FAN, FASTAPI), measure_start),
)
