"""``python -m bench.empty_app``: a FastAPI application with one empty route, as ours is served.

The peer of ``GET /api/v1/rig``. Prints where it listens, then serves until killed.
"""

import signal
import sys

from fastapi import FastAPI, Response

from hwctl.faces.api.server import ApiServer


class _Hub:
    """What :class:`ApiServer` tells that it ends."""

    def close(self) -> None:
        """Nothing streams here."""


def main() -> None:
    """Serve until SIGTERM."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.hub = _Hub()

    @app.get("/empty", response_class=Response)
    async def empty() -> Response:
        return Response(b"")

    server = ApiServer(app, "127.0.0.1", 0)
    server.start()
    sys.stdout.write(f"port {server.port}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
