"""The HTTP server of nodes and outlets, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hwctl_emulated.http_end import MOST_BODY, MOST_HEADER, Answer, HttpConnection, Request

LIMIT_S = 30.0

Visit = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class End:
    """A server that answers what it is asked, and who is connected to it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.home = True
        self.vain = 0
        self.headers: dict[str, str] = {}
        self.alive: set[HttpConnection] = set()

    def answer(self, request: Request) -> Answer | None:
        if not self.home:
            self.vain += 1
            return None
        self.asked.append(request)
        return Answer(200, "text/plain", request.target.encode(), headers=self.headers)

    def visit(self, visit: Visit) -> None:
        async def run() -> None:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(
                lambda: HttpConnection(self.answer, self.alive), "127.0.0.1"
            )
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                await asyncio.wait_for(visit(reader, writer), LIMIT_S)
            finally:
                writer.close()
                server.close()
                for client in tuple(self.alive):
                    client.abort()

        asyncio.run(run())

    async def until(self, wanted: Callable[[], bool]) -> None:
        while not wanted():  # noqa: ASYNC110 - what the server does has no event
            await asyncio.sleep(0)


@pytest.fixture
def end() -> End:
    return End()


async def body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return await reader.readexactly(length)


def test_a_request_in_pieces_with_a_body_and_headers(end):
    async def visit(reader, writer):
        for piece in (b"POST /rpc HT", b"TP/1.1\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhe", b"llo"):
            writer.write(piece)
            await writer.drain()
        assert await body(reader) == b"/rpc"

    end.visit(visit)
    [request] = end.asked
    assert (request.method, request.target, request.body) == ("POST", "/rpc", b"hello")
    assert request.headers == {"content-length": "5", "x-a": "b"}


def test_many_requests_at_once_are_answered_in_their_order(end):
    async def visit(reader, writer):
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n for n in range(2000)))
        for n in range(2000):
            assert await body(reader) == b"/%d" % n

    end.visit(visit)


@pytest.mark.parametrize("client", [True, False])
def test_either_side_may_want_it_closed(end, client):
    async def visit(reader, writer):
        wish = b"Connection: close\r\n" if client else b""
        writer.write(b"GET / HTTP/1.1\r\n" + wish + b"\r\n")
        assert await body(reader) == b"/"
        assert await reader.read() == b""

    end.headers = {} if client else {"connection": "close"}
    end.visit(visit)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / SPDY/1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1),
    ],
)
def test_what_is_no_request_is_refused(end, sent):
    async def visit(reader, writer):
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")

    end.visit(visit)
    assert end.asked == []


def test_a_head_without_end_breaks_the_connection(end):
    async def visit(reader, writer):
        writer.write(b"x" * (MOST_HEADER + 1))
        with pytest.raises(ConnectionResetError):
            await reader.read()

    end.visit(visit)


def test_nobody_at_home_answers_nothing_and_forgets_who_leaves(end):
    async def visit(reader, writer):
        end.home = False
        writer.write(b"GET /1 HTTP/1.1\r\n\r\n")
        await end.until(lambda: end.vain == 1)
        [client] = end.alive
        end.home = True
        writer.write(b"GET /2 HTTP/1.1\r\n\r\n")
        # The cable is back: what came meanwhile is answered, what was lost is not.
        client.wake()
        assert await body(reader) == b"/2"
        client.silence()
        writer.close()
        await end.until(lambda: not end.alive)

    end.visit(visit)
