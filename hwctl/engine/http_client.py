"""A small HTTP/1.1 client for pages that are fetched once a second from many nodes.

It does what node_exporter's server asks for (keep-alive, Content-Length, chunked) and no more,
because its cost counts: 60 nodes at 1 Hz have to fit in 2 % of a core, where general clients take
several times that for the transport alone (``make bench`` runs them side by side). Everything is
bounded: bytes of head and body, time, and one request at a time per node.
"""

import asyncio
from enum import Enum

from hwctl.model.errors import HostError

MOST_HEAD = 16 * 1024


class _Body(Enum):
    LENGTH = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.reusable = True
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[bytes] | None = None
        self._most = 0
        self._head_end = -1
        self._body = _Body.UNTIL_CLOSE
        self._length = 0
        self._position = 0
        self._chunks: list[bytes] = []
        self._got = 0

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's own promise
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiter is None or self._waiter.done():
            return
        if self._head_end >= 0 and self._body is _Body.UNTIL_CLOSE and exc is None:
            self._finish(bytes(self._buffer[self._head_end :]))
        else:
            said = "before it answered" if not self._buffer else "in the middle of its page"
            self._fail(HostError(f"closed the connection {said}"))

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        self._buffer += data
        try:
            self._read_on()
        except HostError as error:
            self._fail(error)

    # --- for the client ---

    def request(self, host: str, path: str, most: int) -> "asyncio.Future[bytes]":
        """Send a GET; the future gives the body."""
        assert self._transport is not None  # noqa: S101 - connected before it is handed out
        self._buffer.clear()
        self._head_end = -1
        self._chunks = []
        self._got = 0
        self._most = most
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hwctl\r\n"
            "Accept: text/plain\r\n\r\n".encode("ascii")
        )
        return self._waiter

    def close(self) -> None:
        self.closed = True
        self._waiter = None
        if self._transport is not None:
            self._transport.abort()

    # --- reading ---

    def _read_on(self) -> None:
        if self._head_end < 0 and not self._read_head():
            return
        match self._body:
            case _Body.LENGTH:
                if len(self._buffer) - self._head_end >= self._length:
                    end = self._head_end + self._length
                    self._finish(bytes(self._buffer[self._head_end : end]))
            case _Body.CHUNKED:
                self._read_chunks()
            case _Body.UNTIL_CLOSE:
                if len(self._buffer) - self._head_end > self._most:
                    raise _too_much(self._most)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MOST_HEAD:
                raise HostError("sent no end of its HTTP headers", hint="is it node_exporter?")
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        if not first.startswith(b"HTTP/1."):
            raise HostError("does not speak HTTP", hint="is it node_exporter's port?")
        self._head_end = self._position = end + 4
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip().lower()
        self.reusable = headers.get(b"connection") != b"close" and first.startswith(b"HTTP/1.1")
        status = first[9:12].decode("ascii", "replace")
        if status != "200":
            reason = first[13:60].decode("ascii", "replace")
            raise HostError(
                f"answered {status} {reason}".rstrip(),
                hint="node_exporter says 503 when more than 40 ask at once"
                if status == "503"
                else "compare the node's `url` with what its exporter serves",
            )
        if headers.get(b"transfer-encoding") == b"chunked":
            self._body = _Body.CHUNKED
        elif (length := headers.get(b"content-length")) is not None:
            if not length.isdigit() or len(length) > 12:
                raise HostError("sent a Content-Length that is no number")
            self._body, self._length = _Body.LENGTH, int(length)
            if self._length > self._most:
                raise _too_much(self._most)
        else:
            self._body, self.reusable = _Body.UNTIL_CLOSE, False
        return True

    def _read_chunks(self) -> None:
        buffer = self._buffer
        while True:
            end = buffer.find(b"\r\n", self._position, self._position + 20)
            if end < 0:
                if len(buffer) - self._position > 20:
                    raise HostError("sent a broken chunk")
                break
            try:
                size = int(buffer[self._position : end].split(b";")[0], 16)
            except ValueError as error:
                raise HostError("sent a broken chunk") from error
            if size < 0 or self._got + size > self._most:
                raise _too_much(self._most)
            if len(buffer) < end + 2 + size + 2:
                break
            if size == 0:
                self._finish(b"".join(self._chunks))
                return
            self._chunks.append(bytes(buffer[end + 2 : end + 2 + size]))
            self._got += size
            self._position = end + 2 + size + 2
        if self._position > 64 * 1024:
            del buffer[: self._position]
            self._position = 0

    def _finish(self, body: bytes) -> None:
        waiter, self._waiter = self._waiter, None
        self._buffer.clear()
        self._chunks = []
        if waiter is not None and not waiter.done():
            waiter.set_result(body)

    def _fail(self, error: HostError) -> None:
        waiter = self._waiter
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


def _too_much(most: int) -> HostError:
    return HostError(
        f"sent more than {most} bytes", hint="is its `url` a node_exporter's metrics page?"
    )


class HttpClient:
    """Kept-open connections, one per address."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, int], _Connection] = {}
        self._locks: dict[tuple[str, int], asyncio.Lock] = {}

    async def get(
        self, address: tuple[str, int], host: str, path: str, *, limit_s: float, most: int
    ) -> bytes:
        """The body of a 200 answer. ``limit_s`` is in real seconds and covers everything.

        :raises HostError: anything else.
        """
        lock = self._locks.setdefault(address, asyncio.Lock())
        try:
            async with asyncio.timeout(limit_s), lock:
                return await self._get(address, host, path, most)
        except TimeoutError as error:
            self._drop(address)
            raise HostError(f"no answer within {limit_s:.1f} s") from error
        except OSError as error:
            self._drop(address)
            if isinstance(error, HostError):
                raise
            raise HostError(f"cannot be reached: {error.strerror or error}") from error

    async def _get(self, address: tuple[str, int], host: str, path: str, most: int) -> bytes:
        kept = self._connections.get(address)
        if kept is not None and not kept.closed:
            waiter = kept.request(host, path, most)
            try:
                return await self._settle(address, kept, waiter)
            except HostError as error:
                # The far end may have closed an idle connection just now: once more, afresh.
                if "before it answered" not in error.what:
                    raise
        loop = asyncio.get_running_loop()
        _, fresh = await loop.create_connection(_Connection, *address)
        self._connections[address] = fresh
        return await self._settle(address, fresh, fresh.request(host, path, most))

    async def _settle(
        self,
        address: tuple[str, int],
        connection: _Connection,
        waiter: "asyncio.Future[bytes]",
    ) -> bytes:
        body = await waiter
        if not connection.reusable:
            self._drop(address)
        return body

    def _drop(self, address: tuple[str, int]) -> None:
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        for address in list(self._connections):
            self._drop(address)
