"""``hwctl run``: puts the engine and its faces together, and takes them down again."""

import logging
import signal
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hwctl.config.load import Loaded, load
from hwctl.engine.buses import Buses, KernelBuses, World, WorldBuses
from hwctl.engine.clock import Clock, RealClock, ScaledClock
from hwctl.engine.core import Engine
from hwctl.engine.journal import open_journal
from hwctl.engine.network import RealNet
from hwctl.engine.notify import Notifier
from hwctl.engine.places import socket_path, state_dir
from hwctl.model.drivers import Net
from hwctl.model.errors import HwctlError

WATCHDOG_S = 2.0
"""A tick older than this feeds no watchdog and makes /healthz say so (INTERFACE)."""

log = logging.getLogger("hwctl")


class EmulatedWorld(World, Protocol):
    """The rest of ``hwctl_emulated.client.WorldClient``."""

    @property
    def info(self) -> Any: ...  # noqa: ANN401

    def control(self, command: dict[str, Any]) -> dict[str, Any]: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What the engine stands on: the head's own hardware, or an emulated world."""

    clock: Clock
    buses: Buses
    net: Net
    state: Path
    world: EmulatedWorld | None


def serve(
    config: Path,
    *,
    emulate: bool,
    speed: float,
    seed: int,
    host: str | None,
    port: int | None,
    state_dir: Path | None,
    scenario: str,
) -> int:
    """Run until SIGTERM or SIGINT. :returns: the exit code."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    for chatty in ("asyncssh", "httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if speed != 1.0 and not emulate:
        sys.stderr.write("--speed needs --emulate: real hardware keeps its own time\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    loaded = load(config)
    for problem in loaded.problems:
        log.warning("%s", problem)
    ground = _emulated(config, loaded, speed, seed, state_dir, scenario) if emulate else _real(
        state_dir
    )  # fmt: skip
    journal = open_journal(ground.state)
    engine = Engine(
        loaded, clock=ground.clock, buses=ground.buses, net=ground.net, journal=journal,
        emulated=emulate,
    )  # fmt: skip
    if journal.set_aside is not None:
        log.error("the journal was unreadable; it was kept as %s", journal.set_aside)
    # The engine first: air moves before the first page can be served.
    engine.start()
    try:
        return _with_faces(engine, loaded, ground, host, port, stop)
    finally:
        engine.stop()
        if ground.world is not None:
            ground.world.stop()


def _with_faces(
    engine: Engine,
    loaded: Loaded,
    ground: Ground,
    host: str | None,
    port: int | None,
    stop: threading.Event,
) -> int:
    # Importing the web framework takes half a second, in which the engine already runs.
    from hwctl.engine.tokens import TokenStore  # noqa: PLC0415
    from hwctl.faces.api.app import create_app  # noqa: PLC0415
    from hwctl.faces.api.door import OneTimeKey  # noqa: PLC0415
    from hwctl.faces.api.server import ApiServer  # noqa: PLC0415

    service = loaded.settings.service
    server: ApiServer | None = None

    def announce(key: str) -> None:
        if server is not None:
            sys.stdout.write(f"sign in at {server.url}/?key={key}\n")
            sys.stdout.flush()

    key = OneTimeKey(announce)
    app = create_app(
        engine, TokenStore(ground.state / "tokens.json"), key=key,
        min_off_s=loaded.settings.power.min_off_s,
    )  # fmt: skip
    server = ApiServer(
        app, service.host if host is None else host, service.port if port is None else port,
        _free_socket(ground.state),
    )  # fmt: skip
    try:
        server.start()
    except HwctlError as error:
        sys.stderr.write(f"{error}; {error.hint}\n")
        return 1
    notifier = Notifier()
    notifier.send("READY=1", f"STATUS=serving {server.url}")
    kind = f"emulated, {ground.clock.speed:g}x" if ground.world is not None else "live"
    sys.stdout.write(f"hwctl runs {loaded.wiring.rig.name} ({kind}) at {server.url}\n")
    key.mint()
    while not stop.wait(0.5):
        if engine.last_tick_age() < WATCHDOG_S:
            notifier.send("WATCHDOG=1")
    notifier.send("STOPPING=1")
    server.stop()
    return 0


def _real(given: Path | None) -> Ground:
    clock = RealClock()
    return Ground(clock, KernelBuses(), RealNet(clock), given or state_dir(), None)


def _emulated(
    config: Path, loaded: Loaded, speed: float, seed: int, given: Path | None, scenario: str
) -> Ground:
    from hwctl_emulated import client  # noqa: PLC0415 - only an emulated rig has it

    state = (given or state_dir() / f"emulated-{loaded.wiring.rig.name}").absolute()
    state.mkdir(parents=True, exist_ok=True)
    world = client.start(config, state_dir=state, speed=speed, seed=seed, scenario=scenario)
    info = world.info
    if not world.adopted:
        # A new world knows nothing of what an older one went through.
        for leftover in ("journal.db", "journal.db-wal", "journal.db-shm"):
            with suppress(FileNotFoundError):
                (state / leftover).unlink()
    clock = ScaledClock(info.speed, info.zero_monotonic, info.zero_sim, info.start_wall)
    return Ground(clock, WorldBuses(world), RealNet(clock, world.address, world.file), state, world)


def find_world(given: Path | None) -> EmulatedWorld:
    """The emulated world of a running service."""
    from hwctl_emulated import client  # noqa: PLC0415

    world: EmulatedWorld = client.find(given or state_dir())
    return world


def _free_socket(state: Path) -> Path:
    """The usual socket; beside the journal if another service has it."""
    usual = socket_path()
    try:
        usual.parent.mkdir(parents=True, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(usual))
    except (FileNotFoundError, ConnectionRefusedError):
        return usual
    except OSError as error:
        log.warning("%s cannot be used: %s", usual, error.strerror)
    own = state / "hwctl.sock"
    log.warning("%s is not free; this service listens on HWCTL_SOCKET=%s", usual, own)
    return own
