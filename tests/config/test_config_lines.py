"""Where every key stands, judged by a writer that notes the line of each key it writes."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwctl.config.toml_lines import KeyPath, scan

WIRING = Path(__file__).parents[2] / "wiring"

Draw = Any

keys = st.one_of(
    st.sampled_from(["a", "b", "long-key", "5v", "1", "x_y"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=6),
)
scalars = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"), max_size=12),
    st.sampled_from(['"', "'", '""', "''", "# no comment", "[x]", "a = 1\n[b]\n", "\\", ",", "]"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3),
        st.lists(st.dictionaries(keys, inner, max_size=3), min_size=1, max_size=3),
    ),
    max_leaves=12,
)
documents = st.dictionaries(keys, values, max_size=5)


class Writer:
    """Writes a document in a manner drawn anew at every choice that TOML leaves."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def document(self, document: dict[str, Any]) -> str:
        self.body(document, ())
        return self.text

    def body(self, table: dict[str, Any], path: KeyPath) -> None:
        later = []
        for key, value in table.items():
            of_tables = (
                isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
            )
            if (isinstance(value, dict) or of_tables) and self.draw(st.booleans()):
                later.append((key, value))
            else:
                self.blank()
                self.pair((), key, value, path)
                self.text += self.draw(st.sampled_from(["\n", " # a = 1 ]\n", "\r\n"]))
        for key, value in later:
            if isinstance(value, dict):
                self.header("[", [*path, key], "]")
                self.lines[(*path, key)] = self.line - 1
                self.body(value, (*path, key))
                continue
            for at, element in enumerate(value):
                self.header("[[", [*path, key], "]]")
                self.lines.setdefault((*path, key), self.line - 1)
                self.lines[(*path, key, at)] = self.line - 1
                self.body(element, (*path, key, at))

    def header(self, left: str, path: list[str | int], right: str) -> None:
        self.blank()
        dot = self.draw(st.sampled_from([".", " . "]))
        names = [self.key(part) for part in path if isinstance(part, str)]
        self.text += f"{left}{dot.join(names)}{right}\n"

    def pair(self, dotted: tuple[str, ...], key: str, value: Any, path: KeyPath) -> None:
        """``path`` is that of the table, ``dotted`` are the keys before ``key``."""
        here = (*path, *dotted, key)
        if isinstance(value, dict) and len(value) == 1 and self.draw(st.booleans()):
            ((inner, deeper),) = value.items()
            self.lines[here] = self.line
            self.pair((*dotted, key), inner, deeper, path)
            return
        self.lines[here] = self.line
        self.text += ".".join(self.key(part) for part in (*dotted, key))
        self.text += self.draw(st.sampled_from([" = ", "=", "\t="]))
        self.value(value, here)

    def value(self, value: Any, path: KeyPath) -> None:
        match value:
            case list():
                self.text += "["
                for at, element in enumerate(value):
                    self.text += self.draw(st.sampled_from(["", " ", "\n  ", " # [\n\n"]))
                    self.lines[(*path, at)] = self.line
                    self.value(element, (*path, at))
                    self.text += self.draw(st.sampled_from([",", " ,", "\n,"]))
                self.text += self.draw(st.sampled_from(["]", "\n]", "# ]\n]"]))
            case dict():
                self.text += "{"
                for at, (key, inner) in enumerate(value.items()):
                    self.text += ", " if at else " "
                    self.pair((), key, inner, path)
                self.text += "}"
            case str():
                self.string(value)
            case bool():
                self.text += str(value).lower()
            case _:
                self.text += str(value)

    def string(self, value: str) -> None:
        plain = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        manner = self.draw(st.integers(0, 3))
        if manner == 1 and not re.search(r"['\n]", value):
            self.text += f"'{value}'"
        elif manner == 2 and "'''" not in value and not value.startswith("'"):
            self.text += f"'''\n{value}'''" if not value.endswith("'''") else plain
        elif manner == 3:
            body = plain[1:-1].replace("\\n", "\n").replace('\\"', '"')
            if "\\" not in body and '"""' not in body and not body.endswith('"""'):
                self.text += f'"""{body}"""' if not body.startswith("\n") else f'"""\n{body}"""'
            else:
                self.text += plain
        else:
            self.text += plain

    def key(self, name: str) -> str:
        manner = self.draw(st.integers(0, 2))
        if manner == 0 and re.fullmatch(r"[A-Za-z0-9_-]+", name):
            return name
        if manner == 1 and "'" not in name:
            return f"'{name}'"
        return json.dumps(name, ensure_ascii=self.draw(st.booleans()) and name.isascii())

    def blank(self) -> None:
        self.text += self.draw(st.sampled_from(["", "\n", "# [a]\n", "  \n\t"]))

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    if not isinstance(value, dict | list):
        return []
    found: list[KeyPath] = []
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        found += [(*path, key), *paths(one, (*path, key))]
    return found


def check(writer: Writer, document: dict[str, Any]) -> None:
    text = writer.document(document)
    assert tomllib.loads(text) == document
    lines = scan(text)
    wanted = paths(tomllib.loads(text))
    assert sorted(map(repr, wanted)) == sorted(map(repr, writer.lines))
    for path in wanted:
        assert lines.line(path) == writer.lines[path], (path, text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=documents, data=st.data())
def test_every_key_has_its_line(document: dict[str, Any], data: st.DataObject) -> None:
    check(Writer(data.draw), document)


@pytest.mark.parametrize("file", sorted(WIRING.glob("*.toml")), ids=lambda file: file.name)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_key_of_a_rig_written_otherwise(file: Path, data: st.DataObject) -> None:
    check(Writer(data.draw), tomllib.loads(file.read_text()))


@pytest.mark.parametrize("file", sorted(WIRING.glob("*.toml")), ids=lambda file: file.name)
def test_the_line_of_a_key_holds_the_key(file: Path) -> None:
    text = file.read_text()
    lines, places = text.splitlines(), scan(text)
    for path in paths(tomllib.loads(text)):
        name = next(part for part in reversed(path) if isinstance(part, str))
        assert name in lines[places.line(path) - 1]


def test_a_path_that_is_not_there_has_its_parents_line() -> None:
    lines = scan("a = 1\n\n[b.c]\nd = [1,\n 2]\n")
    assert lines.line(("b", "c", "other")) == 3
    assert lines.line(("b", "c", "d", 1)) == 5
    assert lines.line(("b", "c", "d", 7)) == 4
    assert lines.line(("nothing", "at", "all")) == 1
    assert lines.line(()) == 1


def test_elements_of_tables_inside_tables() -> None:
    text = '[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[[a]]\n[[a.b]]\n"x" = 3\n[a.c]\n'
    lines = scan(text)
    assert [lines.line(("a", 0, "b", at, "x")) for at in (0, 1)] == [3, 5]
    assert lines.line(("a", 1)) == 6
    assert lines.line(("a", 1, "b", 0, "x")) == 8
    assert lines.line(("a", 1, "c")) == 9


def test_keys_of_an_inline_table_on_lines_of_their_own() -> None:
    """TOML 1.1, which tomllib takes from Python 3.15 on."""
    lines = scan("a = {\n  b = 1, # one\n  c = {d = 2},\n}\ne = 3\n")
    assert [lines.line(path) for path in (("a", "b"), ("a", "c", "d"), ("e",))] == [2, 3, 5]


def test_quotes_at_the_end_of_long_strings() -> None:
    text = 'a = """x"""""\nb = \'\'\'\n\'\'\'\'\'\nc = """\\"""" \nd = 1\n'
    tomllib.loads(text)
    assert [scan(text).line((key,)) for key in "abcd"] == [1, 2, 4, 5]


def test_text_that_is_not_toml_is_refused() -> None:
    for text in ("a = 1\n[b\n", "= 1", "a 1", 'a = "x'):
        with pytest.raises(tomllib.TOMLDecodeError):
            tomllib.loads(text)
        with pytest.raises(ValueError, match="only what tomllib accepts"):
            scan(text)
