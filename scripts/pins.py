"""The pinned dependencies: made, compared with pyproject.toml, and tried for every target.

``lock``     writes requirements.txt and requirements-dev.txt from pyproject.toml with uv.
``check``    offline: every dependency is pinned, at a version that pyproject.toml allows.
``resolve``  downloads, as wheels only and by hash, all that each target would install.

The targets are CPython 3.11 to 3.14 on x86-64 and aarch64 Linux with the glibc of Debian 12.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC_MINOR = 36
"""Debian 12 and Raspberry Pi OS Bookworm have glibc 2.36."""


@dataclass(frozen=True, slots=True)
class PinFile:
    """One file of pins: its name, the dependency group it adds, and what it says of itself."""

    name: str
    group: str
    about: str

    @property
    def path(self) -> Path:
        return ROOT / self.name


RUNTIME = PinFile("requirements.txt", "build", "What hwctl runs on, and what installs it")
DEVELOPMENT = PinFile("requirements-dev.txt", "dev", "The same, and the test tools")


@dataclass(frozen=True, slots=True)
class Pin:
    """One pinned package, with the lines of its hashes as they stand in the file."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        return specifier.version


def read_pins(text: str) -> Iterator[Pin]:
    """The pins of a requirements file; a line that is no exact pin raises ValueError."""
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        words, *hashes = line.split(" --hash=")
        requirement = Requirement(words.strip())
        if [specifier.operator for specifier in requirement.specifier] != ["=="] or not hashes:
            message = f"not pinned with a hash: {line[:80].strip()}"
            raise ValueError(message)
        yield Pin(requirement, tuple(one.strip() for one in hashes))


def wanted(project: dict[str, Any], group: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for: its dependencies and one group, includes followed."""
    yield from map(Requirement, project["project"]["dependencies"])
    pending = [group]
    while pending:
        for entry in project["dependency-groups"][pending.pop()]:
            if isinstance(entry, str):
                yield Requirement(entry)
            else:
                pending.append(entry["include-group"])


def out_of_step(project: dict[str, Any], group: str, pins: Sequence[Pin]) -> Iterator[str]:
    """One sentence for each dependency that is not pinned as pyproject.toml wants it."""
    versions: dict[str, list[str]] = {}
    for pin in pins:
        versions.setdefault(pin.name, []).append(pin.version)
    for requirement in wanted(project, group):
        found = versions.get(canonicalize_name(requirement.name), [])
        if not found:
            yield f"{requirement} is not pinned"
        for version in found:
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"{requirement} is pinned at {version}"


def check() -> int:
    """Compare both files with pyproject.toml, and the second with the first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    faults = []
    pinned: dict[str, set[tuple[str, str]]] = {}
    for file in (RUNTIME, DEVELOPMENT):
        pins = list(read_pins(file.path.read_text()))
        pinned[file.name] = {(pin.name, pin.version) for pin in pins}
        faults += [f"{file.name}: {fault}" for fault in out_of_step(project, file.group, pins)]
    for name, version in sorted(pinned[RUNTIME.name] - pinned[DEVELOPMENT.name]):
        faults.append(f"{DEVELOPMENT.name}: {name}=={version} is in {RUNTIME.name} only")
    for fault in faults:
        print(f"{fault}; run `make lock`")
    return 1 if faults else 0


def lock(*, upgrade: bool) -> int:
    """Write both files; versions that still fit are kept unless ``upgrade``."""
    # fmt: off
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml",
        "--universal", "--python-version", PYTHONS[0], "--generate-hashes",
        "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--quiet",
    ]
    # fmt: on
    if upgrade:
        command.append("--upgrade")
    constraint: list[str] = []
    for file in (RUNTIME, DEVELOPMENT):
        print(f"pinning {file.name}")
        arguments = ["--group", file.group, *constraint, "--output-file", file.name]
        done = subprocess.run([*command, *arguments], cwd=ROOT, check=False)
        if done.returncode:
            return done.returncode
        header = f"# {file.about}. Pinned by `make lock` from pyproject.toml, for CPython 3.11\n"
        header += "# to 3.14 on x86-64 and aarch64.\n"
        file.path.write_text(header + file.path.read_text())
        constraint = ["--constraint", file.name]
    return check()


def for_target(pins: Sequence[Pin], python: str, machine: str) -> Iterator[Pin]:
    """The pins whose marker holds on a target: pip itself asks its own Python instead."""
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    for pin in pins:
        marker = pin.requirement.marker
        if marker is None or marker.evaluate(environment):
            yield pin


def download(pins: Sequence[Pin], python: str, machine: str, folder: Path) -> int:
    """Have pip fetch each pin as a wheel for one target; returns pip's exit code."""
    listing = folder / "listing.txt"
    lines = [" --hash=".join([f"{pin.name}=={pin.version}", *pin.hashes]) for pin in pins]
    listing.write_text("\n".join(lines) + "\n")
    digits = python.replace(".", "")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 16, -1)]
    # fmt: off
    command = [
        sys.executable, "-I", "-m", "pip", "download", "-qq", "--no-input",
        "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--implementation", "cp", "--python-version", python,
        "--abi", f"cp{digits}", "--abi", "abi3", "--abi", "none",
        "--platform", f"manylinux2014_{machine}",
        *itertools.chain.from_iterable(("--platform", platform) for platform in platforms),
        "--dest", str(folder), "--requirement", str(listing),
    ]
    # fmt: on
    return subprocess.run(command, check=False).returncode


def resolve() -> int:
    """Try every file on every target; prints one line each. Needs the network."""
    failed = 0
    for file, machine, python in itertools.product((RUNTIME, DEVELOPMENT), MACHINES, PYTHONS):
        pins = list(for_target(list(read_pins(file.path.read_text())), python, machine))
        target = f"{file.name:20} CPython {python} {machine:8}"
        with tempfile.TemporaryDirectory(prefix="hwctl-pins-") as name:
            folder = Path(name)
            code = download(pins, python, machine, folder)
            wheels = list(folder.glob("*.whl"))
            size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
        if code or len(wheels) != len(pins):
            failed += 1
            print(f"{target} FAILED: {len(wheels)} of {len(pins)} wheels", flush=True)
        else:
            print(f"{target} {len(wheels)} wheels, {size:.0f} MB", flush=True)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lock").add_argument("--upgrade", action="store_true")
    commands.add_parser("check")
    commands.add_parser("resolve")
    arguments = parser.parse_args()
    match arguments.command:
        case "lock":
            return lock(upgrade=arguments.upgrade)
        case "check":
            return check()
        case _:
            return resolve()


if __name__ == "__main__":
    sys.exit(main())
