"""Bus workers: one thread per bus, because smbus2, gpiozero and spidev block.

A worker owns its bus and the devices on it. It carries out orders first, then the polls that are
due, and reports what came of both. A device that fails is tried again ever more rarely; failure
and recovery are each reported once. A slow device delays its own bus and nothing else.
"""

import errno
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hwctl.engine.buses import Buses
from hwctl.engine.clock import Clock, pace
from hwctl.engine.uevents import Uevent
from hwctl.model.drivers import Driver, Later, Options
from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceError,
    HostError,
    HwctlError,
)
from hwctl.model.wiring import Bus

log = logging.getLogger("hwctl")

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
"""A device that does not answer is probed after 1, 2, 4 ... 30 s. Untuned."""

SETTLE_S = 0.3
"""Between setting a device up and its first poll; the slowest average takes 69 ms (INA219)."""

OWNED = "driver"
"""In a device's folder in sysfs as long as a kernel driver has it."""

Job = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What a poll or an order gave: a value, or an error."""

    device: str
    key: str
    taken: float
    value: Any = None
    error: HwctlError | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """A device failed, or works again, or is reached in another way."""

    device: str
    error: HwctlError | None
    way: str = ""
    """How it is reached from now on, if that has changed: neither a failure nor the end of one."""


def as_ours(raised: Exception, device: str) -> HwctlError:
    """Whatever a driver raises is its own device's failure: the thread of its bus goes on, with the
    fans that may be on it."""
    if isinstance(raised, DeviceError | BusError | HostError):
        return raised
    log.error("the driver of %s failed", device, exc_info=raised)
    error = DeviceError(
        f"its driver failed: {type(raised).__name__}: {raised}",
        where=device,
        hint="this is a fault of the driver: report it, with the log",
    )
    error.__cause__ = raised
    return error


@dataclass(slots=True)
class Poll:
    device: str
    key: str
    job: Job
    every_s: float
    due: float = float("-inf")


@dataclass(slots=True)
class Order:
    device: str
    key: str
    job: Job
    done: Callable[[HwctlError | None], None] | None
    due: float = float("-inf")
    """What goes on with an order that takes time is not due at once."""


def put_order(orders: dict[str, Order], order: Order) -> None:
    """A newer order under the same key takes the place of one that has not begun: the older one's
    ``done`` is then called with no error, since what it wanted is no longer wanted."""
    replaced = orders.get(order.key)
    if replaced is not None and replaced.due > float("-inf"):
        # What goes on with an order that has begun (a button that is held down) must come.
        orders[f"{order.key} (begun)"] = orders.pop(order.key)
        replaced = None
    orders.pop(order.key, None)
    orders[order.key] = order
    if replaced is not None and replaced.done is not None:
        replaced.done(None)


@dataclass(slots=True)
class _Device:
    driver: Driver
    options: Options
    opened: Any = None
    failed: bool = False
    retry_s: float = FIRST_RETRY_S
    retry_at: float = float("-inf")
    ready_at: float = float("-inf")
    """Not polled before."""
    last_error: HwctlError | None = field(default=None)
    folder: Any = None
    """In sysfs, a :class:`~hwctl.model.drivers.SysfsBus`, while it is reached through the kernel's
    own driver."""

    def changed_hands(self, error: HwctlError) -> bool:
        """Whether a device that worked fails because the kernel's driver has just taken it, or has
        let go of it."""
        if self.opened is None:
            return False
        if self.folder is not None:
            return OWNED not in self.folder.names()
        return self.driver.kernel is not None and isinstance(error, DeviceBusyError)


class BusWorker:
    """One bus. :meth:`run_once` does what is due; the thread only calls it again and again."""

    def __init__(
        self,
        name: str,
        bus: Bus,
        buses: Buses,
        clock: Clock,
        report: Callable[[Report], None],
        health: Callable[[Health], None],
    ) -> None:
        self.name = name
        self._wiring = bus
        self._buses = buses
        self._clock = clock
        self._report = report
        self._health = health
        self._opened: Any = None
        self._devices: dict[str, _Device] = {}
        self._polls: list[Poll] = []
        self._orders: dict[str, Order] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    # --- set up, before the start ---

    def add_device(self, name: str, driver: Driver, options: Options) -> None:
        self._devices[name] = _Device(driver, options)

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
        """Carry out ``job(device)`` as soon as the bus is free (see :func:`put_order`).

        A job that gives a :class:`~hwctl.model.drivers.Later` goes on with that when it is time.
        """
        with self._wake:
            put_order(self._orders, Order(device, key, job, done))
            self._wake.notify()

    def _make_due(self, device: str) -> None:
        for poll in self._polls:
            if poll.device == device:
                poll.due = float("-inf")

    def hear(self, event: Uevent) -> None:
        """News of a device: it is read at once. Something new: it may be what devices that fail
        were missing, and they are tried at once, as if they had just begun to fail."""
        appeared = event.brings(self._wiring.kind)
        with self._wake:
            for name, entry in self._devices.items():
                again = appeared and entry.failed
                if again:
                    entry.retry_at, entry.retry_s = float("-inf"), FIRST_RETRY_S / 2
                if again or event.concerns(entry.driver.subsystems):
                    self._make_due(name)
            self._wake.notify()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"bus-{self.name}", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
        # A button that is held down is let go of, though too early.
        for order in [one for one in self._orders.values() if one.due > float("-inf")]:
            self.last_word(order.device, order.job)

    def last_word(self, device: str, job: Job) -> None:
        """Do one thing after :meth:`stop`, if the device works; failures are ignored: nobody is
        left to hear of them."""
        entry = self._devices[device]
        if entry.opened is not None:
            try:
                job(entry.opened)
            except (DeviceError, BusError):
                return

    # --- on the bus's own thread ---

    def _run(self) -> None:
        while not self._stopping:
            next_due = self.run_once()
            with self._wake:
                due = min((order.due for order in self._orders.values()), default=next_due)
                left = max(0.0, min(due, next_due) - self._clock.now()) / self._clock.speed
                if left and not self._stopping:
                    self._wake.wait(min(left, 1.0))

    def run_once(self) -> float:
        """Do all that is due. :returns: when the next poll is."""
        while order := self._next_order():
            self._carry_out(order)
        now = self._clock.now()
        for poll in self._polls:
            if poll.due > now:
                continue
            poll.due = now + pace(self._clock, poll.every_s)
            self._poll(poll)
            # An order waits for one poll at the most.
            while order := self._next_order():
                self._carry_out(order)
        return min((poll.due for poll in self._polls), default=now + 1.0)

    def _next_order(self) -> Order | None:
        now = self._clock.now()
        with self._wake:
            key = next((key for key, order in self._orders.items() if order.due <= now), None)
            return None if key is None else self._orders.pop(key)

    def _carry_out(self, order: Order) -> None:
        device = None
        try:
            device = self._device(order.device, now=True)
            try:
                value = order.job(device)
            except (DeviceError, BusError) as taken:
                if not self._devices[order.device].changed_hands(taken):
                    raise
                self._devices[order.device].opened = device = None
                device = self._device(order.device, now=True)
                value = order.job(device)
        except Exception as raised:  # noqa: BLE001 - see `as_ours`
            error = as_ours(raised, order.device)
            if device is None:
                error.undelivered = True
            self._failed(order.device, error)
            self._report(Report(order.device, order.key, self._clock.now(), error=error))
            if order.done is not None:
                order.done(error)
            self._devices[order.device].retry_at = float("-inf")
            self._make_due(order.device)
            return
        self._worked(order.device)
        if isinstance(value, Later):
            order.job = value.job
            order.due = self._clock.now() + value.after_s
            with self._wake:
                self._orders[order.key] = order
            return
        self._report(Report(order.device, order.key, self._clock.now(), value))
        if order.done is not None:
            order.done(None)
        # What came of it is looked at, at once.
        self._make_due(order.device)

    def _poll(self, poll: Poll) -> None:
        entry = self._devices[poll.device]
        if entry.failed and self._clock.now() < entry.retry_at:
            return
        fresh = entry.opened is None
        try:
            device = self._device(poll.device)
            now = self._clock.now()
            if fresh:
                # A converter that was just set up has measured nothing yet, on no channel.
                entry.ready_at = now + pace(self._clock, SETTLE_S)
            if now < entry.ready_at:
                poll.due = entry.ready_at
                return
            value = poll.job(device)
        except Exception as raised:  # noqa: BLE001 - see `as_ours`
            error = as_ours(raised, poll.device)
            if entry.changed_hands(error):
                entry.opened = None
                poll.due = self._clock.now()  # it is opened anew in the next round
                return
            self._failed(poll.device, error)
            self._report(Report(poll.device, poll.key, self._clock.now(), error=error))
            return
        self._worked(poll.device)
        self._report(Report(poll.device, poll.key, self._clock.now(), value))

    def _device(self, name: str, *, now: bool = False) -> Any:  # noqa: ANN401 - any device
        """The opened and probed device. ``now``: an order does not wait for the next retry."""
        entry = self._devices[name]
        if entry.opened is not None:
            return entry.opened
        if entry.failed and not now and entry.last_error and self._clock.now() < entry.retry_at:
            raise entry.last_error
        if self._opened is None:
            self._opened = self._buses.open(self.name, self._wiring)
        device = entry.driver.open(self._opened, entry.options)
        folder: Any = None
        try:
            device.probe()
        except DeviceBusyError as error:
            if entry.driver.kernel is None or not error.folder:
                raise
            folder = self._buses.open(self.name, Bus(kind="sysfs", path=error.folder))
            device = entry.driver.kernel(folder, entry.options)
            device.probe()
            way = f"{error.what}: it is used through that driver, in {error.folder}; {error.hint}"
        else:
            way = "the kernel has let go of it: it is used without a kernel driver again"
        told = entry.folder is not None
        entry.opened, entry.folder = device, folder
        if told != (folder is not None):
            self._health(Health(name, None, way))
        return device

    def _failed(self, name: str, error: HwctlError) -> None:
        entry = self._devices[name]
        if entry.failed:
            entry.retry_s = min(entry.retry_s * 2, LONGEST_RETRY_S)
        else:
            entry.retry_s = FIRST_RETRY_S
            self._health(Health(name, error))
        entry.failed = True
        entry.last_error = error
        entry.retry_at = self._clock.now() + pace(self._clock, entry.retry_s)
        if self._wiring.kind == "gpio":
            # Letting go of a line could change it: it stays held whatever happens, unless the chip
            # is gone (GpioChip.gone), which has no lines any more. It is opened anew when it is
            # back. The error may come wrapped in a driver's own.
            cause: BaseException | None = error
            while isinstance(cause, HwctlError):
                if isinstance(cause, BusError) and cause.errno == errno.ENODEV:
                    self._let_go()
                    break
                cause = cause.__cause__
            return
        # It may have been reset or replaced: it is opened and probed anew. What the kernel refuses
        # of its own driver's files is no fault of the bus.
        by_kernel = entry.opened is not None and entry.folder is not None
        entry.opened = None
        if isinstance(error, BusError) and not by_kernel:
            self._let_go()

    def _let_go(self) -> None:
        """The bus is gone, with all that was on it. Closed, because an adapter that was pulled out
        is gone for the kernel only when nobody has it open; until then no other can come."""
        for entry in self._devices.values():
            entry.opened = None
        opened, self._opened = self._opened, None
        if close := getattr(opened, "close", None):
            close()

    def _worked(self, name: str) -> None:
        entry = self._devices[name]
        if entry.failed:
            entry.failed = False
            entry.last_error = None
            self._health(Health(name, None))
