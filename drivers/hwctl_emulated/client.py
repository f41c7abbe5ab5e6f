"""hwctl's end of the emulated world: buses, addresses and files that lead into it.

Light on purpose (no ssh, no server parts, no files of the rig parsed): it lives in hwctl, and
counts for hwctl's memory and start.
"""

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwctl.model.errors import BusError, ConfigError, HostError, RequestError
from hwctl_emulated.client_buses import Files, Hid, I2c, Lines, Link, Spi

START_S = 30.0
STOP_S = 5.0
LOOK_S = 0.01
"""Real seconds: for a world to come up, to go, and between two looks."""

_children: list["subprocess.Popen[bytes]"] = []
"""Worlds that this process started; they may outlive it, and are not waited for."""


@dataclass(frozen=True, slots=True)
class WorldInfo:
    """Of the world behind a client.

    Its time is ``zero_sim + (time.monotonic() - zero_monotonic) * speed``, its wall clock
    ``start_wall`` + its time.
    """

    pid: int
    speed: float
    seed: int
    zero_monotonic: float
    zero_sim: float
    start_wall: float


class WorldClient:
    """A live world. Each bus object has its own connection and may have its own thread."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._links: list[Link] = []
        self._main = self._link()
        hello, _ = self._main.ask({"op": "hello"})
        self.info = WorldInfo(
            pid=hello["pid"],
            speed=hello["speed"],
            seed=hello["seed"],
            zero_monotonic=hello["zero_monotonic"],
            zero_sim=hello["zero_sim"],
            start_wall=hello["start_wall"],
        )
        self.identity = (hello["digest"], hello["speed"], hello["seed"], hello["scenario"])
        """What makes it this world and no other."""
        self._revision: int = hello["revision"] or 0
        self._buses: list[str] = hello["buses"]
        self._ttys: dict[str, str] = hello["ttys"]
        self._addresses = {
            (host, port): (near, near_port) for host, port, near, near_port in hello["addresses"]
        }
        self._devices = {
            (host, port): (near, near_port) for host, port, near, near_port in hello["devices"]
        }

    def _link(self) -> Link:
        link = Link(self._state_dir)
        self._links.append(link)
        return link

    def _check(self, bus: str) -> str:
        if bus not in self._buses:
            raise ConfigError(
                f"the emulated rig has no bus {bus!r}",
                where=f"bus.{bus}",
                hint=f"wired are {', '.join(self._buses)}",
            )
        return bus

    def i2c(self, bus: str) -> I2c:
        """Offers ``i2c_rdwr(*msgs)`` and ``close()``."""
        return I2c(self._link(), self._check(bus))

    def gpio(self, bus: str) -> Any:  # noqa: ANN401 - gpiozero has no type hints
        """A gpiozero pin factory."""
        from hwctl_emulated.pins import EmulatedFactory  # noqa: PLC0415 - gpiozero is heavy

        lines = Lines(self._link(), self._check(bus), self._link)
        return EmulatedFactory(lines, self._revision)

    def spi(self, bus: str) -> Spi:
        """Offers what :class:`hwctl.model.drivers.SpiBus` asks for, and ``close()``."""
        return Spi(self._link(), self._check(bus))

    def tty(self, bus: str) -> str:
        """The path of the pty behind which a serial or Modbus bus's parts are."""
        return self._ttys[self._check(bus)]

    def hid(self, bus: str) -> Hid:
        """Offers what :class:`hwctl.model.drivers.HidBus` asks for, and ``close()``."""
        return Hid(self._link(), self._check(bus))

    def sysfs(self, bus: str) -> Files:
        """Offers what :class:`hwctl.model.drivers.SysfsBus` asks for, and ``close()``."""
        return Files(self._link(), self._check(bus))

    async def programs(self, argv: Sequence[str]) -> tuple[int, str]:
        """What a program of an outlet would have done: exit status and output. None is run.

        :raises HostError: it is no outlet's program, or the world is gone.
        """
        loop = asyncio.get_running_loop()
        order = {"op": "run", "argv": list(argv)}
        try:
            answer, _ = await loop.run_in_executor(None, self._main.ask, order)
        except RequestError as error:
            raise HostError(error.what, where=error.where, hint=error.hint) from error
        except OSError as error:
            raise HostError(f"the emulated world is gone: {error}", where=argv[0]) from error
        status, output = answer["value"]
        return status, output

    def address(self, host: str, port: int) -> tuple[str, int]:
        """Where a configured address leads: of an outlet always into the world, of a node unless
        it is one of this machine, since an emulated rig can have a real node. Others stay as they
        are.
        """
        if (host, port) in self._devices:
            return self._devices[host, port]
        if host == "localhost" or host.startswith("127.") or host == "::1":
            return host, port
        return self._addresses.get((host, port), (host, port))

    def file(self, path: Path) -> Path:
        """The world's own ``id_*`` key or ``known_hosts`` in place of the configured one."""
        if path.name.startswith("id_"):
            near = "id_ed25519"
        elif path.name == "known_hosts":
            near = path.name
        else:
            return path
        self._main.ask({"op": "files"})  # answered as soon as the keys are there
        return self._state_dir / "ssh" / near

    def control(self, order: dict[str, Any]) -> dict[str, Any]:
        """See :mod:`hwctl_emulated.control`. :raises RequestError: it cannot be."""
        value: dict[str, Any] = self._main.ask({"op": "control", "order": order})[0]["value"]
        return value

    def close(self) -> None:
        """Let go; the world goes on for half a minute."""
        for link in self._links:
            link.close()
        self._links.clear()

    def stop(self) -> None:
        """End this world, if it still lives; works on a closed client too."""
        self.close()
        with contextlib.suppress(OSError):
            link = self._link()
            # Another world may have taken its place by now.
            if link.ask({"op": "hello"})[0]["pid"] == self.info.pid:
                link.ask({"op": "stop"})
        self.close()
        _wait_for_end(self.info.pid)


def start(
    config: Path, *, state_dir: Path, speed: float, seed: int, scenario: str = "afternoon"
) -> WorldClient:
    """The world of ``config`` in ``state_dir``: the one that lives there, or a new one.

    A world of other files, speed, seed or scenario is another world: it is ended first.

    :raises ConfigError: a file cannot be read, or names something that cannot be emulated.
    :raises BusError: the world did not come up.
    """
    identity = (_digest(config), speed, seed, scenario)
    with contextlib.suppress(OSError):
        living = WorldClient(state_dir)
        if living.identity == identity:
            return living
        living.stop()
    state_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hwctl_emulated", str(config), "--state-dir", str(state_dir)]
    command += ["--speed", str(speed), "--seed", str(seed), "--scenario", scenario]
    log = state_dir / "world.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - an argument list, our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _children.append(process)
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            return WorldClient(state_dir)
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines() or ["nothing was said"]
            raise ConfigError(
                f"the emulated world did not start: {said[0]}",
                where=str(config),
                hint=said[-1] if len(said) > 1 else f"see {log}",
            )
        time.sleep(LOOK_S)
    process.terminate()
    raise BusError(
        f"the emulated world did not come up in {START_S:.0f} s",
        where=str(state_dir),
        hint=f"see {log}",
    )


def _digest(config: Path) -> str:
    """As :func:`hwctl_emulated.files.load` has it, without loading the models."""
    try:
        settings = config.read_bytes()
        wiring = config.parent / str(tomllib.loads(settings.decode()).get("wiring", ""))
        return hashlib.sha256(settings + b"\0" + wiring.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot be read: {error}",
            where=str(config),
            hint="`hwctl check` names the line",
        ) from error


def _wait_for_end(pid: int) -> None:
    until = time.monotonic() + STOP_S
    while time.monotonic() < until and _lives(pid):
        time.sleep(LOOK_S)
    if _lives(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    for process in tuple(_children):
        if process.pid == pid:
            if process.poll() is not None:
                _children.remove(process)
                return False
            return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
