"""Where every table and key of a TOML text stands, which tomllib does not tell.

tomllib is the judge of what is TOML; this scanner runs after it, on text that it has accepted,
and only finds places. TOML 1.0, https://toml.io/en/v1.0.0; line breaks and commas that TOML 1.1
allows inside inline tables do no harm.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""From the root to a value: table names, keys, and indices from 0 in arrays."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may stand before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class TomlLines:
    """1-based line numbers by key path."""

    def __init__(self, places: Mapping[KeyPath, int]) -> None:
        self._places = places

    def line(self, path: KeyPath) -> int:
        """The line of ``path``, or of its nearest parent that stands in the file, or 1."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places.get(path, 1)


def scan(text: str) -> TomlLines:
    """Find every key of ``text``.

    :param text: what ``tomllib.loads`` has accepted.
    :raises ValueError: it has not.
    """
    return TomlLines(_Scanner(text.replace("\r\n", "\n")).run())


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._places: dict[KeyPath, int] = {}
        self._elements: dict[KeyPath, int] = {}
        """How many ``[[tables]]`` each array of tables has so far."""

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._skip("["):
                table = self._header()
            else:
                self._pair(table)
            self._take(_BLANK)
        return self._places

    def _header(self) -> KeyPath:
        array = self._skip("[")
        line = self._line()
        *parents, name = self._key()
        path: KeyPath = ()
        for part in parents:
            path = self._enter((*path, part), line)
        path = (*path, name)
        if array:
            count = self._elements.get(path, 0)
            self._elements[path] = count + 1
            self._places.setdefault(path, line)
            path = (*path, count)
            self._expect("]")
        self._expect("]")
        self._places[path] = line  # also where a subtable has named it before
        return path

    def _enter(self, path: KeyPath, line: int) -> KeyPath:
        """``path``, or the newest element of the array of tables that stands there."""
        self._places.setdefault(path, line)
        return (*path, self._elements[path] - 1) if path in self._elements else path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self._places.setdefault(path, line)
        self._expect("=")
        self._take(_BLANK)
        self._value(path)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while not parts or self._skip("."):
            self._take(_BLANK)
            if self._quoted():
                # tomllib knows the escapes.
                parts.append(tomllib.loads(f"key = {self._take(_STRING)}")["key"])
            else:
                parts.append(self._take(_BARE_KEY))
            self._take(_BLANK)
        return parts

    def _value(self, path: KeyPath) -> None:
        if self._skip("["):
            self._take(_BLANK)
            index = 0
            while not self._skip("]"):
                self._places[(*path, index)] = self._line()
                self._value((*path, index))
                self._comma()
                index += 1
        elif self._skip("{"):
            self._take(_BLANK)
            while not self._skip("}"):
                self._pair(path)
                self._comma()
        else:
            self._take(_STRING if self._quoted() else _SCALAR)

    def _comma(self) -> None:
        self._take(_BLANK)
        self._skip(",")
        self._take(_BLANK)

    def _quoted(self) -> bool:
        return self._text.startswith(('"', "'"), self._at)

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)

    def _skip(self, mark: str) -> bool:
        found = self._text.startswith(mark, self._at)
        self._at += len(mark) * found
        return found

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise ValueError(
                f"line {self._line()}: no {mark!r}; only what tomllib accepts is taken"
            )

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"line {self._line()}: only what tomllib accepts is taken")
        self._at = found.end()
        return found.group()
