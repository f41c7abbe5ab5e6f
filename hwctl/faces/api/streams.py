"""Server-sent events: the journal's events, and everything that moves, for the dashboard.

Nothing is queued for a client. Each stream looks at what is true now and at what it has sent, so
a slow client misses frames and snapshots, and costs no memory for it.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send

from hwctl.engine.service import Frame, RigService
from hwctl.faces.api.documents import RigCache, encode, event_document
from hwctl.faces.api.problems import TooManyError
from hwctl.faces.api.routes import json_answer
from hwctl.faces.api.schemas import answer
from hwctl.model.rig import Event

MOST_STREAMS = 32
EVENTS_AT_ONCE = 500
RIG_EVERY_S = 0.25
FRAME_EVERY_S = 0.05
STILL_AFTER_S = 1.0
"""A strip that has not changed for so long is looked at as rarely as the rig."""
COMMENT_AFTER_S = 15.0
"""A line for the proxies in between, which cut what is silent."""
SEND_S = 30.0
"""A client that takes nothing for so long is cut off."""
FIRST_EVENTS = 50
"""Told to a dashboard that has just opened."""
_RETRY = b"retry: 2000\n\n"
_COMMENT = b": still here\n\n"


class Hub:
    """Wakes the streams at each new snapshot, through one subscription for all of them."""

    def __init__(self, service: RigService) -> None:
        self._service = service
        self._bells: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self.closed = False

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set at each new snapshot.

        :raises TooManyError: there are enough streams.
        """
        if self.closed or len(self._bells) >= MOST_STREAMS:
            raise TooManyError(
                "there are too many streams", hint="close another dashboard, or ask without stream"
            )
        bell = asyncio.Event()
        self._bells.add(bell)
        if self._unsubscribe is None:
            self._loop = asyncio.get_running_loop()
            self._unsubscribe = self._service.subscribe(self._wake)
        try:
            yield bell
        finally:
            self._bells.discard(bell)
            if not self._bells and self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None

    def close(self) -> None:
        """End all streams. From the server's thread."""
        self.closed = True
        self._ring()

    def _wake(self) -> None:
        """From the engine's thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()


class EventStream(Response):
    """Sends chunks as they come, until the client goes or takes nothing any more.

    :param chunks: makes them, given the event that is set at each new snapshot.
    :param patience_s: how long a client may take nothing.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        chunks: Callable[[asyncio.Event], AsyncGenerator[bytes, None]],
        *,
        patience_s: float = SEND_S,
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._chunks = chunks
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        with self._hub.listening() as bell:
            writer = asyncio.create_task(self._write(bell, send))
            leaver = asyncio.create_task(_until_gone(receive))
            try:
                await asyncio.wait((writer, leaver), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (writer, leaver):
                    task.cancel()
                await asyncio.gather(writer, leaver, return_exceptions=True)
        if not writer.cancelled() and (error := writer.exception()) is not None:
            raise error

    async def _write(self, bell: asyncio.Event, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._chunks(bell)) as chunks:
            async for chunk in chunks:
                try:
                    async with asyncio.timeout(self._patience_s):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def add_streams(app: FastAPI, service: RigService, hub: Hub, cache: RigCache) -> None:
    """Add the routes that go on answering."""
    after_id = Query(ge=0, description="only events with a greater id")

    @app.get(
        "/api/v1/events",
        responses={
            200: {
                "description": "With Accept: application/json a list, else server-sent events",
                "content": {
                    **answer("Event", many=True)[200]["content"],
                    "text/event-stream": {"schema": {"$ref": "#/components/schemas/Event"}},
                },
            }
        },
        response_class=Response,
        summary="What happened, as it happens",
        tags=["events"],
    )
    async def events(
        request: Request,
        after: Annotated[int, after_id] = 0,
        limit: Annotated[int, Query(ge=1, le=EVENTS_AT_ONCE)] = EVENTS_AT_ONCE,
        last_event_id: Annotated[int | None, Header(ge=0)] = None,
    ) -> Response:
        since = after if last_event_id is None else last_event_id
        if "application/json" in request.headers.get("accept", ""):
            return json_answer([event_document(one) for one in service.events(since, limit)])
        return EventStream(hub, lambda bell: event_chunks(service, hub, bell, since, limit))

    @app.get(
        "/api/v1/live",
        responses={
            200: {
                "description": "Events `rig` (the whole document), `frame` (what a strip shows: "
                "strip, seq, brightness, rgb in base64) and `event`",
                "content": {"text/event-stream": {}},
            }
        },
        response_class=Response,
        summary="Everything that moves, for the dashboard",
        tags=["events"],
    )
    async def live(
        last_event_id: Annotated[int | None, Header(ge=0)] = None,
    ) -> Response:
        return EventStream(hub, lambda bell: live_chunks(service, hub, bell, cache, last_event_id))


async def event_chunks(
    service: RigService, hub: Hub, bell: asyncio.Event, after: int, limit: int
) -> AsyncGenerator[bytes, None]:
    """The journal's events with an id above ``after``, then those that come."""
    yield _RETRY
    while not hub.closed:
        bell.clear()
        found = service.events(after, limit)
        if found:
            after, chunk = found[-1].id, _told(found, None)
            yield chunk
        if not await _rung(bell, COMMENT_AFTER_S):
            yield _COMMENT


async def live_chunks(
    service: RigService, hub: Hub, bell: asyncio.Event, cache: RigCache, after: int | None
) -> AsyncGenerator[bytes, None]:
    """Snapshots, frames and events, as fast as they are taken but no faster than their limits."""
    clock = asyncio.get_running_loop().time
    yield _RETRY
    shown: dict[str, int] = {}
    last_seq: int | None = None
    rig_due = sent_at = moved_at = clock()
    while not hub.closed:
        bell.clear()
        now = clock()
        parts = []
        rig = service.rig()
        if rig.seq != last_seq and now >= rig_due:
            last_seq, rig_due = rig.seq, now + RIG_EVERY_S
            parts.append(_message("rig", cache.bytes_of(rig)))
            if after is None:
                found = service.events(0, FIRST_EVENTS)
            else:
                found = service.events(after, EVENTS_AT_ONCE)
            after = found[-1].id if found else after or 0
            parts.append(_told(found, "event"))
        for strip in rig.strips:
            frame = service.frame(strip.id)
            if frame is not None and shown.get(strip.id) != frame.seq:
                shown[strip.id], moved_at = frame.seq, now
                parts.append(_message("frame", encode(_frame_document(strip.id, frame))))
        chunk = b"".join(parts)
        if not chunk and now - sent_at >= COMMENT_AFTER_S:
            chunk = _COMMENT
        if chunk:
            sent_at = now
            yield chunk
        await asyncio.sleep(FRAME_EVERY_S)
        if now - moved_at >= STILL_AFTER_S:
            await _rung(bell, RIG_EVERY_S - FRAME_EVERY_S)


def _frame_document(strip: str, frame: Frame) -> dict[str, object]:
    return {
        "strip": strip,
        "seq": frame.seq,
        "brightness": round(frame.brightness, 4),
        "rgb": base64.b64encode(frame.rgb).decode("ascii"),
    }


def _told(events: Sequence[Event], name: str | None) -> bytes:
    line = f"event: {name}\n".encode() if name else b""
    return b"".join(
        b"id: %d\n%sdata: %s\n\n" % (one.id, line, encode(event_document(one))) for one in events
    )


def _message(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def _rung(bell: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return False
    return True
