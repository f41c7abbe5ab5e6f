"""The head's watchdog: it resets a head that hangs, and no other.

For a guest of its own (lab/boot.py, "reset"), which must not come to its end: the last test hangs
the service, and passes when the machine is gone. What has been reached is written down for
lab/boot.py, which judges.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from hwctl.engine.watchdog import Watchdog
from hwctl.model.errors import DeviceBusyError

STATE = Path("/sys/class/watchdog/watchdog0/state")
EXCHANGE = Path("/mnt")
TIMEOUT_S = 6
URL = "http://127.0.0.1:8473"

RIG = """\
[rig]
name = "bare"

[board]
model = "Raspberry Pi 4B"
"""
SETTINGS = """\
wiring = "rig.toml"

[service]
port = 8473
watchdog = "/dev/watchdog"
watchdog_s = {}
"""


@pytest.fixture(scope="module")
def device(load):
    load("i6300esb")
    return "/dev/watchdog"


def state():
    return STATE.read_text().strip()


def test_it_is_armed_fed_and_disarmed(device, eventually):
    watchdog = Watchdog(device, 2)
    assert (watchdog.identity, watchdog.timeout_s) == ("i6300ESB timer", 2)
    assert watchdog.can_be_disarmed
    assert state() == "active"
    with pytest.raises(DeviceBusyError, match="another program feeds"):
        Watchdog("/dev/watchdog0", 2)
    for _ in range(10):
        watchdog.feed()
        time.sleep(0.5)
    watchdog.close()
    assert state() == "inactive"
    watchdog.close()
    watchdog.feed()
    assert state() == "inactive"
    time.sleep(4)  # or this machine is gone


@pytest.fixture
def service(device, tmp_path, eventually):
    """Starts `hwctl run` and waits until it serves."""
    (tmp_path / "rig.toml").write_text(RIG)
    words = ["-m", "hwctl", "run", "--config", str(tmp_path / "rig.hwctl.toml")]
    environ = {**os.environ, "HWCTL_SOCKET": str(tmp_path / "socket")}
    started = []

    def start(watchdog_s=TIMEOUT_S):
        (tmp_path / "rig.hwctl.toml").write_text(SETTINGS.format(watchdog_s))
        state_dir = ["--state-dir", str(tmp_path / "state")]
        started.append(subprocess.Popen([sys.executable, *words, *state_dir], env=environ))
        eventually(healthy)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def healthy():
    try:
        with urllib.request.urlopen(f"{URL}/healthz", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def wrote(name):
    """For the host; with what has been reached in it, it stays when the machine is gone."""
    with (EXCHANGE / name).open("w") as file:
        file.write(f"{time.monotonic():.1f}\n")
        file.flush()
        os.fsync(file.fileno())


def test_a_service_that_runs_feeds_it_and_one_that_is_stopped_disarms_it(service):
    process = service()
    assert state() == "active"
    time.sleep(2 * TIMEOUT_S)
    assert healthy()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert state() == "inactive"
    time.sleep(1.5 * TIMEOUT_S)  # or this machine is gone
    wrote("lived")


def test_a_head_that_hangs_is_reset(service):
    """After a crash and a restart, as systemd does it: nobody has disarmed it in between."""
    process = service(watchdog_s=60)
    process.kill()
    process.wait()
    assert state() == "active"
    process = service()
    assert state() == "active"
    process.send_signal(signal.SIGSTOP)
    wrote("hung")
    time.sleep(10 * TIMEOUT_S)
    pytest.fail("this machine should be gone")
