"""hwctl's Modbus client against pymodbus's own server, over TCP and RTU, and on bad days.

Nothing may be logged, and every failure is an error of ours with a hint.
"""

import asyncio
import logging
import os
import select
import socket
import threading
import tty
from contextlib import ExitStack, contextmanager, suppress

import pytest
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerRTU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from hwctl.engine.modbus_client import ModbusLine
from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceDataError,
    DeviceError,
    DeviceTimeoutError,
)

UNIT = 3
COILS = [True, False, False, True, False, False, False, False, True, False]


class Line(SimCore):
    """pymodbus 3.16 itself answers for units that it has not, "failed inside"."""

    async def async_getValues(self, device_id, *args):  # noqa: N802
        if device_id != UNIT:
            raise NoSuchIdException
        return await super().async_getValues(device_id, *args)


def devices():
    """One unit with 10 coils from 0x10 and two holding registers from 0x20."""
    return [
        SimDevice(
            UNIT,
            simdata=(
                [SimData(0x10, values=list(COILS), datatype=DataType.BITS)],
                [SimData(0, values=[False], datatype=DataType.BITS)],
                [SimData(0x20, values=[0x1234, 200], datatype=DataType.REGISTERS)],
                [SimData(0, values=[0], datatype=DataType.REGISTERS)],
            ),
        )
    ]


@contextmanager
def served(make):
    """pymodbus's server in a loop and thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start():
        server = make()
        server.context = Line(devices())
        await server.serve_forever(background=True)
        return server

    async def stop(server):
        await server.shutdown()
        # Its closing of what is connected is done in the loop's next rounds.
        for _ in range(5):
            await asyncio.sleep(0)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def raw_pty():
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        with suppress(OSError):  # a test has closed it
            os.close(master)


@contextmanager
def null_modem():
    """Two ptys, joined back to back; their paths."""
    stop, stopping = os.pipe()
    with raw_pty() as (one, first), raw_pty() as (other, second):

        def carry():
            while True:
                ready, _, _ = select.select([one, other, stop], [], [])
                if stop in ready:
                    return
                for end in ready:
                    os.write(other if end == one else one, os.read(end, 256))

        thread = threading.Thread(target=carry)
        thread.start()
        try:
            yield first, second
        finally:
            os.close(stopping)
            thread.join()
            os.close(stop)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def tcp_line():
    address = ("127.0.0.1", free_port())
    with served(
        lambda: ModbusTcpServer(devices(), address=address, ignore_missing_devices=True)
    ) as server:
        line = ModbusLine(f"127.0.0.1:{address[1]}", "gateway", 9600, "N")
        try:
            yield line, server
        finally:
            line.close()


@contextmanager
def rtu_line():
    with (
        null_modem() as (ours, theirs),
        served(
            lambda: ModbusSerialServer(
                devices(), port=theirs, baudrate=9600, ignore_missing_devices=True
            )
        ) as server,
    ):
        line = ModbusLine(ours, "rs485", 9600, "N")
        try:
            yield line, server
        finally:
            line.close()


@pytest.fixture(autouse=True)
def silence(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    assert [record for record in caplog.records if record.name.startswith("pymodbus")] == []


@pytest.fixture(params=[tcp_line, rtu_line], ids=["tcp", "rtu"])
def line(request):
    with request.param() as (line, _):
        yield line


@pytest.mark.parametrize(("first", "count"), [(0, 10), (0, 8), (3, 1), (8, 2)])
def test_coils_are_read(line, first, count):
    assert line.read_coils(UNIT, 0x10 + first, count) == COILS[first : first + count]


def test_coils_are_written_one_by_one(line):
    line.write_coil(UNIT, 0x12, True)
    line.write_coil(UNIT, 0x10, False)
    assert line.read_coils(UNIT, 0x10, 10) == [False, False, True, *COILS[3:]]
    line.write_coil_raw(UNIT, 0x10, 0xFF00)
    assert line.read_coils(UNIT, 0x10, 1) == [True]


def test_holding_registers_are_read(line):
    assert line.read_holding(UNIT, 0x20, 2) == [0x1234, 200]


@pytest.mark.parametrize(
    "ask",
    [
        lambda line: line.read_coils(UNIT, 0x0F, 8),
        lambda line: line.write_coil(UNIT, 0x00, True),
        lambda line: line.read_holding(UNIT, 0x1F, 1),
    ],
    ids=["read", "write", "register"],
)
def test_what_the_unit_refuses(line, ask):
    with pytest.raises(DeviceError, match="no such address") as caught:
        ask(line)
    assert "unit 3" in caught.value.where
    assert "channels" in caught.value.hint


def test_a_silent_unit_disturbs_nobody_else(line):
    for _ in range(5):
        with pytest.raises(DeviceTimeoutError) as caught:
            line.read_coils(UNIT + 1, 0x10, 1)
        assert "`unit`" in caught.value.hint
        assert line.read_coils(UNIT, 0x10, 1) == [True]


def crc(text):
    data = bytes.fromhex(text)
    return data + FramerRTU.compute_CRC(data).to_bytes(2)


class Board:
    """Answers what a test says, on the other end of a pty."""

    def __init__(self, master):
        self.master = master

    def plays(self, *answers):
        def play():
            for answer in answers:
                assert os.read(self.master, 64)
                os.write(self.master, answer)

        self.thread = threading.Thread(target=play)
        self.thread.start()


@pytest.fixture
def on_pty():
    with raw_pty() as (master, path), ExitStack() as closing:
        line = ModbusLine(path, "rs485", 9600, "N")
        closing.callback(line.close)
        board = Board(master)
        yield line, board
        board.thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(bytes.fromhex("01 01 01 41 91 B9"), id="broken checksum"),
        pytest.param(bytes.fromhex("01 01 01 41 91"), id="cut short"),
        pytest.param(bytes.fromhex("00 FF 80 13 7E 00"), id="noise, as at a wrong baud rate"),
        pytest.param(crc("02 01 01 41"), id="another unit's"),
        pytest.param(crc("01 05 00 00 FF 00"), id="another function's"),
        pytest.param(crc("01 01 02 41 00"), id="too many"),
        pytest.param(crc("01 01 00"), id="too few"),
        pytest.param(crc("01 01 00 00 00 08"), id="an echo"),
    ],
)
def test_frames_that_are_no_answer(on_pty, answer):
    line, board = on_pty
    board.plays(answer, bytes.fromhex("01 01 01 41 91 B8"))
    with pytest.raises(DeviceDataError) as caught:
        line.read_coils(1, 0, 8)
    assert "parity" in caught.value.hint
    # The next question is not answered by what is left of this one.
    assert line.read_coils(1, 0, 8) == [True, False, False, False, False, False, True, False]


@pytest.mark.parametrize(
    "answer",
    [crc("01 05 00 01 FF 00"), crc("01 05 00 00 00 00")],
    ids=["another coil", "another value"],
)
def test_an_order_that_was_not_understood(on_pty, answer):
    line, board = on_pty
    board.plays(answer)
    with pytest.raises(DeviceDataError, match="another order"):
        line.write_coil(1, 0, True)


@pytest.mark.parametrize(
    ("code", "said"), [(1, "function"), (4, "failed inside"), (6, "busy"), (9, "exception 9")]
)
def test_exceptions_are_named(on_pty, code, said):
    line, board = on_pty
    board.plays(crc(f"01 85 {code:02X}"))
    with pytest.raises(DeviceError, match=said) as caught:
        line.write_coil_raw(1, 0x0400, 50)
    assert type(caught.value) is DeviceError


def test_an_answer_in_pieces():
    with raw_pty() as (master, path):
        line = ModbusLine(path, "rs485", 9600, "N")
        whole = bytes.fromhex("01 01 01 41 91 B8")
        line_read = threading.Thread(target=lambda: got.append(line.read_coils(1, 0, 8)))
        got = []
        line_read.start()
        os.read(master, 64)
        for n in range(len(whole)):
            os.write(master, whole[n : n + 1])
        line_read.join()
        assert got[0][0] is True
        line.close()


def test_a_port_that_is_pulled_out():
    with raw_pty() as (master, path):
        line = ModbusLine(path, "rs485", 9600, "N")
        os.close(master)
        with pytest.raises(BusError) as caught:
            line.read_coils(1, 0, 8)
        assert "unplugged" in caught.value.hint
        # And it is not there when it is opened again.
        with pytest.raises(BusError):
            line.read_coils(1, 0, 8)
        line.close()


def test_a_port_that_is_not_there(tmp_path):
    with pytest.raises(BusError, match="does not exist") as caught:
        ModbusLine(str(tmp_path / "ttyUSB7"), "rs485", 9600, "N")
    assert "plugged in" in caught.value.hint


def test_a_file_that_is_no_port(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(BusError, match="Inappropriate ioctl"):
        ModbusLine(str(path), "rs485", 9600, "N")


def test_a_port_that_another_program_has():
    with raw_pty() as (_, path):
        first = ModbusLine(path, "rs485", 9600, "N")
        with pytest.raises(DeviceBusyError) as caught:
            ModbusLine(path, "rs485", 9600, "N")
        assert "fuser" in caught.value.hint
        first.close()


def test_a_gateway_that_is_off():
    with pytest.raises(BusError, match="takes no connection") as caught:
        ModbusLine(f"127.0.0.1:{free_port()}", "gateway", 9600, "N")
    assert "HOST:PORT" in caught.value.hint


def test_a_gateway_that_goes_and_comes_back():
    address = ("127.0.0.1", free_port())

    def make():
        return ModbusTcpServer(devices(), address=address)

    with served(make):
        line = ModbusLine(f"tcp://127.0.0.1:{address[1]}", "gateway", 9600, "N")
        assert line.read_coils(UNIT, 0x10, 1) == [True]
    for _ in range(2):
        with pytest.raises(BusError):
            line.read_coils(UNIT, 0x10, 1)
    with served(make):
        assert line.read_coils(UNIT, 0x10, 1) == [True]
    line.close()


def test_a_connection_that_nobody_answers_is_not_used_again():
    """A gateway that was power-cycled, or that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        line = ModbusLine(f"127.0.0.1:{gateway.getsockname()[1]}", "gateway", 9600, "N")
        hung = gateway.accept()[0]
        with pytest.raises(DeviceTimeoutError):
            line.read_coils(1, 0, 8)

        def answer():
            with gateway.accept()[0] as link:
                request = link.recv(64)
                link.sendall(request[:4] + bytes.fromhex("00 04 01 01 01 41"))

        thread = threading.Thread(target=answer)
        thread.start()
        assert line.read_coils(1, 0, 8)[0] is True
        thread.join()
        hung.close()
        line.close()


@pytest.mark.parametrize("path", ["", ":502", "host:", "host:modbus", "host:0", "host:65536"])
def test_a_path_that_is_no_place(path):
    with pytest.raises(BusError, match="neither") as caught:
        ModbusLine(path, "gateway", 9600, "N")
    assert "502" in caught.value.hint


def test_a_gateway_by_its_ipv6_address():
    try:
        gateway = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with gateway:
        line = ModbusLine(f"[::1]:{gateway.getsockname()[1]}", "gateway", 9600, "N")
        gateway.accept()[0].close()
        line.close()
