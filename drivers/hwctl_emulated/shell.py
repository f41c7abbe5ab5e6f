"""What a node's shell understands when it is asked over ssh. Nothing reaches a real one."""

import shlex

from hwctl_emulated.node import Node


def run(node: Node, line: str, now: float) -> tuple[int, str]:
    """Run ``line`` on ``node``. :returns: exit status and output."""
    try:
        words = shlex.split(line)
    except ValueError:
        return 2, "sh: 1: Syntax error: Unterminated quoted string\n"
    if words[:1] == ["sudo"]:
        words = words[1:]
        if words[:1] == ["-n"]:
            words = words[1:]
    match words:
        case ["systemctl", "poweroff"]:
            node.halt(now)
            return 0, ""
        case ["systemctl", "reboot"]:
            node.halt(now, reboot=True)
            return 0, ""
        case ["cat", "/proc/sys/kernel/random/boot_id"]:
            return 0, node.boot_id + "\n"
    return 127, f"sh: 1: {words[0] if words else ''}: not found\n"
