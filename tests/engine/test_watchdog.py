"""The head's watchdog, as far as there is none: that it resets is shown by `make lab`."""

import errno
import os

import pytest
from pydantic import ValidationError

from hwctl.config import udev
from hwctl.engine.head import contents
from hwctl.engine.watchdog import Watchdog, _no_way_out, _not_opened
from hwctl.faces.cli.serve import _on_real_head
from hwctl.model.errors import BusError, DeviceBusyError, DeviceError
from hwctl.model.settings import ServiceSettings


@pytest.mark.parametrize(
    ("number", "kind", "said", "hint"),
    [
        (errno.EBUSY, DeviceBusyError, "another program feeds", "RuntimeWatchdogSec"),
        (errno.EACCES, BusError, "no permission", "hwctl install"),
        (errno.EPERM, BusError, "no permission", "hwctl install"),
        (errno.ENOENT, BusError, "does not exist", "dtparam=watchdog=on"),
        (errno.EIO, BusError, "Input/output error", "wdctl"),
    ],
)
def test_why_it_cannot_be_had(number, kind, said, hint):
    error = _not_opened(OSError(number, os.strerror(number)), "/dev/watchdog")
    assert type(error) is kind
    assert said in error.what
    assert hint in error.hint


def test_what_is_no_watchdog_is_refused_and_not_written_to(tmp_path):
    file = tmp_path / "watchdog0"
    file.write_text("")
    with pytest.raises(DeviceError, match="is no watchdog") as caught:
        Watchdog(str(file), 30)
    assert "wdctl" in caught.value.hint
    assert file.read_text() == ""


def test_one_that_the_kernel_never_lets_go_of_is_known(tmp_path):
    (tmp_path / "watchdog0").mkdir()
    (tmp_path / "watchdog0" / "nowayout").write_text("1\n")
    assert _no_way_out("/dev/watchdog0", tmp_path)
    assert _no_way_out("/dev/watchdog", tmp_path), "the old name of the first one"
    assert not _no_way_out("/dev/watchdog1", tmp_path)


def test_a_rig_without_the_watchdog_that_it_asks_for_runs_and_says_so(rehearsal, tmp_path):
    engine = rehearsal().engine
    service = ServiceSettings(watchdog="/dev/watchdog77")
    ends = _on_real_head(engine, service)
    try:
        (problem,) = [text for text in engine.problems() if "watchdog" in text]
        assert "/dev/watchdog77 does not exist" in problem
    finally:
        for end in ends:
            end()


def test_the_service_gets_it_where_it_is_asked_for():
    words = {"hwctl": "/bin/true", "config": "/c", "groups": [], "classes": [], "last_words": []}
    assert "DeviceAllow" not in contents.unit(**words)
    assert "\nDeviceAllow=/dev/watchdog0 rw\n" in contents.unit(**words, watchdog="/dev/watchdog0")
    rules = [line for line in udev.text([]).splitlines() if "watchdog" in line and line[0] != "#"]
    assert len(rules) == 2
    assert all('GROUP="hwctl", MODE="0660"' in rule and "uaccess" not in rule for rule in rules)


@pytest.mark.parametrize(
    "settings",
    [{"watchdog": "/dev/ttyUSB0"}, {"watchdog": "watchdog0"}, {"watchdog_s": 1}, {"watchdog": ""}],
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(ValidationError):
        ServiceSettings(**settings)
