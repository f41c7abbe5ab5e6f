"""What is settled before a request is looked at: its host, its origin, its size.

Pure ASGI: a body is read here, up to its limit, so that nothing behind it can be made to buffer.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwctl.faces.api.door import UNIX_PEER, origin_of
from hwctl.faces.api.problems import (
    SECURITY_HEADERS,
    BodyTooLargeError,
    BodyTooSlowError,
    CrossSiteError,
    NotJsonError,
    WrongHostError,
    problem,
)
from hwctl.model.errors import HwctlError, RequestError

MOST_BODY = 64 * 1024
"""Bytes. The longest command is a few hundred."""
BODY_S = 15.0
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ADDED = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


class Guard:
    """The outermost layer of ours.

    :param hosts: names, beside addresses and loopback's, by which this machine may be called.
    :param turned_away: told of each write that is refused for where it comes from: method and
        path, origin, reason.
    :param body_s: how long a body may take to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        turned_away: Callable[[str, str, str], None],
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._turned_away = turned_away
        self._body_s = body_s
        self._hosts = frozenset(name.lower().rstrip(".") for name in hosts) | _LOCAL_NAMES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if UNIX_PEER not in scope.get("state", {}):
                self._check_host(headers.getlist("host"))
                _check_origin(scope["method"], headers, scope.get("scheme") == "https")
            length = headers.get("content-length", "0")
            # The server has made sure that it is a number.
            if int(length) > MOST_BODY:
                raise _too_large()
            if scope["method"] not in _SAFE:
                receive = await _whole_body(headers, receive, self._body_s)
        except HwctlError as error:
            if isinstance(error, CrossSiteError | WrongHostError) and scope["method"] not in _SAFE:
                what = f"{scope['method']} {scope['path']}"
                self._turned_away(what, origin_of(HTTPConnection(scope)), str(error))
            await problem(error)(scope, receive, send)
            return
        except _Gone:
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", [])
                names = {name.lower() for name, _ in own}
                message["headers"] = [*own, *(pair for pair in _ADDED if pair[0] not in names)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _check_host(self, values: list[str]) -> None:
        """A page whose name was rebound to this machine still sends its own name."""
        if not values:
            return  # HTTP/1.0; no browser
        name = _name_of(values[0]) if len(values) == 1 else None
        if name is not None and (name in self._hosts or _is_address(name)):
            return
        raise WrongHostError(
            "this service is not known by that name",
            where="Host",
            hint="use its address, or add the name to `names` in [service] of the settings file",
        )


class _Gone(Exception):  # noqa: N818 - not an error: the client went away
    pass


def _name_of(host: str) -> str | None:
    """The name or address in a Host header, without port and brackets."""
    text = host.strip().lower()
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        return inside if bracket and (not rest or _is_port(rest)) else None
    name, colon, port = text.partition(":")
    return name.rstrip(".") if not colon or _is_port(colon + port) else None


def _is_port(text: str) -> bool:
    return text[0] == ":" and (text[1:].isdecimal() or not text[1:])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _check_origin(method: str, headers: Headers, tls: bool) -> None:
    """Only our own pages, and what is no browser, may write; nor may others' pages embed us.

    :param tls: we speak it ourselves. Otherwise a proxy may, and the page's scheme is its own.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        opened_by_hand = method in _SAFE and headers.get("sec-fetch-mode") == "navigate"
        if not opened_by_hand:
            raise _cross_site("Sec-Fetch-Site")
    origin = headers.get("origin")
    if method not in _SAFE and origin is not None:
        scheme, _, authority = origin.partition("://")
        schemes = ("https",) if tls else ("http", "https")
        if scheme not in schemes or authority.lower() != headers.get("host", "").lower():
            raise _cross_site("Origin")


def _cross_site(where: str) -> CrossSiteError:
    return CrossSiteError(
        "a page of another site sent this", where=where, hint="open hwctl's own page instead"
    )


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the body has more than {MOST_BODY // 1024} KiB",
        where="body",
        hint="/docs shows what this path takes",
    )


async def _whole_body(headers: Headers, receive: Receive, limit_s: float) -> Receive:
    """Read it, bounded in size and time; the returned function hands it on in one piece."""
    parts = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                parts += message.get("body", b"")
                more = message.get("more_body", False)
                if len(parts) > MOST_BODY:
                    raise _too_large()
    except TimeoutError as error:
        raise BodyTooSlowError(
            f"the body was not there within {limit_s:g} s", where="body", hint="send it again"
        ) from error
    if parts and not _is_json(headers.get("content-type", "")):
        raise NotJsonError(
            "the body is not declared as JSON",
            where="Content-Type",
            hint="send it with Content-Type: application/json",
        )
    if parts:
        _check_text(bytes(parts))
    whole: MutableMapping[str, Any] | None = {
        "type": "http.request",
        "body": bytes(parts),
        "more_body": False,
    }

    async def hand_on() -> Message:
        nonlocal whole
        if whole is None:
            return await receive()
        message, whole = whole, None
        return message

    return hand_on


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )


def _check_text(body: bytes) -> None:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(
            "the body is not UTF-8", where=f"body, byte {error.start}", hint="JSON is UTF-8"
        ) from error
