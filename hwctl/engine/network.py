"""The network's loop: one thread for every node, however many there are.

Each node is asked about its load at its own rate, and told to halt or reboot when the engine says
so. A node that does not answer costs nothing but its own time limit.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from hwctl.engine.clock import Clock, pace
from hwctl.engine.net_devices import NetDevice
from hwctl.engine.workers import Report, as_ours
from hwctl.model.drivers import HostControl, LoadSource
from hwctl.model.errors import HostError, HwctlError

SLOTS = 8
"""Per polling period; nodes of one slot are asked together."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A node's network drivers, opened."""

    node: str
    load: LoadSource | None
    control: HostControl | None
    every_s: float


class Network:
    """The loop's thread. Without :meth:`start` everything happens in the caller's (rehearsals)."""

    def __init__(
        self,
        hosts: list[HostEntry],
        devices: Sequence[NetDevice],
        clock: Clock,
        report: Callable[[Report], None],
    ) -> None:
        self._devices = tuple(devices)
        self._hosts = {entry.node: entry for entry in hosts}
        self._clock = clock
        self._report = report
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def can_halt(self, node: str) -> bool:
        entry = self._hosts.get(node)
        return entry is not None and entry.control is not None

    def can_be_seen(self, node: str) -> bool:
        entry = self._hosts.get(node)
        return entry is not None and entry.load is not None

    async def poll_once(self, entry: HostEntry) -> None:
        """Ask one node about its load, and report."""
        if entry.load is None:
            return
        try:
            sample = await entry.load.sample()
        except Exception as raised:  # noqa: BLE001 - see `as_ours`
            error = as_ours(raised, entry.node)
            self._report(Report(entry.node, f"load/{entry.node}", self._clock.now(), error=error))
            return
        self._report(Report(entry.node, f"load/{entry.node}", self._clock.now(), sample))

    def ask(self, node: str, verb: str, done: Callable[[HwctlError | None], None]) -> None:
        """Tell a node to halt or reboot; ``done`` is called once, from the loop's thread."""
        if self._loop is None:
            self._ask_inline(node, verb, done)
            return

        def ended(future: "Future[None]") -> None:
            error = future.exception()
            done(error if isinstance(error, HwctlError) or error is None else _odd(error))

        asyncio.run_coroutine_threadsafe(self.order(node, verb), self._loop).add_done_callback(
            ended
        )

    def _ask_inline(self, node: str, verb: str, done: Callable[[HwctlError | None], None]) -> None:
        """In a rehearsal, whose nodes answer at once."""
        work = self.order(node, verb)
        try:
            work.send(None)
        except StopIteration:
            done(None)
        except HostError as error:
            done(error)
        else:
            work.close()
            raise RuntimeError("a driver waited for something that a rehearsal does not have")

    async def order(self, node: str, verb: str) -> None:
        """:raises HostError: it could not be asked, or refused."""
        entry = self._hosts.get(node)
        if entry is None or entry.control is None:
            raise HostError(f"no `control` is configured for {node}", where=node)
        if verb == "halt":
            await entry.control.halt()
        else:
            await entry.control.reboot()

    @property
    def hosts(self) -> list[HostEntry]:
        return list(self._hosts.values())

    # --- the thread ---

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="network", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)

    def _run(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        for index, entry in enumerate(self._hosts.values()):
            # Spread over the period, so that a thousand nodes are not asked in one burst; in few
            # slots, because waking up costs more than asking one node more.
            delay = entry.every_s * (index % SLOTS) / SLOTS
            loop.call_soon(self._spawn, loop, entry, delay)
        for device in self._devices:
            self._tasks.add(loop.create_task(device.serve(loop)))
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    def _spawn(self, loop: asyncio.AbstractEventLoop, entry: HostEntry, delay: float) -> None:
        self._tasks.add(loop.create_task(self._poll_on(entry, delay)))

    async def _poll_on(self, entry: HostEntry, delay: float) -> None:
        due = self._clock.now() + delay
        while True:
            await asyncio.sleep(max(0.0, due - self._clock.now()) / self._clock.speed)
            await self.poll_once(entry)
            # It keeps its slot; a node that took longer than its period is asked again at once.
            due = max(due + pace(self._clock, entry.every_s), self._clock.now())


def _odd(error: BaseException) -> HostError:
    wrapped = HostError(f"the request failed: {error!r}")
    wrapped.__cause__ = error
    return wrapped
