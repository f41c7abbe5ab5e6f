"""``hwctl run``: puts the engine and its faces together, and takes them down again."""

import fcntl
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hwctl.config.load import Loaded, load
from hwctl.config.tls import server_context
from hwctl.engine.buses import Buses, KernelBuses, World, WorldBuses
from hwctl.engine.clock import Clock, RealClock, ScaledClock
from hwctl.engine.core import Engine
from hwctl.engine.journal import open_journal
from hwctl.engine.net import RealNet
from hwctl.engine.notify import Notifier
from hwctl.engine.places import socket_path, state_dir
from hwctl.engine.uevents import Uevents
from hwctl.engine.watchdog import Watchdog
from hwctl.model.drivers import Net
from hwctl.model.errors import BusError, ConfigError, HwctlError
from hwctl.model.settings import ServiceSettings

FEED_EVERY_S = 1.0
"""Real seconds between two portions for a watchdog, at the least."""
SWITCH_S = 0.0005
"""For so long a tick waits for a thread that answers requests, several times over. With Python's
own 5 ms ticks were later, and answers came no faster (`make bench`, tick_delay_p99_8_clients)."""

log = logging.getLogger("hwctl")


class EmulatedWorld(World, Protocol):
    """The rest of ``hwctl_emulated.client.WorldClient``."""

    @property
    def info(self) -> Any: ...  # noqa: ANN401

    async def programs(self, argv: Sequence[str]) -> tuple[int, str]: ...

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
    state: Path | None,
    scenario: str,
    tls_files: tuple[Path, Path] | None = None,
) -> int:
    """Run until SIGTERM or SIGINT. ``tls_files``: instead of the settings file's.

    :returns: the exit code.
    """
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
    files = tls_files or loaded.settings.service.tls_files(config)
    late: list[ConfigError] = []
    tls = None if files is None else server_context(*files, expired=late.append)
    where = (state or _default_state(loaded, emulate=emulate)).absolute()
    held = _claim(where)
    notifier = Notifier()
    for problem in loaded.problems:
        log.warning("%s", problem)
    if emulate:
        ground = _emulated(config, where, speed, seed, scenario)
    else:
        clock = RealClock()
        kept = notifier.kept(os.environ, os.getpid())
        buses = KernelBuses(kept, loaded.wiring.board.revision)
        ground = Ground(clock, buses, RealNet(clock), where, None)
    journal = open_journal(ground.state)
    engine = Engine(
        loaded, clock=ground.clock, buses=ground.buses, net=ground.net, journal=journal,
        emulated=emulate,
    )  # fmt: skip
    if journal.set_aside is not None:
        log.error("the journal was unreadable; it was kept as %s", journal.set_aside)
    # The engine first: air moves before the first page can be served.
    engine.start()
    for error in late:
        engine.lacks("certificate", error)
    beside = [] if emulate else _on_real_head(engine, loaded.settings.service)
    try:
        return _with_faces(engine, loaded, ground, notifier, host, port, tls, stop)
    finally:
        for end in beside:
            end()
        engine.stop()
        if ground.world is not None:
            ground.world.stop()
        if held is not None:
            os.close(held)


def _with_faces(
    engine: Engine,
    loaded: Loaded,
    ground: Ground,
    notifier: Notifier,
    host: str | None,
    port: int | None,
    tls: ssl.SSLContext | None,
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
    name = socket.gethostname()
    app = create_app(
        engine, TokenStore(ground.state / "tokens.json"), key=key,
        hosts={name, f"{name}.local", service.host, *service.names},
        min_off_s=loaded.settings.power.min_off_s,
    )  # fmt: skip
    server = ApiServer(
        app, service.host if host is None else host, service.port if port is None else port,
        _free_socket(ground.state), tls=tls,
    )  # fmt: skip
    try:
        server.start()
    except HwctlError as error:
        sys.stderr.write(f"{error}; {error.hint}\n")
        return 1
    notifier.send("READY=1", f"STATUS=serving {server.url}")
    kind = f"emulated, {ground.clock.speed:g}x" if ground.world is not None else "live"
    sys.stdout.write(f"hwctl runs {loaded.wiring.rig.name} ({kind}) at {server.url}\n")
    key.mint()
    engine.subscribe(_feeder(notifier))
    # What was imported stays; the collector need not walk it again in the middle of a tick.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)
    while not stop.wait(0.2):
        if isinstance(ground.buses, KernelBuses):
            notifier.keep(ground.buses.lines())
    notifier.send("STOPPING=1")
    server.stop()
    return 0


def _on_real_head(engine: Engine, service: ServiceSettings) -> list[Callable[[], None]]:
    """What an emulated rig has not: the kernel's news, and the head's watchdog.

    :returns: what ends them, to be called before the engine is stopped.
    """
    news = Uevents(engine.hear)
    news.start()
    if service.watchdog is None:
        return [news.stop]
    try:
        watchdog = Watchdog(service.watchdog, service.watchdog_s)
    except HwctlError as error:
        # Air and a shutdown in order are worth more than a watchdog: it runs without one.
        engine.lacks("watchdog", error)
        return [news.stop]
    return [engine.subscribe(_portions(watchdog.feed)), watchdog.close, news.stop]


def _feeder(notifier: Notifier) -> Callable[[], None]:
    """Feeds systemd's watchdog."""
    return _portions(lambda: notifier.send("WATCHDOG=1"))


def _portions(feed: Callable[[], object]) -> Callable[[], None]:
    """What the tick calls when it has completed: nothing else feeds a watchdog."""
    fed = float("-inf")

    def portion() -> None:
        nonlocal fed
        now = time.monotonic()
        if now - fed >= FEED_EVERY_S:
            fed = now
            feed()

    return portion


def _default_state(loaded: Loaded, *, emulate: bool) -> Path:
    return state_dir() / f"emulated-{loaded.wiring.rig.name}" if emulate else state_dir()


def _claim(state: Path) -> int | None:
    """Two services on one journal would each act for the other: the first one has it.

    :returns: a descriptor that holds the claim as long as the process lives; ``None`` where the
        directory cannot be written (the service runs without a journal then).
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.warning("%s cannot be written: %s", state, error.strerror)
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise BusError(
            "another hwctl uses this state directory", where=str(state),
            hint="stop it, or name another one by --state-dir",
        ) from error  # fmt: skip
    return held


def _emulated(config: Path, state: Path, speed: float, seed: int, scenario: str) -> Ground:
    from hwctl_emulated import client  # noqa: PLC0415 - only an emulated rig has it

    world = client.start(config, state_dir=state, speed=speed, seed=seed, scenario=scenario)
    info = world.info
    born = f"{info.start_wall!r}\n"
    mark = state / "world-of-the-journal"
    if not mark.exists() or mark.read_text() != born:
        # A new world knows nothing of what an older one went through.
        for leftover in ("journal.db", "journal.db-wal", "journal.db-shm"):
            with suppress(FileNotFoundError):
                (state / leftover).unlink()
        mark.write_text(born)
    clock = ScaledClock(info.speed, info.zero_monotonic, info.zero_sim, info.start_wall)
    net = RealNet(clock, world.address, world.file, world.programs)
    return Ground(clock, WorldBuses(world), net, state, world)


def find_world(given: Path | None) -> EmulatedWorld:
    """The emulated world of a running service."""
    from hwctl_emulated import client  # noqa: PLC0415

    if given is not None:
        return client.WorldClient(given)
    worlds = sorted(state_dir().glob("emulated-*/world.sock"))
    if not worlds:
        raise HwctlError(
            f"no emulated world below {state_dir()}",
            hint="start one: hwctl run --emulate; or name its --state-dir",
        )
    return client.WorldClient(worlds[0].parent)


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
