"""Bad input over HTTP: always a problem document, and nothing changed."""

import asyncio
import json
import logging
import re
import socket
from pathlib import Path

import httpx
import pytest

from hwctl.faces.api.errors_page import error_classes, errors_markdown
from hwctl.faces.api.guard import MOST_BODY, Guard
from hwctl.faces.api.problems import problem
from hwctl.model import errors as model_errors
from hwctl.model.errors import HwctlError, TargetBusyError

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"
pytestmark = pytest.mark.usefixtures("parser")
MEMBERS = {"type", "title", "status", "detail", "retryable", "hint", "where"}


def is_problem(answer, status, slug):
    document = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(document) >= MEMBERS
    assert document["type"] == f"/docs/errors#{slug}"
    assert document["status"] == status
    return document


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/nothing", "/api/v1/rig/", "/api/v2/rig"])
def test_an_unknown_path(site, path):
    with site.client() as client:
        document = is_problem(client.get(path), 404, "unknown-path")
    assert document["where"] == path


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/api/v1/rig", "GET"),
        ("DELETE", "/api/v1/nodes/pi1", "GET"),
        ("GET", "/api/v1/nodes/pi1/power", "POST"),
        ("PUT", "/api/v1/shutdown", "DELETE, GET, POST"),
        ("OPTIONS", "/api/v1/rig", "GET"),
        ("TRACE", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_which_are_right(site, method, path, allow):
    with site.client() as client:
        answer = client.request(method, path)
    is_problem(answer, 405, "wrong-method")
    assert answer.headers["allow"] == allow
    assert site.service.calls == []


def test_a_method_that_nobody_knows(site, parser):
    with site.client() as client:
        answer = client.request("BREW", "/api/v1/operations/op-1")
    if parser == "h11":
        is_problem(answer, 405, "wrong-method")
    else:
        is_problem(answer, 400, "bad-request")
    assert site.service.calls == []


def test_a_body_of_50_mb_is_refused(site):
    with site.client(site.token("admin")) as client:
        answer = client.post("/api/v1/nodes/pi1/power", json={"action": "x" * 50_000_000})
        after = client.get("/healthz")
    is_problem(answer, 413, "body-too-large")
    assert after.status_code == 200
    assert site.service.calls == []


def test_a_body_without_length_is_cut_off_while_it_comes(site):
    def endless():
        for _ in range(400):
            yield b" " * MOST_BODY

    with site.client(site.token("admin")) as client:
        answer = client.post("/api/v1/nodes/pi1/power", content=endless())
    is_problem(answer, 413, "body-too-large")
    assert site.service.calls == []


def test_the_longest_body_still_fits(site):
    body = json.dumps({"action": "off"}).encode()
    with site.local(**{"Content-Type": "application/json"}) as client:
        fits = client.post("/api/v1/nodes/pi1/power", content=body.ljust(MOST_BODY))
        over = client.post("/api/v1/nodes/pi2/power", content=body.ljust(MOST_BODY + 1))
    assert fits.status_code == 202
    is_problem(over, 413, "body-too-large")


def test_a_body_that_never_ends_is_not_waited_for():
    sent = []

    async def app(_scope, _receive, _send):
        raise AssertionError("must not be reached")

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": [(b"host", b"localhost")], "state": {}}
    asyncio.run(Guard(app, hosts=(), turned_away=print, body_s=0.01)(scope, receive, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["type"] == "/docs/errors#body-too-slow"


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"{", 400, "bad-request"),
        (b"action=off", 400, "bad-request"),
        (b"{'action': 'off'}", 400, "bad-request"),
        (b"[" * 60_000, 400, "bad-request"),
        (b'{"action": "off"} trailing', 400, "bad-request"),
        (b'{"action": "\xff"}', 400, "bad-request"),
        (b"\x00", 400, "bad-request"),
        (b"", 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b'"off"', 422, "invalid-request"),
    ],
)
def test_a_body_that_is_not_the_json_asked_for(site, body, status, slug):
    with site.local(**{"Content-Type": "application/json"}) as client:
        answer = client.post("/api/v1/nodes/pi1/power", content=body)
    is_problem(answer, status, slug)
    assert site.service.calls == []


def test_a_body_that_is_not_declared_as_json(site):
    with site.local(**{"Content-Type": "text/plain"}) as client:
        answer = client.post("/api/v1/nodes/pi1/power", content=b'{"action": "off"}')
    is_problem(answer, 415, "not-json")
    assert site.service.calls == []


def test_what_was_sent_is_not_repeated_in_the_answer(site):
    with site.client() as client:
        answer = client.post("/session", json={"token": ["hwctl_00_secret"]})
    is_problem(answer, 422, "invalid-request")
    assert "secret" not in answer.text


def test_an_unexpected_error_tells_nothing_of_the_inside(site, caplog):
    site.service.broken = True
    with caplog.at_level(logging.ERROR), site.client() as client:
        answer = client.get("/api/v1/rig")
        site.service.broken = False
        after = client.get("/api/v1/rig")
    is_problem(answer, 500, "internal")
    assert answer.headers["connection"] == "close"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret inside" in caplog.text
    assert after.status_code == 200


def test_a_damaged_token_file_is_an_error_that_says_so(site):
    token = site.token("admin")
    site.tokens._path.write_text("{")
    with site.client(token) as client:
        answer = client.get("/api/v1/rig")
    document = is_problem(answer, 500, "config")
    assert "damaged" in document["detail"]
    with site.client() as client:
        assert client.get("/api/v1/rig").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_too(site, request_bytes):
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as raw:
        raw.sendall(request_bytes)
        answer = b""
        while part := raw.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 421"))
    assert b"application/problem+json" in head
    assert set(json.loads(body)) >= MEMBERS


def test_the_type_of_every_problem_is_a_heading_of_the_page_it_points_to(site):
    with site.client() as client:
        page = client.get("/docs/errors")
    assert page.headers["content-type"].startswith("text/html")
    ids = set(re.findall(r'<section id="([a-z0-9-]+)">', page.text))
    assert ids == {one.slug for one in error_classes()}


def test_docs_errors_md_is_what_the_classes_say():
    assert DOCS.read_text() == errors_markdown()
    headings = re.findall(r"^## (.+)$", DOCS.read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))


def test_every_error_of_the_model_has_a_heading():
    slugs = {
        value.slug
        for value in vars(model_errors).values()
        if isinstance(value, type) and issubclass(value, HwctlError)
    }
    assert slugs <= {one.slug for one in error_classes()}
    assert {"internal", "journal-unavailable", "device-mismatch", "host"} <= slugs


@pytest.mark.parametrize("kind", list(error_classes()), ids=lambda one: one.slug)
def test_every_error_becomes_a_problem(kind):
    extra = {}
    if kind is TargetBusyError:
        extra = {"operation": "op-7"}
    elif kind.slug == "invalid-request":
        extra = {"errors": []}
    answer = problem(kind("what happened", where="pi1", hint="what helps", **extra))
    document = json.loads(answer.body)
    assert document["type"] == f"/docs/errors#{kind.slug}"
    assert document["status"] == answer.status_code == kind.status
    assert document["detail"] == "what happened"
    assert document["retryable"] is kind.retryable
    assert (document["hint"], document["where"]) == ("what helps", "pi1")
    assert document["title"]
    assert document.get("operation") == extra.get("operation")


def test_text_that_no_encoding_holds_does_not_break_the_answer(site):
    with site.client() as client:
        answer = client.get("/api/v1/nodes/%ed%a0%80")
    assert isinstance(answer, httpx.Response)
    is_problem(answer, 404, "unknown-target")
