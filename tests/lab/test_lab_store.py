"""An outlet that is on stays on: SIGKILL, restart, stop, start and upgrade of the real service.

The test plays systemd: it takes descriptors into its store (FDSTORE=1) and hands them to the next
process from descriptor 3 on, as systemd does. The line is sampled throughout from gpio-sim's side,
and the kernel's tracing tells of every time that it was driven or turned round.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

import hwctl

CHECKOUT = Path(hwctl.__file__).parents[1]
TRACING = Path("/sys/kernel/tracing")
EVENTS = ("gpio_value", "gpio_direction")
SIM = Path("/sys/kernel/config/gpio-sim")
LINE = 4
START_S = 120.0
"""The guest's processor is emulated."""

WIRING = """
[rig]
name = "lab"
[board]
model = "kernel lab"
[bus.gpio]
kind = "gpio"
path = "{label}"
[supply.mains]
kind = "mains"
capacity_wh = 100.0
[rail.5v]
supply = "mains"
volts = 5.0
budget_amps = 10.0
[device.relay]
driver = "gpio_relay"
bus = "gpio"
pin = "GPIO4"
[outlet.feed]
device = "relay"
rail = "5v"
node = "n1"
[node.n1]
role = "compute"
"""
SETTINGS = """
wiring = "lab.toml"
[shutdown]
stages = [["compute"]]
"""


AS_IT_IS = {"value set 1", "direction out (0)"}
"""What the kernel traces of a line that is taken over: an output, of the level that it has."""

PASS_ON = """
import fcntl, os, sys
names, *rest = sys.argv[1:]
cut = rest.index("--")
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in rest[:cut]]
for index, fd in enumerate(high):
    os.dup2(fd, 3 + index)
os.environ.update(
    LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=names
)
os.closerange(3 + len(high), 256)
os.execv(rest[cut + 1], rest[cut + 1 :])
"""
"""What systemd's own child does before it becomes the service."""


class Systemd:
    """The part of systemd that keeps descriptors."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.folder = folder
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(START_S)
        self.store: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, package: Path = CHECKOUT) -> None:
        """Start hwctl as it lies in ``package``, with what is in the store."""
        names = list(self.store)
        words = [
            # Without site, which takes its time on an emulated processor.
            sys.executable, "-S", "-c", PASS_ON, ":".join(names), *map(str, self.store.values()),
            "--", sys.executable, "-m", "hwctl", "run", "--config",
            f"{self.folder}/lab.hwctl.toml", "--port", "0", "--state-dir", f"{self.folder}/state",
        ]  # fmt: skip
        env = {
            **os.environ,
            "NOTIFY_SOCKET": self.address,
            "HWCTL_SOCKET": f"{self.folder}/s",
            "PYTHONPATH": f"{package}:{package}/drivers",
        }
        # Not from the checkout, which would come before PYTHONPATH.
        self.process = subprocess.Popen(
            words, env=env, pass_fds=list(self.store.values()), cwd=self.folder
        )

    def hear(self, wanted: bytes) -> None:
        """Listen until a message begins with that, keeping what is to be kept."""
        while True:
            said, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            for fd in fds:
                name = said.partition(b"FDNAME=")[2].split(b"\n")[0].decode()
                self.store[name] = fd
            if said.startswith(wanted):
                return

    def ask(self, method: str, path: str, **body: object) -> str:
        """What the service answers through its unix socket."""
        near = socket.socket(socket.AF_UNIX)
        near.settimeout(START_S)
        near.connect(f"{self.folder}/s")
        connection = http.client.HTTPConnection("localhost")
        connection.sock = near
        connection.request(
            method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status in (200, 202), text
        return text

    def version(self) -> str:
        found = re.search(r'hwctl_build_info\{version="([^"]+)"\}', self.ask("GET", "/metrics"))
        assert found
        return found[1]

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(START_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.forget()
        self.socket.close()

    def forget(self) -> None:
        for fd in self.store.values():
            os.close(fd)
        self.store = {}


class Watched:
    """A simulated chip of 16 lines; one of them is sampled whenever the processor is free."""

    def __init__(self) -> None:
        self.label = f"lab-{uuid.uuid4().hex[:8]}"
        self._config = SIM / self.label
        bank = self._config / "bank0"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text("16")
        (bank / "label").write_text(self.label)
        (self._config / "live").write_text("1")
        name = (bank / "chip_name").read_text().strip()
        device = (self._config / "dev_name").read_text().strip()
        self._line = Path(f"/sys/devices/platform/{device}/{name}/sim_gpio{LINE}")
        (self._line / "pull").write_text("pull-down")
        self.edges: list[bool] = []
        self.samples = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        about = Path("/sys/kernel/debug/gpio").read_text()
        base = re.search(rf"^{name}: GPIOs (\d+)-", about, re.MULTILINE)
        assert base
        self._number = int(base[1]) + LINE
        (TRACING / "trace").write_text("")
        for event in EVENTS:
            (TRACING / f"events/gpio/{event}/enable").write_text("1")
        self._last = self.level()
        self._thread.start()

    def level(self) -> bool:
        return (self._line / "value").read_text() == "1\n"

    def driven(self) -> list[str]:
        """Each time that the line was driven or turned round, as the kernel has traced it; reading
        it is traced too, and left out."""
        trace = (TRACING / "trace").read_text()
        found = re.findall(rf"gpio_(value|direction): {self._number} +(\S.*)", trace)
        return [f"{what} {how.strip()}" for what, how in found if not how.startswith("get")]

    def _sample(self) -> None:
        # One processor serves the guest: what is watched comes first.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while not self._ending.is_set():
            now = self.level()
            self.samples += 1
            if now != self._last:
                self._last = now
                self.edges.append(now)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        for event in EVENTS:
            (TRACING / f"events/gpio/{event}/enable").write_text("0")
        (self._config / "live").write_text("0")
        for folder in sorted(self._config.glob("**/"), reverse=True):
            folder.rmdir()


@pytest.fixture
def systemd(tmp_path):
    made = Systemd(tmp_path)
    yield made
    made.close()


@pytest.fixture
def watched(load):
    load("gpio-sim")
    chip = Watched()
    yield chip
    chip.close()


@pytest.fixture
def newer(tmp_path):
    """Another version of hwctl, in another place; what is compiled of it stays so."""
    place = tmp_path / "newer"
    (place / "hwctl").mkdir(parents=True)
    for part in [CHECKOUT / "drivers", *(CHECKOUT / "hwctl").iterdir()]:
        if part.name not in ("__init__.py", "__pycache__"):
            (place / part.relative_to(CHECKOUT)).symlink_to(part)
    (place / "hwctl/__init__.py").write_text('__version__ = "99.0"\n')
    return place


def test_an_outlet_that_is_on_stays_on(watched, systemd, newer, tmp_path, eventually):
    (tmp_path / "lab.toml").write_text(WIRING.format(label=watched.label))
    (tmp_path / "lab.hwctl.toml").write_text(SETTINGS)
    systemd.start()
    systemd.hear(b"READY=1")
    systemd.hear(b"FDSTORE=1")
    assert len(systemd.store) == 1
    assert watched.edges == [], "taking the line changed nothing"
    systemd.ask("POST", "/api/v1/nodes/n1/power", action="on")
    eventually(lambda: watched.edges == [True])
    assert systemd.version() == hwctl.__version__

    # Stopped, started, killed as soon as it has the line again, and upgraded.
    for how, package in ((signal.SIGTERM, CHECKOUT), (signal.SIGKILL, newer)):
        systemd.end(how)
        driven, before = len(watched.driven()), watched.samples
        eventually(lambda before=before: watched.samples > before + 300)
        systemd.start(package)
        eventually(lambda driven=driven: set(watched.driven()[driven:]) >= AS_IT_IS)
    systemd.hear(b"READY=1")
    assert systemd.version() == "99.0"
    before = watched.samples
    eventually(lambda: watched.samples > before + 300)
    assert set(watched.driven()[driven:]) == AS_IT_IS
    assert watched.edges == [True], "no edge in all of that"
    assert watched.level()

    # Without the store this kernel lets the line fall to its pull: the store is what held it.
    systemd.end(signal.SIGKILL)
    systemd.forget()
    eventually(lambda: watched.edges == [True, False])
