"""What the files of the checkout must not say, and what must agree between them."""

import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import hwctl

ROOT = Path(__file__).resolve().parents[2]

# Put together here, so that this file does not hold what it looks for.
INDEX_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "pi" + "wheels.org",
    "registry.npm" + "js.org",
    "deb.debian" + ".org",
    "archive.raspberry" + "pi.com",
    "/simp" + "le/",
]
MACHINE_PATHS = [
    r"(?<![\w.])/wo" + r"rk/",
    "/tmp/" + "v/",
    "/opt/" + "(pypi|wheels)",
    "/ro" + "ot/",
]


def checkout_files() -> list[Path]:
    """Every file that is or would be committed; without git, all that is not ignored."""
    listed = None
    if git := shutil.which("git"):
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed and listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return [path for name in names if name and (path := ROOT / name).is_file()]
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(part in ignored or part == ".git" for part in path.relative_to(ROOT).parts)
        and not any(path.match(f"{pattern}/*") for pattern in ignored if "*" in pattern)
    ]


def lines_that_match(pattern: str) -> list[str]:
    found = []
    wanted = re.compile(pattern.encode())
    for path in checkout_files():
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            if wanted.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    return found


def test_the_walk_sees_the_checkout() -> None:
    names = {str(path.relative_to(ROOT)) for path in checkout_files()}
    assert {"Makefile", "pyproject.toml", "hwctl/__init__.py", ".ci/run"} <= names
    assert not any(name.startswith(".venv/") for name in names)


def test_no_file_names_a_package_index() -> None:
    assert lines_that_match("|".join(map(re.escape, INDEX_HOSTS))) == []


def test_no_requirements_file_points_anywhere_but_to_its_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)


def test_no_file_names_a_path_of_one_machine() -> None:
    assert lines_that_match("|".join(MACHINE_PATHS)) == []


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "hwctl/__init__.py"
    assert importlib.metadata.version("hwctl") == hwctl.__version__


def test_the_changelog_knows_this_version() -> None:
    assert hwctl.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    for section in range(1, 10):
        assert re.search(rf"^ +{section}\. ", text, re.MULTILINE), section
    assert "END OF TERMS AND CONDITIONS" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
