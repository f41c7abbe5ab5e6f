"""What can be read: the snapshot, its parts, operations, history, health, metrics."""

import math
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response

from hwctl import __version__
from hwctl.engine.service import RigService
from hwctl.faces import metrics as prometheus
from hwctl.faces.api.documents import (
    COLLECTIONS,
    RigCache,
    audit_document,
    collection_document,
    moment,
    operation_document,
    part_document,
    points_document,
    shutdown_document,
)
from hwctl.faces.api.door import Door
from hwctl.faces.api.problems import InvalidRequestError
from hwctl.faces.api.routes import ADMIN, OPEN, find, json_answer
from hwctl.faces.api.schemas import answer
from hwctl.model.errors import HwctlError

FRESH_S = 2.0
"""/healthz fails when the last tick is older; a tick takes a quarter of a second."""
MOST_POINTS = 5000
_SINGULAR = {
    "supplies": "supply",
    "nodes": "node",
    "outlets": "outlet",
    "fans": "fan",
    "strips": "strip",
    "sensors": "sensor",
}
Id = Annotated[str, Path(max_length=200)]


def add_reads(
    app: FastAPI, service: RigService, door: Door, cache: RigCache, min_off_s: float | None
) -> None:
    """Add the routes that change nothing."""
    run = secrets.token_hex(4)

    @app.get(
        "/api/v1/rig",
        responses=answer("Rig", says="Everything, at one moment"),
        response_class=Response,
        summary="Everything, one document",
        tags=["rig"],
    )
    async def rig(request: Request) -> Response:
        snapshot = service.rig()
        # Of this run, for a restarted service counts from the start again.
        tag = f'"{run}-{snapshot.seq}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag, "cache-control": "no-cache"})
        return Response(
            cache.bytes_of(snapshot),
            headers={"etag": tag, "cache-control": "no-cache"},
            media_type="application/json",
        )

    for name in COLLECTIONS:
        if name in _SINGULAR:
            _add_collection(app, service, name)

    @app.get(
        "/api/v1/operations",
        responses=answer("Operation", many=True, says="The latest first"),
        response_class=Response,
        summary="Operations, the latest first",
        tags=["operations"],
    )
    async def operations(limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> Response:
        return json_answer([operation_document(one) for one in service.operations(limit)])

    @app.get(
        "/api/v1/operations/{operation_id}",
        responses=answer("Operation"),
        response_class=Response,
        summary="One operation, ended ones included",
        tags=["operations"],
    )
    async def operation(operation_id: Id) -> Response:
        return json_answer(operation_document(service.operation(operation_id)))

    @app.get(
        "/api/v1/audit",
        responses=answer("Audit", many=True, says="Oldest first; at most the newest `limit`"),
        response_class=Response,
        openapi_extra=ADMIN,
        summary="Every command: who, from where, what, why, before, after",
        tags=["service"],
    )
    async def audit(
        after: Annotated[int, Query(ge=0, le=2**53, description="an entry's id")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        return json_answer([audit_document(one) for one in service.audit(after, limit)])

    @app.get(
        "/api/v1/shutdown",
        responses=answer("Shutdown"),
        response_class=Response,
        summary="Needed against left, and how far it is",
        tags=["shutdown"],
    )
    async def shutdown() -> Response:
        return json_answer(shutdown_document(service.rig().shutdown))

    @app.get(
        "/api/v1/history",
        responses=answer("History", says="Means over each step; null where nothing was known"),
        response_class=Response,
        summary="What was, as means over steps",
        tags=["rig"],
    )
    async def history(
        series: Annotated[
            str,
            Query(
                min_length=1,
                max_length=200,
                description="supply/bank/charge, node/pi1/load, fan/intake/duty and the like",
            ),
        ],
        start: Annotated[
            str | None,
            Query(alias="from", max_length=40, description="ISO 8601 or seconds since the epoch"),
        ] = None,
        end: Annotated[
            str | None, Query(alias="to", max_length=40, description="default: now")
        ] = None,
        step: Annotated[
            float | None, Query(gt=0, allow_inf_nan=False, description="seconds")
        ] = None,
    ) -> Response:
        until = _seconds(end, "query.to") if end else service.rig().at
        since = _seconds(start, "query.from") if start else until - 3600
        if since >= until:
            raise _fault("query.from", "must be before `to`")
        every = step or max((until - since) / 300, 1.0)
        if (until - since) / every > MOST_POINTS:
            raise _fault("query.step", f"would give more than {MOST_POINTS} points: take it longer")
        points = service.history(series, since, until, every)
        return json_answer(
            {
                "series": series,
                "from": moment(since),
                "to": moment(until),
                "step_s": every,
                "points": points_document(points),
            }
        )

    @app.get(
        "/api/v1/about",
        responses=answer("About"),
        response_class=Response,
        summary="What this service is and can do",
        tags=["rig"],
    )
    async def about() -> Response:
        return json_answer(
            {
                "version": __version__,
                "strip_modes": list(service.strip_modes()),
                "min_off_s": min_off_s,
            }
        )

    @app.get(
        "/healthz",
        responses={
            **answer("Health", says="Ticks complete"),
            **answer("Health", status=503, says="The last tick is too old"),
        },
        response_class=Response,
        openapi_extra=OPEN,
        summary="200 only while ticks complete",
        tags=["service"],
    )
    async def healthz(request: Request) -> Response:
        age = service.last_tick_age()
        snapshot = service.rig()
        problems = list(snapshot.problems)
        alive = age < FRESH_S
        if not alive:
            problems.insert(0, f"the last tick was {age:.1f} s ago")
        document: dict[str, Any] = {"healthy": alive and snapshot.healthy}
        if await _may_read(door, request):
            document |= {"last_tick_age_s": round(age, 3), "problems": problems}
        return json_answer(document, 200 if alive else 503, {"cache-control": "no-store"})

    app.head("/healthz", include_in_schema=False, openapi_extra=OPEN)(healthz)

    @app.get(
        "/metrics",
        responses={200: {"description": "Prometheus text", "content": {"text/plain": {}}}},
        response_class=Response,
        summary="Prometheus",
        tags=["service"],
    )
    async def metrics() -> Response:
        body = prometheus.render(service)
        return Response(body, headers={"content-type": prometheus.MEDIA_TYPE})


def _add_collection(app: FastAPI, service: RigService, name: str) -> None:
    kind = _SINGULAR[name]
    schema = kind.capitalize()

    async def every() -> Response:
        return json_answer(collection_document(service.rig(), name))

    async def some(
        only: Annotated[
            str | None,
            Query(
                min_length=1,
                max_length=2000,
                description="ids, ranges (pi[1-3]), groups (@compute), commas",
            ),
        ] = None,
    ) -> Response:
        documents = collection_document(service.rig(), name)
        if only is not None:
            meant = set(service.nodes_meant([only]))
            documents = [one for one in documents if one["id"] in meant]
        return json_answer(documents)

    async def single(target: Annotated[str, Path(alias="id", max_length=200)]) -> Response:
        state = find(kind, getattr(service.rig(), name), target)
        return json_answer(part_document(name, state))

    app.get(
        f"/api/v1/{name}",
        responses=answer(schema, many=True),
        response_class=Response,
        name=name,
        summary=f"All {name}",
        tags=[name],
    )(some if name == "nodes" else every)
    app.get(
        f"/api/v1/{name}/{{id}}",
        responses=answer(schema),
        response_class=Response,
        name=kind,
        summary=f"One {kind}",
        tags=[name],
    )(single)


async def _may_read(door: Door, request: Request) -> bool:
    """A stranger's probe is told whether, not why."""
    try:
        await door.admit(request, "read")
    except HwctlError:
        return False
    return True


def _seconds(text: str, where: str) -> float:
    """ISO 8601 (UTC if it names no zone) or seconds since the epoch."""
    try:
        value = float(text)
    except ValueError:
        try:
            # A "+" that nobody escaped arrives as a blank.
            when = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError as error:
            raise _fault(where, "is neither ISO 8601 nor seconds since the epoch") from error
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(value) or abs(value) > 1e11:
        raise _fault(where, "is no moment")
    return value


def _fault(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{where}: {what}",
        errors=[{"where": where, "what": what}],
        where=where,
        hint="/docs shows what this path takes",
    )
