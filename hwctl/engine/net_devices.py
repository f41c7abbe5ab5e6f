"""Outlets on the network: what :mod:`hwctl.engine.workers` does for a bus, for one such device.

Each has its own task on the network's loop, so that one that does not answer costs the others
nothing. Orders first, then the polls that are due. Orders that wait behind one which the device
left unanswered fail with it: it was asked just now, and eight orders to a dead device must not take
eight times as long as one.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from hwctl.engine.clock import Clock, pace
from hwctl.engine.workers import (
    FIRST_RETRY_S,
    LONGEST_RETRY_S,
    Health,
    Job,
    Order,
    Poll,
    Report,
    as_ours,
    put_order,
)
from hwctl.model.drivers import Driver, Net, Options
from hwctl.model.errors import HostError, HwctlError


class NetDevice:
    """One device; the same methods as :class:`~hwctl.engine.workers.BusWorker`."""

    def __init__(
        self,
        name: str,
        driver: Driver,
        options: Options,
        net: Net,
        clock: Clock,
        report: Callable[[Report], None],
        health: Callable[[Health], None],
    ) -> None:
        self.name = name
        self._device = driver.open(net, options)
        self._clock = clock
        self._report = report
        self._health = health
        self._polls: list[Poll] = []
        self._orders: dict[str, Order] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._failed = False
        self._retry_s = FIRST_RETRY_S
        self._retry_at = float("-inf")

    def poll(self, device: str, key: str, job: Job, every_s: float) -> None:
        """Report ``job(device)`` under ``key``, every ``every_s`` seconds of the rig's time."""
        self._polls.append(Poll(device, key, job, every_s))

    # --- from any thread ---

    def order(
        self,
        device: str,
        key: str,
        job: Job,
        done: Callable[[HwctlError | None], None] | None = None,
    ) -> None:
        """As :meth:`hwctl.engine.workers.BusWorker.order`."""
        self._there(lambda: put_order(self._orders, Order(device, key, job, done)))

    # --- on the loop ---

    async def serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """For ever."""
        self._loop = loop
        while True:
            self._wake.clear()
            next_due = await self.run_once()
            if not self._orders:
                left = max(0.0, next_due - self._clock.now()) / self._clock.speed
                try:
                    async with asyncio.timeout(min(left, 1.0)):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def run_once(self) -> float:
        """Do all that is due. :returns: when the next poll is."""
        await self._carry_out_all()
        now = self._clock.now()
        for poll in self._polls:
            if poll.due > now:
                continue
            poll.due = now + pace(self._clock, poll.every_s)
            if not (self._failed and self._clock.now() < self._retry_at):
                await self._do(poll.key, poll.job)
            # An order waits for one poll at the most.
            await self._carry_out_all()
        return min((poll.due for poll in self._polls), default=now + 1.0)

    async def _carry_out_all(self) -> None:
        silence: HwctlError | None = None
        while self._orders:
            order = self._orders.pop(next(iter(self._orders)))
            error: HwctlError | None
            if silence is None:
                error = await self._do(order.key, order.job)
                silence = error if _unanswered(error) else None
            else:
                error = HostError(
                    f"not sent, because the order before had {silence.what}",
                    where=silence.where,
                    hint=silence.hint,
                )
                error.__cause__ = silence
                self._report(Report(self.name, order.key, self._clock.now(), error=error))
            if order.done is not None:
                order.done(error)
            # What came of it is looked at, at once.
            self._make_due()

    async def _do(self, key: str, job: Job) -> HwctlError | None:
        value: Any = None
        failure: HwctlError | None = None
        try:
            value = job(self._device)
            if inspect.isawaitable(value):
                value = await value
        except Exception as raised:  # noqa: BLE001 - see `as_ours`
            failure = as_ours(raised, self.name)
        self._judge(failure)
        self._report(Report(self.name, key, self._clock.now(), value, failure))
        return failure

    def _judge(self, error: HwctlError | None) -> None:
        if error is None:
            if self._failed:
                self._failed = False
                self._health(Health(self.name, None))
            return
        if self._failed:
            self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
        else:
            self._failed = True
            self._retry_s = FIRST_RETRY_S
            self._health(Health(self.name, error))
        self._retry_at = self._clock.now() + pace(self._clock, self._retry_s)

    def _make_due(self) -> None:
        self._retry_at = float("-inf")
        for poll in self._polls:
            poll.due = float("-inf")

    def _there(self, change: Callable[[], None]) -> None:
        """On the loop; at once in a rehearsal, and before the loop runs."""
        if self._loop is None:
            change()
            return

        def changed() -> None:
            change()
            self._wake.set()

        self._loop.call_soon_threadsafe(changed)


def _unanswered(error: HwctlError | None) -> bool:
    """Whether all the time of an order was spent on waiting."""
    return isinstance(error, HostError) and isinstance(error.__cause__, TimeoutError)
