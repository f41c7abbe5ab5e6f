"""What the doctor says of machines made of files."""

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hwctl.config import udev
from hwctl.config.drivers import loadable
from hwctl.config.load import load
from hwctl.engine.head import machine as real
from hwctl.engine.head.doctor import examine, lacking
from hwctl.engine.head.findings import Level
from hwctl.engine.head.machine import Machine, Who
from hwctl.engine.head.needs import _is_known

ROOT = Path(__file__).resolve().parents[2]
FOOTBALL = ROOT / "wiring/football.hwctl.toml"
TIMESYNC = "/run/systemd/timesync"


@pytest.fixture(scope="module")
def football():
    return load(FOOTBALL)


def about(findings, subject):
    found = [one for one in findings if one.subject == subject]
    assert len(found) == 1, findings
    return found[0]


def snapshot(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_a_head_that_has_all_lacks_nothing(pi, football):
    before = snapshot(pi.root)
    findings = examine(pi.machine(), football)
    assert snapshot(pi.root) == before, "it looks, and changes nothing"
    assert not lacking(findings)
    assert about(findings, "board").what == "Raspberry Pi Zero 2 W Rev 1.0"
    assert about(findings, "system").what == "Debian GNU/Linux 12 (bookworm)"
    assert about(findings, "kernel").what == "Linux 6.12.25+rpt-rpi-v8"
    assert "group gpio" in about(findings, "bus gpio").what
    assert about(findings, "known hosts").level is Level.OK
    # Not installed as a service yet: said, with the command, and no reason to fail.
    assert about(findings, "unit").command == "sudo hwctl install"
    assert about(findings, "user").level is Level.WARNING


def test_whatever_is_not_well_has_one_command_and_what_is_has_none(pi, head, football):
    for machine in (pi.machine(), head.machine()):
        for rig in (None, football):
            for one in examine(machine, rig):
                assert bool(one.command) == (one.level is not Level.OK), one
                assert "\n" not in one.command


def test_without_a_rig_nothing_is_missing(head):
    findings = examine(head.machine())
    assert not lacking(findings)
    assert {"gpio", "i2c", "spi"} <= {one.subject for one in findings}


def test_an_empty_machine_lacks_what_the_rig_needs(head, football):
    findings = examine(head.machine(), football)
    missing = {one.subject for one in findings if one.level is Level.MISSING}
    assert missing == {"bus gpio", "bus i2c1", "bus spi0", "ssh key", "known hosts"}


# --- one thing at a time ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "subject", "level", "what", "command"),
    [
        (
            lambda pi: pi.put("/proc/sys/kernel/osrelease", "5.4.0-77\n"),
            "kernel", Level.MISSING, "5.10", "apt",
        ),
        (
            lambda pi: pi.drop("/dev/i2c-1"),
            "bus i2c1", Level.MISSING, "/dev/i2c-1 does not exist", "raspi-config nonint do_i2c 0",
        ),
        (
            lambda pi: (pi.drop("/dev/i2c-1"), pi.put("/sys/bus/i2c/devices/i2c-1/name")),
            "bus i2c1", Level.MISSING, "does not exist", "modprobe i2c-dev",
        ),
        (
            lambda pi: (pi.drop("/dev/i2c-1"), pi.drop("/usr/bin/raspi-config")),
            "bus i2c1", Level.MISSING, "does not exist",
            "echo dtparam=i2c_arm=on | sudo tee -a /boot/firmware/config.txt && sudo reboot",
        ),
        (
            lambda pi: pi.drop("/dev/spidev0.0"),
            "bus spi0", Level.MISSING, "does not exist", "raspi-config nonint do_spi 0",
        ),
        (
            lambda pi: pi.chips.labels.clear(),
            "bus gpio", Level.OK, "/dev/gpiochip0", "",
        ),
        (
            lambda pi: pi.chips.labels.update(gpiochip0="pinctrl-rp1"),
            "bus gpio", Level.MISSING, 'here: gpiochip0 "pinctrl-rp1"', "gpiodetect",
        ),
        (
            lambda pi: pi.put("/sys/module/spidev/parameters/bufsiz", "256\n"),
            "strip lid", Level.MISSING, "one transfer carries 256",
            "spidev.bufsiz=32768/' /boot/firmware/cmdline.txt",
        ),
        (
            lambda pi: pi.drop("/usr/sbin/i2cset"),
            "fans", Level.WARNING, "watchdog", "apt install i2c-tools",
        ),
        (
            lambda pi: pi.drop("/etc/hwctl/ssh/id_ed25519"),
            "ssh key", Level.MISSING, "does not exist",
            "sudo -u hwctl ssh-keygen -q -t ed25519 -N '' -C hwctl -f /etc/hwctl/ssh/id_ed25519",
        ),
        (
            lambda pi: pi.put("/etc/hwctl/ssh/known_hosts", "10.42.0.10 ssh-ed25519 AAAA\n"),
            "known hosts", Level.MISSING, "10.42.0.11, 10.42.0.12, 10.42.0.13",
            "ssh-keyscan -p 22 10.42.0.11 10.42.0.12 10.42.0.13 | "
            "sudo tee -a /etc/hwctl/ssh/known_hosts",
        ),
        (
            lambda pi: pi.faults.update({"http://10.42.0.12:9100/metrics": "No route to host"}),
            "node pi2", Level.WARNING, "No route to host", "prometheus-node-exporter",
        ),
        (
            lambda pi: pi.taken.add(8470),
            "port 8470", Level.MISSING, "somebody else", "ss -ltnp",
        ),
        (
            lambda pi: (pi.taken.add(8470), pi.put("/sys/fs/cgroup/system.slice/hwctl.service/x")),
            "port 8470", Level.OK, "hwctl itself", "",
        ),
        (
            lambda pi: pi.packages.update(lgpio="0.0.0.2"),
            "lgpio", Level.WARNING, "empty stub", "pip uninstall lgpio",
        ),
        (
            lambda pi: (setattr(pi, "in_step", False), pi.drop(f"{TIMESYNC}/synchronized")),
            "clock", Level.WARNING, "timesyncd runs", "timedatectl",
        ),
    ],
)  # fmt: skip
def test_one_thing_that_is_not_well(pi, football, spoil, subject, level, what, command):
    spoil(pi)
    found = about(examine(pi.machine(), football), subject)
    assert found.level is level
    assert what in found.what
    assert command in found.command


def test_the_stub_of_lgpio_is_told_from_the_real_one(pi):
    pi.packages["lgpio"] = "0.2.2.0"
    assert not [one for one in examine(pi.machine()) if one.subject == "lgpio"]


def test_a_bus_without_permission_names_the_group_that_lacks(pi, football):
    pi.me = Who("pi", 1000, frozenset({1000}))
    found = about(examine(pi.machine(), football), "bus i2c1")
    assert found.level is Level.MISSING
    assert found.what == "/dev/i2c-1, group gpio, mode 0660: closed to pi"
    assert found.command == "sudo usermod -aG gpio pi"


def test_a_device_that_is_root_s_own_gets_the_rules(pi, football):
    pi.me = Who("pi", 1000, frozenset({1000}))
    pi.put("/etc/group", "root:x:0:\n")
    (pi.root / "dev/i2c-1").chmod(0o600)
    assert about(examine(pi.machine(), football), "bus i2c1").command == "sudo hwctl install"


@pytest.mark.parametrize(
    ("groups", "level"), [("SupplementaryGroups=gpio i2c spi\n", Level.OK), ("", Level.MISSING)]
)
def test_the_service_has_its_groups_from_the_unit(pi, football, groups, level):
    pi.put("/etc/passwd", "hwctl:x:990:990::/var/lib/hwctl:/usr/sbin/nologin\n")
    pi.put("/etc/systemd/system/hwctl.service", f"[Service]\n{groups}")
    found = about(examine(pi.machine(), football), "bus i2c1")
    assert found.level is level
    assert "hwctl" in found.what
    if level is Level.MISSING:
        assert found.command == "sudo hwctl install"


def test_who_may_use_a_device(tmp_path):
    file = tmp_path / "node"
    file.touch()
    group = os.getgid()
    cases = [
        (0o060, Who("member", 4242, frozenset({group})), True),
        (0o600, Who("member", 4242, frozenset({group})), False),
        (0o040, Who("member", 4242, frozenset({group})), False),
        (0o006, Who("other", 4242, frozenset()), True),
        (0o660, Who("other", 4242, frozenset()), False),
        (0o000, Who("root", 0, frozenset()), True),
    ]
    for mode, who, allowed in cases:
        file.chmod(mode)
        assert who.may(file.stat()) is allowed, (oct(mode), who)


def test_what_lies_in_a_closed_folder_is_not_called_missing(pi, football):
    if os.geteuid() == 0:
        pytest.skip("root sees everything")
    folder = pi.root / "etc/hwctl/ssh"
    folder.chmod(0)
    found = about(examine(pi.machine(), football), "ssh key")
    folder.chmod(0o755)
    assert found.level is Level.WARNING


# --- outlets over a stop ---------------------------------------------------------------------


PERSIST = "/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs"


@pytest.mark.parametrize(
    ("prepare", "level", "what", "command"),
    [
        (lambda pi: None, Level.OK, "leaves a released output as it is", ""),
        (
            lambda pi: pi.put("/boot/firmware/config.txt", "dtparam=audio=on,strict_gpiod\n"),
            Level.WARNING, "strict_gpiod is set", "sed -i /strict_gpiod/d /boot/firmware",
        ),
        (
            lambda pi: pi.put("/boot/firmware/config.txt", "#dtparam=strict_gpiod\n"),
            Level.OK, "leaves", "",
        ),
        (lambda pi: pi.put(PERSIST, "N\n"), Level.WARNING, "fall to their pulls", "restart"),
        (lambda pi: pi.drop(PERSIST), Level.WARNING, "fall to their pulls", "restart"),
        (
            lambda pi: (
                pi.drop(PERSIST),
                pi.put("/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-257.so"),
                pi.put("/etc/systemd/system/hwctl.service.d/keep-descriptors.conf"),
            ),
            Level.OK, "a stop and an upgrade", "",
        ),
    ],
)  # fmt: skip
def test_what_becomes_of_the_outlets_at_a_stop(pi, football, prepare, level, what, command):
    prepare(pi)
    found = about(examine(pi.machine(), football), "outlets")
    assert found.level is level
    assert what in found.what
    assert command in found.command


def test_a_newer_systemd_that_is_not_told_to_keep_descriptors(pi):
    assert "covers a crash and a restart" in about(examine(pi.machine()), "systemd").what
    pi.put("/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-257.so")
    found = about(examine(pi.machine()), "systemd")
    assert (found.level, found.command) == (Level.WARNING, "sudo hwctl install")


# --- the service -----------------------------------------------------------------------------


def test_the_service_step_by_step(pi):
    unit, wants = "/etc/systemd/system/hwctl.service", "/etc/systemd/system/multi-user.target.wants"
    pi.put(unit)
    assert "enable --now" in about(examine(pi.machine()), "unit").command
    pi.put(f"{wants}/hwctl.service")
    assert "restart" in about(examine(pi.machine()), "unit").command
    pi.put("/sys/fs/cgroup/system.slice/hwctl.service/cgroup.procs")
    assert about(examine(pi.machine()), "unit").level is Level.OK


def test_rules_of_another_version_are_told(pi):
    own = udev.text(loadable(), udev.usual_groups(pi.machine().groups()))
    for text, level in ((own, Level.OK), (udev.text(loadable()), Level.OK), ("#", Level.WARNING)):
        pi.put("/etc/udev/rules.d/70-hwctl.rules", text)
        assert about(examine(pi.machine()), "udev rules").level is level


# --- known hosts -----------------------------------------------------------------------------


def hashed(name):
    salt = b"0123456789abcdefghij"
    digest = hmac.digest(salt, name.encode(), hashlib.sha1)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("pi1.local,10.0.0.1 ssh-ed25519 AAAA", True),
        ("[10.0.0.1]:22 ssh-ed25519 AAAA", True),
        (f"{hashed('10.0.0.1')} ssh-ed25519 AAAA", True),
        (f"{hashed('10.0.0.2')} ssh-ed25519 AAAA", False),
        ("10.0.0.10 ssh-ed25519 AAAA", False),
        ("# 10.0.0.1 ssh-ed25519 AAAA", False),
        ("@revoked 10.0.0.1 ssh-ed25519 AAAA", False),
        ("10.0.0.1", False),
        ("|1|no base64|at all ssh-ed25519 AAAA", False),
        ("", False),
    ],
)
def test_who_is_known(line, known):
    assert _is_known(f"other ssh-ed25519 AAAA\n{line}\n", "10.0.0.1", 22) is known


# --- questions that no file answers ----------------------------------------------------------


def test_a_taken_port_and_a_page(tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert real.port_taken("127.0.0.1", port)
    assert not real.port_taken("127.0.0.1", port)
    assert "refused" in real.page_fault(f"http://127.0.0.1:{port}/metrics")
    assert real.page_fault("http://256.0.0.1/")
    assert real.clock_in_step() in (True, False)
    assert real.package_version("pydantic")
    assert real.package_version("hwctl-no-such-package") is None


def test_this_very_machine_can_be_examined():
    findings = examine(Machine())
    assert about(findings, "kernel").what.startswith("Linux ")
    assert about(findings, "python").level is Level.OK


def hwctl(*words):
    return subprocess.run(
        [Path(sys.executable).with_name("hwctl"), *words], capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_in_words_and_for_programs(tmp_path):
    plain = hwctl("doctor")
    assert plain.returncode == 0, plain.stderr
    assert "ok       kernel: Linux" in plain.stdout
    rows = json.loads(hwctl("doctor", "--json").stdout)
    assert {"level", "subject", "what", "command"} == set(rows[0])
    bad = tmp_path / "rig.hwctl.toml"
    bad.write_text('wiring = "rig.toml"\nbrightness = 2\n')
    told = hwctl("doctor", str(bad))
    assert told.returncode == 1
    assert f"missing  configuration: {bad}:2:" in told.stdout


def test_a_line_for_a_port_by_command():
    done = hwctl("udev", "--port", "1-1.2", "--name", "relay0")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert 'KERNELS=="1-1.2"' in done.stdout
    assert "71-hwctl-ports.rules" in done.stderr
    assert hwctl("udev", "--port", "1-1.2").returncode == 2
    assert hwctl("udev", "--port", "x", "--name", "relay0").returncode == 1
    assert hwctl("udev", "--kind", "sofa").returncode == 2
    assert 'KERNEL=="i2c-[0-9]*"' in hwctl("udev").stdout
