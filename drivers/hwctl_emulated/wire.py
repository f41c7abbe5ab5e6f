"""How hwctl and the world talk: a small header, an order as JSON, and bytes.

::

    4 bytes  length of the JSON, big-endian
    4 bytes  length of the bytes
    JSON     one object
    bytes    what is written to, or read from, a bus

Every order gets one answer, in order. A connection that was used to watch a line gets nothing but
changes from then on.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Any

SOCKET = "world.sock"
_HEAD = Struct(">II")
MOST = 1 << 24
"""The longest message that is believed."""


def pack(order: dict[str, Any], data: bytes = b"") -> bytes:
    """One message."""
    text = json.dumps(order, separators=(",", ":")).encode()
    return _HEAD.pack(len(text), len(data)) + text + data


class Unpacker:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Every message that ``data`` completes. :raises ValueError: it cannot be a message."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            texts, blobs = _HEAD.unpack_from(self._buffer)
            if texts + blobs > MOST:
                raise ValueError(f"a message of {texts + blobs} bytes")
            end = _HEAD.size + texts + blobs
            if len(self._buffer) < end:
                return
            middle = _HEAD.size + texts
            order = json.loads(self._buffer[_HEAD.size : middle])
            if not isinstance(order, dict):
                raise TypeError("an order must be an object")
            blob = bytes(self._buffer[middle:end])
            del self._buffer[:end]
            yield order, blob


@contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """The socket's path by way of an open directory: sockets take 107 bytes, directories more."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)


def connect(directory: Path) -> socket.socket:
    """:raises OSError: no world listens there."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(directory) as path:
            link.connect(path)
    except OSError:
        link.close()
        raise
    return link
