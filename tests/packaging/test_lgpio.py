"""lgpio 0.0.0.2 is an empty package: a resolver takes it where the real one has no wheel."""

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STUB = "0.0.0.2"
TARGETS = [
    (python, machine)
    for python in ("3.11", "3.12", "3.13", "3.14")
    for machine in ("x86_64", "aarch64")
]


def asking_for_lgpio():
    extras = PROJECT["optional-dependencies"].values()
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    return [one for one in map(Requirement, texts) if one.name == "lgpio"]


def test_no_requirement_of_ours_lets_the_stub_in():
    assert asking_for_lgpio()
    for requirement in asking_for_lgpio():
        assert not requirement.specifier.contains(STUB, prereleases=True)


def test_it_is_pinned_nowhere():
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "lgpio" not in (ROOT / name).read_text()


def wheel(folder, version, tags):
    name = f"lgpio-{version}"
    with zipfile.ZipFile(folder / f"{name}-{tags}.whl", "w") as file:
        info = f"{name}.dist-info"
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: lgpio\nVersion: {version}\n"
        )
        tag = "".join(f"Tag: {one}\n" for one in [tags])
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n{tag}")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """The wheels of lgpio that there are: the real one up to 3.12, the stub for everybody."""
    folder = tmp_path_factory.mktemp("index")
    wheel(folder, STUB, "py3-none-any")
    for python in ("cp311", "cp312"):
        for machine in ("x86_64", "aarch64"):
            wheel(folder, "0.2.2.0", f"{python}-{python}-manylinux_2_34_{machine}")
    return folder


def resolved(index, text, python, machine):
    """The version that a resolver, binary only, would install; "" for none."""
    if importlib.util.find_spec("uv") is None:
        pytest.skip("needs uv, which is one of the test tools")
    done = subprocess.run(
        [
            sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-config",
            "--offline", "--no-cache", "--python", sys.executable, "--no-index",
            "--find-links", index, "--only-binary", ":all:", "--no-header", "--no-annotate",
            "--python-version", python, "--python-platform", f"{machine}-manylinux_2_36",
        ],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().removeprefix("lgpio==")


@pytest.mark.parametrize(("python", "machine"), TARGETS)
def test_a_resolver_takes_the_real_one_or_none(index, python, machine):
    taken = {resolved(index, str(one), python, machine) for one in asking_for_lgpio()}
    assert taken == ({"0.2.2.0"} if python < "3.13" else {""})


def test_the_trap_is_real(index):
    assert resolved(index, "lgpio", "3.13", "aarch64") == STUB
