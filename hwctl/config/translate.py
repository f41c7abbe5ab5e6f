"""A value checked by its model; what pydantic finds is said in our words, at its line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hwctl.config.problems import Problem, listed, meant, nearest, quoted
from hwctl.config.schema import ID_PATTERN, ID_WORDS, ModelSchema, number, pattern_words
from hwctl.config.source import Source, as_json
from hwctl.config.toml_lines import KeyPath

ModelT = TypeVar("ModelT", bound=BaseModel)

_OR = re.compile(", | or ")
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "path": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a table",
    "model": "a table",
    "model_attributes": "a table",
}


def check(
    source: Source,
    base: KeyPath,
    values: dict[str, Any],
    model: type[ModelT],
    problems: list[Problem],
    *,
    beside: Sequence[str] = (),
) -> ModelT | None:
    """``values``, which stand at ``base`` in ``source``, as a ``model``.

    :param beside: keys that may stand in the same table and are checked elsewhere.
    :returns: ``None`` if a problem was added.
    """
    try:
        return model.model_validate_json(as_json(values), strict=True)
    except ValidationError as error:
        problems.extend(_translate(source, base, values, model, error, beside))
        return None


def check_parts(
    source: Source, values: dict[str, Any], model: type[ModelT], problems: list[Problem]
) -> ModelT:
    """A whole file as a ``model``, of which what is wrong has been left out.

    So that the checks across tables can go on with the rest. A required table that is wrong is
    missing as an attribute.
    """
    try:
        return model.model_validate_json(as_json(values), strict=True)
    except ValidationError as error:
        problems.extend(_translate(source, (), values, model, error, ()))
        wrong = [one["loc"] for one in error.errors(include_url=False)]
    fields = model.model_fields
    kept = {key: value for key, value in values.items() if key in fields}
    for loc in wrong:
        table = kept.get(str(loc[0]))
        if len(loc) > 1 and isinstance(table, dict) and _by_id(model, str(loc[0])):
            kept[str(loc[0])] = {key: value for key, value in table.items() if key != loc[1]}
        else:
            kept.pop(str(loc[0]), None)
    parts: dict[str, Any] = {
        name: field.get_default(call_default_factory=True)
        for name, field in fields.items()
        if not field.is_required()
    }
    for name, value in kept.items():
        annotation: Any = fields[name].annotation
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        parts[name] = adapter.validate_json(as_json(value), strict=True)
    return model.model_construct(**parts)


def _by_id(model: type[BaseModel], table: str) -> bool:
    annotation = model.model_fields[table].annotation
    return getattr(annotation, "__origin__", None) is dict


def _translate(
    source: Source,
    base: KeyPath,
    values: dict[str, Any],
    model: type[BaseModel],
    error: ValidationError,
    beside: Sequence[str],
) -> list[Problem]:
    schema = ModelSchema(model)
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for one in error.errors(include_url=False):
        found.setdefault(_path(one, values), []).append(one)
    writer = _Writer(source, base, schema, beside)
    unknown = [path for path, ones in found.items() if ones[0]["type"] == "extra_forbidden"]
    problems = []
    for path, ones in found.items():
        if ones[0]["type"] == "missing" and (
            (*base, *path) in source.dropped
            or any(
                path[:-1] == other[:-1] and nearest(str(other[-1]), [str(path[-1])])
                for other in unknown
            )
        ):
            continue  # said already: "unknown key `adress`; did you mean `address`?"
        problems.append(writer.write(path, ones, _value(values, path)))
    return problems


def _path(error: ErrorDetails, values: Any) -> KeyPath:  # noqa: ANN401 - TOML's values
    """Where the error is in the file: pydantic also names the branches of unions."""
    path: KeyPath = ()
    for position, part in enumerate(error["loc"]):
        inside = (isinstance(values, dict) and part in values) or (
            isinstance(values, list) and isinstance(part, int) and part < len(values)
        )
        if inside:
            values = values[part]
            path = (*path, part)
        elif error["type"] == "missing" and position == len(error["loc"]) - 1:
            path = (*path, part)
    return path


def _value(values: Any, path: KeyPath) -> Any:  # noqa: ANN401 - TOML's values
    """What stands at ``path``, ``None`` if nothing does."""
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


class _Writer:
    """Puts errors into words. ``base`` is where the checked table stands in the file."""

    def __init__(
        self, source: Source, base: KeyPath, schema: ModelSchema, beside: Sequence[str]
    ) -> None:
        self._source = source
        self._base = base
        self._schema = schema
        self._beside = beside

    def write(self, path: KeyPath, errors: Sequence[ErrorDetails], value: Any) -> Problem:  # noqa: ANN401
        error = errors[0]
        name = self._name(path)
        full = (*self._base, *path)
        match error["type"]:
            case "missing" if path and isinstance(path[-1], str):
                return self._source.problem(
                    full,
                    f"{name} is missing{self._inside(full[:-1])}",
                    self._add_hint(path),
                )
            case "missing" | "too_short" | "too_long":
                place = path[:-1] if error["type"] == "missing" else path
                return self._source.problem(
                    full,
                    f"{self._name(place)} has too {'many' if 'long' in error['type'] else 'few'} "
                    "values",
                    self._allowed(place),
                )
            case "extra_forbidden":
                thing = "table" if isinstance(value, dict) else "key"
                known = (*self._schema.keys(path[:-1]), *(self._beside if len(path) == 1 else ()))
                return self._source.problem(
                    full,
                    f"unknown {thing} {quoted(path[-1])}{self._inside(full[:-1])}",
                    meant(str(path[-1]), known, "allowed"),
                )
            case "string_pattern_mismatch" if error["ctx"]["pattern"] == ID_PATTERN:
                word = path[-1] if error["loc"][-1] == "[key]" else value
                return self._source.problem(
                    full, f"{quoted(word)} is not an id", f"an id has {ID_WORDS}"
                )
            case "value_error" | "assertion_error":
                what = str(error.get("ctx", {}).get("error", "")) or "is not right"
                at = name if path else quoted(self._base[-1]) if self._base else "the file"
                keys = [quoted(one) for one in self._schema.keys(path)]
                hint = f"correct {listed(keys, 'or')}" if keys else self._allowed(path)
                return self._source.problem(full, f"{at}: {what}", hint)
        key = path[-1] if path else ""
        musts = list(dict.fromkeys(must for must in (_must(one, key) for one in errors) if must))
        rule = f"must be {' or '.join(musts)}" if musts else "which is not allowed here"
        return self._source.problem(
            full, f"{name} is {_shown(key, error, value)}, {rule}", self._allowed(path, value)
        )

    def _name(self, path: KeyPath) -> str:
        """`curve[0][1]`, the last key with the indices behind it."""
        whole = (*self._base, *path)
        last = max((at for at, part in enumerate(whole) if isinstance(part, str)), default=0)
        if not whole:
            return "the file"
        return quoted(str(whole[last]) + "".join(f"[{part}]" for part in whole[last + 1 :]))

    @staticmethod
    def _inside(table: KeyPath) -> str:
        return f" in [{quoted('.'.join(map(str, table)))[1:-1]}]" if table else ""

    def _allowed(self, path: KeyPath, value: object = None) -> str:
        schema = self._schema.at(path)
        if schema is None:
            return "see docs/configuration.md"
        choices = [one for one in schema.get("enum", ()) if isinstance(one, str)]
        if isinstance(value, str) and choices:
            return meant(value, choices, "allowed")
        words = self._schema.words(schema, path[-1] if path else "")
        about = schema.get("description", "") if path and isinstance(path[-1], str) else ""
        return f"allowed: {words}" + (f" ({_one_line(about)})" if about else "")

    def _add_hint(self, path: KeyPath) -> str:
        schema = self._schema.at(path) or {}
        about = schema.get("description", "")
        if schema.get("type") == "object":
            return f"add {self._inside((*self._base, *path)).removeprefix(' in ')}"
        words = self._schema.words(schema, path[-1])
        return f"add `{path[-1]} = ...`: {words}" + (f" ({_one_line(about)})" if about else "")


def _must(error: ErrorDetails, key: str | int) -> str | None:
    """What the value at ``key`` has to be, ``None`` if pydantic's error is none of those known."""
    kind = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind in _LIMITS:
        name, word = _LIMITS[kind]
        return f"{word} {number(context[name], key)}"
    if kind in ("literal_error", "enum"):
        return listed([_option(one, key) for one in _OR.split(context["expected"])], "or")
    if kind.startswith("url"):
        schemes = str(context.get("expected_schemes", "")).replace("'", "")
        return f"a URL that begins with {schemes}:" if schemes else "a URL"
    if kind == "string_pattern_mismatch":
        return pattern_words(context["pattern"])
    if kind == "string_too_short":
        return f"text of at least {context['min_length']} characters"
    if kind == "string_too_long":
        return f"text of at most {context['max_length']} characters"
    stem = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    return _KINDS.get(stem)


def _option(expected: str, key: str | int) -> str:
    """One of pydantic's "'a', 'b' or 3"."""
    if expected.isdecimal():
        return number(int(expected), key)
    return expected.replace("'", '"')


def _shown(key: str | int, error: ErrorDetails, value: object) -> str:
    """The value, or only its kind where that is what is wrong."""
    stem = error["type"].removesuffix("_type")
    if isinstance(value, bool) or (stem in _KINDS and not isinstance(value, float)):
        return _kind(value)
    if isinstance(value, str):
        return f'"{quoted(value)[1:-1]}"'
    if isinstance(value, float):
        return str(value)
    return number(value, key) if isinstance(value, int) else _kind(value)


def _kind(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "nothing"


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
