"""The HTTP application, put together."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from hwctl import __version__
from hwctl.engine.service import RigService
from hwctl.engine.tokens import TokenStore
from hwctl.faces.api.documents import RigCache
from hwctl.faces.api.door import Door, OneTimeKey
from hwctl.faces.api.guard import Guard
from hwctl.faces.api.pages import add_pages
from hwctl.faces.api.problems import add_error_handlers
from hwctl.faces.api.reads import add_reads
from hwctl.faces.api.routes import GuardedRoute
from hwctl.faces.api.schemas import describe
from hwctl.faces.api.streams import Hub, add_streams
from hwctl.faces.api.writes import add_writes


def create_app(
    service: RigService,
    tokens: TokenStore,
    *,
    key: OneTimeKey,
    hosts: Collection[str] = (),
    min_off_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> FastAPI:
    """The application over one rig.

    :param key: signs one browser in by ``/?key=...``.
    :param hosts: names by which browsers may call this machine, beside addresses and localhost.
    :param min_off_s: how long a cycled feed stays dead, for the dashboard's confirmation.
    :param clock: monotonic seconds, for sessions and slowed-down callers.
    :param pause: how an answer to a wrong token is held back.
    """
    app = FastAPI(
        title="hwctl",
        version=__version__,
        description="Power, shutdown, fans and lights of one rig.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    door = Door(tokens, key, clock=clock, pause=pause)
    cache = RigCache()
    hub = Hub(service)
    app.state.door = door
    app.state.service = service
    app.state.hub = hub
    app.router.route_class = GuardedRoute
    with _unneeded("pydantic.v1"):
        # Routes are tried in this order; a person waits for what is ordered.
        add_writes(app, service)
        add_reads(app, service, door, cache, min_off_s)
        add_streams(app, service, hub, cache)
        add_pages(app, door)
    add_error_handlers(app)

    def turned_away(what: str, origin: str, why: str) -> None:
        service.turned_away(what=what[:200], by="unknown", origin=origin, why=why)

    app.add_middleware(Guard, hosts=hosts, turned_away=turned_away)
    app.openapi = lambda: _once(app)  # type: ignore[method-assign]
    return app


@contextmanager
def _unneeded(module: str) -> Iterator[None]:
    """As if it were not installed. FastAPI asks of each annotation whether it is one of the first
    pydantic, and would import all of that, with 1.5 MiB, to learn that it is not."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        yield
    finally:
        del sys.modules[module]


def _once(app: FastAPI) -> dict[str, object]:
    if app.openapi_schema is None:
        app.openapi_schema = describe(app)
    return app.openapi_schema
