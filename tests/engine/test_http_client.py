"""The page fetcher against servers that misbehave, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hwctl.engine.http_client import HttpClient
from hwctl.model.errors import HostError

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PAGE = b"node_load1 0.5\n" * 500


async def serve(answer: Answer) -> tuple[asyncio.Server, tuple[str, int]]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    return server, (host, port)


def fetch(answer: Answer, *, times: int = 1, limit_s: float = 5.0, most: int = 1 << 20) -> bytes:
    """The last of ``times`` bodies."""

    async def run() -> bytes:
        server, address = await serve(answer)
        client = HttpClient()
        try:
            body = b""
            for _ in range(times):
                body = await client.get(
                    address, "node:9100", "/metrics", limit_s=limit_s, most=most
                )
            return body
        finally:
            client.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


def said(data: bytes) -> Answer:
    """Says ``data`` to the first request and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return answer


def chunked(page: bytes, size: int) -> bytes:
    parts = [page[at : at + size] for at in range(0, len(page), size)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 2048, 100_000])
def test_chunks_of_any_size(size: int) -> None:
    assert fetch(said(chunked(PAGE, size))) == PAGE


def test_a_length_and_a_page_that_ends_with_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
    assert fetch(said(head + PAGE)) == PAGE
    assert fetch(said(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE)) == PAGE


def test_one_connection_serves_many_requests() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(chunked(PAGE, 1000))
            await writer.drain()

    assert fetch(answer, times=5) == PAGE
    assert connections == 1


def test_a_connection_that_was_closed_while_idle_is_opened_again() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await said(chunked(PAGE, 1000))(reader, writer)

    assert fetch(answer, times=3) == PAGE
    assert connections == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "before it answered"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "broken chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "more than"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nLimit reached, try again later", "503"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", "more than"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "no end of its HTTP headers"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (1 << 21), "more than"),
    ],
)
def test_nonsense_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        fetch(said(data))


def test_ten_megabytes_in_chunks_are_cut_off_at_the_limit() -> None:
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%s\r\n" % (64 * 1024, b"x" * 64 * 1024)
        for _ in range(160):
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)

    with pytest.raises(HostError, match="more than 1048576 bytes"):
        fetch(answer)
    assert sent < 9 << 20, "the rest was never taken"


def test_a_page_that_never_ends_meets_the_time_limit() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await reader.read()  # until the client gives up

    with pytest.raises(HostError, match="no answer within"):
        fetch(answer, limit_s=0.05)


def test_nobody_there() -> None:
    async def run() -> None:
        server, address = await serve(said(b""))
        server.close()
        await server.wait_closed()
        await HttpClient().get(address, "node:9100", "/", limit_s=2.0, most=100)

    with pytest.raises(HostError, match="cannot be reached"):
        asyncio.run(run())
