"""The server: one thread with its own loop, on a TCP socket and on the unix socket.

The TCP socket speaks TLS if it is given a certificate; the unix socket never does.

The rig's ticks run elsewhere. Nothing that a client does here can delay them, save by using up
the processor.
"""

import asyncio
import contextlib
import errno
import importlib
import logging
import os
import socket
import ssl
import stat
import struct
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from fastapi import FastAPI

from hwctl.faces.api.door import UNIX_PEER
from hwctl.faces.api.problems import problem
from hwctl.model.errors import BusError, ConfigError, RequestError

BACKLOG = 128
MOST_CONNECTIONS = 256
"""Through TCP; more are closed at once. The unix socket is not counted, so that an operator on the
machine can always get in."""
FIRST_REQUEST_S = 20.0
"""A connection that has sent no whole request head by then is closed."""
HANDSHAKE_S = 10.0
"""A connection whose TLS handshake is not done by then is closed."""
STOP_S = 1
"""What is left to answers under way when the server stops."""
_UNIX_PATH_MAX = 107
"""Bytes of sun_path without its final zero, Linux (unix(7))."""

_log = logging.getLogger(__name__)


class ApiServer:
    """Serves ``app`` from :meth:`start` to :meth:`stop`.

    :param host: address or name of this machine to listen on.
    :param port: 0: any free one; see :attr:`port` for which.
    :param uds_path: where to listen for local callers; ``None``: nowhere.
    :param tls: for the TCP socket (:func:`hwctl.config.tls.server_context`); ``None``: plain.
    """

    def __init__(
        self,
        app: FastAPI,
        host: str,
        port: int,
        uds_path: Path | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._tls = tls
        self.host = host
        self.port = port
        self._uds_path = uds_path
        self._uds_inode: int | None = None
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where to reach it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host and '[' not in host else host}:{self.port}"

    def start(self) -> None:
        """Listen. Returns when requests are answered.

        :raises BusError: the port or the socket is taken.
        :raises ConfigError: there is no such address, or no right to listen there.
        """
        tcp = _listen_tcp(self.host, self.port)
        self.port = tcp.getsockname()[1]
        sockets = []
        try:
            if self._uds_path is not None:
                sockets.append(_listen_unix(self._uds_path))
                self._uds_inode = self._uds_path.stat().st_ino
        except BaseException:
            tcp.close()
            raise
        config = uvicorn.Config(
            self._app,
            http=_protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=STOP_S,
            backlog=BACKLOG,
        )
        server = self._server = _Server(config, tcp, self._tls)
        self._thread = threading.Thread(
            target=self._run, args=(server, sockets), name="http", daemon=True
        )
        self._thread.start()
        server.ready.wait()
        if not server.started:
            raise BusError("the server ended as it started", where=self.url, hint="see the log")

    def stop(self) -> None:
        """End within about :data:`STOP_S`; streams are cut. Does nothing if not started."""
        thread, server, loop = self._thread, self._server, self._loop
        if thread is None or server is None or loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(self._app.state.hub.close)
            loop.call_soon_threadsafe(server.leave)
        thread.join(STOP_S + 5)
        if thread.is_alive():
            _log.error("the HTTP thread did not end; it is left behind")
        self._thread = None
        if self._uds_path is not None:
            with contextlib.suppress(FileNotFoundError):
                if self._uds_path.lstat().st_ino == self._uds_inode:
                    self._uds_path.unlink()

    def _run(self, server: "_Server", sockets: list[socket.socket]) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(server.serve(sockets))
            finally:
                server.ready.set()
                for one in (server.tcp, *sockets):
                    one.close()


class _Server(uvicorn.Server):
    """Tells when it listens, and sleeps until it is to end: uvicorn looks ten times a second.

    uvicorn itself would speak TLS on all sockets or on none.
    """

    def __init__(
        self, config: uvicorn.Config, tcp: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.tcp = tcp if tls is None else _Bounded(tcp.detach())
        self._tls = tls
        self._leave = asyncio.Event()

    def leave(self) -> None:
        """End. From the loop's own thread."""
        self.should_exit = True
        self._leave.set()

    async def main_loop(self) -> None:
        # At every tenth tick of uvicorn's it renews the Date header.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._leave.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        plain = sockets or []
        if self._tls is None:
            await super().startup([self.tcp, *plain])
        else:
            await super().startup(plain)
            self.servers.append(await self._listen_tls(self._tls))
        self.ready.set()

    async def _listen_tls(self, tls: ssl.SSLContext) -> asyncio.Server:
        def protocol() -> asyncio.Protocol:
            kind = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
            return kind(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        return await asyncio.get_running_loop().create_server(
            protocol, sock=self.tcp, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=STOP_S, backlog=BACKLOG,
        )  # fmt: skip


class _Bounded(socket.socket):
    """Refuses connections beyond the limit before their handshakes; uvicorn's protocol, which
    counts plain ones, sees a connection only after it."""

    __slots__ = ("_open",)

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        accepted, address = super().accept()
        if sum(one.fileno() >= 0 for one in self._open) >= MOST_CONNECTIONS:
            accepted.close()
            raise BlockingIOError(errno.EAGAIN, "enough connections")
        self._open.add(accepted)
        return accepted, address


def _optional(module: str) -> Any:  # noqa: ANN401 - a module, or None
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    uvloop = _optional("uvloop")
    return uvloop.new_event_loop if uvloop else None


if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Base
else:
    _Base = object


class _InOnePiece:
    """A transport that sends an answer's head together with what comes after it.

    At each send other threads may take the interpreter, and the answer would wait half said until
    they give it back.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)  # if nothing comes after it
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""


class _Marks(_Base):
    """Mixed into uvicorn's protocol: notes which socket accepted the connection, and by whom."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self.transport = cast(
            "asyncio.Transport", _InOnePiece(cast("asyncio.Transport", transport), self.loop)
        )
        accepted = transport.get_extra_info("socket")
        if accepted is not None and accepted.family == socket.AF_UNIX:
            self.app_state = {**self.app_state, UNIX_PEER: _peer_uid(accepted)}
        elif len(self.connections) > MOST_CONNECTIONS:
            cast("asyncio.Transport", transport).abort()
            return
        self.loop.call_later(FIRST_REQUEST_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if cast("object", self.cycle) is None and not self.transport.is_closing():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem document like everything else."""
        answer = problem(RequestError(msg, where="request", hint="this is an HTTP/1.1 server"))
        head = b"".join(b"%s: %s\r\n" % pair for pair in answer.raw_headers)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n" + head + b"connection: close\r\n\r\n" + answer.body
        )
        self.transport.close()


def _protocol() -> type[asyncio.Protocol]:
    """uvicorn's fastest protocol that is installed, with our marks."""
    name = "httptools" if _optional("httptools") else "h11"
    module = importlib.import_module(f"uvicorn.protocols.http.{name}_impl")
    base = module.HttpToolsProtocol if name == "httptools" else module.H11Protocol
    return type("MarkedProtocol", (_Marks, base), {})


def _peer_uid(accepted: Any) -> int:  # noqa: ANN401 - asyncio's TransportSocket
    try:
        raw = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return -1
    return int(struct.unpack("3i", raw)[1])


def _listen_tcp(host: str, port: int) -> socket.socket:
    where = f"[service] host {host}, port {port}"
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
        family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        server = socket.create_server(
            cast("tuple[str, int]", address[:2]),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except socket.gaierror as error:
        raise ConfigError(
            f"{host} is no address of this machine", where=where, hint="127.0.0.1 or 0.0.0.0"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusError(
                f"port {port} is taken",
                where=where,
                hint="another program (perhaps another hwctl) listens there: stop it, or give "
                "another port by --port or [service] port",
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigError(
                f"no right to listen on port {port}",
                where=where,
                hint="ports below 1024 need CAP_NET_BIND_SERVICE: take a higher one",
            ) from error
        raise ConfigError(
            f"cannot listen there: {error.strerror}", where=where, hint="127.0.0.1 or 0.0.0.0"
        ) from error
    # Accepted sockets inherit it. asyncio sets it only where the protocol was named, and without
    # it every answer waits 40 ms for a delayed acknowledgement.
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _listen_unix(path: Path) -> socket.socket:
    """A socket for owner and group. A stale file is removed only if nobody listens on it."""
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise ConfigError(
            f"the socket's path is longer than {_UNIX_PATH_MAX} bytes",
            where=str(path),
            hint="set HWCTL_SOCKET to a shorter one",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        _clear_stale(path)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.bind(str(path))
            # Before listen(): until then nobody can connect, whatever the umask.
            path.chmod(0o660)
            server.listen(BACKLOG)
        except OSError:
            server.close()
            raise
    except OSError as error:
        if isinstance(error, BusError):
            raise
        raise ConfigError(
            f"cannot listen there: {error.strerror}",
            where=str(path),
            hint="set HWCTL_SOCKET to a path that hwctl may write to",
        ) from error
    return server


def _clear_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(
            "there is a file that is no socket; it was left alone",
            where=str(path),
            hint="move it away, or set HWCTL_SOCKET",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise BusError(
                f"the socket is in use: {error.strerror or error}",
                where=str(path),
                hint="another hwctl runs: stop it, or set HWCTL_SOCKET",
            ) from error
    raise BusError(
        "another hwctl listens there",
        where=str(path),
        hint="stop it, or set HWCTL_SOCKET to another path",
    )
