"""A node's exporter on a real TCP port: HTTP/1.1, kept open, chunked as Go's server does it."""

import asyncio
from collections.abc import Callable, Iterator
from email.utils import formatdate

from hwctl_emulated.page import Answer

CHUNK = 2048
"""Go's server turns to chunks for bodies longer than its 2048-byte buffer."""
BURST = 256 * 1024
"""Bytes written before other connections have their turn."""
MOST_HEADER = 16 * 1024
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}

Ask = Callable[[str], Answer | None]
"""GET this target; ``None``: nobody is at home any more."""


class HttpConnection(asyncio.Protocol):
    """One client of one node."""

    def __init__(self, ask: Ask, alive: set["HttpConnection"]) -> None:
        self._ask = ask
        self._alive = alive
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sending: Iterator[bytes] | None = None
        self._paused = False
        self._close_after = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._alive.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._alive.discard(self)
        self._transport = None
        self._sending = None

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > MOST_HEADER:
            self.abort()
        elif self._sending is None:
            self._next_request()

    def close(self) -> None:
        """As a stopped service does: with a FIN."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """As a board does that has booted since and knows nothing of this connection."""
        if self._transport:
            self._transport.abort()

    def silence(self) -> None:
        """As a board without power or network does: nothing comes any more, not even a FIN."""
        self._sending = None
        if self._transport:
            self._transport.pause_reading()

    def wake(self) -> None:
        """The cable is back."""
        if self._transport:
            self._transport.resume_reading()

    def _next_request(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or not self._transport:
            return
        self._buffer = rest
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        headers = {line.partition(":")[0].strip().lower(): line for line in lines[1:]}
        self._close_after = "close" in headers.get("connection", "").lower()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self._close_after = True
            self._sending = _reply(Answer(400, "text/plain; charset=utf-8", b"400 Bad Request"))
        else:
            answer = self._ask(words[1])
            if answer is None:
                self.silence()
                return
            self._close_after = self._close_after or answer.then == "cut"
            self._sending = _reply(answer)
        self._pump()

    def _pump(self) -> None:
        sent = 0
        while self._sending is not None and self._transport and not self._paused:
            if sent > BURST:
                asyncio.get_running_loop().call_soon(self._pump)
                return
            piece = next(self._sending, None)
            if piece is None:
                self._sending = None
                if self._close_after:
                    self._transport.close()
                else:
                    self._next_request()
                return
            sent += len(piece)
            self._transport.write(piece)


def _reply(answer: Answer) -> Iterator[bytes]:
    head = (
        f"HTTP/1.1 {answer.status} {REASONS[answer.status]}\r\n"
        f"Content-Type: {answer.kind}\r\nDate: {formatdate(usegmt=True)}\r\n"
    )
    if len(answer.body) <= CHUNK and answer.then == "end":
        yield f"{head}Content-Length: {len(answer.body)}\r\n\r\n".encode() + answer.body
        return
    yield f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    while True:
        for at in range(0, len(answer.body), CHUNK):
            piece = answer.body[at : at + CHUNK]
            yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        if answer.then != "repeat":
            break
    if answer.then == "end":
        yield b"0\r\n\r\n"
