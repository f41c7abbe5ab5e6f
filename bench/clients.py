"""``python -m bench.clients PORT COUNT SECONDS PATH...``: clients that ask without pause.

A process of its own. Each client keeps one connection and goes round the paths, from a place of
its own. Prints how many answers came. Sockets, not http.client: the clients must cost less than
the server, or they would measure themselves.
"""

import socket
import sys
import threading
import time
from collections.abc import Sequence


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._host = f"127.0.0.1:{port}"

    def get(self, path: str) -> None:
        """One answer with a Content-Length. :raises RuntimeError: it is none, or no 200."""
        fields = f"Host: {self._host}\r\nAccept: application/json\r\n\r\n"
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{fields}".encode())
        got = self._socket.recv(1 << 16)
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        status, _, named = head.lower().partition(b"\r\n")
        length = next(
            (
                int(field.partition(b":")[2])
                for field in named.split(b"\r\n")
                if field.startswith(b"content-length:")
            ),
            None,
        )
        if b" 200 " not in status or length is None:
            raise RuntimeError(f"GET {path}: {head[:300]!r}")
        left = length - len(body)
        while left > 0:
            left -= len(self._more())

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data


def run(port: int, count: int, seconds: float, paths: Sequence[str]) -> int:
    """:returns: answers of all clients."""
    answers = [0] * count
    until = time.monotonic() + seconds

    def ask(number: int) -> None:
        client = Client(port)
        turn = number
        while time.monotonic() < until:
            client.get(paths[turn % len(paths)])
            turn += 1
            answers[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not all(answers):
        raise RuntimeError(f"a client got no answer: {answers}")
    return sum(answers)


if __name__ == "__main__":
    total = run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
    sys.stdout.write(f"answers {total}\n")
