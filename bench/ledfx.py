"""LedFx: installed into a virtual environment of its own, run headless, and sent home again."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from bench.children import free_port, listening, running, until
from bench.figure import Result, Setup
from bench.measure import cpu_seconds, family

VERSION = "2.2.1"
EFFECT = {"type": "rainbow", "config": {"speed": 6.0}}
"""``speed`` 1 draws 10 pictures a second (ledfx/effects/temporal.py), so that 6 draws 60."""
FPS = 60


def measure(name: str, setup: Setup, leds: int, seconds: float) -> Result:
    """Its share of one core, or why it was not run."""
    if not setup.peers:
        return Result(name, None, "LedFx was not run: it is 345 MB, ask for it by --peers")
    python = setup.cache / f"ledfx-{VERSION}" / "bin" / "python"
    problem = _install(python)
    if problem is not None:
        return Result(name, None, problem)
    folder = setup.folder("ledfx")
    log, port = folder / "log", free_port()
    command = [str(python), "-m", "ledfx", "--host", "127.0.0.1", "-p", str(port)]
    command += ["-c", str(folder), "--offline", "--no-tray"]
    try:
        with running(command, log, {"HOME": str(folder)}) as child:
            until("LedFx", child, log, lambda: listening(port))
            with Sink() as sink:
                _light(port, sink.port, leds)
                time.sleep(3.0)  # for what it still loads
                before, frames = _cpu(child.pid), sink.packets
                started = time.monotonic()
                time.sleep(seconds)
                took = time.monotonic() - started
                percent = 100 * (_cpu(child.pid) - before) / took
                fps = (sink.packets - frames) / took
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        return Result(name, None, f"LedFx {VERSION} does not run here: {_last_line(str(error))}")
    return Result(name, percent, f"{fps:.1f} packets/s received, one for each frame")


def _install(python: Path) -> str | None:
    """Why it cannot be used; ``None`` if it can."""
    if not python.with_name("ledfx").exists():
        sys.stderr.write(f"installing LedFx {VERSION} into {python.parents[1]}, some minutes\n")
        try:
            subprocess.run(
                [sys.executable, "-m", "venv", "--clear", str(python.parents[1])],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            subprocess.run(
                [str(python), "-m", "pip", "-q", "install", f"ledfx=={VERSION}"],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            return f"LedFx {VERSION} cannot be installed here: {_last_line(error.stderr)}"
    tried = subprocess.run(
        [str(python), "-c", "import sounddevice"], check=False, capture_output=True, text=True
    )
    if tried.returncode:
        return f"LedFx needs libportaudio2 (apt): {_last_line(tried.stderr)}"
    return None


def _last_line(text: str) -> str:
    return next((one for one in reversed(text.splitlines()) if one.strip()), "no reason given")


def _light(port: int, sink: int, leds: int) -> None:
    """One UDP strip with an effect that is never still."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    strip = {
        "name": "bench", "ip_address": "127.0.0.1", "port": sink, "pixel_count": leds,
        "udp_packet_type": "DNRGB", "refresh_rate": FPS, "minimise_traffic": False,
    }  # fmt: skip
    made = _post(connection, "/api/devices", {"type": "udp", "config": strip})
    virtual = made.get("device", {}).get("id", "bench")
    _post(connection, f"/api/virtuals/{virtual}/effects", EFFECT)


def _post(
    connection: http.client.HTTPConnection, path: str, body: Mapping[str, object]
) -> dict[str, Any]:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    document: dict[str, Any] = json.loads(answer.read())
    if answer.status >= 300 or document.get("status") == "failed":
        raise RuntimeError(f"POST {path}: {answer.status} {document}")
    return document


def _cpu(pid: int) -> float:
    return sum(cpu_seconds(one) for one in family(pid))


class Sink:
    """A UDP port that counts packets."""

    def __init__(self) -> None:
        self.packets = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.5)
        self.port: int = self._socket.getsockname()[1]
        self._over = False
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()
        self._socket.close()

    def _take(self) -> None:
        while not self._over:
            try:
                self._socket.recv(2048)
            except TimeoutError:
                continue
            self.packets += 1
