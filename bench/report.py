"""``docs/figures.md``: a run, written down with the machine that it was of."""

from collections.abc import Mapping, Sequence

from bench.figure import Figure, Result, shown

HEAD = """# Figures

Made by `python -m bench --write docs/figures.md`; do not edit. `make bench` measures all of them
anew, each with its peers in the same run. Absolute times vary from machine to machine, and from
run to run where other programs share the machine: times are medians over rounds or requests
except where a figure says p99, and the distance to a peer says more than either number.

"""


def write(
    machine: Mapping[str, str], figures: Sequence[Figure], results: Mapping[str, Result]
) -> str:
    """The page."""
    lines = ["| machine | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in machine.items()]
    lines += ["", "| figure | measured | at most | what |", "| --- | ---: | ---: | --- |"]
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g} {figure.unit}"
        what = figure.what if not figure.peer_of else f"beside it: {figure.what}"
        lines.append(
            f"| `{figure.name}` | {_value(figure, results.get(figure.name))} | {limit} | {what} |"
        )
    return HEAD + "\n".join(lines) + "\n"


def _value(figure: Figure, result: Result | None) -> str:
    if result is None or result.value is None:
        return "not run"
    over = figure.limit is not None and result.value > figure.limit
    text = f"{shown(result.value)} {figure.unit}"
    return f"**{text}**" if over else text
