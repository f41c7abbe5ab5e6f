"""What can be ordered. Every route needs a scope; the rules are the engine's.

Whether a target is there is the engine's to say, too: what it refuses, it records.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import FastAPI, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, RootModel

from hwctl.engine.service import RigService
from hwctl.faces.api.documents import operation_document, part_document, shutdown_document
from hwctl.faces.api.problems import InvalidRequestError
from hwctl.faces.api.routes import CONFIG, POWER, caller_of, find, json_answer
from hwctl.faces.api.schemas import answer
from hwctl.model.errors import RequestError, UnknownTargetError

Id = Annotated[str, Path(alias="id", max_length=200)]
OperationId = Annotated[str, Path(max_length=200)]
Reason = Annotated[
    str,
    Field(
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        description="kept in the journal",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="the same key gives the same operations",
    ),
]
Ratio01 = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Body(BaseModel):
    """Unknown keys are errors, and texts are not turned into numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PowerBody(Body):
    action: Literal["on", "off", "cycle", "reset"]
    force: bool = Field(default=False, description="cut without waiting for the halt: a risk")
    reason: Reason = ""


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f]+$")]


class ManyBody(PowerBody):
    nodes: list[Name] = Field(
        min_length=1,
        max_length=200,
        description="node ids, ranges (pi[1-3]), groups (@compute) or all",
    )


class LocateBody(Body):
    active: bool


class FanAuto(Body):
    mode: Literal["auto"]


class FanManual(Body):
    mode: Literal["manual"]
    duty: Ratio01
    for_s: float = Field(
        default=600.0, gt=0, le=86400, allow_inf_nan=False, description="then auto again"
    )


class FanBody(RootModel[Annotated[FanAuto | FanManual, Field(discriminator="mode")]]):
    """Follow the temperatures, or turn as told for a while."""


class StripBody(Body):
    mode: str | None = Field(default=None, max_length=40)
    brightness: Ratio01 | None = None


class ShutdownBody(Body):
    reason: Reason = ""


def add_writes(app: FastAPI, service: RigService) -> None:
    """Add the routes that change something."""

    @app.post(
        "/api/v1/nodes/{id}/power",
        status_code=202,
        responses=answer("Operation", status=202, says="Begun; Location is where to watch it"),
        response_class=Response,
        openapi_extra=POWER,
        summary="Switch a node's power",
        tags=["nodes"],
    )
    async def power(
        request: Request, node: Id, body: PowerBody, idempotency_key: IdempotencyKey = None
    ) -> Response:
        caller = caller_of(request)
        caller.must_reach(node)
        operation = service.power(
            node,
            body.action,
            force=body.force,
            reason=body.reason,
            by=caller.name,
            origin=caller.origin,
            key=idempotency_key,
        )
        return json_answer(
            operation_document(operation),
            202,
            {"location": f"/api/v1/operations/{operation.id}"},
        )

    @app.post(
        "/api/v1/power",
        status_code=202,
        responses=answer("Operation", status=202, many=True, says="One per node, all begun"),
        response_class=Response,
        openapi_extra=POWER,
        summary="Switch several nodes' power: all are begun, or none",
        tags=["nodes"],
    )
    async def power_many(
        request: Request, body: ManyBody, idempotency_key: IdempotencyKey = None
    ) -> Response:
        caller = caller_of(request)
        for node in _nodes_meant(service, body.nodes):
            caller.must_reach(node)
        operations = service.power_many(
            body.nodes,
            body.action,
            force=body.force,
            reason=body.reason,
            by=caller.name,
            origin=caller.origin,
            key=idempotency_key,
        )
        return json_answer([operation_document(one) for one in operations], 202)

    @app.delete(
        "/api/v1/operations/{operation_id}",
        responses=answer("Operation"),
        response_class=Response,
        openapi_extra=POWER,
        summary="Cancel an operation where it still can",
        tags=["operations"],
    )
    async def cancel(request: Request, operation_id: OperationId) -> Response:
        caller = caller_of(request)
        caller.must_reach(_target_of(service, operation_id))
        return json_answer(
            operation_document(service.cancel(operation_id, by=caller.name, origin=caller.origin))
        )

    @app.put(
        "/api/v1/nodes/{id}/locate",
        responses=answer("Node"),
        response_class=Response,
        openapi_extra=POWER,
        summary="Make a node show itself on the strip",
        tags=["nodes"],
    )
    async def locate(request: Request, node: Id, body: LocateBody) -> Response:
        caller = caller_of(request)
        caller.must_reach(node)
        service.locate(node, body.active, by=caller.name, origin=caller.origin)
        document = part_document("nodes", find("node", service.rig().nodes, node))
        # The order was taken; the snapshot may be one tick behind it.
        return json_answer(document | {"locate": body.active})

    @app.put(
        "/api/v1/fans/{id}",
        responses=answer("Fan", says="As it was before the order took effect"),
        response_class=Response,
        openapi_extra=CONFIG,
        summary="Set a fan, or let it follow the temperatures",
        tags=["fans"],
    )
    async def set_fan(request: Request, fan: Id, body: FanBody) -> Response:
        caller = caller_of(request)
        caller.must_reach(None)
        wanted = body.root
        if isinstance(wanted, FanManual):
            service.fan(
                fan, mode="manual", duty=wanted.duty, for_s=wanted.for_s, by=caller.name,
                origin=caller.origin,
            )  # fmt: skip
        else:
            service.fan(fan, mode="auto", duty=0.0, for_s=0.0, by=caller.name, origin=caller.origin)
        document = part_document("fans", find("fan", service.rig().fans, fan))
        return json_answer(document | {"mode": wanted.mode})

    @app.put(
        "/api/v1/strips/{id}",
        responses=answer("Strip"),
        response_class=Response,
        openapi_extra=CONFIG,
        summary="What a strip shows, and how brightly",
        tags=["strips"],
    )
    async def set_strip(request: Request, strip: Id, body: StripBody) -> Response:
        caller = caller_of(request)
        caller.must_reach(None)
        modes = list(service.strip_modes())
        if body.mode is None and body.brightness is None:
            raise _fault("body", "`mode` or `brightness` is needed")
        if body.mode is not None and body.mode not in modes:
            raise _fault("body.mode", f"is one of {', '.join(modes)}")
        service.strip(
            strip, mode=body.mode, brightness=body.brightness, by=caller.name,
            origin=caller.origin,
        )  # fmt: skip
        document = part_document("strips", find("strip", service.rig().strips, strip))
        wanted = body.model_dump(exclude_none=True)
        return json_answer(document | wanted)

    @app.post(
        "/api/v1/shutdown",
        status_code=202,
        responses=answer("Shutdown", status=202, says="Ordered"),
        response_class=Response,
        openapi_extra=POWER,
        summary="Bring the rig down in order",
        tags=["shutdown"],
    )
    async def start_shutdown(request: Request, body: ShutdownBody | None = None) -> Response:
        caller = caller_of(request)
        caller.must_reach(None)
        service.shutdown_start(
            reason=body.reason if body else "", by=caller.name, origin=caller.origin
        )
        return json_answer(
            shutdown_document(service.rig().shutdown), 202, {"location": "/api/v1/shutdown"}
        )

    @app.delete(
        "/api/v1/shutdown",
        responses=answer("Shutdown"),
        response_class=Response,
        openapi_extra=POWER,
        summary="Call the shutdown off",
        tags=["shutdown"],
    )
    async def cancel_shutdown(request: Request) -> Response:
        caller = caller_of(request)
        caller.must_reach(None)
        service.shutdown_cancel(by=caller.name, origin=caller.origin)
        return json_answer(shutdown_document(service.rig().shutdown))


def _nodes_meant(service: RigService, wanted: list[str]) -> Sequence[str]:
    """None if there is something wrong with it: the command itself says what, and records it."""
    try:
        return service.nodes_meant(wanted)
    except RequestError:
        return ()


def _target_of(service: RigService, operation: str) -> str | None:
    """``None`` if there is no such operation: that is for the command itself to say."""
    try:
        return service.operation(operation).target
    except UnknownTargetError:
        return None


def _fault(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{where}: {what}",
        errors=[{"where": where, "what": what}],
        where=where,
        hint="/docs shows what this path takes",
    )
