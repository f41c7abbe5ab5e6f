"""Buses as the kernel, or an emulated world, offers them; and their errors in our words."""

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from smbus2 import i2c_msg

from hwctl.engine.i2c_dev import DevI2c
from hwctl.engine.ports import HidrawDevice, SerialPort, SysfsFolder, opening_error
from hwctl.engine.world_ports import EmulatedHid, EmulatedSysfs, Wire, WireModbus, WireSerial
from hwctl.model.drivers import (
    GpioBus,
    HidBus,
    I2cBus,
    ModbusBus,
    SerialBus,
    SpiBus,
    SysfsBus,
)
from hwctl.model.errors import (
    BusError,
    DeviceError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)
from hwctl.model.wiring import Bus

if TYPE_CHECKING:
    from hwctl.engine.gpio_cdev import CdevFactory

NOT_THERE = frozenset({errno.ENXIO, errno.ENODEV, errno.EREMOTEIO})
"""What adapters say of an address that nobody acknowledges; which one depends on the adapter."""


class RawI2c(Protocol):
    """What :class:`smbus2.SMBus` offers, and what an emulated adapter offers."""

    def i2c_rdwr(self, *messages: Any) -> None: ...  # noqa: ANN401 - smbus2's ctypes messages

    def close(self) -> None: ...


class SmbusI2c:
    """An :class:`~hwctl.model.drivers.I2cBus` on an smbus2-like adapter."""

    def __init__(self, raw: RawI2c, name: str) -> None:
        self._raw = raw
        self._name = name

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        messages = []
        if write or not read:
            messages.append(i2c_msg.write(address, list(write)))
        if read:
            messages.append(i2c_msg.read(address, read))
        try:
            self._raw.i2c_rdwr(*messages)
        except OSError as error:
            raise self._error(error, address) from error
        return bytes(messages[-1]) if read else b""

    def close(self) -> None:
        self._raw.close()

    def _error(self, error: OSError, address: int) -> DeviceError | BusError:
        where = f"{self._name} 0x{address:02x}"
        if error.errno in NOT_THERE:
            return DeviceNotFoundError(
                "nothing answers",
                where=where,
                hint=f"compare the wiring with what `i2cdetect -y {self._name}` shows",
            )
        if error.errno == errno.EOPNOTSUPP:
            return DeviceError(
                "the adapter knows SMBus only, which has no such transaction",
                where=where,
                hint="put the device on another adapter; `i2cdetect -F` shows what one can do",
            )
        if error.errno in (errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY):
            return DeviceTimeoutError(
                "did not answer in time",
                where=where,
                hint="a chip may be holding the clock low: power-cycle it",
            )
        return BusError(
            f"the adapter failed: {error.strerror or error}",
            where=where,
            hint="was it unplugged? it is opened again by itself",
        )


_SPI_IOC_WR_MODE = 0x40016B01
_SPI_IOC_WR_MAX_SPEED_HZ = 0x40046B04
"""linux/spi/spidev.h: _IOW('k', 1, __u8) and _IOW('k', 4, __u32)."""
SPIDEV_BUFSIZ = Path("/sys/module/spidev/parameters/bufsiz")
DEFAULT_BUFSIZ = 4096


class SpidevBus:
    """An :class:`~hwctl.model.drivers.SpiBus` on /dev/spidevB.C."""

    def __init__(self, path: str, name: str) -> None:
        self._name = name
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise opening_error(error, path, name, "spi") from error
        self.max_transfer = DEFAULT_BUFSIZ
        with suppress(OSError, ValueError):
            self.max_transfer = int(SPIDEV_BUFSIZ.read_text())

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        try:
            fcntl.ioctl(self._fd, _SPI_IOC_WR_MODE, struct.pack("=B", mode))
            fcntl.ioctl(self._fd, _SPI_IOC_WR_MAX_SPEED_HZ, struct.pack("=I", speed_hz))
        except OSError as error:
            raise BusError(
                f"refuses mode {mode} at {speed_hz} Hz: {error.strerror}", where=self._name
            ) from error

    def write(self, data: bytes) -> None:
        try:
            os.write(self._fd, data)
        except OSError as error:
            raise BusError(f"write failed: {error.strerror}", where=self._name) from error

    def close(self) -> None:
        os.close(self._fd)


class EmulatedSpi:
    """An emulated SPI device, with its socket's errors in our words."""

    def __init__(self, raw: SpiBus, name: str) -> None:
        self._raw = raw
        self._name = name
        self.max_transfer = raw.max_transfer

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        try:
            self._raw.configure(speed_hz=speed_hz, mode=mode)
        except OSError as error:
            raise BusError(f"the emulated bus is gone: {error}", where=self._name) from error

    def write(self, data: bytes) -> None:
        try:
            self._raw.write(data)
        except OSError as error:
            raise BusError(f"the emulated bus is gone: {error}", where=self._name) from error

    def close(self) -> None:
        """Nothing of its own to close: the world keeps the connection."""


class FactoryGpio:
    """A :class:`~hwctl.model.drivers.GpioBus` around a gpiozero pin factory."""

    def __init__(self, factory: Any) -> None:  # noqa: ANN401 - gpiozero has no type hints
        self.factory = factory


class KernelGpio(FactoryGpio):
    """A chip of the kernel's that can be let go of, lines and all: once it is gone."""

    def __init__(self, factory: "CdevFactory", forget: Callable[["CdevFactory"], None]) -> None:
        super().__init__(factory)
        self._forget = forget

    def close(self) -> None:
        self._forget(self.factory)
        self.factory.let_go()


AnyBus = I2cBus | GpioBus | SpiBus | SerialBus | ModbusBus | HidBus | SysfsBus


def _modbus(name: str, bus: Bus, path: str) -> ModbusBus:
    # Imported late: pymodbus takes 0.1 s, and few rigs have such a board.
    from hwctl.engine.modbus_client import ModbusLine  # noqa: PLC0415

    return ModbusLine(path, name, bus.baud, bus.parity)


class Buses(Protocol):
    """Opens the buses that a wiring file names. Blocks; called from each bus's own thread."""

    def open(self, name: str, bus: Bus) -> AnyBus:
        """:raises BusError: it is missing, forbidden or gone."""
        ...


class KernelBuses:
    """The head's own.

    ``kept`` are descriptors of GPIO lines that outlived an earlier hwctl (name -> descriptor): the
    lines are taken over as they are, and were never released in between. ``revision`` is the
    wiring's own word on which Raspberry Pi this is, for the names on its header.
    """

    def __init__(self, kept: Mapping[str, int] | None = None, revision: int | None = None) -> None:
        self._kept = dict(kept or {})
        self._revision = revision
        self._factories: list[CdevFactory] = []

    def lines(self) -> dict[str, int]:
        """The descriptors of all lines that are held now, by name."""
        return {name: fd for factory in self._factories for name, fd in factory.fds().items()}

    def open(self, name: str, bus: Bus) -> AnyBus:
        match bus.kind:
            case "i2c":
                try:
                    return SmbusI2c(DevI2c(bus.path, name), name)
                except OSError as error:
                    raise opening_error(error, bus.path, name, "i2c") from error
            case "spi":
                return SpidevBus(bus.path, name)
            case "gpio":
                return KernelGpio(self._gpio(name, bus.path), self._factories.remove)
            case "serial":
                return SerialPort(bus.path, name)
            case "modbus":
                return _modbus(name, bus, bus.path)
            case "hid":
                return HidrawDevice(bus.path, name)
            case "sysfs":
                return SysfsFolder(bus.path, name)

    def _gpio(self, name: str, path: str) -> "CdevFactory":
        # Imported late: gpiozero takes 0.2 s, and not every rig has lines.
        from hwctl.engine.gpio_cdev import CdevFactory  # noqa: PLC0415

        try:
            factory = CdevFactory(path, header_revision=self._revision)
            for line in [line for line in self._kept if line.startswith(f"{factory.chip}.")]:
                factory.adopt(line, self._kept.pop(line))
        except BusError as error:
            error.where = f"{name} ({path})"
            raise
        self._factories.append(factory)
        return factory


class World(Protocol):
    """What an emulated world offers to the engine (``hwctl_emulated.client.WorldClient``)."""

    def i2c(self, bus: str) -> RawI2c: ...

    def gpio(self, bus: str) -> Any: ...  # noqa: ANN401 - a gpiozero factory

    def spi(self, bus: str) -> SpiBus: ...

    def tty(self, bus: str) -> str | Wire:
        """What the devices of a serial or Modbus bus are behind: the path of a pty, or the line
        itself if it is in this process."""
        ...

    def hid(self, bus: str) -> HidBus: ...

    def sysfs(self, bus: str) -> SysfsBus: ...

    def address(self, host: str, port: int) -> tuple[str, int]: ...

    def file(self, path: Path) -> Path: ...


class WorldBuses:
    """Those of an emulated world: the same drivers, over the same kinds of transaction."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, name: str, bus: Bus) -> AnyBus:
        try:
            match bus.kind:
                case "i2c":
                    return SmbusI2c(self._world.i2c(name), name)
                case "spi":
                    return EmulatedSpi(self._world.spi(name), name)
                case "gpio":
                    return FactoryGpio(self._world.gpio(name))
                case "serial":
                    line = self._world.tty(name)
                    return SerialPort(line, name) if isinstance(line, str) else WireSerial(line)
                case "modbus":
                    line = self._world.tty(name)
                    if isinstance(line, str):
                        return _modbus(name, bus, line)
                    return WireModbus(line, name)
                case "hid":
                    return EmulatedHid(self._world.hid(name), name)
                case "sysfs":
                    return EmulatedSysfs(self._world.sysfs(name), bus.path, name)
        except BusError:
            raise
        except OSError as error:
            raise BusError(f"the emulated bus is gone: {error}", where=name) from error
