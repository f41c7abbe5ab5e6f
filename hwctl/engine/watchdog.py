"""The head's hardware watchdog: it resets the head when nobody has fed it for a while.

systemd's watchdog ends a service that hangs. This one is for a head of which nothing works any
more, systemd included. Sources: Linux 6.1 include/uapi/linux/watchdog.h (calls and options) and
drivers/watchdog/watchdog_dev.c (EBUSY for a second one, the magic close, nowayout).
"""

import array
import errno
import fcntl
import logging
import os
import re
import struct
import threading
from contextlib import suppress
from pathlib import Path

from hwctl.model.errors import BusError, DeviceBusyError, DeviceError, HwctlError

GETSUPPORT = 0x80285700
SETTIMEOUT = 0xC0045706
GETTIMEOUT = 0x80045707
"""_IOR('W', 0, struct watchdog_info), _IOWR('W', 6, int), _IOR('W', 7, int)."""
INFO = struct.Struct("=II32s")
MAGIC_CLOSE = 0x0100
"""WDIOF_MAGICCLOSE: it can be disarmed by closing it."""
MAGIC = b"V"
FEED = b"\0"
"""Any byte but the magic one."""
SYSFS = Path("/sys/class/watchdog")

log = logging.getLogger("hwctl")


class Watchdog:
    """An open watchdog is armed: from then on it must be fed, or closed by :meth:`close`."""

    def __init__(self, path: str, timeout_s: int, sysfs: Path = SYSFS) -> None:
        """:param timeout_s: the head is reset when it was not fed for that long.

        :raises DeviceBusyError: another program feeds it.
        :raises BusError: it does not exist, or may not be opened.
        :raises DeviceError: it is no watchdog.
        """
        self._path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_opened(error, path) from error
        self._starved = False
        self._turn = threading.Lock()
        """A tick may feed it just when it is closed; its number would be another file's by then."""
        magic = b""
        try:
            info = fcntl.ioctl(self._fd, GETSUPPORT, bytes(INFO.size))
            magic = MAGIC
            options, _, identity = INFO.unpack(info)
            self.timeout_s = self._set(timeout_s)
        except OSError as error:
            self._let_go(magic)
            raise DeviceError(
                f"{path} is no watchdog, or takes no {timeout_s} s: {error.strerror}",
                where="watchdog",
                hint="name a /dev/watchdogN as `watchdog`; `wdctl` shows what each can do",
            ) from error
        self.identity = identity.split(b"\0")[0].decode(errors="replace")
        self.can_be_disarmed = bool(options & MAGIC_CLOSE) and not _no_way_out(path, sysfs)
        if not self.can_be_disarmed:
            log.warning(
                "watchdog: %s cannot be disarmed: the head is reset %d s after hwctl has ended, "
                "unless it is started again",
                path, self.timeout_s,
            )  # fmt: skip

    def feed(self) -> None:
        """Put off the reset by another ``timeout_s``. A failure is logged once: nobody is helped
        by a tick that stops for it."""
        with self._turn:
            if self._fd < 0:
                return
            try:
                os.write(self._fd, FEED)
            except OSError as error:
                if not self._starved:
                    log.error("watchdog: %s cannot be fed: %s", self._path, error.strerror)
                self._starved = True
            else:
                self._starved = False

    def close(self) -> None:
        """Disarm it, as far as it can be. Twice does no harm."""
        self._let_go(MAGIC)

    def _let_go(self, magic: bytes) -> None:
        with self._turn, suppress(OSError):
            fd, self._fd = self._fd, -1
            if fd >= 0:
                with suppress(OSError):
                    os.write(fd, magic)
                os.close(fd)

    def _set(self, timeout_s: int) -> int:
        """:returns: what it makes of it; some have a few timeouts only, and some just one."""
        number = array.array("i", [timeout_s])
        try:
            fcntl.ioctl(self._fd, SETTIMEOUT, number)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
                raise
            fcntl.ioctl(self._fd, GETTIMEOUT, number)
        return number[0]


def _no_way_out(path: str, sysfs: Path) -> bool:
    """Whether the kernel never lets it be disarmed; what is not known is hoped for."""
    name = Path(path).resolve().name
    name = f"{name}0" if name == "watchdog" else name  # the old name of the first one
    with suppress(OSError):
        return (sysfs / name / "nowayout").read_text().strip() == "1"
    return False


def _not_opened(error: OSError, path: str) -> HwctlError:
    match error.errno:
        case errno.EBUSY:
            return DeviceBusyError(
                f"another program feeds {path}",
                where="watchdog",
                hint=f"`sudo fuser -v {path}` names it; systemd does with RuntimeWatchdogSec= in "
                "system.conf: one of the two has to leave it",
            )
        case errno.EACCES | errno.EPERM:
            return BusError(
                f"no permission for {path}",
                where="watchdog",
                hint="`hwctl install` gives it to the service: a udev rule and the unit",
            )
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            number = re.fullmatch(r"/dev/watchdog(\d*)", path)
            module = "" if number is None else "; softdog is one in software: modprobe softdog"
            return BusError(
                f"{path} does not exist",
                where="watchdog",
                hint="`ls /dev/watchdog*`; a Raspberry Pi's is there with dtparam=watchdog=on"
                + module,
            )
    return BusError(
        f"{path}: {error.strerror}",
        where="watchdog",
        hint="name a /dev/watchdogN as `watchdog`; `wdctl` shows what each can do",
    )
