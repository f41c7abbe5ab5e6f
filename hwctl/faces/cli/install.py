"""``hwctl install`` and ``hwctl uninstall``: shows what would be done, asks, does it."""

import shlex
import sys
from pathlib import Path

import typer

from hwctl.engine.head.install import Installer, Plan, run_command
from hwctl.engine.head.machine import Machine
from hwctl.model.errors import ConfigError


def own_command() -> Path:
    """What was called, or the console script beside the Python that runs this."""
    called = Path(sys.argv[0]).absolute()
    return called if called.name == "hwctl" else Path(sys.executable).with_name("hwctl")


def install(
    config: Path | None, *, command: Path | None, prefix: Path, yes: bool, dry_run: bool
) -> int:
    """:returns: the exit code."""
    installer = _installer(prefix)
    starts = (command or own_command()).absolute()
    if command is None and not starts.is_file():
        raise ConfigError(
            "there is no such command", where=str(starts), hint="name hwctl: --command PATH"
        )
    plan = installer.plan(starts, config)
    code = _carry_out(installer, plan, yes=yes, dry_run=dry_run)
    if code == 0 and plan.steps:
        sys.stdout.write("next, by yourself:\n")
        for step in plan.steps:
            sys.stdout.write(f"  {step}\n")
    return code


def uninstall(*, prefix: Path, yes: bool, dry_run: bool) -> int:
    """:returns: the exit code."""
    installer = _installer(prefix)
    return _carry_out(installer, installer.plan_removal(), yes=yes, dry_run=dry_run)


def _installer(prefix: Path) -> Installer:
    prefix = prefix.absolute()
    return Installer(Machine(prefix), run_command if prefix == Path("/") else None)


def _carry_out(installer: Installer, plan: Plan, *, yes: bool, dry_run: bool) -> int:
    for kept in plan.kept:
        sys.stdout.write(f"kept     {kept}\n")
    if plan.empty:
        sys.stdout.write("nothing to do\n")
        return 0
    for words in plan.before:
        sys.stdout.write(f"run      {shlex.join(words)}\n")
    for change in plan.changes:
        what = "create" if change.old is None else "remove" if change.new is None else "change"
        sys.stdout.write(f"{what:<8} {change.path}\n")
        if change.new is not None:
            for line in change.lines():
                sys.stdout.write(f"    {line}\n")
    for words in plan.after:
        sys.stdout.write(f"run      {shlex.join(words)}\n")
    if dry_run:
        sys.stdout.write("nothing was changed: --dry-run\n")
        return 0
    if not yes and not typer.confirm("Do this?"):
        sys.stdout.write("nothing was changed\n")
        return 1
    failed = installer.apply(plan)
    for fault in failed:
        sys.stderr.write(f"failed: {fault}\n")
    sys.stdout.write("done\n" if not failed else "done, save for what failed\n")
    return 1 if failed else 0
