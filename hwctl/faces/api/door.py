"""Who may come in: the unix socket, tokens, browser sessions and the one-time key.

- Through the unix socket: everything, for its mode has let the caller in.
- With a token: what its scopes include.
- With a session cookie: what was signed in with; all, if by the one-time key.
- From loopback with nothing: reading; not through a proxy, which is there for others.
- From elsewhere with nothing: no more than the dashboard's empty page and ``/healthz``.

Which socket accepted a connection is noted by the server for each connection
(:mod:`hwctl.faces.api.server`); no header can pretend it.
"""

import hashlib
import hmac
import ipaddress
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection

from hwctl.engine.tokens import SCOPES, Grant, TokenStore
from hwctl.faces.api.problems import MissingScopeError, TooManyError, UnauthorisedError

UNIX_PEER = "hwctl_unix_peer"
"""In the connection's state if the unix socket accepted it: the peer's uid, or -1."""
SESSION_S = 12 * 3600.0
MOST_SESSIONS = 64
DELAY_S = 0.25
"""For the first wrong token of a source; doubled with each further one."""
MOST_DELAY_S = 4.0
FORGET_S = 600.0
MOST_SOURCES = 1024
MOST_WAITING = 8
"""Answers held back for one source; more are refused at once."""

_PROXIED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What a reverse proxy adds. None of it is believed; that it is there takes a right away."""

_ALL = frozenset(SCOPES)
_READ = frozenset({"read"})
_SIGN_IN = (
    "make a token with `hwctl token create NAME --scope power` and send it as "
    "`Authorization: Bearer TOKEN`, or sign in at the dashboard"
)


class OneTimeKey:
    """The key in the address that is printed at start: good for one sign-in.

    :param announce: called with each new key, to print it; from whatever thread redeemed the last.
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self._announce = announce
        self._guard = threading.Lock()
        self._key: str | None = None

    def mint(self) -> str:
        """A new key; any older one is void."""
        key = secrets.token_urlsafe(24)
        with self._guard:
            self._key = key
        if self._announce is not None:
            self._announce(key)
        return key

    def redeem(self, key: str) -> bool:
        """Whether it was the key. If so it is used up, and a new one is minted."""
        with self._guard:
            right = self._key is not None and hmac.compare_digest(
                self._key.encode(), key.encode("utf-8", "surrogatepass")
            )
            if right:
                self._key = None
        if right:
            self.mint()
        return right


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, and what they may do."""

    by: str | None
    """As the journal names them; ``None`` for one who only reads from loopback."""
    scopes: frozenset[str]
    nodes: frozenset[str] = frozenset()
    """The only nodes they may command. Empty: no such limit."""
    origin: str = ""
    """Where from: an address, or the unix socket's peer; for the audit record."""

    @property
    def name(self) -> str:
        """``by`` of one who was let in to command."""
        return self.by or "anonymous"

    def must_have(self, scope: str, where: str) -> None:
        """:raises UnauthorisedError: nothing that lets them in was carried.
        :raises MissingScopeError: what was carried does not include ``scope``.
        """
        if scope in self.scopes:
            return
        if self.by is None:
            what = "reading from another machine" if scope == "read" else "this"
            raise UnauthorisedError(f"{what} needs a token", where=where, hint=_SIGN_IN)
        raise MissingScopeError(
            f"this needs the scope {scope}; {self.by} has {', '.join(sorted(self.scopes))}",
            where=where,
            hint=f"hwctl token create NAME --scope {scope}",
        )

    def must_reach(self, node: str | None) -> None:
        """:raises MissingScopeError: the grant is limited to other nodes.

        :param node: ``None`` for what is not a node: the shutdown, fans, strips.
        """
        if self.nodes and node not in self.nodes:
            raise MissingScopeError(
                f"this token reaches only {', '.join(sorted(self.nodes))}",
                where=node or "",
                hint="make another: hwctl token create NAME --scope SCOPE"
                + (f" --node {node}" if node else ""),
            )


LOOPBACK = Caller(None, _READ)
STRANGER = Caller(None, frozenset())


@dataclass(frozen=True, slots=True)
class _Session:
    expires: float
    grant: Grant | None
    """``None``: signed in by the one-time key."""


class Door:
    """Knows callers by what they carry, and slows down who carries something wrong.

    :param clock: monotonic seconds.
    :param pause: how an answer is held back, in seconds.
    """

    def __init__(
        self,
        tokens: TokenStore,
        key: OneTimeKey,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._tokens = tokens
        self._key = key
        self._clock = clock
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._slowdown = _Slowdown(clock, pause)

    async def admit(self, connection: HTTPConnection, scope: str) -> Caller:
        """Who it is, if they may do what ``scope`` allows.

        :raises UnauthorisedError: nothing, or something wrong, was carried.
        :raises MissingScopeError: what was carried does not include ``scope``.
        """
        caller = await self.identify(connection)
        caller.must_have(scope, connection.url.path)
        return caller

    async def identify(self, connection: HTTPConnection) -> Caller:
        """Who it is. :raises UnauthorisedError: a token was carried, and it is wrong."""
        return replace(await self._identify(connection), origin=origin_of(connection))

    async def _identify(self, connection: HTTPConnection) -> Caller:
        authorization = connection.headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            grant = await self.check(
                token.strip() if scheme.lower() == "bearer" else "", source_of(connection)
            )
            return _caller(grant)
        peer = _peer(connection)
        if peer is not None:
            return Caller("local" if peer < 0 else f"local:{peer}", _ALL)
        cookie = connection.cookies.get(cookie_name(connection))
        session = self._session(cookie) if cookie else None
        if session is not None:
            return Caller("session", _ALL) if session.grant is None else _caller(session.grant)
        proxied = any(name in connection.headers for name in _PROXIED)
        return LOOPBACK if _is_loopback(connection) and not proxied else STRANGER

    async def check(self, token: str, source: str) -> Grant:
        """What ``token`` grants. :raises UnauthorisedError: nothing; after a pause."""
        grant = self._tokens.check(token)
        if grant is None:
            await self._slowdown.hold_back(source)
            raise UnauthorisedError(
                "this token is wrong, or has been revoked", where="Authorization", hint=_SIGN_IN
            )
        return grant

    def caller(self, grant: Grant) -> Caller:
        """The one whom ``grant`` was given to."""
        return _caller(grant)

    async def redeem(self, key: str, source: str) -> str | None:
        """A new session for the one-time key, or ``None``, after a pause, if it is not it."""
        if self._key.redeem(key):
            return self.open_session(None)
        await self._slowdown.hold_back(source)
        return None

    def open_session(self, grant: Grant | None) -> str:
        """A new session; its secret, for the cookie. ``None``: all scopes."""
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.popitem(last=False)
        secret = secrets.token_urlsafe(32)
        self._sessions[_digest(secret)] = _Session(self._clock() + SESSION_S, grant)
        return secret

    def close_session(self, secret: str) -> None:
        """End a session, if there is one."""
        self._sessions.pop(_digest(secret), None)

    def _session(self, secret: str) -> _Session | None:
        digest = _digest(secret)
        session = self._sessions.get(digest)
        if session is None:
            return None
        revoked = session.grant is not None and self._tokens.grant(session.grant.id) is None
        if revoked or self._clock() >= session.expires:
            del self._sessions[digest]
            return None
        return session


class _Slowdown:
    """Holds back answers to sources that came with wrong secrets; nobody else waits."""

    def __init__(
        self, clock: Callable[[], float], pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting: dict[str, int] = {}

    async def hold_back(self, source: str) -> None:
        """:raises TooManyError: so many answers to this source are held back already."""
        waiting = self._waiting.get(source, 0)
        if waiting >= MOST_WAITING:
            raise TooManyError(
                "too many wrong tokens at once", hint="wait, then send the right one"
            )
        count, last = self._failures.pop(source, (0, 0.0))
        now = self._clock()
        count = 1 if now - last > FORGET_S else min(count + 1, 32)
        self._failures[source] = (count, now)
        while len(self._failures) > MOST_SOURCES:
            self._failures.popitem(last=False)
        self._waiting[source] = waiting + 1
        try:
            await self._pause(min(DELAY_S * 2 ** (count - 1), MOST_DELAY_S))
        finally:
            if self._waiting[source] == 1:
                del self._waiting[source]
            else:
                self._waiting[source] -= 1


def cookie_name(connection: HTTPConnection) -> str:
    """One per port: cookies are shared among the ports of a host, and rigs are not."""
    server = connection.scope.get("server")
    return f"hwctl-session-{server[1]}" if server and server[1] else "hwctl-session"


def origin_of(connection: HTTPConnection) -> str:
    """Where a request came from, as the audit record names it."""
    peer = _peer(connection)
    return f"unix socket, uid {peer}" if peer is not None else str(_address(connection) or "?")


def source_of(connection: HTTPConnection) -> str:
    """Whom to slow down: an address, an IPv6 network, or the unix socket's peer."""
    peer = _peer(connection)
    if peer is not None:
        return f"unix:{peer}"
    address = _address(connection)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _caller(grant: Grant) -> Caller:
    return Caller(
        f"token:{grant.name}",
        frozenset(scope for scope in SCOPES if grant.allows(scope)),
        grant.nodes,
    )


def _peer(connection: HTTPConnection) -> int | None:
    uid = connection.scope.get("state", {}).get(UNIX_PEER)
    return uid if isinstance(uid, int) else None


def _address(
    connection: HTTPConnection,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    client = connection.scope.get("client")
    if not client:
        return None
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_loopback(connection: HTTPConnection) -> bool:
    address = _address(connection)
    return address is not None and address.is_loopback


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
