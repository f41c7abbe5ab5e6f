"""TLS on the TCP socket, plain words on the unix socket; and a proxy in front of either."""

import contextlib
import socket
import ssl

import httpx
import pytest

from hwctl.config.tls import server_context
from hwctl.faces.api.server import MOST_CONNECTIONS
from hwctl.faces.cli.client import Client, ServiceError

POWER = ("POST", "/api/v1/nodes/pi1/power", {"action": "off"})


@pytest.fixture
def pair(certificate):
    return certificate()


@pytest.fixture
def secure(make_site, pair):
    return make_site(
        tls=server_context(pair.cert, pair.key, expired=pytest.fail), hosts=["rig.test"]
    )


def trusting(pair):
    return ssl.create_default_context(cafile=pair.cert)


def browser(site, pair, **headers):
    return httpx.Client(
        base_url=site.server.url, verify=trusting(pair), headers=headers, timeout=20
    )


def test_the_port_speaks_tls_and_the_unix_socket_does_not(secure, pair):
    assert secure.server.url == f"https://127.0.0.1:{secure.server.port}"
    with browser(secure, pair) as client:
        assert client.get("/api/v1/rig").json()["name"] == "football"
    with secure.local() as client:
        answer = client.request(POWER[0], POWER[1], json=POWER[2])
    assert answer.status_code == 202
    assert answer.json()["by"].startswith("local:")


def test_the_port_takes_no_plain_words(secure):
    with socket.create_connection(("127.0.0.1", secure.server.port), timeout=10) as raw:
        raw.sendall(b"GET /api/v1/rig HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"football" not in raw.recv(1000)


# Asking for an old version is what Python warns of, and what is tried here.
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "taken"),
    [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)],
)
def test_only_tls_1_2_and_newer(secure, pair, version, taken):
    context = trusting(pair)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", secure.server.port), timeout=10) as raw:
        if taken:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
                assert tls.version() == version.replace("_", ".")
        else:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_a_cookie_is_for_tls_alone(secure, pair, make_site):
    with browser(secure, pair) as client:
        answer = client.get(f"/?key={secure.key.mint()}")
        write = client.request(POWER[0], POWER[1], json=POWER[2])
        gone = client.delete("/session")
    assert "Secure" in answer.headers["set-cookie"].split("; ")
    assert "Secure" in gone.headers["set-cookie"].split("; ")
    assert write.status_code == 202
    plain = make_site()
    with plain.client() as client:
        answer = client.get(f"/?key={plain.key.mint()}")
    assert "Secure" not in answer.headers["set-cookie"]


@pytest.mark.parametrize(("scheme", "status"), [("https", 202), ("http", 403)])
def test_a_write_must_come_from_the_page_that_was_served_by_tls(secure, pair, scheme, status):
    origin = secure.server.url.replace("https", scheme)
    with browser(secure, pair) as client:
        client.get(f"/?key={secure.key.mint()}")
        answer = client.request(POWER[0], POWER[1], json=POWER[2], headers={"Origin": origin})
    assert answer.status_code == status


def let_in(site, pair):
    """Whether a handshake ends well. :raises TimeoutError: nothing at all came of it."""
    try:
        with (
            socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as raw,
            trusting(pair).wrap_socket(raw, server_hostname="127.0.0.1"),
        ):
            return True
    except (ConnectionResetError, ssl.SSLError):
        return False


def test_streams_and_many_connections_in_the_middle_of_their_handshakes(secure, pair):
    """Who connects and says nothing keeps others out no longer than with plain HTTP."""
    raws = [
        socket.create_connection(("127.0.0.1", secure.server.port), timeout=10)
        for _ in range(MOST_CONNECTIONS)
    ]
    try:
        with (
            socket.create_connection(("127.0.0.1", secure.server.port), timeout=10) as over,
            contextlib.suppress(ConnectionResetError),  # as good as an end
        ):
            assert over.recv(1) == b""
        with secure.local() as client:
            assert client.get("/healthz").status_code == 200
    finally:
        for raw in raws:
            raw.close()
    with secure.local() as client:  # until the server has seen them all go
        while not let_in(secure, pair):
            assert client.get("/healthz").status_code == 200
    with browser(secure, pair) as client, client.stream("GET", "/api/v1/live") as answer:
        assert next(answer.iter_lines()).startswith("retry:")


# --- the command line's client --------------------------------------------------------------------


@pytest.mark.parametrize("itself", [True, False])
def test_the_client_trusts_what_it_is_told_to(make_site, certificate, itself):
    """An authority of one's own, or the very certificate of the service."""
    authority = certificate("authority")
    leaf = certificate("leaf", signed_by=authority)
    site = make_site(tls=server_context(leaf.cert, leaf.key, expired=pytest.fail))
    client = Client(site.server.url, site.token("read"), leaf.cert if itself else authority.cert)
    assert client.get("/api/v1/rig")["name"] == "football"
    client._http.close()


def refusal(url, ca=None):
    with pytest.raises(ServiceError) as caught:
        Client(url, "", ca).get("/healthz")
    return str(caught.value), caught.value.hint


def test_an_untrusted_certificate_is_said_so(secure):
    said, hint = refusal(secure.server.url)
    assert "is not trusted: self-signed certificate" in said
    assert "--ca FILE or HWCTL_CA" in hint


def test_another_machines_certificate_is_said_so(secure, pair):
    said, hint = refusal(secure.server.url.replace("127.0.0.1", "localhost"), pair.cert)
    assert "is not trusted" in said
    assert "localhost" in said
    assert "a name or address that the certificate has" in hint


@pytest.mark.parametrize("words", [None, "no certificate"])
def test_a_ca_that_is_none_is_said_so(secure, tmp_path, words):
    path = tmp_path / "ca.pem"
    if words is not None:
        path.write_text(words)
    said, hint = refusal(secure.server.url, path)
    assert str(path) in said
    assert "PEM" in hint


def test_tls_where_none_is_and_none_where_tls_is(secure, site, pair):
    said, hint = refusal(site.server.url.replace("http", "https"), pair.cert)
    assert "no TLS with" in said
    assert "begins with http:" in hint
    said, hint = refusal(secure.server.url.replace("https", "http"))
    assert "no service at" in said
    assert "begins with https:" in hint


# --- behind a reverse proxy -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark",
    [
        {"X-Forwarded-For": "10.1.2.3"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "::1"},
        {"Via": "1.1 proxy"},
    ],
)
def test_who_comes_through_a_proxy_of_this_machine_is_not_taken_for_local(site, mark):
    """The proxy is at 127.0.0.1, whoever stands before it; what it says of them is not believed."""
    with site.client(**mark) as client:
        assert client.get("/api/v1/rig").status_code == 401
        assert client.get("/").status_code == 200, "the page that asks for a token"
    with site.client(site.token("read"), **mark) as client:
        assert client.get("/api/v1/rig").status_code == 200


def test_a_page_that_a_proxy_serves_by_tls_may_write(make_site):
    """The proxy hands Host on; the page's own scheme is https, ours http."""
    site = make_site(hosts=["rig.example"])
    with site.client(Host="rig.example", **{"X-Forwarded-For": "10.1.2.3"}) as client:
        signed_in = client.post("/session", json={"token": site.token("power")})
        client.headers["Cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
        own = client.request(
            POWER[0], POWER[1], json=POWER[2], headers={"Origin": "https://rig.example"}
        )
        other = client.request(
            POWER[0], POWER[1], json=POWER[2], headers={"Origin": "https://evil.example"}
        )
    assert (own.status_code, other.status_code) == (202, 403)
