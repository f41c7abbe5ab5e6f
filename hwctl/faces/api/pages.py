"""Pages for people, and the browser's sign-in."""

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request, Response
from pydantic import Field

from hwctl.faces.api.door import SESSION_S, Caller, Door, cookie_name, source_of
from hwctl.faces.api.errors_page import errors_html
from hwctl.faces.api.problems import UnauthorisedError, UnknownPathError
from hwctl.faces.api.routes import OPEN, json_answer
from hwctl.faces.api.schemas import answer
from hwctl.faces.api.writes import Body
from hwctl.faces.dashboard import Asset, load_assets


class SignIn(Body):
    token: str = Field(min_length=1, max_length=200)


def add_pages(app: FastAPI, door: Door) -> None:
    """Add the dashboard, the documentation and the sign-in. None of them tells of the rig."""
    assets = load_assets()

    def page(request: Request, asset: Asset, status: int = 200) -> Response:
        headers = {"etag": asset.etag, "cache-control": "no-cache", "vary": "cookie"}
        if status == 200 and request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, status, headers, asset.media_type)

    html = {"content": {"text/html": {"schema": {"type": "string"}}}}

    @app.get(
        "/",
        responses={
            200: {"description": "The page", **html},
            303: {"description": "Signed in by the key: the same page without it"},
            304: {"description": "As it was"},
            401: {"description": "The key is wrong or used up: the page that says so", **html},
        },
        response_class=Response,
        openapi_extra=OPEN,
        summary="The dashboard",
        tags=["pages"],
    )
    async def dashboard(
        request: Request,
        key: Annotated[
            str | None, Query(max_length=200, description="the one-time key: signs the browser in")
        ] = None,
    ) -> Response:
        if key is None:
            return page(request, assets["index.html"])
        secret = await door.redeem(key, source_of(request))
        if secret is None:
            # The page itself explains, and asks for a token.
            return page(request, assets["index.html"], 401)
        response = Response(status_code=303, headers={"location": "/", "cache-control": "no-store"})
        _set_cookie(request, response, secret)
        return response

    async def head(request: Request) -> Response:
        return page(request, assets["index.html"])

    app.head("/", include_in_schema=False, openapi_extra=OPEN)(head)

    @app.get("/assets/{name}", include_in_schema=False, openapi_extra=OPEN)
    async def asset(request: Request, name: Annotated[str, Path(max_length=100)]) -> Response:
        found = assets.get(name)
        if found is None:
            raise UnknownPathError("there is no such file", where=request.url.path)
        return page(request, found)

    @app.get("/docs", response_class=Response, include_in_schema=False, openapi_extra=OPEN)
    async def docs(request: Request) -> Response:
        return page(request, assets["docs.html"])

    @app.get("/docs/errors", response_class=Response, include_in_schema=False, openapi_extra=OPEN)
    async def errors() -> Response:
        return Response(errors_html(), media_type="text/html")

    @app.get("/openapi.json", include_in_schema=False, openapi_extra=OPEN)
    async def openapi() -> Response:
        return json_answer(app.openapi())

    @app.get(
        "/session",
        responses=answer("Caller", says="What the caller may do"),
        response_class=Response,
        openapi_extra=OPEN,
        summary="Who am I",
        tags=["session"],
    )
    async def whoami(request: Request) -> Response:
        return _who(await door.identify(request))

    @app.post(
        "/session",
        responses=answer("Caller", says="Signed in; a cookie is set"),
        response_class=Response,
        openapi_extra=OPEN,
        summary="Sign a browser in with a token",
        tags=["session"],
    )
    async def sign_in(request: Request, body: SignIn | None = None) -> Response:
        if body is not None:
            token = body.token
        else:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise UnauthorisedError(
                    "no token was sent", where="body", hint='send {"token": "hwctl_..."}'
                )
        grant = await door.check(token.strip(), source_of(request))
        response = _who(door.caller(grant))
        _set_cookie(request, response, door.open_session(grant))
        return response

    @app.delete(
        "/session",
        status_code=204,
        response_class=Response,
        openapi_extra=OPEN,
        summary="Sign out",
        tags=["session"],
    )
    async def sign_out(request: Request) -> Response:
        name = cookie_name(request)
        door.close_session(request.cookies.get(name, ""))
        response = Response(status_code=204)
        response.delete_cookie(
            name,
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response


def _who(caller: Caller) -> Response:
    return json_answer(
        {"by": caller.by, "scopes": sorted(caller.scopes), "nodes": sorted(caller.nodes)},
        headers={"cache-control": "no-store"},
    )


def _set_cookie(request: Request, response: Response, secret: str) -> None:
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(SESSION_S),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
