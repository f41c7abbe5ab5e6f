"""What all routes share: the check of scopes, and how answers are made."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from hwctl.engine.service import RigService
from hwctl.faces.api.documents import encode
from hwctl.faces.api.door import Caller, Door, origin_of
from hwctl.faces.api.problems import MissingScopeError, UnauthorisedError
from hwctl.model.errors import UnknownTargetError

SCOPE = "x-scope"
"""The key, in a route's ``openapi_extra``, of the scope that it needs; ``read`` if not given."""
ADMIN: dict[str, Any] = {SCOPE: "admin"}
POWER: dict[str, Any] = {SCOPE: "power"}
CONFIG: dict[str, Any] = {SCOPE: "config"}
OPEN: dict[str, Any] = {SCOPE: "none"}


class _Named(Protocol):
    @property
    def id(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


class GuardedRoute(APIRoute):
    """Asks the door before the body is even parsed; the route finds ``request.state.caller``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        scope = (self.openapi_extra or {}).get(SCOPE, "read")
        if scope == "none":
            return handler

        async def admitted(request: Request) -> Response:
            door: Door = request.app.state.door
            by = "unknown"
            try:
                caller = request.state.caller = await door.identify(request)
                by = caller.name
                caller.must_have(scope, request.scope["path"])
                return await handler(request)
            except (UnauthorisedError, MissingScopeError) as error:
                if scope != "read":
                    service: RigService = request.app.state.service
                    service.turned_away(
                        what=f"{request.method} {request.url.path}"[:200],
                        by=by,
                        origin=origin_of(request),
                        why=str(error),
                    )
                raise

        return admitted


def caller_of(request: Request) -> Caller:
    """Whom the door let in."""
    caller: Caller = request.state.caller
    return caller


def json_answer(
    document: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Plain data as JSON."""
    return Response(encode(document), status, headers=headers, media_type="application/json")


def find(kind: str, states: Sequence[_T], wanted: str) -> _T:
    """The one whose ``id`` is ``wanted``. :raises UnknownTargetError: there is none."""
    for state in states:
        if state.id == wanted:
            return state
    known = [state.id for state in states]
    near = get_close_matches(wanted[:64], known, n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    elif known:
        hint = f"there are: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
    else:
        hint = f"this rig has no {kind}"
    raise UnknownTargetError(f"there is no {kind} {wanted[:64]!r}", where=wanted[:64], hint=hint)
