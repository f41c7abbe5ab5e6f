"""What ``/openapi.json`` says of the answers: read off the model's dataclasses.

No response model is given to FastAPI: it would check and copy every answer, and build its
validators at every start. The schemas are made when somebody first asks for them.
"""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from hwctl.engine.service import AuditEntry
from hwctl.faces.api.documents import MOMENTS
from hwctl.model.rig import (
    Event,
    FanState,
    NodeState,
    OperationState,
    OutletState,
    Rig,
    SensorState,
    ShutdownState,
    StripState,
    SupplyState,
)

Schema = dict[str, Any]

DOCUMENTS: Mapping[str, type] = {
    "Rig": Rig,
    "Supply": SupplyState,
    "Node": NodeState,
    "Outlet": OutletState,
    "Fan": FanState,
    "Strip": StripState,
    "Sensor": SensorState,
    "Operation": OperationState,
    "Shutdown": ShutdownState,
    "Event": Event,
    "Audit": AuditEntry,
}
_NAMES = {kind: name for name, kind in DOCUMENTS.items()}
_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}

PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "retryable", "hint", "where"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "retryable": {"type": "boolean"},
        "hint": {"type": "string", "description": "what helps; may be empty"},
        "where": {"type": "string", "description": "place on the rig or in the request"},
        "operation": {"type": "string", "description": "with target-busy: what holds the node"},
        "errors": {
            "type": "array",
            "description": "with invalid-request: each fault",
            "items": {"type": "object", "properties": {"where": _TEXT, "what": _TEXT}},
        },
    },
}
EXTRA: Mapping[str, Schema] = {
    "Problem": PROBLEM,
    "Health": {
        "type": "object",
        "required": ["healthy"],
        "properties": {
            "healthy": {"type": "boolean"},
            "last_tick_age_s": {"type": "number"},
            "problems": {"type": "array", "items": _TEXT},
        },
    },
    "About": {
        "type": "object",
        "required": ["version", "strip_modes", "min_off_s"],
        "properties": {
            "version": _TEXT,
            "strip_modes": {"type": "array", "items": _TEXT},
            "min_off_s": {"type": ["number", "null"]},
        },
    },
    "History": {
        "type": "object",
        "required": ["series", "from", "to", "step_s", "points"],
        "properties": {
            "series": _TEXT,
            "from": {"type": "string", "format": "date-time"},
            "to": {"type": "string", "format": "date-time"},
            "step_s": {"type": "number"},
            "points": {
                "type": "array",
                "items": {
                    "type": "array",
                    "prefixItems": [
                        {"type": "string", "format": "date-time"},
                        {"type": ["number", "null"]},
                    ],
                },
            },
        },
    },
    "Caller": {
        "type": "object",
        "required": ["by", "scopes", "nodes"],
        "properties": {
            "by": _TEXT_OR_NULL,
            "scopes": {"type": "array", "items": _TEXT},
            "nodes": {"type": "array", "items": _TEXT, "description": "empty: all"},
        },
    },
}


def answer(
    name: str, *, status: int = 200, many: bool = False, says: str = "As it is now"
) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: one document, or a list of them."""
    ref: Schema = {"$ref": f"#/components/schemas/{name}"}
    schema = {"type": "array", "items": ref} if many else ref
    return {status: {"description": says, "content": {"application/json": {"schema": schema}}}}


def schema_of(kind: type) -> Schema:
    """The schema of one of the model's dataclasses."""
    hints = get_type_hints(kind)
    properties = {}
    for field in fields(kind):
        schema = _schema(hints[field.name])
        if field.name in MOMENTS:
            text: Schema = {"type": "string", "format": "date-time"}
            schema = {"anyOf": [text, {"type": "null"}]} if "anyOf" in schema else text
        properties[field.name] = schema
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split())
        if kind.__doc__ and not kind.__doc__.startswith(kind.__name__)
        else "",
        "required": list(properties),
        "properties": properties,
    }


def _schema(hint: Any) -> Schema:  # noqa: ANN401 - type hints have no common type
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hint in _NAMES:
        return {"$ref": f"#/components/schemas/{_NAMES[hint]}"}
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(part) for part in parts]}
    if origin is tuple:
        return {"type": "array", "items": _schema(parts[0])}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is dict:
        return {"type": "object"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [str(one) for one in hint]}
    if isinstance(hint, type) and is_dataclass(hint):
        return schema_of(hint)
    raise TypeError(f"no schema for {hint}")


def _sendable(schema: Schema) -> Schema:
    """A parameter that may be left out: no caller can send a null in a header or a query."""
    kept = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(kept) != 1:
        return schema
    return {**kept[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def describe(app: FastAPI) -> Schema:
    """The whole OpenAPI document, true to what is served."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update({name: schema_of(kind) for name, kind in DOCUMENTS.items()})
    schemas.update(EXTRA)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "hwctl token create"},
    }
    refused = {
        "description": "Refused or failed; nothing was changed if the status is below 500",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _sendable(parameter["schema"])
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = refused
            if operation.get("x-scope", "read") not in ("read", "none"):
                operation["security"] = [{"token": [operation["x-scope"]]}]
    return document
