"""What importing costs, and that no module exists twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import hwctl

ROOT = Path(__file__).resolve().parents[2]

WALK = """
import importlib, json, pkgutil, sys
names = []
for package in ("hwctl", "hwctl_drivers", "hwctl_emulated"):
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
            names.append(module.name)
print(json.dumps({"walked": names, "loaded": sorted(sys.modules)}))
"""


def test_saying_the_version_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hwctl", "--version"],
        cwd=tmp_path,
        env=os.environ | {"HWCTL_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert hwctl.__version__ in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hwctl" in imported
    heavy = ("fastapi", "pydantic", "gpiozero", "asyncssh", "httpx", "uvicorn", "serial")
    assert [name for name in heavy if name in imported] == []


def test_no_module_is_also_there_by_its_folder(tmp_path: Path) -> None:
    """`drivers.hwctl_drivers.x` would be a second copy of `hwctl_drivers.x`."""
    done = subprocess.run(
        [sys.executable, "-c", WALK], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout)
    assert "hwctl_drivers.ina228" in modules["walked"]
    assert [name for name in modules["loaded"] if name.split(".")[0] == "drivers"] == []
