"""``make bench`` prints what it promises. Nothing here judges a time."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.__main__ import FIGURES, main  # noqa: E402
from bench.figure import Figure, Result, limit_line, line, shown  # noqa: E402
from bench.measure import percentile  # noqa: E402

sys.path.remove(str(ROOT))

NAMES = [figure.name for figure in FIGURES]


def numbers(output: str) -> dict[str, tuple[float, str]]:
    """``name value unit``, three words to a line."""
    rows = [row.split() for row in output.splitlines()]
    assert all(len(row) == 3 for row in rows), output
    return {name: (float(value), unit) for name, value, unit in rows}


def test_names_are_unique_and_peers_stand_beside_a_figure_with_a_limit():
    printed = NAMES + [f"{figure.name}_limit" for figure in FIGURES if figure.limit is not None]
    assert len(set(printed)) == len(printed)
    limited = {figure.name for figure in FIGURES if figure.limit is not None}
    for figure in FIGURES:
        assert figure.peer_of in limited if figure.limit is None else figure.peer_of == ""


def test_one_figure_is_measured_and_printed_with_its_limit_and_its_peer():
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "frame_300_leds", "--quick"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = numbers(done.stdout)
    assert list(found) == ["frame_300_leds", "frame_300_leds_limit", "frame_300_leds_per_bit_list"]
    assert found["frame_300_leds_limit"] == (20.0, "us")
    for value, unit in found.values():
        assert value > 0
        assert unit == "us"
    assert all(row.startswith("#") for row in done.stderr.splitlines()), done.stderr


def test_what_is_written_down_names_every_figure_and_the_machine(tmp_path, capsys):
    page = tmp_path / "figures.md"
    assert main(["--only", "frame_300_leds", "--quick", "--write", str(page)]) == 0
    text = page.read_text()
    for name in NAMES:
        assert f"| `{name}` |" in text
    measured = capsys.readouterr().out.split()[1]
    assert f"| `frame_300_leds` | {measured} us |" in text.replace("**", "")
    assert "| kernel | " in text
    assert text.count("not run") == len(NAMES) - 2


def test_the_page_in_the_docs_has_every_figure():
    text = (ROOT / "docs" / "figures.md").read_text()
    for name in NAMES:
        assert f"| `{name}` |" in text, "write it anew: python -m bench --write docs/figures.md"


def test_a_name_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "frame_301_leds"])
    assert ended.value.code == 2
    assert "frame_301_leds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.1249, "8.12"), (512.3, "512"), (1833.0, "1830"), (0.00938, "0.00938"), (0.0, "0")],
)
def test_three_digits_and_no_exponent(value, text):
    assert shown(value) == text


def test_what_was_not_run_has_no_number():
    figure = Figure("a", "ms", "", limit=2)
    assert line(figure, Result("a", None, "why")) == "a not-run ms"
    assert limit_line(figure) == "a_limit 2 ms"
    assert limit_line(Figure("b", "ms", "", peer_of="a")) is None


def test_one_value_of_a_hundred_is_above_the_99th_percentile():
    assert percentile(list(range(100)), 0.99) == 98
    assert percentile([3.0], 0.99) == 3.0
    assert math.isclose(percentile([4.0, 2.0, 1.0, 3.0], 0.5), 2.0)
