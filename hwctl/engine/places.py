"""Where the service keeps its state and its socket, unless it is told otherwise."""

import os
from pathlib import Path

SYSTEM_STATE = Path("/var/lib/hwctl")
SYSTEM_RUN = Path("/run/hwctl")


def state_dir() -> Path:
    """``HWCTL_STATE_DIR``; /var/lib/hwctl for root and the service, else under XDG_STATE_HOME."""
    told = os.environ.get("HWCTL_STATE_DIR")
    if told:
        return Path(told)
    if os.geteuid() == 0 or os.access(SYSTEM_STATE, os.W_OK):
        return SYSTEM_STATE
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "hwctl"


def socket_path() -> Path:
    """``HWCTL_SOCKET``; in /run/hwctl for root and the service, else under XDG_RUNTIME_DIR."""
    told = os.environ.get("HWCTL_SOCKET")
    if told:
        return Path(told)
    if os.geteuid() == 0 or SYSTEM_RUN.exists():
        return SYSTEM_RUN / "hwctl.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "hwctl.sock" if runtime else state_dir() / "hwctl.sock"
