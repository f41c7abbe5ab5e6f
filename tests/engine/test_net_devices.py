"""Outlets on the network: orders first, one answer to each, and a dead device costs nobody else."""

import asyncio
import threading

import pytest

from hwctl.engine.clock import ManualClock, RealClock
from hwctl.engine.net import RealNet
from hwctl.engine.net_devices import NetDevice
from hwctl.engine.network import Network
from hwctl.engine.workers import FIRST_RETRY_S
from hwctl.model.drivers import Driver, HttpRequest, Options
from hwctl.model.errors import DeviceError, HostError

AMPLE_S = 20.0


class Plug:
    """A device that does what it is told, or fails as it is told."""

    def __init__(self, net, options):
        self.log = []
        self.failure = None

    async def get(self, channel):
        self.log.append(("get", channel))
        if self.failure:
            raise self.failure
        return True

    async def set(self, channel, on):
        self.log.append(("set", channel, on))
        if self.failure:
            raise self.failure


def driver(opened):
    return Driver(
        name="plug", summary="x", parts=("x",), bus="net", roles=frozenset({"outlet"}),
        options=Options, open=opened, proof="x",
    )  # fmt: skip


class Bench:
    def __init__(self, opened=Plug, net=None, clock=None):
        self.clock = clock or ManualClock()
        self.reports, self.healths, self.done = [], [], []
        self.device = NetDevice(
            "plug", driver(opened), Options(), net, self.clock,
            self.reports.append, self.healths.append,
        )  # fmt: skip
        self.plug = self.device._device

    def order(self, channel, on=True):
        def done(error):
            self.done.append((channel, error))

        self.device.order("plug", f"switch/{channel}", lambda plug: plug.set(channel, on), done)

    def poll(self, channel, every_s=1.0):
        self.device.poll("plug", f"outlet/{channel}", lambda plug: plug.get(channel), every_s)

    def once(self):
        return asyncio.run(self.device.run_once())


def silence():
    error = HostError("no answer within 0.4 s", where="plug:80", hint="is it on?")
    error.__cause__ = TimeoutError()
    return error


def test_orders_go_before_polls():
    bench = Bench()
    bench.poll(0)
    bench.order(1)
    bench.order(2)
    bench.once()
    assert bench.plug.log == [("set", 1, True), ("set", 2, True), ("get", 0)]
    assert bench.done == [(1, None), (2, None)]
    assert [(one.key, one.value) for one in bench.reports][-1] == ("outlet/0", True)


def test_a_newer_order_takes_the_place_of_one_that_waits():
    bench = Bench()
    bench.order(1, on=True)
    bench.order(1, on=False)
    bench.once()
    assert bench.plug.log == [("set", 1, False)]
    assert bench.done == [(1, None), (1, None)]


def test_polls_keep_their_pace():
    bench = Bench()
    bench.poll(0, every_s=5.0)
    assert bench.once() == 5.0
    bench.clock.advance(4.9)
    bench.once()
    assert len(bench.plug.log) == 1
    bench.clock.advance(0.1)
    bench.once()
    assert len(bench.plug.log) == 2
    bench.order(1)
    bench.once()
    assert bench.plug.log[2:] == [("set", 1, True), ("get", 0)], "an order makes a poll due"


@pytest.mark.parametrize("error", [silence(), DeviceError("refuses")])
def test_failure_and_recovery_are_each_told_once(error):
    bench = Bench()
    bench.poll(0)
    bench.plug.failure = error
    for _ in range(20):
        bench.once()
        bench.clock.advance(1.0)
    assert [health.error for health in bench.healths] == [error]
    assert 2 < len(bench.plug.log) < 8, "it is asked ever more rarely"
    bench.plug.failure = None
    bench.clock.advance(60.0)
    bench.once()
    assert [health.error for health in bench.healths] == [error, None]


def test_several_polls_of_a_dead_device_cost_one():
    bench = Bench()
    for channel in range(8):
        bench.poll(channel)
    bench.plug.failure = silence()
    bench.once()
    assert len(bench.plug.log) == 1
    bench.clock.advance(FIRST_RETRY_S + 0.1)
    bench.once()
    assert len(bench.plug.log) == 2


def test_an_order_does_not_wait_for_the_next_retry():
    bench = Bench()
    bench.poll(0)
    bench.plug.failure = silence()
    bench.once()
    bench.order(1)
    bench.once()
    assert ("set", 1, True) in bench.plug.log
    assert bench.plug.log[-1] == ("get", 0), "what came of it is looked at"
    assert bench.done == [(1, bench.plug.failure)]


def test_orders_that_wait_behind_silence_fail_with_it_and_are_not_sent():
    bench = Bench()
    bench.plug.failure = silence()
    for channel in range(8):
        bench.order(channel)
    bench.once()
    assert bench.plug.log == [("set", 0, True)]
    assert [channel for channel, _ in bench.done] == list(range(8))
    assert bench.done[0][1] is bench.plug.failure
    for _, error in bench.done[1:]:
        assert error.what == "not sent, because the order before had no answer within 0.4 s"
        assert error.__cause__ is bench.plug.failure
        assert error.retryable
    bench.plug.failure = None
    bench.order(3)
    bench.once()
    assert bench.done[-1] == (3, None), "the next one is tried again"


@pytest.mark.parametrize("error", [DeviceError("refuses"), HostError("no object")])
def test_a_refusal_is_for_its_own_order_only(error):
    bench = Bench()
    bench.plug.failure = error
    bench.order(0)
    bench.order(1)
    bench.once()
    assert bench.plug.log == [("set", 0, True), ("set", 1, True)]


def test_an_order_waits_for_one_poll_at_the_most():
    class Slow(Plug):
        async def get(self, channel):
            if channel == 0:
                bench.order(9)
            return await super().get(channel)

    bench = Bench(Slow)
    bench.poll(0)
    bench.poll(1)
    bench.once()
    assert bench.plug.log == [("get", 0), ("set", 9, True), ("get", 1)]


# --- on the network's own loop, in its own thread ---


class HttpPlug(Plug):
    """A plug on a real socket."""

    def __init__(self, net, options):
        super().__init__(net, options)
        self.net = net

    async def set(self, channel, on):
        await self.net.http(HttpRequest("GET", "plug", 80, f"/{channel}"), limit_s=0.4, most=100)


def test_a_dead_device_fails_each_of_its_orders_while_others_go_on():
    listening, address, stop = threading.Event(), [], threading.Event()

    def serve():
        async def main():
            async def hole(reader, writer):
                while await reader.read(1000):
                    pass
                writer.close()

            server = await asyncio.start_server(hole, "127.0.0.1", 0)
            address.append(server.sockets[0].getsockname())
            listening.set()
            await asyncio.to_thread(stop.wait, AMPLE_S)
            server.close()

        asyncio.run(main())

    server = threading.Thread(target=serve)
    server.start()
    assert listening.wait(AMPLE_S)
    net = RealNet(RealClock(), lambda _host, _port: address[0])
    dead = Bench(HttpPlug, net, RealClock())
    alive = Bench(Plug, None, RealClock())
    network = Network([], [dead.device, alive.device], RealClock(), lambda _report: None)
    network.start()
    answered = {"dead": threading.Semaphore(0), "alive": threading.Semaphore(0)}
    seen = []

    def order(bench, name, channel):
        def done(error):
            seen.append((name, error))
            answered[name].release()

        bench.device.order("plug", f"{channel}", lambda plug: plug.set(channel, on=True), done)

    for channel in range(4):
        order(dead, "dead", channel)
    order(alive, "alive", 0)
    assert answered["alive"].acquire(timeout=AMPLE_S)
    assert seen[0] == ("alive", None), "it did not wait for the dead one"
    for _ in range(4):
        assert answered["dead"].acquire(timeout=AMPLE_S)
    network.stop()
    stop.set()
    server.join(AMPLE_S)
    errors = [error for name, error in seen if name == "dead"]
    assert "no answer within 0.4 s" in str(errors[0])
    assert len(errors) == 4
    assert all(isinstance(error, HostError) for error in errors)
