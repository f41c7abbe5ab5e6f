"""Tasmota: documented exchanges, the emulated device over real sockets, and refusals."""

import asyncio
import json
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.clock import ManualClock
from hwctl.model.errors import DeviceDataError, DeviceError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.tasmota import DRIVER, TasmotaOptions, pulse_time
from hwctl_emulated import tasmota as emulated
from hwctl_emulated.part import Site


def opened(net, **options):
    return DRIVER.open(net, TasmotaOptions(host="plug", **options))


def made(clock, **options):
    entry = DeviceEntry(driver="tasmota", **options)
    return emulated.make(Site("plug", entry, clock.now, Random(1)))


# --- golden: request and answer as tasmota.github.io/docs/Commands ("With web requests") has them,
# and {"POWER1":"ON"} as Power::Outlet::Tasmota 0.44 records it from a device ---


@pytest.mark.parametrize(
    ("order", "path", "answer"),
    [
        (("get", 1), "/cm?cmnd=Power1", b'{"POWER1":"ON"}'),
        (("set", 1, True), "/cm?cmnd=Power1%20On", b'{"POWER1":"ON"}'),
        (("set", 2, False), "/cm?cmnd=Power2%20Off", b'{"POWER2":"OFF"}'),
    ],
)
def test_documented_exchanges(scripted_http, order, path, answer):
    net = scripted_http((200, answer))
    verb, *arguments = order
    got = asyncio.run(getattr(opened(net, relays=4), verb)(*arguments))
    assert [(one.method, one.host, one.port, one.path) for one in net.asked] == [
        ("GET", "plug", 80, path)
    ]
    assert got is (True if verb == "get" else None)


def test_user_and_password_stand_in_the_query_as_documented(scripted_http):
    net = scripted_http((200, b'{"POWER":"ON"}'))
    asyncio.run(opened(net, password="joker").get(1))
    assert net.asked[0].path == "/cm?user=admin&password=joker&cmnd=Power1"


def test_a_password_cannot_become_a_command(http_front):
    evil = 'x&cmnd=Power1 Off#?;"\r\n%00é'
    clock = ManualClock()
    front = http_front(made(clock, password=evil))
    assert front.run(lambda net: opened(net, password=evil).set(1, on=True)) is None
    assert front.part.relay(1)
    assert [path.count("&cmnd=") for _, path, *_ in front.requests] == [1]


@pytest.mark.parametrize("host", ["a b", "plug/cm?cmnd=Power0", "plug\r\nX: y", "u@plug", ""])
def test_a_host_is_a_host(host):
    with pytest.raises(ValidationError):
        TasmotaOptions(host=host)


@pytest.mark.parametrize(
    ("off_s", "value"), [(0.1, 1), (5, 50), (11.1, 111), (11.2, 112), (12, 112), (64800, 64900)]
)
def test_pulse_time_has_two_units(off_s, value):
    assert pulse_time(off_s) == value


@pytest.mark.parametrize("off_s", [0, -1, 64801, float("nan")])
def test_pulse_time_has_its_limits(off_s):
    with pytest.raises(ValueError, match="not within"):
        pulse_time(off_s)


# --- over real sockets ---


@pytest.mark.parametrize("relays", [1, 4])
def test_switched_and_read_back(http_front, relays):
    front = http_front(made(ManualClock(), relays=relays))

    async def use(net):
        device = opened(net, relays=relays)
        seen = [await device.get(relays)]
        for on in (True, True, False):
            await device.set(relays, on)
            seen.append(await device.get(relays))
            assert front.part.relay(relays) == on
        return seen

    assert front.run(use) == [False, True, True, False]


def test_the_device_itself_turns_it_on_again_whatever_becomes_of_the_head(http_front):
    clock = ManualClock()
    front = http_front(made(clock, cycles=True, relays=2))

    async def use(net):
        device = opened(net, cycles=True, relays=2)
        await device.set(2, on=True)
        await device.cycle(2, 20.0)

    front.run(use)
    assert not front.part.relay(2)
    clock.advance(19.9)
    assert not front.part.relay(2)
    clock.advance(0.2)
    assert front.part.relay(2)


def test_with_poweronstate_5_an_ordinary_off_lasts(http_front):
    clock = ManualClock()
    front = http_front(made(clock, cycles=True))

    async def use(net):
        device = opened(net, cycles=True)
        await device.set(1, on=True)
        await device.cycle(1, 5.0)
        await device.set(1, on=False)

    front.run(use)
    clock.advance(1e6)
    assert not front.part.relay(1)


def test_no_cycle_where_pulsetime_would_not_turn_it_on(http_front):
    clock = ManualClock()
    front = http_front(made(clock))  # PowerOnState 3, its factory setting

    async def use(net):
        device = opened(net, cycles=True)
        await device.set(1, on=True)
        with pytest.raises(DeviceError, match="PowerOnState is '3'") as caught:
            await device.cycle(1, 5.0)
        return caught.value.hint

    assert "PowerOnState 5" in front.run(use)
    clock.advance(1e6)
    assert front.part.relay(1), "nothing was changed"


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_wrong_password_is_named(http_front, password):
    front = http_front(made(ManualClock(), password="right"))

    async def use(net):
        with pytest.raises(DeviceError, match="refuses the password"):
            await opened(net, password=password).set(1, on=True)

    front.run(use)
    assert not front.part.relay(1)


# --- nonsense ---


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"", "no Tasmota says"),
        (200, b"<html>", "no Tasmota says"),
        (200, b"[]", "no Tasmota says"),
        (200, b"\xff\xfe\x00", "no Tasmota says"),
        (200, b"{}", "whether relay 1"),
        (200, b'{"POWER2":"ON"}', "whether relay 1"),
        (200, b'{"POWER":"AN"}', "whether relay 1"),
        (200, b'{"POWER":true}', "whether relay 1"),
        (200, b'{"Command":"Unknown"}', "whether relay 1"),
        (404, b"Not Found", "status 404"),
        (500, b'{"POWER":"ON"}', "status 500"),
    ],
)
def test_nonsense_is_never_a_state(scripted_http, status, body, words):
    with pytest.raises(DeviceDataError, match=words) as caught:
        asyncio.run(opened(scripted_http((status, body))).get(1))
    assert caught.value.hint
    assert caught.value.where == "Tasmota at plug"


@pytest.mark.parametrize(
    "answer", [(401, b""), (200, b'{"WARNING":"Need user=<username>&password=<password>"}')]
)
def test_both_ways_to_refuse_a_password(scripted_http, answer):
    with pytest.raises(DeviceError, match="refuses the password"):
        asyncio.run(opened(scripted_http(answer), password="x").get(1))


@pytest.mark.parametrize(("on", "said", "words"), [(True, "OFF", "off"), (False, "ON", "on")])
def test_a_locked_relay_is_an_error(scripted_http, on, said, words):
    net = scripted_http((200, json.dumps({"POWER": said}).encode()))
    with pytest.raises(DeviceError, match=f"stayed {words}") as caught:
        asyncio.run(opened(net).set(1, on))
    assert "PowerLock" in caught.value.hint


@pytest.mark.parametrize("channel", [0, 3, 9, -1])
@pytest.mark.parametrize("verb", ["get", "set", "cycle"])
def test_power0_would_be_all_relays_and_is_never_sent(scripted_http, channel, verb):
    net = scripted_http()
    arguments = {"get": (), "set": (False,), "cycle": (5.0,)}[verb]
    with pytest.raises(DeviceError, match="no relay"):
        asyncio.run(getattr(opened(net, relays=2), verb)(channel, *arguments))
    assert net.asked == []


def test_a_pulsetime_that_was_not_taken_cuts_nothing(scripted_http):
    net = scripted_http((200, b'{"PowerOnState":5}'), (200, b'{"PulseTime1":"0 (Off)"}'))
    with pytest.raises(DeviceDataError, match="did not take PulseTime1 50"):
        asyncio.run(opened(net, cycles=True).cycle(1, 5.0))
    assert [one.path for one in net.asked] == [
        "/cm?cmnd=PowerOnState",
        "/cm?cmnd=PulseTime1%2050",
    ]


def test_cycles_only_where_the_owner_says_so():
    assert [DRIVER.cycles(TasmotaOptions(host="x", cycles=c)) for c in (False, True)] == [
        False,
        True,
    ]


def test_after_an_outage_of_the_device_itself():
    clock = ManualClock()
    part = made(clock, cycles=True)
    part.request("GET", "/cm?cmnd=Power1%20On", {}, b"")
    part.request("GET", "/cm?cmnd=PulseTime1%2050", {}, b"")
    part.power_on()
    assert not part.relay(1)
    clock.advance(5.0)
    assert part.relay(1), "PulseTime is set: on after that time"
