"""Boots the lab's kernel in QEMU, lets guests run tests, and brings their results out.

usage: boot.py --cache FOLDER --out FOLDER --python PYTHON [--limit SECONDS] [-- PYTEST ARGUMENTS]

Without arguments for pytest, each of ``GUESTS`` is booted, as many at a time as there are
processors; with some, one guest that runs just those. Exit status: 0 if all passed, else 1.
Results: OUT/*.xml; what each guest printed and its kernel's log: OUT/NAME/serial.log and
dmesg.log. The guest "reset" has passed if its watchdog ended it.

Always TCG: where /dev/kvm exists and cannot run this kernel, QEMU would hang instead of falling
back. One processor for each guest: with two, whole guests were seen to stand still for ever. No
network.
"""

import argparse
import ctypes
import mmap
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
STORE = "tests/lab/test_lab_store.py"
RESET = "tests/lab/test_lab_reset.py"
JUDGES = tuple(f"tests/lab/test_lab_{name}.py" for name in ("expanders", "oracle", "pwm"))
FACTORY = tuple(f"tests/engine/test_{name}.py" for name in ("gpio_cdev", "gpio_chip", "later"))
# The longest first, so that they end together.
GUESTS = {
    "judges": JUDGES,
    # Its watchdog must end it, so that it has no results of its own.
    "reset": (RESET, "--exitfirst"),
    "lab": ("tests/lab", *(f"--ignore={name}" for name in (*JUDGES, STORE, RESET))),
    # The tests of the pin factory, which run on a fake everywhere: here on gpio-sim.
    "gpio": (*FACTORY, STORE, "-k", "gpio-sim or test_lab_store"),
}
WATCHDOG = ("-device", "i6300esb", "-action", "watchdog=poweroff")
"""Here only the watchdog, or the guest's own power off, ends QEMU: a panic boots it once more."""
KERNEL_OPTIONS = (
    "console=ttyS0 quiet loglevel=3 panic=-1 nokaslr mitigations=off tsc=reliable "
    "no_timer_check nowatchdog random.trust_cpu=on tsc_early_khz={tsc_khz}"
)
"""For a quick start; ``panic=-1`` with ``-no-reboot`` makes a panic end QEMU at once.

The guest is told how fast its clock runs: an emulated processor that gets no share of a real one
for a moment measures it wrongly, by a factor of 70 once.
"""
RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")
"""rdtsc; shl rdx, 32; or rax, rdx; ret"""
USB = (
    *("-device", "qemu-xhci"),
    *("-device", "usb-hub,port=1,ports=4,port-power=on"),
    *("-chardev", "null,id=tty1", "-device", "usb-serial,port=1.1,always-plugged=on,chardev=tty1"),
    *("-chardev", "null,id=tty2", "-device", "usb-serial,port=1.2,always-plugged=on,chardev=tty2"),
    *("-device", "usb-hub,port=2,ports=4,port-power=off"),
)
"""Two hubs, of which one switches its ports' power. It costs nothing while a guest does not load
the driver of the controller."""
END = b"HWCTL-LAB ended"


def tsc_khz() -> int:
    """How fast this machine's time-stamp counter runs, which QEMU shows to its guest as it is."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(RDTSC)
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    before, since = int(counter()), time.perf_counter()
    time.sleep(0.2)
    return round((int(counter()) - before) / (time.perf_counter() - since) / 1e3)


def command(cache: Path, exchange: Path, *, guarded: bool) -> list[str]:
    share = "local,security_model=none,multidevs=remap"
    return [
        "qemu-system-x86_64",
        *("-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024"),
        *("-nodefaults", "-display", "none", "-serial", "stdio"),
        *(WATCHDOG if guarded else ["-no-reboot"]),
        *("-kernel", str(cache / "vmlinux"), "-initrd", str(cache / "initrd.cpio")),
        *("-append", KERNEL_OPTIONS.format(tsc_khz=tsc_khz())),
        *("-virtfs", f"{share},path=/,mount_tag=hostroot,readonly=on"),
        *("-virtfs", f"{share},path={exchange},mount_tag=exchange"),
        *USB,
    ]


def boot(arguments: list[str], log: Path, limit_s: float, *, show: bool) -> bytes:
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
                if show:
                    sys.stdout.buffer.write(piece)
                    sys.stdout.buffer.flush()
        finally:
            late.cancel()
            qemu.kill()  # if it has not ended; by its handle, never by its name
    return bytes(said)


def guest(name: str, tests: tuple[str, ...], options: argparse.Namespace, *, show: bool) -> bool:
    """One guest, from boot to power off. :returns: whether all its tests passed."""
    exchange: Path = options.out / name
    exchange.mkdir(parents=True)
    # absolute(), not resolve(): a .venv's python is a link, and must stay one.
    (exchange / "python").write_text(f"{options.python.absolute()}\n")
    (exchange / "checkout").write_text(f"{CHECKOUT}\n")
    (exchange / "modules").write_text(f"{options.cache / 'lib/modules'}\n")
    (exchange / "arguments").write_text("".join(f"{one}\n" for one in tests))
    started = time.monotonic()
    log = exchange / "serial.log"
    guarded = RESET in tests
    said = boot(command(options.cache, exchange, guarded=guarded), log, options.limit, show=show)
    took = time.monotonic() - started
    if guarded:
        return was_reset(name, said, took, options)
    status, results = exchange / "status", exchange / "results.xml"
    if END not in said or not status.exists() or not results.exists():
        print(f"guest {name}: not at its end after {took:.0f} s: see {log}", file=sys.stderr)
        return False
    results.rename(options.out / f"{name}.xml")
    if not show:
        print(said.decode(errors="replace"))
    print(f"guest {name}: {took:.0f} s, status {status.read_text().strip()}")
    return status.read_text() == "0\n"


def was_reset(name: str, said: bytes, took: float, options: argparse.Namespace) -> bool:
    """Judge a guest that its watchdog had to end, and write its results for it."""
    exchange: Path = options.out / name
    fault = ""
    if not (exchange / "lived").exists():
        fault = "it was not fed, or was reset although it was"
    elif not (exchange / "hung").exists():
        fault = "it ended before the service was made to hang"
    elif END in said or b"Power down" in said:
        fault = "nobody reset it when the service hung"
    elif took >= options.limit:
        fault = f"it was still there after {took:.0f} s"
    failure = f'<failure message="{fault}: see {name}/serial.log"/>' if fault else ""
    (options.out / f"{name}.xml").write_text(
        f'<testsuites><testsuite name="lab" tests="1" failures="{int(bool(fault))}">'
        f'<testcase classname="{RESET}" name="a head that hangs is reset" time="{took:.1f}">'
        f"{failure}</testcase></testsuite></testsuites>\n"
    )
    print(f"guest {name}: {took:.0f} s, {fault or 'reset by its watchdog, as it should be'}")
    return not fault


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--out", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one guest")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    guests = {"chosen": tuple(options.tests)} if options.tests else GUESTS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = [
            pool.submit(guest, name, tests, options, show=len(guests) == 1)
            for name, tests in guests.items()
        ]
        return 0 if all(one.result() for one in passed) else 1


if __name__ == "__main__":
    sys.exit(main())
