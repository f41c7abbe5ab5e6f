"""Switching: what a command costs, what a dead device does, and 56 boards within a budget."""

import http.client
import json
import socket
import sqlite3
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from heapq import heappop, heappush
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import rigs
from bench.children import free_port, hwctl, listening, program, running, said, service, until
from bench.figure import Figure, Job, Result, Setup
from bench.measure import percentile
from hwctl_emulated import client

SETTLE_S = 4.0
PAUSE_S = 0.05
"""Between two commands, whosever: a machine that has nothing to do wakes up more slowly."""
ANSWER = Figure(
    "power_answer", "ms",
    "POST of a forced off or on of one node of 56, on a connection of its own, to the answer 202, "
    "median; the journal in memory (tmpfs), since the peers write nothing to a disk",
    limit=0.58,
)  # fmt: skip
ON_DISK = Figure(
    "power_answer_on_disk", "ms",
    "The same with the journal on this machine's disk: the command is safe there by the answer",
    peer_of=ANSWER.name,
)  # fmt: skip
DISK = Figure(
    "power_answer_disk_alone", "ms",
    "One such row written to that disk by SQLite with synchronous=FULL, median",
    peer_of=ANSWER.name,
)  # fmt: skip
PDUDAEMON = Figure(
    "power_answer_pdudaemon", "ms",
    "pdudaemon's answer to on or off over HTTP, its driver given no command to run, nothing "
    "written to disk; each of its commands between two of hwctl's; from apt", peer_of=ANSWER.name,
)  # fmt: skip
POWERMAND = Figure(
    "power_answer_powermand", "ms",
    "powermand's answer to on or off of one plug over an open TCP connection, its own simulated "
    "device behind it, nothing written to disk; from apt", peer_of=ANSWER.name,
)  # fmt: skip
DEAD = Figure(
    "dead_outlet_failed", "s",
    "Forced off of a node behind a smart plug that takes no connection, from the POST until its "
    "operation has failed with the cause", limit=1,
)  # fmt: skip
SILENT = Figure(
    "silent_outlet_failed", "s",
    "The same behind one that takes the connection and never answers", limit=1,
)  # fmt: skip
OTHERS = Figure(
    "dead_outlet_others", "s",
    "Forced off of another node behind a plug that works, while the two above are being tried: "
    "until it is done, worst of all", peer_of=DEAD.name,
)  # fmt: skip
BOARDS = Figure(
    "inrush_56_nodes", "ratio",
    "Time to switch 56 nodes on, of the least that the budget allows: 1 A for each board and three "
    "inrushes of 3 A for 2 s; from the first step to the last board's order", limit=1.1,
)  # fmt: skip
OVERRUNS = Figure(
    "inrush_over_budget", "steps",
    "Quarter seconds in which the emulated current was over the budget meanwhile", limit=0,
)  # fmt: skip

NODES = 56
BUDGET_SPARE = 3
INRUSH_AMPS, INRUSH_S, BOOT_AMPS = 3.0, 2.0, 1.0


def post(port: int, path: str, body: dict[str, Any], token: str) -> tuple[float, Any]:
    """Seconds to the whole answer over a new connection, and the answer.

    :raises RuntimeError: it is no 202.
    """
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    sent = json.dumps(body)
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path, sent, headers)
    answer = connection.getresponse()
    got = answer.read()
    took = time.perf_counter() - started
    connection.close()
    if answer.status != 202:
        raise RuntimeError(f"POST {path}: {answer.status} {got[:300]!r}")
    return took, json.loads(got)


def fetch(port: int, path: str) -> Any:  # noqa: ANN401 - any JSON
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    document = json.loads(connection.getresponse().read())
    connection.close()
    return document


def token_of(state: Path) -> str:
    command = [*hwctl(), "token", "create", "bench", "--scope", "power", "--state-dir", str(state)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def ended(port: int, operation: str) -> dict[str, Any] | None:
    document: dict[str, Any] = fetch(port, f"/api/v1/operations/{operation}")
    return document if document["state"] in ("done", "failed", "cancelled") else None


def wait(look: Callable[[], Any], what: str, most_s: float = 60.0) -> Any:  # noqa: ANN401
    give_up = time.monotonic() + most_s
    while not (found := look()):
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what} took longer than {most_s:g} s")
        time.sleep(0.04)
    return found


# --- the cost of a command --------------------------------------------------------------------


MEMORY = Path("/dev/shm")


def measure_answer(setup: Setup) -> Iterator[Result]:
    """Every node off, then every node on, one after the other; a peer's command after each."""
    theirs: list[float] = []
    try:
        with TemporaryDirectory(dir=MEMORY) as memory, _pdudaemon(setup) as order:

            def between(turn: int) -> None:
                theirs.append(order(("off", "on")[turn % 2]))

            yield _answers(ANSWER.name, setup, setup.folder("power"), Path(memory), between)
        yield _result(PDUDAEMON.name, theirs)
    except PeerError as error:
        with TemporaryDirectory(dir=MEMORY) as memory:
            yield _answers(ANSWER.name, setup, setup.folder("power"), Path(memory))
        yield Result(PDUDAEMON.name, None, str(error))
    folder = setup.folder("power-on-disk")
    yield _answers(ON_DISK.name, setup, folder, folder)
    yield Result(DISK.name, statistics.median(_rows(folder, 200)) * 1e3)
    yield _powermand(setup)


def _answers(
    name: str,
    setup: Setup,
    folder: Path,
    state: Path,
    between: Callable[[int], None] = lambda _turn: None,
) -> Result:
    """``between`` is called with the number of each command after it."""
    nodes = 16 if setup.quick else NODES
    taken: list[float] = []
    with service(rigs.write(nodes, folder), folder, state=state / "state") as (_child, port):
        token = token_of(state / "state")
        time.sleep(SETTLE_S)
        for action in ("off", "on"):
            begun = []
            for node in range(nodes):
                body = {"action": action, "force": True, "reason": "bench"}
                took, op = post(port, f"/api/v1/nodes/n{node}/power", body, token)
                taken.append(took)
                begun.append(op["id"])
                time.sleep(PAUSE_S)
                between(len(taken))
                time.sleep(PAUSE_S)
            for one in begun:
                wait(lambda one=one: ended(port, one), f"{action} of a node", 300.0)
    return _result(name, taken)


def _result(name: str, taken: Sequence[float]) -> Result:
    return Result(
        name, statistics.median(taken) * 1e3,
        f"{len(taken)} commands; 99th percentile {percentile(taken, 0.99) * 1e3:.2f} ms",
    )  # fmt: skip


def _rows(folder: Path, count: int) -> list[float]:
    taken = []
    db = sqlite3.connect(folder / "rows.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, body TEXT)")
    for number in range(count):
        started = time.perf_counter()
        db.execute("INSERT INTO rows VALUES (?, ?)", (str(number), "x" * 900))
        taken.append(time.perf_counter() - started)
        time.sleep(0.005)
    db.close()
    return taken


class PeerError(Exception):
    """A peer is not there, or does not run here."""


@contextmanager
def _pdudaemon(setup: Setup) -> Iterator[Callable[[str], float]]:
    """Runs, and takes "on" or "off". :returns: seconds to its answer."""
    found = program("pdudaemon")
    if found is None:
        raise PeerError("pdudaemon is not installed: apt install pdudaemon")
    folder, port = setup.folder("power-pdudaemon"), free_port()
    settings = {
        "daemon": {"hostname": "127.0.0.1", "port": port, "listener": "http"},
        "pdus": {"bench": {"driver": "localcmdline"}},
    }
    config = folder / "pdudaemon.conf"
    config.write_text(json.dumps(settings))
    command = [found, "--conf", str(config), "--loglevel", "ERROR", "--logfile", str(folder / "l")]
    with running(command, folder / "said") as child:
        try:
            until("pdudaemon", child, folder / "said", lambda: listening(port))
            _pdu_command(port, "on")
        except (RuntimeError, OSError, http.client.HTTPException) as error:
            raise PeerError(f"pdudaemon does not run here: {error}") from error
        yield lambda action: _pdu_command(port, action)


def _pdu_command(port: int, action: str) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"/power/control/{action}?hostname=bench&port=1")
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - started
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"it answers {answer.status}")
    return took


def _powermand(setup: Setup) -> Result:
    found, device = program("powermand"), program("vpcd")
    if found is None or device is None:
        return Result(POWERMAND.name, None, "powermand is not installed: apt install powerman")
    folder, port = setup.folder("power-powermand"), free_port()
    config = folder / "powerman.conf"
    config.write_text(
        f'listen "127.0.0.1:{port}"\ninclude "/etc/powerman/vpc.dev"\n'
        f'device "test0" "vpc" "{device} |&"\nnode "t[0-15]" "test0"\n'
    )
    taken = []
    try:
        with running([found, "-f", "-c", str(config)], folder / "said") as child:
            until("powermand", child, folder / "said", lambda: listening(port))
            with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
                _prompt(link)
                for turn in range(50 if setup.quick else 300):
                    started = time.perf_counter()
                    link.sendall(f"{('off', 'on')[turn % 2]} t0\r\n".encode())
                    _prompt(link)
                    taken.append(time.perf_counter() - started)
                    time.sleep(0.005)
    except (RuntimeError, OSError) as error:
        return Result(POWERMAND.name, None, f"powermand does not run here: {error}")
    return Result(POWERMAND.name, statistics.median(taken) * 1e3, f"{len(taken)} commands")


def _prompt(link: socket.socket) -> None:
    got = b""
    while not got.endswith(b"powerman> "):
        more = link.recv(4096)
        if not more:
            raise RuntimeError("it closed the connection")
        got += more


# --- dead devices -----------------------------------------------------------------------------

PLUGS = """\
[rig]
name = "plugs"

[board]
model = "Raspberry Pi 4B"

[supply.wall]
kind = "mains"
capacity_wh = 1.0

[rail.wall]
supply = "wall"
volts = 5.0
budget_amps = 100.0
"""
PLUG = """
[device.plug-{name}]
driver = "tasmota"
host = "127.0.0.1"
port = {port}

[outlet.{name}]
device = "plug-{name}"
channel = 1
rail = "wall"
node = "{name}"

[node.{name}]
role = "compute"
"""
GOOD = tuple(f"good{number}" for number in range(6))


class Plug(BaseHTTPRequestHandler):
    """A plug that works: as Tasmota answers (tasmota.github.io/docs/Commands)."""

    on = True

    def do_GET(self) -> None:
        said = self.path.lower()
        if "off" in said:
            type(self).on = False
        elif "on" in said.partition("power")[2]:
            type(self).on = True
        body = json.dumps({"POWER": "ON" if self.on else "OFF"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def plugs(names: Sequence[str]) -> Iterator[dict[str, int]]:
    """The ports of plugs that work."""
    servers = {
        name: ThreadingHTTPServer(("127.0.0.1", 0), type("APlug", (Plug,), {"on": True}))
        for name in names
    }
    threads = [threading.Thread(target=one.serve_forever, daemon=True) for one in servers.values()]
    for thread in threads:
        thread.start()
    try:
        yield {name: server.server_address[1] for name, server in servers.items()}
    finally:
        for server in servers.values():
            server.shutdown()
            server.server_close()


def measure_dead(setup: Setup) -> Iterator[Result]:
    """Two devices that do not answer, and six that do."""
    folder = setup.folder("dead")
    with plugs(GOOD) as good_ports, socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {**good_ports, "dead": free_port(), "silent": silent.getsockname()[1]}
        text = "".join(PLUG.format(name=name, port=port) for name, port in ports.items())
        (folder / "plugs.toml").write_text(PLUGS + text)
        config = folder / "plugs.hwctl.toml"
        config.write_text('wiring = "plugs.toml"\n')
        state, log = folder / "state", folder / "service.log"
        command = [*hwctl(), "run", "--config", str(config), "--port", "0"]
        own = {"HWCTL_SOCKET": str(folder / "s")}
        with running([*command, "--state-dir", str(state)], log, own) as child:
            until("hwctl", child, log, lambda: said(log, SERVES) is not None)
            port = int(said(log, SERVES) or 0)
            token = token_of(state)
            time.sleep(SETTLE_S)
            times = _all_off(port, token, ["dead", "silent", *GOOD])
    for figure, name in ((DEAD, "dead"), (SILENT, "silent")):
        op, took = times[name]
        if op["state"] != "failed":
            raise RuntimeError(f"{name}: {op}")
        yield Result(figure.name, took, op["error"])
    good = [times[name] for name in GOOD]
    if any(op["state"] != "done" for op, _ in good):
        raise RuntimeError(f"{good}")
    yield Result(OTHERS.name, max(took for _, took in good))


SERVES = r"hwctl runs \S+ \(live\) at http://127\.0\.0\.1:(\d+)"


def _all_off(
    port: int, token: str, names: Sequence[str]
) -> dict[str, tuple[dict[str, Any], float]]:
    """Each node's ended operation, and the seconds from its POST to its end."""
    times: dict[str, tuple[dict[str, Any], float]] = {}

    def one(name: str) -> None:
        started = time.perf_counter()
        _took, op = post(
            port, f"/api/v1/nodes/{name}/power", {"action": "off", "force": True}, token
        )
        over = wait(lambda: ended(port, op["id"]), name)
        times[name] = over, time.perf_counter() - started

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


# --- inrush -----------------------------------------------------------------------------------


def least_s(budget: float, nodes: int) -> float:
    """The least time in which so many boards can be switched on: each as soon as it fits, its
    inrush at its full height as long as it lasts, then its boot."""
    now, drawn, waiting, over = 0.0, 0.0, nodes, []
    while waiting:
        while waiting and drawn + INRUSH_AMPS <= budget + 1e-9:
            drawn += INRUSH_AMPS
            heappush(over, now + INRUSH_S)
            waiting -= 1
        if waiting:
            now = heappop(over)
            drawn += BOOT_AMPS - INRUSH_AMPS
    return now


def measure_inrush(setup: Setup) -> Iterator[Result]:
    """One rail, at the speed of life."""
    folder = setup.folder("inrush")
    nodes = 14 if setup.quick else NODES
    budget = nodes * BOOT_AMPS + BUDGET_SPARE * INRUSH_AMPS
    # With all boards running there is room for three; before that there is more.
    config = rigs.write(nodes, folder, one_rail_amps=budget, node_keys=NODE)
    with service(config, folder) as (_child, port):
        token = token_of(folder / "state")
        world = client.WorldClient(folder / "state")
        time.sleep(SETTLE_S)
        _took, ops = post(
            port, "/api/v1/power", {"nodes": ["all"], "action": "off", "force": True}, token
        )
        for op in ops:
            wait(lambda op=op: ended(port, op["id"]), "off", 60.0)
        time.sleep(SETTLE_S)
        before = world.control({"op": "status"})
        _took, ops = post(
            port, "/api/v1/power", {"nodes": ["all"], "action": "on", "force": True}, token
        )
        wait(lambda: all(one["on"] for one in fetch(port, "/api/v1/outlets")), "on", 300.0)
        after = world.control({"op": "status"})
        story = [fetch(port, f"/api/v1/operations/{op['id']}") for op in ops]
        world.close()
    switched = sorted(
        _seconds(step["started"])
        for op in story
        for step in op["steps"]
        if step["name"] == "switch-on"
    )
    began = min(_seconds(op["started"]) for op in story)
    least = least_s(budget, nodes)
    yield Result(
        BOARDS.name, (switched[-1] - began) / least,
        f"{switched[-1] - began:.1f} s for {nodes} boards on {budget:.1f} A; the least is "
        f"{least:.1f} s",
    )  # fmt: skip
    (rail,) = after["rails"].values()
    (earlier,) = before["rails"].values()
    yield Result(
        OVERRUNS.name, float(rail["overruns"] - earlier["overruns"]),
        f"{rail['peak_amps']:.1f} A of {budget:.1f} A at most",
    )  # fmt: skip


NODE = f"inrush_amps = {INRUSH_AMPS}\ninrush_s = {INRUSH_S}\nboot_amps = {BOOT_AMPS}\n"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


JOBS = (
    Job((ANSWER, ON_DISK, DISK, PDUDAEMON, POWERMAND), measure_answer),
    Job((DEAD, SILENT, OTHERS), measure_dead),
    Job((BOARDS, OVERRUNS), measure_inrush),
)
