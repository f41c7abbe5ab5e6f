"""Serial lines, Modbus, HID devices and kernel files of an emulated rig, as drivers see them.

In a rehearsal everything is in this process, so nothing waits: what a part answers is there when
it has been asked. In a world of its own process, HID and files go through its socket; serial and
Modbus lines are ptys there, and need nothing of this file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from hwctl.engine.ports import HidrawDevice, SysfsFolder
from hwctl.model.drivers import HidBus, SysfsBus
from hwctl.model.errors import BusError, DeviceDataError, DeviceError, DeviceTimeoutError

T = TypeVar("T")


class Wire(Protocol):
    """A serial line in this process, with whatever is on it."""

    def received(self, data: bytes) -> bytes:
        """What is answered to ``data``."""
        ...


class WireSerial:
    """A :class:`~hwctl.model.drivers.SerialBus` on a line in this process."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting = bytearray()

    def configure(
        self, *, baud: int, parity: Literal["N", "E", "O"] = "N", stop_bits: Literal[1, 2] = 1
    ) -> None:
        """Emulated parts hear at any speed."""

    def discard(self) -> None:
        self._waiting.clear()

    def write(self, data: bytes) -> None:
        self._waiting += self._wire.received(data)

    def read(self, most: int, *, limit_s: float, until: bytes = b"") -> bytes:
        del limit_s
        end = min(most, len(self._waiting))
        at = self._waiting.find(until, 0, end) if until else -1
        if at >= 0:
            end = at + len(until)
        got = bytes(self._waiting[:end])
        del self._waiting[:end]
        return got


class WireModbus:
    """A :class:`~hwctl.model.drivers.ModbusBus`: RTU frames on a line in this process.

    Source: Modbus over Serial Line 1.02, section 2.5.1; Modbus Application Protocol 1.1b3,
    section 6.
    """

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name

    def read_coils(self, unit: int, address: int, count: int) -> list[bool]:
        body = self._counted(unit, self._ask(unit, 1, address, count))
        if len(body) * 8 < count:
            raise self._broken(unit)
        return [bool(body[n // 8] >> n % 8 & 1) for n in range(count)]

    def write_coil(self, unit: int, address: int, on: bool) -> None:
        self.write_coil_raw(unit, address, 0xFF00 if on else 0)

    def write_coil_raw(self, unit: int, address: int, value: int) -> None:
        self._ask(unit, 5, address, value)

    def read_holding(self, unit: int, address: int, count: int) -> list[int]:
        body = self._counted(unit, self._ask(unit, 3, address, count))
        if len(body) != 2 * count:
            raise self._broken(unit)
        return [int.from_bytes(body[at : at + 2]) for at in range(0, len(body), 2)]

    def _ask(self, unit: int, function: int, address: int, value: int) -> bytes:
        """What follows the function in the answer, without the checksum."""
        frame = bytes([unit, function]) + address.to_bytes(2) + value.to_bytes(2)
        answer = self._wire.received(frame + _checksum(frame))
        if not answer:
            raise DeviceTimeoutError(
                "did not answer", where=self._where(unit), hint="is `unit` its address?"
            )
        if answer[-2:] != _checksum(answer[:-2]) or answer[:1] != frame[:1]:
            raise self._broken(unit)
        if answer[1] & 0x80:
            raise DeviceError(
                f"answers exception {answer[2]}", where=self._where(unit),
                hint="is it the board you named?",
            )  # fmt: skip
        return answer[2:-2]

    def _counted(self, unit: int, body: bytes) -> bytes:
        if not body or body[0] != len(body) - 1:
            raise self._broken(unit)
        return body[1:]

    def _broken(self, unit: int) -> DeviceDataError:
        return DeviceDataError("sent a broken frame", where=self._where(unit))

    def _where(self, unit: int) -> str:
        return f"{self._name} unit {unit}"


def _checksum(data: bytes) -> bytes:
    """CRC-16, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class EmulatedHid(HidrawDevice):
    """An emulated HID device, with its errors in our words."""

    def __init__(self, raw: HidBus, name: str) -> None:
        self._raw = raw
        self._name = name

    def get_feature(self, report: int, length: int) -> bytes:
        return self._done(
            lambda: self._raw.get_feature(report, length), "does not give its feature report"
        )

    def set_feature(self, report: int, data: bytes) -> None:
        self._done(lambda: self._raw.set_feature(report, data), "does not take a feature report")

    def write(self, report: int, data: bytes) -> None:
        self._done(lambda: self._raw.write(report, data), "does not take a report")

    def close(self) -> None:
        """Nothing of its own to close: the world keeps the connection."""

    def _done(self, what: Callable[[], T], failing: str) -> T:
        try:
            return what()
        except BusError:
            raise
        except OSError as error:
            raise self._failed(error, failing) from error


class EmulatedSysfs(SysfsFolder):
    """Files of an emulated kernel, with its errors in our words."""

    def __init__(self, raw: SysfsBus, path: str, name: str) -> None:
        self._raw = raw
        self._name = name
        self._root = Path(path or "/sys")

    def read(self, path: str) -> str:
        self._place(path)
        try:
            return self._raw.read(path).rstrip("\n")
        except BusError:
            raise
        except OSError as error:
            raise self._error(error, path) from error

    def write(self, path: str, text: str) -> None:
        self._place(path)
        try:
            self._raw.write(path, text)
        except BusError:
            raise
        except OSError as error:
            raise self._error(error, path) from error

    def names(self, path: str = "") -> list[str]:
        self._place(path)
        return self._raw.names(path)
