"""Serial ports, HID devices and the kernel's files, as drivers see them; errors in our words.

Sources     pyserial 3.5 (serialposix.py) for exclusive ports; linux/hidraw.h for the feature
            ioctls: _IOC(_IOC_WRITE|_IOC_READ, 'H', 0x06 and 0x07, length)
"""

import errno
import fcntl
import grp
import os
import stat
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceDataError,
    DeviceError,
    DeviceNotFoundError,
    DeviceTimeoutError,
    HwctlError,
)

FAILURES = (OSError, termios.error)
"""What pyserial raises, or lets through: termios.error is no OSError."""
WRITE_LIMIT_S = 0.3
"""For a command of a few bytes to leave; 64 of them take 67 ms at 9600 baud."""
GROUPS = {
    "i2c": "i2c",
    "spi": "spi",
    "gpio": "gpio",
    "serial": "dialout",
    "modbus": "dialout",
    "hid": "plugdev",
}
"""The group that owns the devices on Raspberry Pi OS and Debian, where the node does not tell."""
ENABLED_BY_FIRMWARE = frozenset({"i2c", "spi"})
BY_RULES = "`hwctl install` gives it to the service by udev rules"


def opening_error(error: OSError, path: str, name: str, kind: str) -> BusError:
    """Why a bus could not be opened, and what to do about it."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return BusError(f"no permission for {path}", where=name, hint=_who_may(path, kind))
    if error.errno == errno.ENOENT:
        return BusError(
            f"{path} does not exist",
            where=name,
            hint=f"enable {kind} (raspi-config, or dtparam={kind}=on), or mend `path`"
            if kind in ENABLED_BY_FIRMWARE
            else "is it plugged in? `ls -l /dev/hwctl` lists what has a name; or mend `path`",
        )
    return BusError(
        f"{path}: {error.strerror or error}",
        where=name,
        hint="is it plugged in, and is it such a device? `dmesg` tells; or mend `path`",
    )


def _who_may(path: str, kind: str) -> str:
    """How to come to a device node that the kernel refuses."""
    try:
        node = Path(path).stat()
        group = grp.getgrgid(node.st_gid).gr_name
    except (OSError, KeyError):
        group = GROUPS.get(kind, kind)
    else:
        if node.st_gid == 0 or not node.st_mode & stat.S_IWGRP:
            return f"no group but root has it: {BY_RULES}"
    return f"add the user to the group that owns it: sudo usermod -aG {group} $USER"


class SerialPort:
    """A :class:`~hwctl.model.drivers.SerialBus` on a tty, for nobody else while it is open.

    DTR and RTS stay as the kernel leaves them, which raises both when a port is opened; and they
    stay raised when it is closed, so that a restart moves neither.
    """

    def __init__(self, path: str, name: str) -> None:
        # Imported late: not every rig has a serial port.
        from serial import Serial  # noqa: PLC0415

        self._name = name
        self._path = path
        try:
            self._port: Any = Serial(path, exclusive=True, timeout=0, write_timeout=WRITE_LIMIT_S)
        except FAILURES as error:
            raise self._not_opened(error) from error
        try:
            settings = termios.tcgetattr(self._port.fd)
            settings[2] &= ~termios.HUPCL
            termios.tcsetattr(self._port.fd, termios.TCSANOW, settings)
        except termios.error as error:
            self.close()
            raise self._gone(error) from error

    def configure(
        self, *, baud: int, parity: Literal["N", "E", "O"] = "N", stop_bits: Literal[1, 2] = 1
    ) -> None:
        try:
            self._port.apply_settings({"baudrate": baud, "parity": parity, "stopbits": stop_bits})
        except (*FAILURES, ValueError) as error:
            raise BusError(
                f"refuses {baud} baud, parity {parity}, {stop_bits} stop bits: {error}",
                where=self._name,
                hint="was it unplugged? is it a serial port that can be set so?",
            ) from error

    def discard(self) -> None:
        try:
            self._port.reset_input_buffer()
        except FAILURES as error:
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except FAILURES as error:
            # What was not taken in time must not be sent late.
            with suppress(*FAILURES):
                self._port.reset_output_buffer()
            raise self._gone(error) from error

    def read(self, most: int, *, limit_s: float, until: bytes = b"") -> bytes:
        end = time.monotonic() + limit_s
        got = bytearray()
        try:
            while len(got) < most and not (until and got.endswith(until)):
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._port.timeout = left
                got += self._port.read(1 if until else most - len(got))
        except FAILURES as error:
            raise self._gone(error) from error
        return bytes(got)

    def close(self) -> None:
        with suppress(*FAILURES):
            self._port.close()

    def _not_opened(self, error: Exception) -> BusError | DeviceBusyError:
        number = getattr(error, "errno", None)
        # EBUSY: taken with TIOCEXCL; EAGAIN: with a lock, as pyserial and picocom do.
        if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
            return DeviceBusyError(
                f"another program has {self._path} open",
                where=self._name,
                hint=f"`sudo fuser -v {self._path}` names it; ModemManager is usual",
            )
        if number is None:  # pyserial's words for what tcgetattr says
            number = errno.ENOTTY if "ioctl" in str(error) else errno.EIO
        os_error = OSError(number, os.strerror(number))
        return opening_error(os_error, self._path, self._name, "serial")

    def _gone(self, error: Exception) -> BusError:
        return BusError(
            f"{self._path} failed: {error}",
            where=self._name,
            hint="was it unplugged? it is opened again by itself",
        )


class HidrawDevice:
    """A :class:`~hwctl.model.drivers.HidBus` on /dev/hidrawN."""

    def __init__(self, path: str, name: str) -> None:
        self._name = name
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise opening_error(error, path, name, "hid") from error

    def get_feature(self, report: int, length: int) -> bytes:
        buffer = bytearray([report, *bytes(length)])
        try:
            got = fcntl.ioctl(self._fd, _hid_ioc(0x07, len(buffer)), buffer)
        except OSError as error:
            raise self._failed(error, "does not give its feature report") from error
        # The id is counted even where the device has none: usbhid_get_raw_report in hid-core.c.
        return bytes(buffer[1:got])

    def set_feature(self, report: int, data: bytes) -> None:
        buffer = bytearray([report, *data])
        try:
            fcntl.ioctl(self._fd, _hid_ioc(0x06, len(buffer)), buffer)
        except OSError as error:
            raise self._failed(error, "does not take a feature report") from error

    def write(self, report: int, data: bytes) -> None:
        try:
            os.write(self._fd, bytes([report, *data]))
        except OSError as error:
            raise self._failed(error, "does not take a report") from error

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._fd)

    def _failed(self, error: OSError, what: str) -> HwctlError:
        # EPROTO and ESHUTDOWN: pulled out in the middle of a transfer.
        if error.errno in (errno.ENODEV, errno.ESHUTDOWN, errno.EPROTO, errno.EBADF):
            return BusError(
                "the device is gone",
                where=self._name,
                hint="was it unplugged? it is opened again by itself",
            )
        if error.errno == errno.ETIMEDOUT:
            return DeviceTimeoutError(
                "did not answer",
                where=self._name,
                hint="unplug it and plug it in again; a hub that is short of power is usual",
            )
        return DeviceDataError(
            f"{what}: {error.strerror or error}",
            where=self._name,
            hint="is this the relay? `ls -l /dev/hwctl` tells which device it is",
        )


def _hid_ioc(number: int, length: int) -> int:
    return 3 << 30 | length << 16 | ord("H") << 8 | number


class SysfsFolder:
    """A :class:`~hwctl.model.drivers.SysfsBus` below one folder, /sys on a real head."""

    def __init__(self, path: str, name: str) -> None:
        self._name = name
        self._root = Path(path or "/sys")
        if not self._root.is_dir():
            raise BusError(
                f"{self._root} is no folder", where=name, hint="`path` is /sys, or left out"
            )

    def read(self, path: str) -> str:
        try:
            return self._place(path).read_text().rstrip("\n")
        except (OSError, ValueError) as error:
            raise self._error(error, path) from error

    def write(self, path: str, text: str) -> None:
        try:
            # Without O_CREAT: sysfs has the file, or the device has gone.
            fd = os.open(self._place(path), os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            raise self._error(error, path) from error

    def names(self, path: str = "") -> list[str]:
        with suppress(OSError, ValueError):
            return sorted(entry.name for entry in self._place(path).iterdir())
        return []

    def close(self) -> None:
        """Nothing is kept open."""

    def _place(self, path: str) -> Path:
        if path.startswith("/") or ".." in path.split("/"):
            raise DeviceError(
                f"{path!r} leads out of {self._root}", where=self._name, hint="mend the device"
            )
        return self._root / path

    def _error(self, error: Exception, path: str) -> HwctlError:
        number = error.errno if isinstance(error, OSError) else None
        full = self._root / path
        # The last one, where a chip does not answer the kernel's own driver.
        if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR, errno.EREMOTEIO):
            return DeviceNotFoundError(
                f"there is no {full}",
                where=self._name,
                hint="is it plugged in, and its kernel driver loaded? `dmesg` tells",
            )
        if number in (errno.EACCES, errno.EPERM):
            return BusError(
                f"no permission for {full}",
                where=self._name,
                hint=BY_RULES,
            )
        said = error.strerror if isinstance(error, OSError) else str(error)
        return DeviceError(
            f"the kernel refuses {full}: {said}",
            where=self._name,
            hint="`dmesg` tells more; is it the device that the wiring file means?",
        )
