"""Errors as HTTP sees them: RFC 9457 problem documents, one shape for all.

The ``type`` is a reference to this very service (``/docs/errors#SLUG``): no address outside the
machine is claimed. What only HTTP can get wrong has its errors here, below RequestError.
"""

import http
import json
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from hwctl.model.errors import HwctlError, RequestError, TargetBusyError

TYPE_PREFIX = "/docs/errors#"
MEDIA_TYPE = "application/problem+json"
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""On every answer. Nothing here needs an inline script, an inline style or another origin."""
_SHOWN_FAULTS = 20


class InvalidRequestError(RequestError):
    """The body or a parameter is not what the interface asks for; ``errors`` lists each fault."""

    status = 422
    slug = "invalid-request"

    def __init__(
        self, what: str, *, errors: list[dict[str, str]], where: str = "", hint: str = ""
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.errors = errors


class BodyTooLargeError(RequestError):
    """The body is longer than any command can be."""

    status = 413
    slug = "body-too-large"


class BodyTooSlowError(RequestError):
    """The body did not arrive in time."""

    status = 408
    slug = "body-too-slow"
    retryable = True


class NotJsonError(RequestError):
    """The body is not declared as JSON."""

    status = 415
    slug = "not-json"


class UnknownPathError(RequestError):
    """There is nothing at that path."""

    status = 404
    slug = "unknown-path"


class WrongMethodError(RequestError):
    """The path is there, but not for that method; ``Allow`` lists those it has."""

    status = 405
    slug = "wrong-method"


class UnauthorisedError(RequestError):
    """No credentials where some are needed, or credentials that are wrong, expired or revoked."""

    status = 401
    slug = "unauthorised"


class MissingScopeError(RequestError):
    """The credentials are right, but do not reach that far."""

    status = 403
    slug = "missing-scope"


class CrossSiteError(RequestError):
    """A page of another site made the browser send this."""

    status = 403
    slug = "cross-site"


class WrongHostError(RequestError):
    """The Host header names a machine that this is not: the mark of DNS rebinding."""

    status = 421
    slug = "wrong-host"


class TooManyError(RequestError):
    """Too much at once from one client, or from all."""

    status = 429
    slug = "too-many"
    retryable = True


_EXTRA_HEADERS: dict[type[HwctlError], dict[str, str]] = {
    UnauthorisedError: {"www-authenticate": 'Bearer realm="hwctl"'},
    TooManyError: {"retry-after": "5"},
}


def problem(error: HwctlError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to an error that was raised on purpose."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + error.slug,
        "title": title(type(error)),
        "status": error.status,
        "detail": error.what,
        "retryable": error.retryable,
        "hint": error.hint,
        "where": error.where,
    }
    if isinstance(error, TargetBusyError):
        body["operation"] = error.operation
    if isinstance(error, InvalidRequestError):
        body["errors"] = error.errors
    return Response(
        json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        error.status,
        headers={**SECURITY_HEADERS, **_EXTRA_HEADERS.get(type(error), {}), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def title(error: type[HwctlError]) -> str:
    """The first sentence of the error's description: the same for every occurrence."""
    if error is HwctlError:
        return "hwctl failed"
    text = " ".join((error.__doc__ or error.__name__).split("\n\n")[0].split())
    return text.split("; ")[0].split(". ")[0].rstrip(".").replace("``", "")


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    async def ours(_request: Request, error: Exception) -> Response:
        return problem(cast("HwctlError", error))

    async def of_http(request: Request, error: Exception) -> Response:
        return _of_framework(request, cast("HTTPException", error))

    async def of_validation(_request: Request, error: Exception) -> Response:
        return problem(_explained(cast("RequestValidationError", error)))

    async def unexpected(_request: Request, _error: Exception) -> Response:
        # The server logs the traceback; the client is told nothing of the inside.
        return problem(
            HwctlError(
                "hwctl failed at this request, by a fault of its own",
                hint="the service's log has the details: journalctl -u hwctl",
            ),
            {"connection": "close"},  # the server drops the connection after this
        )

    app.add_exception_handler(HwctlError, ours)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(Exception, unexpected)


def _of_framework(request: Request, error: HTTPException) -> Response:
    """What the framework raises, in our words."""
    path = request.url.path
    if error.status_code == 404:
        return problem(
            UnknownPathError("nothing is at this path", where=path, hint="/docs lists them all")
        )
    if error.status_code == 405:
        allowed = ", ".join(sorted(_methods(request)))
        return problem(
            WrongMethodError(
                f"{request.method} is not possible here", where=path, hint=f"possible: {allowed}"
            ),
            {"allow": allowed},
        )
    phrase = http.HTTPStatus(error.status_code).phrase
    if error.status_code < 500:
        what = str(error.detail or phrase)
        return problem(
            RequestError(what, where=path, hint="/docs shows what this path takes"), error.headers
        )
    return problem(HwctlError(phrase, where=path), error.headers)


def _methods(request: Request) -> set[str]:
    """All that the path has: each route knows only its own."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


def _explained(error: RequestValidationError) -> HwctlError:
    """Each fault with its place. What was sent is not repeated: it may be a secret."""
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        place = faults[0]["loc"][-1]
        return RequestError(
            f"the body is not JSON: {faults[0].get('ctx', {}).get('error', 'it cannot be parsed')}",
            where=f"body, character {place}",
            hint='JSON has double quotes around names and texts: {"action": "cycle"}',
        )
    listed = [
        {"where": _place(fault["loc"]), "what": str(fault["msg"])}
        for fault in faults[:_SHOWN_FAULTS]
    ]
    first = listed[0]
    return InvalidRequestError(
        f"{first['where']}: {first['what']}",
        errors=listed,
        where=first["where"],
        hint="/docs shows what this path takes",
    )


def _place(location: tuple[Any, ...]) -> str:
    """``body.action``, ``query.step``. Names that the client invented are cut short."""
    return ".".join(str(part)[:40] for part in location)
