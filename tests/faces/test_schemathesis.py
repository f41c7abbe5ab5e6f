"""Schemathesis, as its own command, on the whole of /openapi.json: no 5xx, no answer that the
document does not tell of, what does not fit is refused, methods that a path lacks are answered."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
pytestmark = pytest.mark.skipif(
    not SCHEMATHESIS.exists(), reason="schemathesis is not installed: make setup-dev"
)
ENDLESS = "/api/v1/live"
"""Answers as long as somebody listens; tests/faces/test_http_streams.py has it."""
SEED = "20251121"

SETTINGS = """\
[[operations]] # not more than so many points; `from` before `to`
include-path = "/api/v1/history"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]

[[operations]] # a mode that there is, or a brightness
include-path = "/api/v1/strips/{id}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "422"]

[[operations]] # names whose brackets belong to ranges; a key that was another command's
include-path-regex = "^/api/v1/(nodes|power|nodes/.id./power)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409"]
"""
"""What no schema can say."""


def pause() -> None:
    time.sleep(0.02)  # so that the processes get their turn


def judge(
    url: str, folder: Path, *words: str, examples: int = 20, meanwhile: Callable[[], None] = pause
) -> None:
    """Nothing bad may be said. ``meanwhile`` is called again and again until all is said."""
    (folder / "schemathesis.toml").write_text(SETTINGS)
    with (folder / "said").open("w+") as said:
        running = subprocess.Popen(
            [
                str(SCHEMATHESIS), "run", f"{url}/openapi.json", "--no-color", "--seed", SEED,
                "--checks", "all", "--max-examples", str(examples), "--exclude-path", ENDLESS,
                # Without it /api/v1/events never ends, either.
                "--header", "Accept: application/json, application/problem+json",
                "--generation-database", "none", "--suppress-health-check", "all",
                "--request-timeout", "10", "--no-shrink", "--warnings", "off",
                "--phases", "examples,coverage,fuzzing", *words,
            ],
            cwd=folder, stdout=said, stderr=said, env={**os.environ, "COLUMNS": "120"},
        )  # fmt: skip
        try:
            while running.poll() is None:
                meanwhile()
        finally:
            running.kill()
            running.wait()
        said.seek(0)
        text = said.read()
    assert running.returncode == 0, text[-12_000:]
    tested = re.search(r"Tested: +(\d+)", text)
    assert tested is not None
    assert int(tested[1]) >= 30, text[-3000:]


def test_the_stand_in_with_all_scopes(site, tmp_path):
    judge(site.server.url, tmp_path, "--header", f"Authorization: Bearer {site.token('admin')}")
    assert {call[0] for call in site.service.calls} >= {"power", "fan", "strip", "shutdown_start"}


def test_the_stand_in_without_a_token(site, tmp_path):
    judge(site.server.url, tmp_path)
    assert site.service.calls == [], "nothing is commanded"


def test_a_rig_with_all_scopes(rehearsal, make_site, tmp_path):
    """The engine itself, on emulated chips, ticking all the while."""
    stage = rehearsal()
    stage.run(30)
    site = make_site(service=stage.engine)
    token = f"Authorization: Bearer {site.token('admin')}"

    def tick() -> None:
        stage.run(1.0, 0.25)
        pause()

    judge(site.server.url, tmp_path, "--header", token, meanwhile=tick)
    assert stage.engine.rig().healthy
    recorded = [entry.operation for entry in stage.engine.audit(0, 10_000) if entry.operation]
    assert len(set(recorded)) == len(recorded) > 0
    by_hand = {op.id for op in stage.engine.operations(10_000) if op.by != "shutdown"}
    assert by_hand <= set(recorded), "every operation has its command"


def test_a_rig_without_a_token(rehearsal, make_site, tmp_path):
    stage = rehearsal()
    stage.run(30)
    site = make_site(service=stage.engine)

    def tick() -> None:
        stage.run(1.0, 0.25)
        pause()

    judge(site.server.url, tmp_path, meanwhile=tick)
    assert stage.engine.operations() == []
    assert stage.edges == []
    turned_away = stage.engine.audit(0, 10_000)
    assert turned_away
    assert all(entry.result.startswith("turned away") for entry in turned_away)
