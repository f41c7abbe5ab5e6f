"""HTTP/1.1 on a real TCP port, kept open: nodes' exporters, and outlets that are asked by HTTP.

Long bodies are sent in chunks, as Go's server does it.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

CHUNK = 2048
"""Go's server turns to chunks for bodies longer than its 2048-byte buffer."""
BURST = 256 * 1024
"""Bytes written before other connections have their turn."""
RESET = struct.pack("ii", 1, 0)
"""A linger of no time: socket(7), SO_LINGER."""
MOST_HEADER = 16 * 1024
MOST_BODY = 64 * 1024
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks."""

    method: str
    target: str
    """The path with its query."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: int
    kind: str
    """Of the body; empty if nothing is said of it."""
    body: bytes
    then: str = "end"
    """``end``, ``cut``: the connection breaks after the body, ``repeat``: the body comes again
    and again without end."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name; others than those of the body."""


Ask = Callable[[Request], Answer | None]
"""``None``: nobody is at home any more."""


class HttpConnection(asyncio.Protocol):
    """One client of one node or outlet.

    :param alive: where it is to be found as long as it lives.
    """

    def __init__(self, ask: Ask, alive: set["HttpConnection"]) -> None:
        self._ask = ask
        self._alive = alive
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sending: Iterator[bytes] | None = None
        self._paused = False
        self._silent = False
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
        if len(self._buffer) > MOST_HEADER + MOST_BODY:
            self.abort()
        elif self._sending is None:
            self._next_request()

    def close(self) -> None:
        """As a stopped service does: with a FIN."""
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        """As a board does that has booted since and knows nothing of this: with an RST."""
        if self._transport:
            link = self._transport.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._transport.abort()

    def silence(self) -> None:
        """As a board without power or network does: nothing comes any more, not even a FIN.

        It goes on listening for that of the client, who would fill the world with connections
        otherwise.
        """
        self._silent = True
        self._sending = None

    def wake(self) -> None:
        """The cable is back."""
        self._silent = False
        self._next_request()

    def _next_request(self) -> None:
        if self._silent or self._sending is not None or not self._transport:
            return
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > MOST_HEADER:
                self.abort()
            return
        try:
            request, self._buffer = _parse(head, rest)
        except EOFError:
            return
        except ValueError:
            self._close_after = True
            self._sending = _reply(Answer(400, PLAIN, b"400 Bad Request"))
        else:
            answer = self._ask(request)
            if answer is None:
                self.silence()
                return
            wishes = (request.headers.get("connection", ""), answer.headers.get("connection", ""))
            self._close_after = "close" in map(str.lower, wishes) or answer.then == "cut"
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
                elif self._buffer:
                    asyncio.get_running_loop().call_soon(self._next_request)
                return
            sent += len(piece)
            self._transport.write(piece)


def _parse(head: bytes, rest: bytes) -> tuple[Request, bytes]:
    """The request, and what has come after it.

    :raises EOFError: not all of it is there yet. :raises ValueError: it is none.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = int(headers.get("content-length", "0"))
    if not version.startswith("HTTP/1.") or not 0 <= length <= MOST_BODY:
        raise ValueError("not a request")
    if len(rest) < length:
        raise EOFError
    return Request(method, target, headers, rest[:length]), rest[length:]


def _reply(answer: Answer) -> Iterator[bytes]:
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    if answer.kind:
        lines.append(f"Content-Type: {answer.kind}")
    lines.append(f"Date: {formatdate(usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    whole = len(answer.body) <= CHUNK and answer.then == "end"
    lines.append(f"Content-Length: {len(answer.body)}" if whole else "Transfer-Encoding: chunked")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if whole:
        yield head + answer.body
        return
    yield head
    while True:
        for at in range(0, len(answer.body), CHUNK):
            piece = answer.body[at : at + CHUNK]
            yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        if answer.then != "repeat":
            break
    if answer.then == "end":
        yield b"0\r\n\r\n"
