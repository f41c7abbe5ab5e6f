"""The unit, under the systemd of this machine as the first process of namespaces of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIMIT_S = 100
COMMAND = """\
#!{python} -I
import sys
sys.path[:0] = ["/opt/hwctl/source", "/opt/hwctl/source/drivers", "/opt/hwctl/site"]
from hwctl.__main__ import main
main()
"""
STORY_UNIT = """\
[Unit]
After=systemd-udevd.service systemd-journald.service
Wants=systemd-udevd.service systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/sh /story.sh
FailureAction=exit-force
"""
I2CSET = """\
#!/bin/sh
echo "$@" >>/var/lib/hwctl/last-words
"""


def put(file, text, mode=0o644):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


@pytest.fixture(scope="module")
def cgroup():
    """A control group of the story's own: its systemd makes more below it."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    root = next((Path(one[1]) for one in mounts if one[2] == "cgroup2"), None)
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("needs a cgroup2 hierarchy that can be written")
    own = root / f"hwctl-test-{os.getpid()}"
    try:
        own.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of our own here: {error.strerror}")
    yield own
    for folder in sorted(own.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
        if folder.is_dir():
            folder.rmdir()
    own.rmdir()


@pytest.fixture(scope="module")
def story(tmp_path_factory, cgroup):
    """What was told, by chapter."""
    if os.geteuid() or not Path("/lib/systemd/systemd").exists() or not shutil.which("unshare"):
        pytest.skip("needs root, systemd and unshare")
    python = Path(sys.executable).resolve()
    if not os.fspath(python).startswith(("/usr/", "/opt/")):
        pytest.skip(f"a service could not see {python}")
    work = tmp_path_factory.mktemp("head")
    upper = work / "upper"
    for folder in (work / "mnt", work / "told", upper / "told", upper / "opt/hwctl/site",
                   upper / "opt/hwctl/source"):  # fmt: skip
        folder.mkdir(parents=True)
    for folder in (upper, *upper.rglob("*")):
        folder.chmod(0o755)  # it becomes the root that the service looks into
    put(upper / "opt/hwctl/bin/hwctl", COMMAND.format(python=python), 0o755)
    put(upper / "usr/local/sbin/i2cset", I2CSET, 0o755)
    put(upper / "etc/systemd/system/story.service", STORY_UNIT)
    put(upper / "story.sh", (HERE / "story.sh").read_text())
    site = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [
            "sh", "-c", f'echo $$ >{cgroup}/cgroup.procs && exec "$@"', "sh",
            "timeout", "--kill-after=5", str(LIMIT_S), "unshare", "--mount", "--pid", "--fork",
            "--kill-child", "--ipc", "--uts", "--net", "--cgroup",
            "sh", HERE / "real_head.sh", work, site, ROOT,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    log = work / "told/log"
    if not log.exists():
        pytest.skip(f"no systemd in a namespace here: {done.stderr.strip()[-200:]}")
    told = log.read_text()
    assert "== end" in told, told + done.stderr
    chapters = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== |\Z)", told, re.DOTALL | re.MULTILINE))
    chapters["said"] = (work / "told/said").read_text()
    assert "stuck" in chapters, chapters["start"] + chapters["said"][-3000:]
    return chapters


def test_it_installs_itself(story):
    told = story["install"]
    assert "done" in told
    assert "failed" not in told
    assert "(hwctl)" in told
    assert "/var/lib/hwctl hwctl 700\n/etc/hwctl root 755\n/etc/hwctl/ssh hwctl 700\n" in told
    assert story["again"].startswith("nothing to do\n")


def test_it_starts_in_its_cage_and_answers(story):
    told = story["start"]
    assert told.startswith("started\n"), told + story["said"][-3000:]
    assert "CapBnd: 0000000000000000" in told
    assert "NoNewPrivs: 1" in told
    assert "Seccomp: 2" in told
    assert not re.search(r"^Uid: 0", told, re.MULTILINE)
    assert "The football" in told
    assert "/sys ro\n" in told
    assert "/sys/devices/system rw\n" in told, "what ReadWritePaths names can be written"
    assert told.endswith("quiet\n"), told


def test_completed_ticks_feed_the_watchdog(story):
    assert story["fed"] == "restarts 0\n"


def test_a_service_that_is_stuck_is_started_again(story):
    assert "restarts 1, running\n" in story["stuck"]


def test_its_fans_were_sent_to_full_in_between(story):
    words = story["stuck"].partition("last words ")[2].split("\n")
    assert words[:2] == ["-y 1 0x2e 0x30 0xff", "-y 1 0x2e 0x40 0xff"]


def test_the_doctor_finds_it(story):
    assert "ok       user: hwctl" in story["doctor"]
    assert "ok       udev rules: /etc/udev/rules.d/70-hwctl.rules" in story["doctor"]
    assert "does not start at boot" in story["doctor"]


def test_it_stops_in_peace_and_goes_without_a_trace(story):
    assert story["stop"] == "dead, success\n", story["stop"] + story["said"][-3000:]
    told = story["uninstall"]
    assert "kept     /var/lib/hwctl and the user hwctl" in told
    assert told.count("No such file or directory") == 3
