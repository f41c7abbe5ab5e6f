"""The server itself: sockets, start and stop."""

import contextlib
import os
import socket
import threading

import httpx
import pytest

from hwctl.engine.tokens import TokenStore
from hwctl.faces.api import ApiServer, OneTimeKey, create_app
from hwctl.faces.api.server import MOST_CONNECTIONS
from hwctl.model.errors import BusError, ConfigError

pytestmark = pytest.mark.usefixtures("parser")


@pytest.fixture
def app(stand_in, tmp_path):
    return create_app(stand_in.StandIn(), TokenStore(tmp_path / "t.json"), key=OneTimeKey())


def test_port_0_is_any_free_one_and_is_told(app):
    server = ApiServer(app, "127.0.0.1", 0)
    server.start()
    try:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    finally:
        server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_a_taken_port_is_said_so_and_the_unix_socket_is_not_made(app, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = ApiServer(app, "127.0.0.1", port, tmp_path / "s")
        with pytest.raises(BusError, match=f"port {port} is taken") as caught:
            server.start()
        server.stop()
    assert "--port" in caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine(app, host):
    with pytest.raises(ConfigError) as caught:
        ApiServer(app, host, 0).start()
    assert caught.value.hint


def test_ipv6(app):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    server = ApiServer(app, "::1", 0)
    server.start()
    try:
        assert httpx.get(f"{server.url}/api/v1/rig").status_code == 200
    finally:
        server.stop()


def local(path):
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        return client.get("/session").json()["by"]


def test_a_stale_socket_is_replaced(app, tmp_path):
    path = tmp_path / "s"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    server = ApiServer(app, "127.0.0.1", 0, path)
    server.start()
    try:
        assert local(path) == f"local:{os.getuid()}"
    finally:
        server.stop()
    assert not path.exists()


def test_a_living_socket_is_left_alone(app, tmp_path):
    path = tmp_path / "s"
    first = ApiServer(app, "127.0.0.1", 0, path)
    first.start()
    try:
        with pytest.raises(BusError, match="another hwctl listens"):
            ApiServer(app, "127.0.0.1", 0, path).start()
        assert local(path) == f"local:{os.getuid()}"
    finally:
        first.stop()


def test_a_file_that_is_no_socket_is_left_alone(app, tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ConfigError):
        ApiServer(app, "127.0.0.1", 0, path).start()
    assert path.read_text() == "precious"


def test_a_socket_path_too_long_for_the_kernel(app, tmp_path):
    with pytest.raises(ConfigError, match="longer than 107"):
        ApiServer(app, "127.0.0.1", 0, tmp_path / ("x" * 120)).start()


def test_a_socket_that_somebody_else_made_meanwhile_is_not_removed(app, tmp_path):
    path = tmp_path / "s"
    server = ApiServer(app, "127.0.0.1", 0, path)
    server.start()
    path.rename(tmp_path / "old")
    path.write_text("another's")
    server.stop()
    assert path.read_text() == "another's"


def test_stop_cuts_streams_and_idle_connections_and_leaves_no_thread(app, tmp_path):
    server = ApiServer(app, "127.0.0.1", 0, tmp_path / "s")
    server.start()
    with httpx.Client(base_url=server.url, timeout=20) as client:
        client.get("/healthz")
        with client.stream("GET", "/api/v1/live") as answer:
            lines = answer.iter_lines()
            next(lines)
            server.stop()
            assert all("event" not in line for line in list(lines)[-1:])
    assert not [one for one in threading.enumerate() if one.name == "http"]
    server.stop()


def test_it_can_be_stopped_without_having_been_started(app, tmp_path):
    server = ApiServer(app, "127.0.0.1", 0, tmp_path / "s")
    server.stop()
    assert not (tmp_path / "s").exists()


def test_connections_are_bounded_but_the_unix_socket_stays_open(app, tmp_path):
    path = tmp_path / "s"
    server = ApiServer(app, "127.0.0.1", 0, path)
    server.start()
    raws = []
    try:
        for _ in range(MOST_CONNECTIONS):
            raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            raws.append(raw)
        raws[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert raws[-1].recv(15) == b"HTTP/1.1 200 OK"
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as over,
            contextlib.suppress(ConnectionResetError),  # as good as an end
        ):
            assert over.recv(1) == b""
        assert local(path) == f"local:{os.getuid()}"
    finally:
        for raw in raws:
            raw.close()
        server.stop()
