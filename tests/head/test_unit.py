"""The systemd unit: what systemd itself says of it, and what must stand in it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hwctl.config.load import load
from hwctl.engine.head import contents
from hwctl.model.errors import ConfigError
from hwctl_drivers.emc230x import DRIVER, Emc230xOptions
from hwctl_emulated.emc230x import Emc230x
from hwctl_emulated.i2c import EmulatedI2c

MOST_EXPOSED = 20
"""Tenths. The peers: fan2go 36, kvmd 93, coolercontrold 96 (style-and-packaging facts)."""
ROOT_HOME = "/root"
ROOT = Path(__file__).resolve().parents[2]
FOOTBALL = ROOT / "wiring/football.hwctl.toml"


def football(**changes):
    values = {
        "hwctl": "/bin/true",
        "config": "/etc/hwctl/football.hwctl.toml",
        "groups": ["gpio", "i2c", "spi", "dialout"],
        "classes": ["gpiochip", "i2c", "spi", "ttyUSB", "ttyACM", "hidraw"],
        "last_words": contents.last_words(load(FOOTBALL)),
    }
    return contents.unit(**{**values, **changes})


def analyze(tmp_path, text, *words):
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    file = tmp_path / "hwctl.service"
    file.write_text(text)
    return subprocess.run(
        ["systemd-analyze", *words, file], capture_output=True, text=True, check=False
    )


OPENED = {
    "devices": ["char-ttyAMA", "/dev/serial0"],
    "folders": ["/sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0"],
    "watchdog": "/dev/watchdog0",
}


# Without groups and devices of its own it is another unit: both are judged.
@pytest.mark.parametrize(
    "changes", [{}, {"groups": [], "classes": ["i2c"], "last_words": []}, OPENED]
)
def test_systemd_has_nothing_to_say_against_it(tmp_path, changes):
    done = analyze(tmp_path, football(**changes), "verify")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_judge_is_awake(tmp_path):
    done = analyze(tmp_path, football().replace("ProtectClock=", "ProtectClocks="), "verify")
    assert "ProtectClocks" in done.stderr


@pytest.mark.parametrize("changes", [{}, OPENED])
def test_it_exposes_little(tmp_path, changes):
    words = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    done = analyze(tmp_path, football(**changes), *words)
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout
    bare = "[Service]\nExecStart=/bin/true\n"
    assert analyze(tmp_path, bare, *words).returncode != 0


def test_every_placeholder_is_filled_and_no_empty_one_leaves_a_line():
    assert not re.search(r"@[A-Z]+@", football())
    bare = football(groups=[], classes=[], last_words=[])
    assert "SupplementaryGroups" not in bare
    assert "DeviceAllow" not in bare
    assert "ExecStopPost" not in bare
    assert "ReadWritePaths" not in bare
    told = football(**OPENED).splitlines()
    assert f"ReadWritePaths=-{OPENED['folders'][0]}" in told
    assert {"DeviceAllow=char-ttyAMA rw", "DeviceAllow=/dev/serial0 rw"} <= set(told)


def test_what_is_promised_stands_in_it():
    text = football()
    for line in (
        "Type=notify", "NotifyAccess=main", "WatchdogSec=15", "Restart=always", "User=hwctl",
        "DevicePolicy=closed", "DeviceAllow=char-gpiochip rw", "FileDescriptorStoreMax=64",
        "StateDirectory=hwctl", "RuntimeDirectory=hwctl", "CapabilityBoundingSet=",
        "SupplementaryGroups=gpio i2c spi dialout",
    ):  # fmt: skip
        assert f"\n{line}\n" in text, line
    assert "FileDescriptorStorePreserve" not in text, "systemd 252 warns of it"
    assert "PrivateDevices" not in text, "it hides all hardware"


def test_the_last_words_drive_the_chip_s_fans_at_full():
    """What i2cset would put on the bus, put on the emulated chip's bus."""
    words = [one for one in contents.last_words(load(FOOTBALL)) if one.startswith("ExecStopPost")]
    assert words == [
        "ExecStopPost=-/usr/bin/env i2cset -y 1 0x2e 0x30 0xff",
        "ExecStopPost=-/usr/bin/env i2cset -y 1 0x2e 0x40 0xff",
    ]
    bus = EmulatedI2c()
    chip = Emc230x(2, lambda: 0.0)
    bus.place(0x2E, chip, "device.fans")
    assert chip.duty(0) < 1
    for line in words:
        address, *sent = [int(word, 16) for word in line.split()[-3:]]
        assert bytes(sent) in {DRIVER.full(Emc230xOptions(address=0x2E), n) for n in (1, 2)}
        write(bus, address, bytes(sent))
    assert [chip.duty(0), chip.duty(1)] == [1.0, 1.0]


def write(bus, address, data):
    from smbus2 import i2c_msg

    bus.i2c_rdwr(i2c_msg.write(address, list(data)))


def test_a_rig_without_such_fans_has_no_last_words():
    assert contents.last_words(None) == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/home/pi/venv/bin/hwctl", "/home is hidden"),
        (f"{ROOT_HOME}/venv/bin/hwctl", "/root is hidden"),
        ("/tmp/venv/bin/hwctl", "/tmp is hidden"),
        ("/opt/my rig/bin/hwctl", "cannot name"),
        ("/opt/%h/bin/hwctl", "cannot name"),
        ("/opt/x;reboot/hwctl", "cannot name"),
        ("opt/hwctl", "cannot name"),
    ],
)
def test_a_command_that_the_service_could_not_start_is_refused(command, why):
    with pytest.raises(ConfigError, match=why) as caught:
        contents.check_command(Path(command))
    assert "/opt/hwctl" in caught.value.hint
