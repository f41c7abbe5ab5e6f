"""Server-sent events over real sockets."""

import asyncio
import base64
import json
import socket
from contextlib import contextmanager

import pytest

from hwctl.faces.api.documents import RigCache
from hwctl.faces.api.streams import (
    EVENTS_AT_ONCE,
    MOST_STREAMS,
    EventStream,
    Hub,
    live_chunks,
)


class Reader:
    """Parses an event stream as it comes."""

    def __init__(self, answer):
        self._lines = answer.iter_lines()

    def next(self, kind=None):
        """The next event (of that kind): its name, id and data."""
        while True:
            found = {"event": "message", "id": None, "data": []}
            for line in self._lines:
                if not line:
                    break
                field, _, value = line.partition(": ")
                if field == "data":
                    found["data"].append(value)
                elif field in found:
                    found[field] = value
            if found["data"] and kind in (None, found["event"]):
                return found["event"], found["id"], json.loads("\n".join(found["data"]))


@contextmanager
def stream(site, path, **headers):
    with site.client(**headers) as client, client.stream("GET", path) as answer:
        yield answer, Reader(answer)


def test_events_come_as_they_happen_with_their_ids(site):
    site.service.tell("before")
    with stream(site, "/api/v1/events") as (answer, reader):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-length" not in answer.headers
        first = reader.next()
        site.service.tell("while watching", "warning")
        second = reader.next()
    assert first[1] == "1"
    assert first[2]["text"] == "before"
    assert second[1] == "2"
    assert second[2] == {
        "id": 2,
        "at": second[2]["at"],
        "kind": "test.event",
        "subject": "pi1",
        "text": "while watching",
        "severity": "warning",
        "data": {"n": 2},
    }
    assert second[2]["at"].endswith("Z")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/events", {"Last-Event-ID": "3"}),
        ("/api/v1/events?after=3", {}),
        ("/api/v1/events?after=1", {"Last-Event-ID": "3"}),
    ],
)
def test_a_reconnecting_client_misses_nothing_and_gets_nothing_twice(site, path, headers):
    for number in range(1, 6):
        site.service.tell(f"event {number}")
    with stream(site, path, **headers) as (_, reader):
        assert [reader.next()[1] for _ in range(2)] == ["4", "5"]
        site.service.tell("event 6")
        assert reader.next()[1] == "6"


def test_events_as_a_list(site):
    for number in range(1, 6):
        site.service.tell(f"event {number}")
    with site.client(Accept="application/json") as client:
        every = client.get("/api/v1/events").json()
        later = client.get("/api/v1/events?after=3").json()
        limited = client.get("/api/v1/events?limit=1").json()
        none = client.get("/api/v1/events?after=99").json()
    assert [one["id"] for one in every] == [1, 2, 3, 4, 5]
    assert [one["id"] for one in later] == [4, 5]
    assert [one["id"] for one in limited] == [5]
    assert none == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/events", {"Last-Event-ID": "first"}),
        ("/api/v1/events", {"Last-Event-ID": "-1"}),
        ("/api/v1/events?after=x", {}),
        (f"/api/v1/events?limit={EVENTS_AT_ONCE + 1}", {}),
        ("/api/v1/live", {"Last-Event-ID": "1.5"}),
    ],
)
def test_an_id_that_is_none_is_refused(site, path, headers):
    with site.client(**headers) as client:
        answer = client.get(path)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/docs/errors#invalid-request"


def test_live_tells_the_rig_its_frames_and_its_events(site):
    rgb = bytes(range(180))
    site.service.show("lid", rgb, 0.35)
    site.service.tell("old news")
    with stream(site, "/api/v1/live") as (_, reader):
        _, _, rig = reader.next("rig")
        _, number, event = reader.next("event")
        _, _, frame = reader.next("frame")
        site.service.change_node("pi1", load=0.77)
        _, _, changed = reader.next("rig")
        site.service.show("lid", bytes(180))
        _, _, dark = reader.next("frame")
        site.service.tell("fresh news")
        _, fresh, _ = reader.next("event")
    assert rig["name"] == "football"
    assert (number, event["text"]) == ("1", "old news")
    assert (frame["strip"], frame["brightness"]) == ("lid", 0.35)
    assert base64.b64decode(frame["rgb"]) == rgb
    assert changed["nodes"][1]["load"] == 0.77
    assert dark["seq"] == frame["seq"] + 1
    assert set(base64.b64decode(dark["rgb"])) == {0}
    assert fresh == "2"


def test_live_begins_after_the_last_event_that_a_client_had(site):
    for number in range(1, 6):
        site.service.tell(f"event {number}")
    with stream(site, "/api/v1/live", **{"Last-Event-ID": "4"}) as (_, reader):
        assert reader.next("event")[1] == "5"


def test_one_subscription_serves_all_streams_and_ends_with_the_last(site):
    with stream(site, "/api/v1/events") as (_, first):
        with stream(site, "/api/v1/live") as (_, second):
            second.next("rig")
            site.service.tell("something")
            first.next()
            assert site.service.listeners == 1
        site.service.tell("more")
        first.next()
        assert site.service.listeners == 1
    while site.service.listeners:
        site.service.tell("the server notices that nobody is there")
    assert site.service.listeners == 0


def test_there_is_a_limit_to_streams(site):
    raws = []
    for _ in range(MOST_STREAMS):
        raw = socket.create_connection(("127.0.0.1", site.server.port), timeout=10)
        raw.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert raw.recv(15) == b"HTTP/1.1 200 OK"
        raws.append(raw)
    with site.client() as client:
        over = client.get("/api/v1/live")
        other = client.get("/api/v1/rig")
    for raw in raws:
        raw.close()
    assert over.status_code == 429
    assert over.headers["retry-after"] == "5"
    assert over.json()["retryable"] is True
    assert other.status_code == 200


def run_stream(service, send, *, patience_s=30.0):
    """A stream whose client is ``send``; it leaves by setting the event that it is given.

    :returns: how many listeners are left.
    """

    async def run():
        hub = Hub(service)
        left = asyncio.Event()

        async def receive():
            await left.wait()
            return {"type": "http.disconnect"}

        answer = EventStream(
            hub,
            lambda bell: live_chunks(service, hub, bell, RigCache(), None),
            patience_s=patience_s,
        )
        await answer({"type": "http"}, receive, lambda message: send(message, left))
        return service.listeners

    return asyncio.run(run())


def test_what_a_slow_client_could_not_take_is_never_kept(stand_in):
    service = stand_in.StandIn()
    rigs = []

    async def send(message, left):
        body = message.get("body", b"")
        if b"event: rig" not in body:
            return
        rigs.extend(
            json.loads(line.partition(b"data: ")[2])["nodes"][1]["load"]
            for line in body.splitlines()
            if line.startswith(b'data: {"name"')
        )
        if len(rigs) == 1:  # while this one is being sent, much happens
            for load in range(1, 51):
                service.change_node("pi1", load=load / 100)
                service.show("lid", bytes([load]) * 180)
                await asyncio.sleep(0)
        else:
            left.set()

    assert run_stream(service, send) == 0
    assert rigs == [pytest.approx(0.3), 0.5]


def test_a_client_that_takes_nothing_at_all_is_cut_off(stand_in):
    service = stand_in.StandIn()
    asked = []

    async def send(message, _left):
        asked.append(message["type"])
        if len(asked) > 1:
            await asyncio.Event().wait()

    assert run_stream(service, send, patience_s=0.01) == 0
    assert asked == ["http.response.start", "http.response.body"]
