"""Processes that a run starts: each is ended by whoever started it, whatever happens."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figure import ROOT

PATIENCE_S = 30.0
"""For a child to come up; longer than any here takes."""
LOOK_S = 0.01

Child = subprocess.Popen[bytes]


def hwctl() -> list[str]:
    """The console script beside this Python, or the module where there is none."""
    script = Path(sys.executable).parent / "hwctl"
    return [str(script)] if script.exists() else [sys.executable, "-m", "hwctl"]


def program(name: str) -> str | None:
    """Where it is installed, daemons included."""
    places = os.environ.get("PATH", os.defpath)
    return shutil.which(name, path=f"{places}{os.pathsep}/usr/sbin{os.pathsep}/sbin")


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """``command``, what it says in ``log``, and its end by SIGTERM, or SIGKILL after 10 s."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until(what: str, child: Child, log: Path, ready: Callable[[], bool]) -> None:
    """Wait until ``ready()``. :raises RuntimeError: the child ended, or it takes too long."""
    give_up = time.monotonic() + PATIENCE_S
    while not ready():
        if child.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(f"{what} did not start: {log.read_text(errors='replace')[-800:]}")
        time.sleep(LOOK_S)


def said(log: Path, pattern: str) -> str | None:
    """The first group of the first match in what a child said."""
    found = re.search(pattern, log.read_text(errors="replace"))
    return found[1] if found else None


def listening(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """One that was free just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def service(
    config: Path,
    folder: Path,
    module: Sequence[str] = (),
    environment: Mapping[str, str] = {},
    state: Path | None = None,
) -> Iterator[tuple[Child, int]]:
    """``hwctl run --emulate`` of ``config``: its process, and the port that it serves.

    :param module: what to run instead of the console script.
    :param state: its state directory, if that is not to be below ``folder``.
    """
    log = folder / "service.log"
    where = state or folder / "state"
    command = [*(module or hwctl()), "run", "--config", str(config), "--emulate", "--port", "0"]
    own = {"HWCTL_SOCKET": str(folder / "s"), **environment}
    with running([*command, "--state-dir", str(where)], log, own) as child:
        until("hwctl", child, log, lambda: said(log, SERVES) is not None)
        yield child, int(said(log, SERVES) or 0)


SERVES = r"hwctl runs \S+ \(emulated, [^)]*\) at http://127\.0\.0\.1:(\d+)"


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    """The body of ``path``. :raises RuntimeError: it was not answered with 200."""
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"GET {path}: {answer.status} {body[:200]!r}")
    return body
