"""What network drivers are given: :class:`~hwctl.model.drivers.Net` on sockets."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwctl.engine.clock import Clock, allow
from hwctl.engine.http_client import HttpClient
from hwctl.model.drivers import HttpAnswer, HttpRequest, SnmpAgent, SshLogin
from hwctl.model.errors import HostError

if TYPE_CHECKING:
    from hwctl.engine.snmp_client import SnmpClient

MOST_OUTPUT = 65536
MOST_LINE = 4096
NAME_LIMIT_S = 0.4
"""For the name of whoever a datagram is sent to; the other limits include it. Untuned."""

SILENCE = "is it on, and is this its address?"
SNMP_SILENCE = "is it on? A wrong community or key is answered by silence too"

Resolve = Callable[[str, int], tuple[str, int]]
Locate = Callable[[Path], Path]
Programs = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]


class RealNet:
    """A :class:`~hwctl.model.drivers.Net` on sockets.

    :param resolve: where a configured address leads; given on an emulated rig only.
    :param file: where a configured file lies.
    :param programs: what answers in place of the head's programs. On an emulated rig no program of
        the head is ever run, with or without it.
    """

    def __init__(
        self,
        clock: Clock,
        resolve: Resolve | None = None,
        file: Locate = lambda path: path,
        programs: Programs | None = None,
    ) -> None:
        self._clock = clock
        self._emulated = resolve is not None
        self._resolve: Resolve = resolve or (lambda host, port: (host, port))
        self._file = file
        self._programs = programs
        self._http = HttpClient()
        self._send: _HttpSend | None = None
        self._snmp: SnmpClient | None = None

    async def get(self, host: str, port: int, path: str, *, limit_s: float, most: int) -> bytes:
        return await self._http.get(
            self._resolve(host, port), f"{host}:{port}", path,
            limit_s=self._real(limit_s), most=most,
        )  # fmt: skip

    async def http(self, request: HttpRequest, *, limit_s: float, most: int) -> HttpAnswer:
        if self._send is None:
            # Imported when first needed: it costs 10 MB, and few rigs have such an outlet.
            self._send = await asyncio.get_running_loop().run_in_executor(None, _http_sender)
        address = self._resolve(request.host, request.port)
        async with self._within(limit_s, f"{request.host}:{request.port}"):
            return await self._send(request, address, most)

    async def converse(
        self, host: str, port: int, lines: Sequence[str], *, limit_s: float
    ) -> list[str]:
        where = f"{host}:{port}"
        if any("\n" in line or "\r" in line for line in lines):
            raise HostError("a line with a line end inside is never sent", where=where)
        answers: list[str] = []
        async with self._within(limit_s, where):
            try:
                near = self._resolve(host, port)
                reader, writer = await asyncio.open_connection(*near, limit=MOST_LINE)
                try:
                    for line in lines:
                        writer.write(line.encode() + b"\n")
                        await writer.drain()
                        answer = await reader.readuntil(b"\n")
                        answers.append(answer.decode(errors="replace").rstrip("\r\n"))
                finally:
                    writer.close()
            except asyncio.LimitOverrunError as error:
                raise HostError(
                    f"sent a line of more than {MOST_LINE} bytes", where=where,
                    hint="is it that server?",
                ) from error  # fmt: skip
            except (OSError, asyncio.IncompleteReadError) as error:
                raise HostError(
                    f"the conversation broke off: {error}", where=where,
                    hint="is the server running there?",
                ) from error  # fmt: skip
        return answers

    async def datagram(self, host: str, port: int, data: bytes, *, broadcast: bool = False) -> None:
        where = f"{host}:{port}"
        near = self._resolve(host, port)
        try:
            async with self._within(NAME_LIMIT_S, where):
                found = await asyncio.get_running_loop().getaddrinfo(
                    *near, type=socket.SOCK_DGRAM, family=socket.AF_INET if broadcast else 0
                )
            family, kind, protocol, _, address = found[0]
            with socket.socket(family, kind, protocol) as udp:
                if broadcast:
                    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                udp.setblocking(False)
                udp.sendto(data, address)
        except HostError:
            raise
        except OSError as error:
            raise HostError(
                f"cannot send: {error.strerror or error}", where=where,
                hint="has the head an address in that network? `ip address` tells",
            ) from error  # fmt: skip

    async def snmp_get(self, agent: SnmpAgent, oid: str, *, limit_s: float) -> int:
        client = await self._snmp_client()
        async with self._within(limit_s, agent.host, SNMP_SILENCE):
            return await client.get(agent, self._resolve(agent.host, agent.port), oid)

    async def snmp_set(self, agent: SnmpAgent, oid: str, value: int, *, limit_s: float) -> None:
        client = await self._snmp_client()
        async with self._within(limit_s, agent.host, SNMP_SILENCE):
            await client.set(agent, self._resolve(agent.host, agent.port), oid, value)

    async def run(self, argv: Sequence[str], *, limit_s: float) -> tuple[int, str]:
        if self._programs is not None:
            async with self._within(limit_s, argv[0]):
                return await self._programs(argv)
        if self._emulated:
            raise HostError(
                "no program is run on an emulated rig", where=argv[0],
                hint="without --emulate it is",
            )  # fmt: skip
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise HostError(
                f"cannot be started: {error}", where=argv[0],
                hint="give its whole path, and let the service's user execute it",
            ) from error  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - asked for above
        ended = False
        try:
            async with self._within(limit_s, argv[0], "is `limit_s` too short for it?"):
                output = await _drained(process.stdout)
                status = await process.wait()
                ended = True
                return status, output.decode(errors="replace")
        finally:
            if not ended:
                await _end(process)

    async def ssh(self, login: SshLogin, command: str, *, limit_s: float) -> tuple[int | None, str]:
        # Imported when first needed: it costs 15 MB and 0.2 s, and most days nobody halts.
        run = await asyncio.get_running_loop().run_in_executor(None, _ssh_runner)
        host, port = self._resolve(login.address, login.port)
        try:
            async with asyncio.timeout(self._real(limit_s)):
                return await run(
                    host, port, login, self._file(login.key), self._file(login.known_hosts), command
                )
        except TimeoutError as error:
            raise HostError(
                f"ssh to {login.address} did not end within {limit_s:.0f} s", where=login.address
            ) from error

    def close(self) -> None:
        self._http.close()
        if self._snmp is not None:
            self._snmp.close()

    async def _snmp_client(self) -> "SnmpClient":
        if self._snmp is not None:
            return self._snmp
        make = await asyncio.get_running_loop().run_in_executor(None, _snmp_maker)
        return self._one_snmp(make)

    def _one_snmp(self, make: "Callable[[], SnmpClient]") -> "SnmpClient":
        if self._snmp is None:  # no other coroutine was faster
            self._snmp = make()
        return self._snmp

    def _real(self, limit_s: float) -> float:
        return allow(self._clock, limit_s) / self._clock.speed

    @asynccontextmanager
    async def _within(self, limit_s: float, where: str, hint: str = SILENCE) -> AsyncIterator[None]:
        """A time limit whose end is a :class:`HostError`."""
        try:
            async with asyncio.timeout(self._real(limit_s)):
                yield
        except TimeoutError as error:
            raise HostError(
                f"no answer within {limit_s:g} s", where=where, hint=hint
            ) from error  # fmt: skip


_SshRun = Callable[
    [str, int, SshLogin, Path, Path, str], Coroutine[Any, Any, tuple[int | None, str]]
]
_HttpSend = Callable[[HttpRequest, tuple[str, int], int], Coroutine[Any, Any, HttpAnswer]]


def _ssh_runner() -> _SshRun:
    from hwctl.engine.ssh_client import run  # noqa: PLC0415 - see RealNet.ssh

    return run


def _http_sender() -> _HttpSend:
    from hwctl.engine.http_any import send  # noqa: PLC0415 - see RealNet.http

    return send


def _snmp_maker() -> "type[SnmpClient]":
    from hwctl.engine.snmp_client import SnmpClient  # noqa: PLC0415 - takes 0.4 s and 20 MB

    return SnmpClient


async def _drained(stream: asyncio.StreamReader) -> bytes:
    """The first :data:`MOST_OUTPUT` bytes. The rest is taken too, so that the program can end."""
    output = b""
    while piece := await stream.read(MOST_OUTPUT):
        output += piece[: MOST_OUTPUT - len(output)]
    return output


async def _end(process: Process) -> None:
    """Kill the program and what it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
