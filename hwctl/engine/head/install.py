"""Putting hwctl on a head and taking it off again: first a plan, then, if it is agreed to, the act.

A file is written only where none was, or where what is there is what an earlier install wrote;
anything else is somebody's, is kept, and is named.
"""

import difflib
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hwctl.config.udev import KINDS, WRITTEN
from hwctl.engine.head import contents
from hwctl.engine.head.basics import DROP_IN, UNIT
from hwctl.engine.head.machine import Machine
from hwctl.engine.head.manifest import PATH as MANIFEST
from hwctl.engine.head.manifest import Manifest, digest, read, replace
from hwctl.engine.head.service_state import USER, active
from hwctl.engine.head.starting import Chosen, choose, first_steps
from hwctl.model.errors import HwctlError

SAFE_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where commands are looked for, whatever PATH says."""
STATE = "/var/lib/hwctl"
FOLDERS = ("/etc/hwctl", "/etc/hwctl/ssh", STATE)
"""Made by systemd-tmpfiles, or by install where it comes first."""

Runner = Callable[[Sequence[str]], str]
"""Runs a command, given as its words; returns what went wrong, or nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file, before and after; ``None``: not there."""

    path: str
    old: str | None
    new: str | None

    def lines(self) -> Iterator[str]:
        """As a unified diff."""
        yield from difflib.unified_diff(
            (self.old or "").splitlines(),
            (self.new or "").splitlines(),
            "/dev/null" if self.old is None else self.path,
            "/dev/null" if self.new is None else self.path,
            lineterm="",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order: commands before, files, commands after."""

    changes: tuple[Change, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    kept: tuple[str, ...] = ()
    """What is left alone, and why."""
    steps: tuple[str, ...] = ()
    """What remains for a person to do."""
    manifest: Manifest | None = None
    """What is to be known afterwards; ``None``: nothing any more."""

    @property
    def empty(self) -> bool:
        return not (self.changes or self.before or self.after)


def run_command(words: Sequence[str]) -> str:
    """Run one of our own fixed commands."""
    command = shutil.which(words[0], path=SAFE_PATH)
    if command is None:
        return "there is no such command"
    done = subprocess.run(  # noqa: S603 - fixed words, no shell
        [command, *words[1:]], capture_output=True, text=True, check=False,
        env={"PATH": SAFE_PATH, "LANG": "C.UTF-8"},
    )  # fmt: skip
    said = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
    return said[-1] if done.returncode else ""


class Installer:
    """One head.

    :param run: how commands are run; ``None`` where they must not be, as below a prefix.
    """

    def __init__(self, machine: Machine, run: Runner | None) -> None:
        self._machine = machine
        self._run = run

    def plan(self, hwctl: Path, config: Path | None) -> Plan:
        """What an install would do.

        :raises ConfigError: a rig that cannot run, a command that a service cannot start.
        """
        machine = self._machine
        manifest = read(machine.at(MANIFEST))
        chosen = choose(machine, config)
        wanted = contents.system_files(machine, hwctl, chosen.config, chosen.rig)
        changes, kept = [], []
        for path, new in {**wanted, **chosen.files}.items():
            old = machine.text(path)
            if old == new:
                continue
            if old is not None and not manifest.wrote(path, old):
                kept.append(f"{path}: not hwctl's, or changed since; what it would be is not used")
                continue
            changes.append(Change(path, old, new))
        changes += self._outdated(manifest, wanted)
        touched = {change.path for change in changes}
        after = tuple(self._commands(touched)) if self._run else ()
        made = self._folders_to_make(touched) if changes else []
        newer = Manifest(
            {
                **{p: d for p, d in manifest.files.items() if p not in touched},
                **{one.path: _digests(one) for one in changes if one.new is not None},
            },
            [*manifest.folders, *made],
            manifest.user or (self._run is not None and machine.user(USER) is None),
        )
        steps = self._steps(chosen, touched)
        return Plan(tuple(changes), (), after, tuple(kept), tuple(steps), newer)

    def plan_removal(self) -> Plan:
        """What an uninstall would do. :raises ConfigError: the manifest cannot be trusted."""
        machine = self._machine
        file = machine.at(MANIFEST)
        manifest = read(file)
        if not machine.exists(MANIFEST):
            return Plan()
        changes, kept = [], []
        for path in manifest.files:
            old = machine.text(path)
            if old is None:
                continue
            if manifest.wrote(path, old):
                changes.append(Change(path, old, None))
            else:
                kept.append(f"{path}: changed since it was installed")
        touched = {change.path for change in changes}
        before: list[tuple[str, ...]] = []
        after: list[tuple[str, ...]] = []
        if self._run:
            if contents.UNIT_PATH in touched:
                before.append(("systemctl", "disable", "--now", UNIT))
            after += self._reloads(touched)
        left = self._left()
        if left:
            kept.append(
                f"{', '.join(left)} and the user {USER}, who owns it: what hwctl learned and was "
                f"given; sudo rm -r {' '.join(left)} && sudo userdel {USER} ends that, too"
            )
        elif manifest.user and self._run:
            after.append(("userdel", USER))
        changes.append(Change(MANIFEST, machine.text(MANIFEST), None))
        return Plan(tuple(changes), tuple(before), tuple(after), tuple(kept))

    def apply(self, plan: Plan) -> list[str]:
        """Do it. :returns: which commands failed, and how.

        :raises HwctlError: a file could not be written or removed.
        """
        failed = self._carry_out(plan.before)
        try:
            if plan.manifest is not None:
                # First, so that what is written by a run that is cut short is known, too.
                folder = self._machine.at(STATE)
                if not folder.exists():
                    folder.parent.mkdir(parents=True, exist_ok=True)
                    folder.mkdir(mode=0o700)
                plan.manifest.write(self._machine.at(MANIFEST))
            folders = plan.manifest.folders if plan.manifest else self._known_folders()
            for change in plan.changes:
                self._write(change)
            if plan.manifest is None:
                self._remove_folders(folders)
        except OSError as error:
            raise HwctlError(
                f"cannot be written: {error.strerror or error}",
                where=str(error.filename or ""),
                hint="run it as root: sudo hwctl ...; it can be run again",
            ) from error
        return failed + self._carry_out(plan.after)

    # --- planning ----------------------------------------------------------------------------

    def _outdated(self, manifest: Manifest, wanted: Iterable[str]) -> Iterator[Change]:
        """Files of an earlier version that this one does without."""
        for path in manifest.files:
            if path in wanted or PurePosixPath(path).is_relative_to(contents.CONFIG_DIR):
                continue
            old = self._machine.text(path)
            if old is not None and manifest.wrote(path, old):
                yield Change(path, old, None)

    def _commands(self, touched: set[str]) -> Iterator[tuple[str, ...]]:
        machine = self._machine
        if contents.SYSUSERS in touched or machine.user(USER) is None:
            yield ("systemd-sysusers", contents.SYSUSERS)
        if contents.TMPFILES in touched or not machine.exists(STATE):
            yield ("systemd-tmpfiles", "--create", contents.TMPFILES)
        if contents.MODULES in touched:
            yield ("systemctl", "restart", "systemd-modules-load.service")
        yield from self._reloads(touched)

    def _reloads(self, touched: set[str]) -> Iterator[tuple[str, ...]]:
        if contents.RULES in touched:
            yield ("udevadm", "control", "--reload")
            kinds = [one.subsystem for one in (*KINDS, *WRITTEN) if one.subsystem != "usb"]
            yield ("udevadm", "trigger", *(f"--subsystem-match={one}" for one in kinds))
            # Of USB hubs only: what else is on USB is not to hear of it.
            yield ("udevadm", "trigger", "--property-match=DRIVER=hub")
        if touched & {contents.UNIT_PATH, DROP_IN}:
            yield ("systemctl", "daemon-reload")

    def _steps(self, chosen: Chosen, touched: set[str]) -> Iterator[str]:
        yield from first_steps(self._machine, chosen)
        if not active(self._machine):
            yield f"sudo systemctl enable --now {UNIT}"
        elif touched & {contents.UNIT_PATH, DROP_IN}:
            yield f"sudo systemctl restart {UNIT}"

    def _folders_to_make(self, touched: set[str]) -> list[str]:
        wanted: set[str] = set(FOLDERS)
        for path in (*touched, *FOLDERS):
            wanted.update(str(parent) for parent in PurePosixPath(path).parents)
        wanted.discard("/")
        return sorted(path for path in wanted if not self._machine.exists(path))

    def _left(self) -> list[str]:
        """Folders of the service that hold more than the installation."""
        machine = self._machine
        more = {
            STATE: [p for p in machine.find(STATE, "*") if p != MANIFEST],
            "/etc/hwctl/ssh": machine.find("/etc/hwctl/ssh", "*"),
        }
        return [folder for folder, found in more.items() if found]

    # --- acting ------------------------------------------------------------------------------

    def _write(self, change: Change) -> None:
        file = self._machine.at(change.path)
        if change.new is None:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, change.new, 0o644)

    def _known_folders(self) -> list[str]:
        return read(self._machine.at(MANIFEST)).folders

    def _remove_folders(self, folders: Sequence[str]) -> None:
        for path in sorted(folders, key=len, reverse=True):
            with suppress(OSError):  # it is somebody else's too, or gone
                self._machine.at(path).rmdir()

    def _carry_out(self, commands: Iterable[tuple[str, ...]]) -> list[str]:
        failed = []
        for words in commands:
            fault = self._run(words) if self._run else ""
            if fault:
                failed.append(f"{' '.join(words)}: {fault}")
        return failed


def _digests(change: Change) -> str:
    return " ".join(digest(text) for text in (change.old, change.new) if text is not None)
