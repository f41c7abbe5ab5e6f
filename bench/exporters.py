"""``python -m bench.exporters PAGE COUNT``: that many node_exporters, all with one page.

A process of its own, so that its work is not counted. Prints its ports, then serves until killed.
"""

import asyncio
import socket
import sys
from pathlib import Path

from hwctl_emulated.http_end import HttpConnection
from hwctl_emulated.page import PAGE, Answer


async def serve(page: bytes, count: int) -> None:
    """Listen on ``count`` ports of the loopback."""
    answer = Answer(200, PAGE, page)
    loop = asyncio.get_running_loop()
    alive: set[HttpConnection] = set()
    ports = []
    for _ in range(count):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        ports.append(sock.getsockname()[1])
        await loop.create_server(lambda: HttpConnection(lambda _target: answer, alive), sock=sock)
    sys.stdout.write(f"ports {' '.join(map(str, ports))}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).read_bytes(), int(sys.argv[2])))
