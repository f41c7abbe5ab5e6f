"""A Modbus line or gateway through pymodbus: RTU on a serial port, TCP at HOST:PORT.

Sources     pymodbus 3.16 (client/serial.py, client/tcp.py, transaction.py, framer/rtu.py);
            Modbus Application Protocol 1.1b3, sections 6.5 (function 05 answers its own request)
            and 7 (exception codes)
Quirks      - pymodbus drops a frame with a broken checksum and goes on waiting, so that it looks
              like silence: what came in is kept here, to tell one from the other.
            - It takes any answer of the right unit for the answer, also one that comes late and
              belongs to the request before: function and address are compared here.
            - Its serial client waits by the wall clock, which on a head without a battery for its
              clock is set while hwctl runs; :class:`_SerialClient` waits by pyserial's.
"""

import errno
import logging
import os
from contextlib import suppress
from typing import Literal

from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from serial import Serial

from hwctl.engine.ports import FAILURES, opening_error
from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceDataError,
    DeviceError,
    DeviceTimeoutError,
)

LIMIT_S = 0.5
"""For one answer: 8 coils take 17 ms at 9600 baud, boards answer within 100 ms (untuned)."""
TCP_PORT = 502
ON = 0xFF00
OFF = 0x0000

EXCEPTIONS = {
    1: "does not know that function",
    2: "has no such address",
    3: "takes no such value",
    4: "failed inside",
    6: "is busy",
    10: "cannot be reached behind its gateway",
    11: "does not answer its gateway",
}
"""Modbus Application Protocol 1.1b3, section 7."""

# It logs each failure with a stack; our errors say the same, once.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


class _RawCoil(WriteSingleCoilRequest):
    """Function 05 with any value."""

    def __init__(self, unit: int, address: int, value: int) -> None:
        super().__init__(dev_id=unit, address=address, bits=[False])
        self._value = value

    def encode(self) -> bytes:
        return self.address.to_bytes(2, "big") + self._value.to_bytes(2, "big")


class _SerialClient(ModbusSerialClient):
    """Opens the port itself, so that the reason of a failure is not lost."""

    def connect(self) -> bool:
        """:raises OSError: it cannot be opened; or termios.error."""
        if self.socket is None:
            wanted = self.comm_params
            self.socket = Serial(
                wanted.host,
                baudrate=wanted.baudrate,
                parity=wanted.parity,
                timeout=LIMIT_S,
                write_timeout=LIMIT_S,
                exclusive=True,
            )
        return True

    def recv(self, size: int | None) -> bytes:
        """What has come in, after waiting for the first byte of it."""
        del size
        if self.socket is None:
            raise ConnectionException(str(self))
        try:
            first = self.socket.read(1)
            return bytes(first + self.socket.read(self.socket.in_waiting))
        except FAILURES as error:
            self.close()  # type: ignore[no-untyped-call]
            raise ConnectionException(str(error)) from error


class ModbusLine:
    """A :class:`~hwctl.model.drivers.ModbusBus`."""

    def __init__(self, path: str, name: str, baud: int, parity: Literal["N", "E", "O"]) -> None:
        self._name = name
        self._path = path
        self._heard = b""
        """What has come in since the last request."""
        self._client: _SerialClient | ModbusTcpClient
        if path.startswith("/"):
            self._client = _SerialClient(
                path, baudrate=baud, parity=parity, retries=0, trace_packet=self._trace
            )
        else:
            host, port = _place(path, name)
            self._client = ModbusTcpClient(
                host, port=port, timeout=LIMIT_S, retries=0, trace_packet=self._trace
            )
        self._connect()

    def read_coils(self, unit: int, address: int, count: int) -> list[bool]:
        request = ReadCoilsRequest(dev_id=unit, address=address, count=count)
        bits = self._ask(request).bits
        # Whole bytes are sent: the last one is filled up.
        if len(bits) != (count + 7) // 8 * 8:
            raise self._broken(unit, f"answered {len(bits)} coils for {count}")
        return list(bits[:count])

    def write_coil(self, unit: int, address: int, on: bool) -> None:
        self.write_coil_raw(unit, address, ON if on else OFF)

    def write_coil_raw(self, unit: int, address: int, value: int) -> None:
        answer = self._ask(_RawCoil(unit, address, value))
        # pymodbus keeps no more of the answer's value than whether it was 0.
        if answer.address != address or answer.bits != [bool(value)]:
            raise self._broken(unit, "answered another order than it was given")

    def read_holding(self, unit: int, address: int, count: int) -> list[int]:
        request = ReadHoldingRegistersRequest(dev_id=unit, address=address, count=count)
        registers = list(self._ask(request).registers)
        if len(registers) != count:
            raise self._broken(unit, f"answered {len(registers)} registers for {count}")
        return registers

    def close(self) -> None:
        with suppress(*FAILURES):
            self._client.close()  # type: ignore[no-untyped-call]

    def _trace(self, sending: bool, data: bytes) -> bytes:
        self._heard = b"" if sending else data
        return data

    def _connect(self) -> None:
        """:raises BusError: there is no way to the port or gateway."""
        try:
            if self._client.connect():
                return
        except FAILURES as error:
            raise _unopened(error, self._path, self._name) from error
        raise self._gone()

    def _ask(self, request: ModbusPDU) -> ModbusPDU:
        unit = request.dev_id
        self._connect()
        try:
            answer: ModbusPDU = self._client.execute(False, request)
        except (ConnectionException, *FAILURES) as error:
            self.close()
            raise self._gone() from error
        except ModbusException as error:
            if not self._path.startswith("/"):
                # A gateway that was power-cycled knows nothing of this connection; the next
                # request shall not go into it again.
                self.close()
            if self._heard:
                raise self._broken(unit, f"sent no frame: {self._heard.hex(' ')}") from error
            raise DeviceTimeoutError(
                f"did not answer within {LIMIT_S} s",
                where=self._where(unit),
                hint="is it powered, are A and B the right way round, and are `unit`, `baud` and "
                "`parity` its own?",
            ) from error
        if answer.isError():
            said = EXCEPTIONS.get(answer.exception_code, f"exception {answer.exception_code}")
            raise DeviceError(
                said,
                where=self._where(unit),
                hint="is it the board that the wiring file names, with as many channels?",
            )
        if answer.function_code != request.function_code:
            raise self._broken(unit, f"answered function {answer.function_code:02d}")
        return answer

    def _where(self, unit: int) -> str:
        return f"{self._name} unit {unit}"

    def _broken(self, unit: int, what: str) -> DeviceDataError:
        return DeviceDataError(
            what,
            where=self._where(unit),
            hint="two boards with one address, a wrong `baud` or `parity`, no resistor at the "
            "line's end, or an adapter that echoes are usual",
        )

    def _gone(self) -> BusError:
        serial = self._path.startswith("/")
        return BusError(
            f"{self._path} failed" if serial else f"{self._path} takes no connection",
            where=self._name,
            hint="was it unplugged? it is opened again by itself"
            if serial
            else "is the gateway on, is `path` its HOST:PORT, and is it in Modbus TCP mode?",
        )


def _place(path: str, name: str) -> tuple[str, int]:
    """Host and port of "HOST", "HOST:PORT" or "[IPV6]:PORT"."""
    host, colon, port = path.removeprefix("tcp://").rpartition(":")
    if not colon or port.endswith("]"):
        host, port = path.removeprefix("tcp://"), str(TCP_PORT)
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise BusError(
            f"{path!r} is neither a serial port nor HOST:PORT",
            where=name,
            hint="`path` is like /dev/ttyUSB0 or 192.0.2.7:502",
        )
    return host.strip("[]"), int(port)


def _unopened(error: Exception, path: str, name: str) -> BusError | DeviceBusyError:
    number = getattr(error, "errno", None)
    # EBUSY: taken with TIOCEXCL; EAGAIN: with a lock, as pyserial and picocom do.
    if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        return DeviceBusyError(
            f"another program has {path} open",
            where=name,
            hint=f"`sudo fuser -v {path}` names it; ModemManager is usual",
        )
    if number is None:  # pyserial's words for what tcgetattr says
        number = errno.ENOTTY if "ioctl" in str(error) else errno.EIO
    return opening_error(OSError(number, os.strerror(number)), path, name, "modbus")
