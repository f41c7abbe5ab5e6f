"""Boots the lab's kernel in QEMU, lets the guest run tests, and brings their results out.

usage: boot.py --cache FOLDER --out FOLDER --python PYTHON [--limit SECONDS] [-- PYTEST ARGUMENTS]

Exit status: that of the tests; 1 if the guest did not come to its end.

Always TCG: where /dev/kvm exists and cannot run this kernel, QEMU would hang instead of falling
back. The guest has no network. What it prints is shown, and kept as OUT/serial.log.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
QEMU = "qemu-system-x86_64"
KERNEL_OPTIONS = (
    "console=ttyS0 quiet loglevel=3 panic=-1 nokaslr mitigations=off tsc=reliable "
    "no_timer_check nowatchdog random.trust_cpu=on"
)
"""For a quick start; ``panic=-1`` with ``-no-reboot`` makes a panic end QEMU at once."""
END = b"HWCTL-LAB ended"


def command(cache: Path, exchange: Path) -> list[str]:
    share = "local,security_model=none,multidevs=remap"
    return [
        QEMU,
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(cache / "vmlinux"), "-initrd", str(cache / "initrd.cpio")),
        *("-append", KERNEL_OPTIONS),
        *("-virtfs", f"{share},path=/,mount_tag=hostroot,readonly=on"),
        *("-virtfs", f"{share},path={exchange},mount_tag=exchange"),
    ]


def run(arguments: list[str], log: Path, limit_s: float) -> bytes:
    """Run until the guest powers off, or the time is over. :returns: what it printed."""
    said = bytearray()
    with (
        log.open("wb") as kept,
        subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as qemu,
    ):
        late = threading.Timer(limit_s, qemu.kill)
        late.start()
        try:
            assert qemu.stdout is not None  # noqa: S101 - a pipe, as asked for above
            while piece := os.read(qemu.stdout.fileno(), 65536):
                kept.write(piece)
                said += piece
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
        finally:
            late.cancel()
            qemu.kill()  # if it has not ended; by its handle, never by its name
    return bytes(said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--limit", type=float, default=240.0)
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()

    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # absolute(), not resolve(): a .venv's python is a link, and must stay one.
    (out / "python").write_text(f"{options.python.absolute()}\n")
    (out / "checkout").write_text(f"{CHECKOUT}\n")
    (out / "modules").write_text(f"{options.cache.resolve() / 'lib/modules'}\n")
    (out / "arguments").write_text("".join(f"{one}\n" for one in options.arguments))

    started = time.monotonic()
    said = run(command(options.cache.resolve(), out), out / "serial.log", options.limit)
    print(f"the guest ran for {time.monotonic() - started:.0f} s")
    status = out / "status"
    if END not in said or not status.exists():
        print(f"the guest did not come to its end: see {out / 'serial.log'}", file=sys.stderr)
        return 1
    return int(status.read_text())


if __name__ == "__main__":
    sys.exit(main())
