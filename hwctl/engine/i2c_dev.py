"""/dev/i2c-N, with what plain transactions on it lack.

Linux lets any program talk past a driver that owns an address: I2C_RDWR asks nobody
(drivers/i2c/i2c-dev.c of Linux 6.1; only I2C_SLAVE does). Two that set up one chip make readings
that are wrong and look right, so each transaction asks first. And an adapter that knows SMBus
only, as those in a PC's chipset, takes the transactions that SMBus has under a name of its own:
the same bits on the wire.
"""

import ctypes
import errno
import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from smbus2 import I2cFunc, SMBus, i2c_msg

from hwctl.model.errors import BusError, DeviceBusyError

I2C_SLAVE = 0x0703
"""linux/i2c-dev.h. Sends nothing; EBUSY if a kernel driver is bound to the address."""
I2C_M_RD = 0x0001
SYSFS = Path("/sys/bus/i2c/devices")
SMBUS_BLOCK = 32
"""Bytes: I2C_SMBUS_BLOCK_MAX."""


class DevI2c:
    """One adapter. ``i2c_rdwr`` and ``close`` are those of :class:`smbus2.SMBus`."""

    def __init__(self, path: str, name: str) -> None:
        """:raises OSError: it cannot be opened, or is no I2C adapter (ENOTTY)."""
        self._smbus = SMBus(path)
        self._name = name
        self._number = _number_of(path)
        self._plain = bool(self._smbus.funcs & I2cFunc.I2C)

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        """:raises DeviceBusyError: a kernel driver owns the address; the hint says where to look.

        :raises OSError: as the kernel says; EOPNOTSUPP for what an adapter for SMBus only cannot.
        """
        fd = self._smbus.fd
        if fd is None:
            raise BusError(
                "the adapter was closed", where=self._name, hint="it is opened again by itself"
            )
        for message in messages:
            self._ask_for(fd, message.addr)
        if self._plain:
            self._smbus.i2c_rdwr(*messages)
        else:
            self._by_smbus(list(messages))

    def close(self) -> None:
        """Let go: an adapter that was pulled out is gone only when nobody holds it open."""
        self._smbus.close()

    def _ask_for(self, fd: int, address: int) -> None:
        try:
            fcntl.ioctl(fd, I2C_SLAVE, address)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise owned(self._number, address, f"{self._name} 0x{address:02x}") from error
        self._smbus.address = None  # smbus2 remembers what it set itself

    def _by_smbus(self, messages: list[i2c_msg]) -> None:
        """A write, or a write of one byte and then a read, as SMBus calls it."""
        smbus, address = self._smbus, messages[0].addr
        reads = [message for message in messages if message.flags & I2C_M_RD]
        data = b"".join(bytes(message) for message in messages if not message.flags & I2C_M_RD)
        match len(messages), len(data), [message.len for message in reads]:
            case 1, 0, []:
                smbus.write_quick(address)
            case 1, 1, []:
                smbus.write_byte(address, data[0])
            case 1, 2, []:
                smbus.write_byte_data(address, data[0], data[1])
            case 1, 3, []:
                smbus.write_word_data(address, data[0], int.from_bytes(data[1:], "little"))
            case 1, length, [] if length <= SMBUS_BLOCK + 1:
                smbus.write_i2c_block_data(address, data[0], list(data[1:]))
            case 1, 0, [1]:
                _fill(reads[0], bytes([smbus.read_byte(address)]))
            case 2, 1, [1]:
                _fill(reads[0], bytes([smbus.read_byte_data(address, data[0])]))
            case 2, 1, [2]:
                word = smbus.read_word_data(address, data[0])
                _fill(reads[0], word.to_bytes(2, "little"))
            case 2, 1, [length] if length <= SMBUS_BLOCK:
                _fill(reads[0], bytes(smbus.read_i2c_block_data(address, data[0], length)))
            case _:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def owned(number: int | None, address: int, where: str, sysfs: Path = SYSFS) -> DeviceBusyError:
    """Which kernel driver has the address, and under which path it shows what it reads."""
    device = sysfs / f"{number}-{address:04x}"
    driver = ""
    with suppress(OSError):
        driver = f" {(device / 'driver').readlink().name}"
    shown = [*device.glob("hwmon/hwmon*"), *device.glob("power_supply/*"), *device.glob("pwm/*")]
    look = f"it shows its readings in {min(shown)}; " if shown else ""
    # The number is unknown only for a path that is no device of its own, as in a container.
    free = (
        f"to give it to hwctl: echo {device.name} | sudo tee {device}/driver/unbind, "
        "and take its overlay out of config.txt"
        if number is not None
        else "take its overlay out of config.txt"
    )
    error = DeviceBusyError(
        f"the kernel's driver{driver} owns it", where=where, hint=f"{look}{free}"
    )
    if driver:
        error.folder = str(device)
    return error


def _number_of(path: str) -> int | None:
    """N of /dev/i2c-N, links such as those of udev followed."""
    found = re.fullmatch(r"i2c-(\d+)", Path(path).resolve().name)
    return int(found[1]) if found else None


def _fill(message: i2c_msg, data: bytes) -> None:
    ctypes.memmove(message.buf, data, message.len)
