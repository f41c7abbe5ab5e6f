"""What set-up says where something is missing, and the helpers behind make."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP_READS = (
    "scripts/setup.sh",
    "scripts/pins.py",
    "requirements.txt",
    "requirements-dev.txt",
    "pyproject.toml",
    "hwctl/__init__.py",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up reads, so that no test can touch the real .venv."""
    for name in SETUP_READS:
        target = tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path / "checkout"


def run_setup(checkout: Path, python: Path, level: str = "runtime") -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", str(checkout / "scripts" / "setup.sh"), level],
        env=os.environ | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )


def pretend_python(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def pins(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(checkout / "scripts" / "pins.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_python_the_packages_are_named(checkout: Path, tmp_path: Path) -> None:
    done = run_setup(checkout, tmp_path / "python3")
    assert done.returncode == 1
    assert "sudo apt install python3 python3-venv" in done.stderr


def test_a_python_with_a_version_in_its_name_has_packages_of_that_name(
    checkout: Path, tmp_path: Path
) -> None:
    done = run_setup(checkout, tmp_path / "python3.12")
    assert "sudo apt install python3.12 python3.12-venv" in done.stderr


def test_an_old_python_is_refused_with_its_version(checkout: Path, tmp_path: Path) -> None:
    old = pretend_python(tmp_path / "python3", "echo 3.9.2 /usr")
    done = run_setup(checkout, old)
    assert done.returncode == 1
    assert "3.11 or newer" in done.stderr
    assert "3.9.2" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_a_python_that_does_not_start_is_said_to_be_so(checkout: Path, tmp_path: Path) -> None:
    broken = pretend_python(tmp_path / "python3", "echo cannot load libpython >&2; exit 127")
    done = run_setup(checkout, broken)
    assert done.returncode == 1
    assert "cannot load libpython" in done.stderr
    assert "does not start" in done.stderr


def test_without_venv_its_package_is_named_and_nothing_is_made(
    checkout: Path, tmp_path: Path
) -> None:
    """Debian splits ensurepip off: importing it fails while everything else works."""
    split = pretend_python(
        tmp_path / "python3",
        f'case "$*" in *ensurepip*) exit 1 ;; *) exec "{sys.executable}" "$@" ;; esac',
    )
    done = run_setup(checkout, split)
    assert done.returncode == 1
    assert "sudo apt install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_unknown_level_is_refused(checkout: Path) -> None:
    done = run_setup(checkout, Path(sys.executable), level="everything")
    assert done.returncode == 1
    assert '"runtime" or "dev"' in done.stderr


def test_the_pins_are_in_step(checkout: Path) -> None:
    done = pins(checkout, "check")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"smbus2>=0.5"', '"smbus2>=900"', "requirements.txt: smbus2>=900 is pinned at"),
        ('"smbus2>=0.5"', '"smbus3>=0.5"', "requirements.txt: smbus3>=0.5 is not pinned"),
        ('"pytest>=8.4"', '"pytest>=900"', "requirements-dev.txt: pytest>=900 is pinned at"),
        ('"editables>=0.5"', '"editables>=900"', "requirements.txt: editables>=900 is pinned"),
    ],
)
def test_pins_out_of_step_are_named(checkout: Path, old: str, new: str, complaint: str) -> None:
    project = checkout / "pyproject.toml"
    text = project.read_text()
    assert old in text
    project.write_text(text.replace(old, new))
    done = pins(checkout, "check")
    assert done.returncode == 1
    assert complaint in done.stdout
    assert "make lock" in done.stdout


def test_a_pin_without_a_hash_is_an_error(checkout: Path) -> None:
    with (checkout / "requirements.txt").open("a") as file:
        file.write("left-pad==1.0\n")
    done = pins(checkout, "check")
    assert done.returncode != 0
    assert "not pinned with a hash: left-pad==1.0" in done.stderr


def test_every_make_target_is_phony_and_in_the_help() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    described = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    assert phony.split() == described == targets
    assert {"setup", "demo", "test", "check", "bench"} <= set(targets)


def test_make_demo_hands_its_variables_on() -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed: sudo apt install make")
    said = subprocess.run(
        ["make", "--dry-run", "demo", "PORT=9000", "SPEED=60", "RIG=carrier", "SEED=7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for words in ("wiring/carrier.hwctl.toml", "--port '9000'", "--speed '60'", "--seed '7'"):
        assert words in said


def test_the_junit_summary_counts_and_gives_reasons(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="a" name="ok"/>'
        '<testcase classname="a" name="bad"><failure message="no"/></testcase>'
        '<testcase classname="a" name="broken"><error message="no"/></testcase>'
        '<testcase classname="a" name="x"><skipped message="no chromium"/></testcase>'
        '<testcase classname="a" name="y"><skipped message="no chromium"/></testcase>'
        "</testsuite></testsuites>"
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "junit.py"), str(report)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "failed: a::bad",
        "failed: a::broken",
        "skipped, 2: no chromium",
        "1 passed, 2 failed, 2 skipped",
    ]
