"""What a key may hold, in words, from the models' JSON schemas."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from hwctl.config.problems import listed
from hwctl.config.toml_lines import KeyPath
from hwctl.model.wiring import RigInfo

Schema = Mapping[str, Any]

ID_PATTERN = str(RigInfo.model_json_schema()["properties"]["name"]["pattern"])
ID_WORDS = "lower-case letters, digits, - and _, at most 40"

_WORDS = re.compile(r"\^\(((?:[\w-]+\|)*[\w-]+)\)\$")

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a table",
}


class ModelSchema:
    """One model's keys."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.root: Schema = model.model_json_schema()
        self._named: Schema = self.root.get("$defs", {})

    def resolve(self, schema: Schema) -> Schema:
        """``schema`` without its indirections; "or left out" is taken off."""
        while True:
            if "$ref" in schema:
                schema = {**self._named[schema["$ref"].rpartition("/")[2]], **_around(schema)}
                continue
            real = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
            if len(real) != 1:
                return schema
            schema = {**real[0], **{key: schema[key] for key in schema if key != "anyOf"}}

    def at(self, path: KeyPath) -> Schema | None:
        """What may stand at ``path``; ``None`` if the models do not know it."""
        schema = self.resolve(self.root)
        for part in path:
            inner = self._inside(schema, part)
            if inner is None:
                return None
            schema = self.resolve(inner)
        return schema

    def keys(self, path: KeyPath) -> Sequence[str]:
        """The keys of the table at ``path``."""
        return tuple((self.at(path) or {}).get("properties", ()))

    def words(self, schema: Schema, key: str | int = "") -> str:
        """ "a whole number from 0 to 65535"; for the ``key`` address, in hexadecimal."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            real = [one for one in schema["anyOf"] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(self.words(one, key) for one in real))
        if "enum" in schema or "const" in schema:
            return choice(schema.get("enum", [schema.get("const")]), key)
        kind = _KINDS.get(str(schema.get("type")), "anything")
        match schema.get("type"):
            case "integer" | "number":
                limits = range_words(schema, key)
                return f"{kind} {limits}" if limits else kind
            case "string":
                return self._text_words(schema)
            case "array":
                return self._list_words(schema)
            case "object" if schema.get("properties"):
                return f"{kind} of {listed([f'`{key}`' for key in schema['properties']])}"
            case "object" if "additionalProperties" in schema or "patternProperties" in schema:
                return "tables by id"
            case _:
                return kind

    def _text_words(self, schema: Schema) -> str:
        pattern = schema.get("pattern")
        if pattern == ID_PATTERN:
            return "an id"
        if schema.get("format") in ("path", "file-path", "directory-path"):
            return "a path"
        if schema.get("format") == "uri":
            return "a URL"
        return pattern_words(pattern) if pattern else "text"

    def _list_words(self, schema: Schema) -> str:
        if "prefixItems" in schema:
            return f"[{', '.join(self.words(one) for one in schema['prefixItems'])}]"
        items = schema.get("items")
        return f"a list of: {self.words(items)}" if items else "a list"

    def _inside(self, schema: Schema, part: str | int) -> Schema | None:
        if isinstance(part, int):
            fixed = schema.get("prefixItems", ())
            return fixed[part] if 0 <= part < len(fixed) else schema.get("items")
        known = schema.get("properties", {}).get(part)
        if known is not None:
            return dict(known)
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            return others
        return next(iter(schema.get("patternProperties", {}).values()), None)


def number(value: float, key: str | int = "") -> str:
    """A number as people write it beside ``key``: addresses and revisions in hexadecimal."""
    if key in ("address", "revision") and isinstance(value, int) and value >= 0:
        return f"0x{value:02x}"
    return str(value) if isinstance(value, int) else f"{value:g}"


def choice(values: Sequence[object], key: str | int = "") -> str:
    """`"i2c"`, `"gpio"` or `"spi"`."""
    return listed(
        [number(one, key) if isinstance(one, int | float) else f'"{one}"' for one in values], "or"
    )


def pattern_words(pattern: str) -> str:
    """What text has to be like; a mere choice of words is shown as one."""
    plain = _WORDS.fullmatch(pattern)
    return choice(plain[1].split("|")) if plain else f"text that matches `{pattern}`"


def range_words(schema: Schema, key: str | int = "") -> str:
    """ "from 0 to 65535", "above 0 and at most 1", "of at least 1", or nothing."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"from {number(low, key)} to {number(high, key)}"
    parts = (
        ("at least", low),
        ("above", schema.get("exclusiveMinimum")),
        ("at most", high),
        ("below", schema.get("exclusiveMaximum")),
    )
    said = " and ".join(
        f"{word} {number(value, key)}" for word, value in parts if value is not None
    )
    return f"of {said}" if said.startswith("at ") else said


def _around(schema: Schema) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "$ref"}
