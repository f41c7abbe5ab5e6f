"""Buses that play registers and answers from tables, and note what was asked of them."""

import asyncio
from dataclasses import dataclass, field

import pytest

from hwctl.engine.clock import RealClock
from hwctl.engine.net import RealNet
from hwctl.model.drivers import HttpAnswer, HttpRequest, SshLogin
from hwctl.model.errors import DeviceNotFoundError


@dataclass
class ScriptedI2c:
    """One part on one bus: a table of registers, played back byte for byte."""

    address: int
    registers: dict[int, bytes]
    read_only: frozenset[int] = frozenset()
    cleared_by_reading: frozenset[int] = frozenset()
    stuck: int | None = None
    """What every byte reads, if the data line is stuck."""
    log: list[tuple[bytes, int]] = field(default_factory=list)

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        if address != self.address:
            raise DeviceNotFoundError("no acknowledge", where=f"0x{address:02x}")
        self.log.append((write, read))
        register, data = write[0], write[1:]
        if data and register not in self.read_only:
            assert len(data) == len(self.registers[register])
            self.registers[register] = data
        if not read:
            return b""
        if self.stuck is not None:
            return bytes([self.stuck]) * read
        value = self.registers[register]
        assert len(value) == read
        if register in self.cleared_by_reading:
            self.registers[register] = bytes(read)
        return value

    @property
    def writes(self) -> list[bytes]:
        return [write for write, _ in self.log if len(write) > 1]


@dataclass
class ScriptedNet:
    """A network with one answer, given or raised."""

    page: bytes = b""
    ended: tuple[int | None, str] | Exception = (0, "")
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def get(self, host: str, port: int, path: str, *, limit_s: float, most: int) -> bytes:
        self.asked.append((host, port, path, limit_s, most))
        return self.page

    async def ssh(self, login: SshLogin, command: str, *, limit_s: float) -> tuple[int | None, str]:
        self.asked.append((login, command, limit_s))
        if isinstance(self.ended, Exception):
            raise self.ended
        return self.ended


@pytest.fixture
def i2c():
    return ScriptedI2c


@pytest.fixture
def net():
    return ScriptedNet


@dataclass
class ScriptedHttp:
    """A network that answers HTTP requests from a list."""

    answers: list[HttpAnswer]
    asked: list[HttpRequest] = field(default_factory=list)

    async def http(self, request: HttpRequest, *, limit_s: float, most: int) -> HttpAnswer:
        self.asked.append(request)
        return self.answers.pop(0)


@dataclass
class HttpFront:
    """An emulated HTTP part on a loopback port; ``use(net)`` reaches it by any address."""

    part: object
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def run(self, use):
        async def main():
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            net = RealNet(RealClock(), lambda _host, _port: address)
            try:
                return await use(net)
            finally:
                net.close()
                server.close()
                await server.wait_closed()

        return asyncio.run(main())

    async def _serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            pairs = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append((method, path, headers, body))
            status, more, content = self.part.request(method, path, headers, body)
            lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items())]
            lines += [f"content-length: {len(content)}", "connection: close"]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            await writer.drain()
        finally:
            writer.close()


@pytest.fixture
def scripted_http():
    """make(*(status, body)): the answers, in their order."""

    def make(*answers):
        return ScriptedHttp([HttpAnswer(status, body) for status, body in answers])

    return make


@pytest.fixture
def http_front():
    return HttpFront
