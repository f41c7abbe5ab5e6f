"""Files in docs/ that are made from the code, and compared with it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from hwctl.config.schema import ModelSchema, Schema, number

DOCS = Path(__file__).parents[2] / "docs"
"""In a checkout."""


def main(file: Path, text: str, arguments: Sequence[str]) -> int:
    """Write ``text`` to ``file``, or with ``--check`` only say whether it is there.

    :returns: the exit code: 1 if it is not, or cannot be written; 2 for other arguments.
    """
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: [--check]\n")
        return 2
    try:
        if arguments:
            if file.read_text(encoding="utf-8") == text:
                return 0
            sys.stderr.write(f"{file} is out of date; make it again, without --check\n")
            return 1
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"{file}: {error.strerror}\n")
        return 1
    return 0


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def key_rows(model: type[BaseModel]) -> list[list[str]]:
    """Key, what it may hold, default and description of every key of ``model``."""
    schema = ModelSchema(model)
    rows = []
    for key, raw in schema.root.get("properties", {}).items():
        inner = schema.resolve(raw)
        rows.append(
            [
                f"`{key}`",
                schema.words(raw, key),
                _default(key, raw, key in schema.root.get("required", ())),
                " ".join(str(inner.get("description", "")).replace("``", "`").split()),
            ]
        )
    return rows


def _default(key: str, schema: Schema, required: bool) -> str:
    if required:
        return "must be given"
    value = schema.get("default")
    return "none" if value is None else f"`{toml(value, key)}`"


def toml(value: object, key: str = "") -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return number(value, key)
        case list() | tuple():
            return f"[{', '.join(toml(one) for one in value)}]"
        case dict():
            return f"{{ {', '.join(f'{name} = {toml(one)}' for name, one in value.items())} }}"
        case _:
            return f'"{value}"'


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
