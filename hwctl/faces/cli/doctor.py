"""``hwctl doctor`` and ``hwctl udev``, in words."""

import json
import sys
from pathlib import Path

from hwctl.config.drivers import loadable
from hwctl.config.load import Loaded, load
from hwctl.config.problems import ConfigProblems
from hwctl.config.udev import PORTS_FILE, port_rule, text, usual_groups
from hwctl.engine.head.doctor import examine, lacking
from hwctl.engine.head.findings import Finding, missing
from hwctl.engine.head.machine import Machine
from hwctl.model.drivers import UsbNode


def doctor(config: Path | None, *, as_json: bool, root: Path = Path("/")) -> int:
    """Look, and say. :returns: the exit code: 1 if the rig lacks something."""
    findings: list[Finding] = []
    rig: Loaded | None = None
    if config is not None:
        try:
            rig = load(config)
        except ConfigProblems as error:
            findings = [
                missing("configuration", f"{one.file}:{one.line}: {one.what}", one.hint)
                for one in error.problems
                if one.severity == "error"
            ]
    findings = [*examine(Machine(root), rig), *findings]
    if as_json:
        rows = [
            {"level": one.level, "subject": one.subject, "what": one.what, "command": one.command}
            for one in findings
        ]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    else:
        for one in findings:
            sys.stdout.write(f"{one.level:<8} {one.subject}: {one.what}\n")
            if one.command:
                sys.stdout.write(f"{'':8}   {one.command}\n")
    return 1 if lacking(findings) else 0


def rules(port: str | None, name: str | None, kind: UsbNode) -> int:
    """The rules of this machine, or one for a port. :returns: the exit code."""
    groups = usual_groups(Machine().groups())
    if port is None and name is None:
        sys.stdout.write(text(loadable(), groups))
        return 0
    if port is None or name is None:
        sys.stderr.write("--port and --name go together\n")
        return 2
    sys.stdout.write(port_rule(port, name, kind, groups) + "\n")
    sys.stderr.write(
        f"append it: | sudo tee -a {PORTS_FILE}; then: sudo udevadm control --reload, and plug "
        f"the device in again; it is /dev/hwctl/{name}\n"
    )
    return 0
