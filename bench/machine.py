"""The machine that the figures are of."""

import os
import platform
from pathlib import Path


def describe() -> dict[str, str]:
    """CPU, cores, memory, kernel, Python, and how busy it is."""
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu() -> str:
    """x86 tells its model in /proc/cpuinfo, a Raspberry Pi its board."""
    fields: dict[str, str] = {}
    for text in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        key, _, value = text.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or fields.get("Model") or platform.processor() or "unknown"
    if "cpu MHz" in fields:
        name += f" at {float(fields['cpu MHz']) / 1000:.1f} GHz"
    if "hypervisor" in fields.get("flags", "").split():
        name += ", in a virtual machine"
    return name
