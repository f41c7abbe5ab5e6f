"""Install and uninstall: shown first, done once, done again, undone, and never over the user."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hwctl.engine.head import install
from hwctl.engine.head.install import Installer, run_command
from hwctl.engine.head.manifest import PATH as MANIFEST
from hwctl.model.errors import ConfigError, HwctlError

HWCTL = Path("/opt/hwctl/bin/hwctl")
ROOT = Path(__file__).resolve().parents[2]
FOOTBALL = ROOT / "wiring/football.hwctl.toml"
UNIT = "/etc/systemd/system/hwctl.service"


class Commands:
    """Plays systemd-sysusers and its like on a made-up machine."""

    def __init__(self, head):
        self.head = head
        self.ran = []
        self.broken = {}

    def __call__(self, words):
        self.ran.append(tuple(words))
        if words[0] == "systemd-sysusers" and not self.broken:
            passwd = self.head.root / "etc/passwd"
            passwd.write_text(passwd.read_text() + "hwctl:x:990:990::/var/lib/hwctl:/bin/false\n")
        if words[0] == "userdel":
            passwd = self.head.root / "etc/passwd"
            kept = [line for line in passwd.read_text().splitlines() if line[:6] != "hwctl:"]
            passwd.write_text("\n".join(kept) + "\n")
        return self.broken.get(words[0], "")


def everything(root):
    return {
        str(path.relative_to(root)): path.read_text() if path.is_file() else None
        for path in root.rglob("*")
    }


@pytest.fixture
def bare(pi):
    """The Pi before anything of hwctl's is on it, a key for its nodes included."""
    for name in ("id_ed25519", "known_hosts"):
        pi.drop(f"/etc/hwctl/ssh/{name}")
    (pi.root / "etc/hwctl/ssh").rmdir()
    (pi.root / "etc/hwctl").rmdir()
    return pi


@pytest.fixture
def installed(bare):
    commands = Commands(bare)
    installer = Installer(bare.machine(), commands)
    installer.apply(installer.plan(HWCTL, FOOTBALL))
    return bare, installer, commands


def test_installed_twice_and_undone_leaves_what_was(bare):
    before = everything(bare.root)
    commands = Commands(bare)
    installer = Installer(bare.machine(), commands)
    plan = installer.plan(HWCTL, FOOTBALL)
    assert everything(bare.root) == before, "a plan changes nothing"
    assert commands.ran == []
    assert installer.apply(plan) == []
    assert [words[0] for words in commands.ran] == [
        "systemd-sysusers", "systemd-tmpfiles", "systemctl", "udevadm", "udevadm", "udevadm",
        "systemctl",
    ]  # fmt: skip
    assert ("udevadm", "trigger", "--property-match=DRIVER=hub") in commands.ran
    assert commands.ran[0] == ("systemd-sysusers", "/etc/sysusers.d/hwctl.conf")
    assert commands.ran[-1] == ("systemctl", "daemon-reload")

    again = installer.plan(HWCTL, None)
    assert again.empty
    assert again.changes == again.after == again.kept == ()

    commands.ran.clear()
    assert installer.apply(installer.plan_removal()) == []
    assert commands.ran[0] == ("systemctl", "disable", "--now", "hwctl.service")
    assert ("userdel", "hwctl") in commands.ran
    assert everything(bare.root) == before
    assert installer.plan_removal().empty


def test_what_is_installed(installed):
    head, _, _ = installed
    unit = head.machine().text(UNIT)
    assert f"ExecStart={HWCTL} run --config /etc/hwctl/football.hwctl.toml\n" in unit
    assert "SupplementaryGroups=gpio i2c spi\n" in unit, "those that the machine has"
    rules = head.machine().text("/etc/udev/rules.d/70-hwctl.rules")
    assert 'SUBSYSTEM=="i2c-dev", KERNEL=="i2c-[0-9]*", GROUP="i2c"' in rules
    assert 'ENV{ID_SERIAL_SHORT}=="?*"' in rules
    assert head.machine().text("/etc/modules-load.d/hwctl.conf").split()[:2] == [
        "i2c-dev", "spidev",
    ]  # fmt: skip
    for name in ("football.toml", "football.hwctl.toml"):
        assert (head.root / "etc/hwctl" / name).read_bytes() == (
            ROOT / "wiring" / name
        ).read_bytes()
    assert not head.machine().exists(install.DROP_IN), "systemd 252 does not know it"
    modes = {path.stat().st_mode & 0o777 for path in (head.root / "etc").rglob("*.conf")}
    assert modes == {0o644}


def test_where_systemd_can_the_descriptors_are_kept_over_a_stop(bare):
    bare.put("/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-257.so")
    installer = Installer(bare.machine(), Commands(bare))
    installer.apply(installer.plan(HWCTL, FOOTBALL))
    assert "FileDescriptorStorePreserve=yes" in bare.machine().text(install.DROP_IN)


def test_without_a_rig_an_empty_one_is_started_and_it_is_good(bare):
    from hwctl.config.load import check

    installer = Installer(bare.machine(), Commands(bare))
    installer.apply(installer.plan(HWCTL, None))
    file = bare.root / "etc/hwctl/rig.hwctl.toml"
    assert [one for one in check(file) if one.severity == "error"] == []
    wiring = (bare.root / "etc/hwctl/rig.toml").read_text()
    assert 'model = "Raspberry Pi Zero 2 W Rev 1.0"\nrevision = 0x902120\n' in wiring
    assert installer.plan(HWCTL, None).empty


def test_a_rig_that_is_there_is_used_and_not_touched(bare):
    for name in ("football.toml", "football.hwctl.toml"):
        bare.put(f"/etc/hwctl/{name}", (ROOT / "wiring" / name).read_text())
    installer = Installer(bare.machine(), Commands(bare))
    plan = installer.plan(HWCTL, None)
    assert "--config /etc/hwctl/football.hwctl.toml" in next(
        one.new for one in plan.changes if one.path == UNIT
    )
    assert not any(one.path.startswith("/etc/hwctl/") for one in plan.changes)
    installer.apply(plan)
    installer.apply(installer.plan_removal())
    assert bare.machine().exists("/etc/hwctl/football.toml")


def test_of_two_rigs_one_has_to_be_named(bare, installed):
    head, installer, _ = installed
    for name in ("football.toml", "football.hwctl.toml"):
        text = (ROOT / "wiring" / name).read_text().replace("football.toml", "other.toml")
        head.put(f"/etc/hwctl/{name.replace('football', 'other')}", text)
    assert installer.plan(HWCTL, None).empty, "the unit says which one it was"
    other = installer.plan(HWCTL, head.root / "etc/hwctl/other.hwctl.toml")
    assert [one.path for one in other.changes] == [UNIT]
    head.drop(UNIT)
    with pytest.raises(ConfigError, match="several rigs"):
        installer.plan(HWCTL, None)


def test_another_rig_of_the_same_name_is_not_overwritten(bare):
    bare.put("/etc/hwctl/football.toml", "# mine\n")
    installer = Installer(bare.machine(), Commands(bare))
    with pytest.raises(ConfigError, match="is there already"):
        installer.plan(HWCTL, FOOTBALL)


def test_an_upgrade_changes_what_it_wrote_and_shows_the_difference(installed):
    _, installer, commands = installed
    commands.ran.clear()
    plan = installer.plan(Path("/opt/hwctl-2/bin/hwctl"), None)
    assert [one.path for one in plan.changes] == [UNIT]
    shown = list(plan.changes[0].lines())
    assert f"-ExecStart={HWCTL} run --config /etc/hwctl/football.hwctl.toml" in shown
    assert any(line.startswith("+ExecStart=/opt/hwctl-2/") for line in shown)
    assert plan.after == (("systemctl", "daemon-reload"),)
    installer.apply(plan)
    assert installer.plan(Path("/opt/hwctl-2/bin/hwctl"), None).empty
    assert not installer.plan_removal().kept


def test_what_the_user_changed_is_kept_and_named(installed):
    head, installer, _ = installed
    unit = head.root / UNIT[1:]
    unit.write_text(unit.read_text() + "# mine\n")
    plan = installer.plan(Path("/opt/hwctl-2/bin/hwctl"), None)
    assert plan.empty
    assert UNIT in plan.kept[0]
    removal = installer.plan_removal()
    assert [one for one in removal.kept if UNIT in one]
    installer.apply(removal)
    assert unit.read_text().endswith("# mine\n")
    assert not head.machine().exists("/etc/udev/rules.d/70-hwctl.rules")


def test_a_file_that_was_there_before_is_somebody_s(bare):
    bare.put("/etc/sysusers.d/hwctl.conf", "u hwctl 777\n")
    installer = Installer(bare.machine(), Commands(bare))
    plan = installer.plan(HWCTL, FOOTBALL)
    assert "/etc/sysusers.d/hwctl.conf" in plan.kept[0]
    installer.apply(plan)
    installer.apply(installer.plan_removal())
    assert bare.machine().text("/etc/sysusers.d/hwctl.conf") == "u hwctl 777\n"


def test_the_journal_and_the_user_who_owns_it_are_no_part_of_the_installation(installed):
    head, installer, commands = installed
    head.put("/var/lib/hwctl/journal.db", "years of it")
    removal = installer.plan_removal()
    assert "/var/lib/hwctl" in removal.kept[0]
    assert "userdel" in removal.kept[0]
    installer.apply(removal)
    assert not any(words[0] == "userdel" for words in commands.ran)
    assert head.machine().text("/var/lib/hwctl/journal.db") == "years of it"


def test_what_an_older_version_installed_and_this_one_does_not_goes(installed):
    head, installer, _ = installed
    manifest = head.root / MANIFEST[1:]
    value = json.loads(manifest.read_text())
    head.put("/etc/old.conf", "old\n")
    value["files"]["/etc/old.conf"] = install.digest("old\n")
    manifest.write_text(json.dumps(value))
    plan = installer.plan(HWCTL, None)
    assert [(one.path, one.new) for one in plan.changes] == [("/etc/old.conf", None)]
    installer.apply(plan)
    assert not head.machine().exists("/etc/old.conf")
    assert installer.plan(HWCTL, None).empty


def test_an_install_that_was_cut_short_is_finished_by_the_next(bare):
    installer = Installer(bare.machine(), Commands(bare))
    plan = installer.plan(HWCTL, FOOTBALL)
    blocked = bare.root / "etc/systemd/system/hwctl.service"
    blocked.mkdir(parents=True)  # whatever it is that stands in the way
    with pytest.raises(HwctlError):
        installer.apply(plan)
    blocked.rmdir()
    rest = installer.plan(HWCTL, FOOTBALL)
    assert UNIT in [one.path for one in rest.changes]
    assert rest.kept == ()
    installer.apply(rest)
    assert installer.plan(HWCTL, FOOTBALL).empty


def test_an_upgrade_that_was_cut_short_knows_either_version(installed):
    head, installer, _ = installed
    newer = Path("/opt/hwctl-2/bin/hwctl")
    old = head.machine().text(UNIT)
    installer.apply(installer.plan(newer, None))
    (head.root / UNIT[1:]).write_text(old)  # the manifest was written, the file was not
    assert [one.path for one in installer.plan(newer, None).changes] == [UNIT]
    assert installer.plan_removal().kept == ()


@pytest.mark.parametrize(
    "text",
    [
        "no json", "[]", "{}", '{"files": [], "folders": [], "user": false}',
        '{"files": {"etc/passwd": ""}, "folders": [], "user": false}',
        '{"files": {"/etc/../etc/passwd": ""}, "folders": [], "user": false}',
        '{"files": {}, "folders": [7], "user": false}',
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_not_obeyed(installed, text):
    head, installer, _ = installed
    (head.root / MANIFEST[1:]).write_text(text)
    with pytest.raises(ConfigError):
        installer.plan_removal()


def test_a_manifest_that_the_service_could_have_written_is_not_obeyed(installed):
    head, installer, _ = installed
    file = head.root / MANIFEST[1:]
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="could have been written"):
        installer.plan_removal()
    file.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(file, 990, 990)
        with pytest.raises(ConfigError, match="user 990"):
            installer.plan_removal()
        os.chown(file, 0, 0)
    moved = file.rename(file.with_name("moved.json"))
    file.symlink_to(moved)
    with pytest.raises(ConfigError):
        installer.plan_removal()


def test_a_command_that_fails_is_named_and_the_rest_goes_on(bare):
    commands = Commands(bare)
    commands.broken["udevadm"] = "no such file"
    installer = Installer(bare.machine(), commands)
    failed = installer.apply(installer.plan(HWCTL, FOOTBALL))
    assert failed[0] == "udevadm control --reload: no such file"
    assert commands.ran[-1] == ("systemctl", "daemon-reload")


def test_commands_are_words_and_never_a_shell():
    assert run_command(["sh", "-c", "echo it broke >&2; exit 3"]) == "it broke"
    assert run_command(["true", "; exit 1"]) == ""
    assert run_command(["hwctl-no-such-command"]) == "there is no such command"


def test_no_root_no_change(bare, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (bare.root / "etc").chmod(0o555)
    installer = Installer(bare.machine(), None)
    with pytest.raises(HwctlError, match="cannot be written") as caught:
        installer.apply(installer.plan(HWCTL, FOOTBALL))
    assert "sudo" in caught.value.hint
    (bare.root / "etc").chmod(0o755)


# --- in words --------------------------------------------------------------------------------


def hwctl(*words, answer="", expect=0):
    done = subprocess.run(
        [Path(sys.executable).with_name("hwctl"), *words],
        input=answer, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_nothing_is_done_unasked(tmp_path):
    prefix = tmp_path / "prefix"
    words = ("install", "--prefix", prefix, "--command", HWCTL)
    shown = hwctl(*words, "--config", FOOTBALL, "--dry-run")
    assert f"create   {UNIT}\n" in shown
    assert "+WatchdogSec=15" in shown
    assert not re.search(r"^run ", shown, re.MULTILINE), "below a prefix nothing is run"
    assert "nothing was changed" in hwctl(*words, "--config", FOOTBALL, answer="n\n", expect=1)
    hwctl(*words, "--config", FOOTBALL, answer="", expect=1)
    assert not prefix.exists()

    said = hwctl(*words, "--config", FOOTBALL, answer="y\n")
    assert "ssh-keygen" in said, "said, not done"
    assert not (prefix / "etc/hwctl/ssh").exists()
    assert "nothing to do" in hwctl(*words)

    assert f"remove   {UNIT}\n" in hwctl("uninstall", "--prefix", prefix, "--dry-run")
    assert (prefix / UNIT[1:]).exists()
    hwctl("uninstall", "--prefix", prefix, "--yes")
    assert everything(prefix) == {}
    assert "nothing to do" in hwctl("uninstall", "--prefix", prefix, "--yes")


def test_a_command_that_a_service_cannot_see_is_refused_with_the_way_out(tmp_path):
    said = hwctl("install", "--prefix", tmp_path, "--command", "/home/pi/hwctl", expect=1)
    assert "hidden" in said
    assert "python3 -m venv /opt/hwctl" in said
