"""Whatever becomes of a rig's files, loading them tells of it in problems and in no other way."""

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwctl.config.load import Loaded, check, load
from hwctl.config.problems import ConfigProblems, Problem

WIRING = Path(__file__).parents[2] / "wiring"
FILES = ("football.toml", "football.hwctl.toml")
TOKENS = (
    "[", "]", "[[", "]]", "{", "}", "=", ",", ".", "#", '"', "'", '"""', "\\", "\n", "\r", "\x00",
    "\x1b", "-1", "0", "1e400", "nan", "-inf", "true", "1979-05-27T07:32:00Z", "0x7fffffffffffffff",
    '"J8:1"', '"GPIO2"', '"bus"', "[]", "{}", "[[]]", "\ufeff", "é", "\u2028", "[device.relay0]",
)  # fmt: skip


def duplicate(lines: list[bytes], at: int, _: random.Random) -> None:
    lines.insert(at, lines[at])


def delete(lines: list[bytes], at: int, _: random.Random) -> None:
    del lines[at]


def move(lines: list[bytes], at: int, chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines)), lines.pop(at))


def value(lines: list[bytes], at: int, chance: random.Random) -> None:
    """Another value behind the same key: one from elsewhere, or a token."""
    key, sign, _ = lines[at].partition(b"=")
    other = chance.choice(lines).partition(b"=")[2].strip()
    chosen = chance.choice([other, chance.choice(TOKENS).encode()])
    lines[at] = key + sign + b" " + chosen + b"\n"


def token(lines: list[bytes], at: int, chance: random.Random) -> None:
    place = chance.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:place] + chance.choice(TOKENS).encode() + lines[at][place:]


def noise(lines: list[bytes], at: int, chance: random.Random) -> None:
    place = chance.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:place] + chance.randbytes(chance.randint(1, 6)) + lines[at][place:]


def letter(lines: list[bytes], at: int, chance: random.Random) -> None:
    if lines[at]:
        place = chance.randrange(len(lines[at]))
        lines[at] = lines[at][:place] + lines[at][place + 1 :]


def cut(lines: list[bytes], at: int, _: random.Random) -> None:
    del lines[at + 1 :]


Mutation = Callable[[list[bytes], int, random.Random], None]
MUTATIONS: list[Mutation] = [duplicate, delete, move, value, value, token, noise, letter, cut]

mutations = st.lists(
    st.tuples(st.sampled_from(FILES), st.sampled_from(MUTATIONS), st.integers(0, 1 << 20)),
    min_size=1,
    max_size=5,
)


def outcome(path: Path) -> tuple[Loaded | None, list[Problem]]:
    """Anything that is raised, and is no ConfigProblems, ends the test."""
    try:
        loaded = load(path)
    except ConfigProblems as error:
        return None, error.problems
    return loaded, list(loaded.problems)


def inspect(problems: list[Problem]) -> None:
    for one in problems:
        file = Path(one.file)
        text = file.read_bytes() if file.is_file() else b""
        lines = max(1, text.count(b"\n") + (not text.endswith(b"\n")))
        assert 1 <= one.line <= lines, str(one)
        assert one.what
        assert one.hint
        assert "\n" not in str(one)
        assert str(one).isprintable(), ascii(str(one))
        for word in ("pydantic", "Traceback", "type=", "input_value", "NoneType"):
            assert word not in str(one)
    assert len(set(problems)) == len(problems)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=mutations)
def test_a_mutated_rig_loads_or_tells_why_not(
    changes: list[tuple[str, Mutation, int]],
) -> None:
    with TemporaryDirectory() as folder:
        files = {name: (WIRING / name).read_bytes().splitlines(keepends=True) for name in FILES}
        for name, mutation, seed in changes:
            chance = random.Random(seed)
            if files[name]:
                mutation(files[name], chance.randrange(len(files[name])), chance)
        for name, lines in files.items():
            (Path(folder) / name).write_bytes(b"".join(lines))
        path = Path(folder) / FILES[1]
        loaded, problems = outcome(path)
        inspect(problems)
        assert (loaded is None) == any(one.severity == "error" for one in problems)
        assert check(path) == problems
        inspect(check(Path(folder) / FILES[0]))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200))
def test_bytes(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.toml"
        path.write_bytes(data)
        loaded, problems = outcome(path)
        assert loaded is None
        assert problems
        inspect(problems)


@pytest.mark.parametrize("mutation", sorted(set(MUTATIONS), key=lambda one: one.__name__))
def test_the_mutations_do_spoil_rigs(mutation: Mutation) -> None:
    """So that the test above is not one of files that load."""
    spoilt = 0
    for seed in range(12):
        chance = random.Random(seed)
        with TemporaryDirectory() as folder:
            (Path(folder) / FILES[1]).write_bytes((WIRING / FILES[1]).read_bytes())
            lines = (WIRING / FILES[0]).read_bytes().splitlines(keepends=True)
            for _ in range(3):
                mutation(lines, chance.randrange(len(lines)), chance)
            (Path(folder) / FILES[0]).write_bytes(b"".join(lines))
            spoilt += outcome(Path(folder) / FILES[1])[0] is None
    assert spoilt >= 3
