"""Shelly: documented exchanges, the emulated devices over real sockets, and refusals."""

import asyncio
import json
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.clock import ManualClock
from hwctl.model.errors import DeviceDataError, DeviceError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.shelly import DRIVER, ShellyOptions
from hwctl_emulated import shelly as emulated
from hwctl_emulated.part import Site

GENERATIONS = pytest.mark.parametrize("generation", [1, 2, 3])


def opened(net, **options):
    return DRIVER.open(net, ShellyOptions(host="plug", **options))


def made(clock, **options):
    entry = DeviceEntry(driver="shelly", **options)
    return emulated.make(Site("plug", entry, clock.now, Random(1)))


# --- golden ---


def test_switch_set_as_documented(scripted_http):
    """shelly-api-docs.shelly.cloud, gen2/General/RPCChannels, "POST request with entire frame";
    the id is ours, and `src` is told."""
    net = scripted_http((200, b'{"id":1,"src":"shellydev1-c8f09e47e6f0","result":{"was_on":true}}'))
    asyncio.run(opened(net).set(0, on=True))
    (asked,) = net.asked
    assert (asked.method, asked.path) == ("POST", "/rpc")
    assert asked.headers == {"Content-Type": "application/json"}
    assert asked.body == b'{"id":1,"src":"hwctl","method":"Switch.Set","params":{"id":0,"on":true}}'


def test_switch_getstatus_as_documented(scripted_http):
    """gen2/Components/FunctionalComponents/Switch, the example of Switch.GetStatus, in a frame."""
    status = {
        "id": 0,
        "source": "timer",
        "output": False,
        "timer_started_at": 1626942399.36,
        "timer_duration": 60,
        "apower": 0,
        "voltage": 237.571,
    }
    net = scripted_http((200, json.dumps({"id": 1, "result": status}).encode()))
    assert asyncio.run(opened(net).get(0)) is False


GEN1_STATUS = (
    b'{"ison":%s,"has_timer":%s,"timer_started":0,"timer_duration":0,'
    b'"timer_remaining":0,"overpower":false,"source":"http"}'
)
"""The attributes of shelly-api-docs.shelly.cloud/gen1, /relay/{index}."""


@pytest.mark.parametrize(
    ("order", "path", "answer"),
    [
        (("get", 0), "/relay/0", GEN1_STATUS % (b"true", b"false")),
        (("set", 1, True), "/relay/1?turn=on", GEN1_STATUS % (b"true", b"false")),
        (("set", 0, False), "/relay/0?turn=off", GEN1_STATUS % (b"false", b"false")),
        (("cycle", 0, 4.2), "/relay/0?turn=off&timer=5", GEN1_STATUS % (b"false", b"true")),
    ],
)
def test_generation_1_as_documented(scripted_http, order, path, answer):
    net = scripted_http((200, answer))
    verb, *arguments = order
    got = asyncio.run(getattr(opened(net, generation=1), verb)(*arguments))
    assert [(one.method, one.path, one.body) for one in net.asked] == [("GET", path, b"")]
    assert got is (True if verb == "get" else None)


# --- over real sockets ---


@GENERATIONS
@pytest.mark.parametrize("password", [None, 'pass"word\\ ü&:'])
def test_switched_and_read_back(http_front, generation, password):
    options = {"generation": generation} | ({"password": password} if password else {})
    front = http_front(made(ManualClock(), **options))

    async def use(net):
        device = opened(net, **options)
        seen = [await device.get(1)]
        for on in (True, True, False):
            await device.set(1, on)
            seen.append(await device.get(1))
            assert front.part.relay(1) == on
        return seen

    assert front.run(use) == [False, True, True, False]


@GENERATIONS
def test_the_device_itself_turns_it_on_again_whatever_becomes_of_the_head(http_front, generation):
    clock = ManualClock()
    front = http_front(made(clock, generation=generation))

    async def use(net):
        device = opened(net, generation=generation)
        await device.set(0, on=True)
        await device.cycle(0, 7.5)

    front.run(use)
    assert not front.part.relay(0)
    clock.advance(7.6)
    assert not front.part.relay(0), "whole seconds, never fewer"
    clock.advance(0.5)
    assert front.part.relay(0)


def test_a_password_goes_only_to_who_asks_for_it(http_front):
    front = http_front(made(ManualClock(), generation=1, password="secret"))
    front.run(lambda net: opened(net, generation=1, password="secret").get(0))
    first, second = (headers.get("authorization", "") for _, _, headers, _ in front.requests)
    assert first == ""
    assert second.startswith("Basic ")


def test_digest_never_shows_the_password(http_front):
    front = http_front(made(ManualClock(), password="secret"))
    front.run(lambda net: opened(net, password="secret").get(0))
    assert len(front.requests) == 2, "one challenge, one answer"
    said = front.requests[1][2]["authorization"]
    assert said.startswith("Digest ")
    assert "SHA-256" in said
    assert "secret" not in said


@GENERATIONS
@pytest.mark.parametrize(
    ("password", "words"), [(None, "wants a password"), ("wrong", "refuses the password")]
)
def test_a_wrong_password_is_named(http_front, generation, password, words):
    front = http_front(made(ManualClock(), generation=generation, password="right"))

    async def use(net):
        with pytest.raises(DeviceError, match=words):
            await opened(net, generation=generation, password=password).set(0, on=True)

    front.run(use)
    assert not front.part.relay(0)


def test_a_channel_that_is_not_there_is_refused_in_the_devices_words(http_front):
    front = http_front(made(ManualClock()))

    async def use(net):
        with pytest.raises(DeviceError, match=r"value 9 not found! \(-105\)"):
            await opened(net).set(9, on=True)

    front.run(use)


# --- nonsense, and devices that do something else ---


@pytest.mark.parametrize(
    ("generation", "status", "body"),
    [
        (1, 200, b"<html>"),
        (1, 200, b'{"ison":"true"}'),
        (1, 200, b"{}"),
        (1, 404, b"Not Found"),
        (1, 500, b'{"ison":true}'),
        (2, 200, b"<html>"),
        (2, 200, b"[1]"),
        (2, 200, b'{"id":1,"result":{"output":1}}'),
        (2, 200, b'{"id":1,"result":{}}'),
        (2, 200, b'{"id":1,"result":true}'),
        (2, 200, b'{"id":2,"result":{"output":true}}'),
        (2, 200, b'{"ison":true,"has_timer":false}'),
        (2, 404, b'{"id":1,"result":{"output":true}}'),
    ],
)
def test_nonsense_is_never_a_state(scripted_http, generation, status, body):
    with pytest.raises(DeviceDataError, match="no Shelly of generation") as caught:
        asyncio.run(opened(scripted_http((status, body)), generation=generation).get(0))
    assert "gen" in caught.value.hint


def test_the_devices_words_are_cut_and_harmless(scripted_http):
    error = {"id": 1, "error": {"code": -1, "message": "\x1b[31m" + "x" * 1000}}
    net = scripted_http((500, json.dumps(error).encode()))
    with pytest.raises(DeviceError) as caught:
        asyncio.run(opened(net).set(0, on=True))
    assert caught.value.what == f"refuses Switch.Set: [31m{'x' * 96} (-1)"


def test_off_with_a_timer_left_over_is_an_error(scripted_http):
    net = scripted_http((200, GEN1_STATUS % (b"false", b"true")))
    with pytest.raises(DeviceError, match="turn it on again"):
        asyncio.run(opened(net, generation=1).set(0, on=False))
    net = scripted_http(
        (200, b'{"id":1,"result":{"was_on":true}}'),
        (200, b'{"id":1,"result":{"output":false,"timer_started_at":1.0,"timer_duration":9}}'),
    )
    with pytest.raises(DeviceError, match="turn it on again"):
        asyncio.run(opened(net).set(0, on=False))


def test_a_cycle_without_a_timer_is_an_error(scripted_http):
    net = scripted_http((200, GEN1_STATUS % (b"false", b"false")))
    with pytest.raises(DeviceError, match="runs no timer"):
        asyncio.run(opened(net, generation=1).cycle(0, 5.0))
    net = scripted_http(
        (200, b'{"id":1,"result":{"was_on":true}}'), (200, b'{"id":1,"result":{"output":false}}')
    )
    with pytest.raises(DeviceError, match="runs no timer"):
        asyncio.run(opened(net).cycle(0, 5.0))


def test_a_relay_that_does_not_follow_is_an_error(scripted_http):
    net = scripted_http((200, GEN1_STATUS % (b"false", b"false")))
    with pytest.raises(DeviceError, match="stayed off"):
        asyncio.run(opened(net, generation=1).set(0, on=True))


@pytest.mark.parametrize(
    "options", [{"host": "plug/relay/0?turn=off"}, {"host": "p", "generation": 5}]
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        ShellyOptions(**options)
