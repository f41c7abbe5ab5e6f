"""Buses that play registers and answers from tables, and note what was asked of them."""

from dataclasses import dataclass, field

import pytest

from hwctl.model.drivers import SshLogin
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
