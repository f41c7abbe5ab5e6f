"""The service as users start it: real processes, real sockets, an emulated rig beneath."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
HWCTL = Path(sys.executable).with_name("hwctl")


def eventually(what: str, check: Callable[[], Any], within_s: float = 30.0) -> Any:
    """The first true answer of ``check``; real processes take real time, however little."""
    until = time.monotonic() + within_s
    last: Any = None
    while time.monotonic() < until:
        last = check()
        if last:
            return last
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {within_s:.0f} s; last seen: {last!r}")


class Service:
    """One hwctl on one emulated football, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "football.hwctl.toml"
        self.env = {**os.environ, "HWCTL_SOCKET": str(folder / "hwctl.sock"), "NO_COLOR": "1"}
        self.env.pop("HWCTL_URL", None)
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.key = ""
        self.log = folder / "hwctl.log"
        (folder / "football.toml").write_bytes((ROOT / "wiring/football.toml").read_bytes())
        self.write((ROOT / "wiring/football.hwctl.toml").read_text())

    def write(self, settings: str) -> None:
        self.config.write_text(settings)

    def edit(self, old: str, new: str) -> None:
        """Change the settings file; ``old`` must be there."""
        text = self.config.read_text()
        assert old in text, old
        self.write(text.replace(old, new))

    def start(
        self, *words: str, speed: float = 1.0, scenario: str = "steady", seed: int = 1
    ) -> "Service":
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    str(HWCTL), "run", "--config", str(self.config), "--emulate", "--port", "0",
                    "--speed", str(speed), "--seed", str(seed), "--scenario", scenario,
                    "--state-dir", str(self.state), *words,
                ],
                stdout=subprocess.PIPE, stderr=log, text=True, env=self.env,
            )  # fmt: skip
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if match := re.search(r"at (https?://\S+)", line):
                self.url = match[1].split("/?")[0]
            if match := re.search(r"key=(\S+)", line):
                self.key = match[1]
                break
        assert self.key, self.log.read_text()
        return self

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel would; the emulated world lives on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()

    def stop(self) -> int:
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.terminate()
        code = self.process.wait(20)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}{path}", timeout=10, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return answer.json()

    def text(self, path: str) -> str:
        return httpx.get(f"{self.url}{path}", timeout=10).text

    def node(self, node: str) -> Any:
        return self.get(f"/api/v1/nodes/{node}")

    def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Over the unix socket, as a local person."""
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.env["HWCTL_SOCKET"])) as client:
            return client.request(method, f"http://localhost{path}", json=body, timeout=10)

    def world(self, order: dict[str, Any] | None = None) -> Any:
        """Ask, or tell, the emulated world itself."""
        from hwctl_emulated.client import WorldClient

        client = WorldClient(self.state)
        try:
            return client.control(order or {"op": "status"})
        finally:
            client.close()

    def hwctl(self, *words: str, expect: int = 0) -> str:
        """Run the command line; both its outputs."""
        done = subprocess.run(
            [str(HWCTL), *words], env=self.env, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def all_up(self) -> bool:
        return all(
            node["os"] == "up" and node["load"] is not None
            for node in self.get("/api/v1/nodes")
        )  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Not started yet; stopped, with its world, at the end."""
    made = Service(tmp_path)
    yield made
    made.stop()
    sock = made.state / "world.sock"
    if sock.exists():
        from hwctl_emulated.client import WorldClient

        try:
            WorldClient(made.state).stop()
        except OSError:
            return


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    return eventually


def as_json(text: str) -> Any:
    return json.loads(text)
