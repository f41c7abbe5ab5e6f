"""What is built: the wheel holds everything, under the right names, and nothing else."""

import configparser
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "hwctl": ROOT / "hwctl",
    "hwctl_drivers": ROOT / "drivers" / "hwctl_drivers",
    "hwctl_emulated": ROOT / "drivers" / "hwctl_emulated",
}


def build(target: str, folder: Path, source: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"), ROOT))


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def metadata_file(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (one for one in wheel.namelist() if one.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_every_file_of_the_packages_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{package}/{path.relative_to(folder)}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_every_package_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel.namelist())


@pytest.mark.parametrize("ending", [".html", ".css", ".js"])
def test_the_dashboard_is_in_the_wheel(wheel: zipfile.ZipFile, ending: str) -> None:
    pages = [name for name in wheel.namelist() if name.startswith("hwctl/faces/")]
    assert any(name.endswith(ending) for name in pages)


def test_the_entry_points_are_those_of_the_project(wheel: zipfile.ZipFile, project: dict) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(metadata_file(wheel, "entry_points.txt"))
    assert dict(entry_points["console_scripts"]) == project["project"]["scripts"]
    assert (
        dict(entry_points["hwctl.drivers"]) == project["project"]["entry-points"]["hwctl.drivers"]
    )


def test_the_metadata_is_that_of_the_project(wheel: zipfile.ZipFile, project: dict) -> None:
    metadata = message_from_string(metadata_file(wheel, "METADATA"))
    required = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    core = {str(one) for one in required if "extra ==" not in str(one)}
    assert core == {str(Requirement(text)) for text in project["project"]["dependencies"]}
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"


def test_what_needs_a_compiler_is_no_core_dependency(project: dict) -> None:
    names = {Requirement(text).name for text in project["project"]["dependencies"]}
    assert names.isdisjoint({"rpi-ws281x", "spidev", "lgpio", "rpi-gpio", "systemd-python"})


def test_the_source_archive_builds_the_same_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    archive = build("sdist", tmp_path / "sdist", ROOT)
    unpacked = tmp_path / "source"
    unpacked.mkdir()
    # Not tarfile: its safe filter is missing in Debian 12's 3.11.2 and demanded from 3.12 on.
    subprocess.run(["tar", "-xf", archive, "-C", unpacked], check=True)
    (source,) = unpacked.iterdir()
    rebuilt = zipfile.ZipFile(build("wheel", tmp_path / "rebuilt", source))
    assert sorted(rebuilt.namelist()) == sorted(wheel.namelist())
