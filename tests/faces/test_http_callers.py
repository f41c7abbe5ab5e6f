"""Who may do what: tokens, the unix socket, sessions, the one-time key, other sites' pages."""

import asyncio
import os
import threading

import pytest
from starlette.requests import HTTPConnection

from hwctl.engine.tokens import TokenStore
from hwctl.faces.api.door import (
    MOST_DELAY_S,
    MOST_SESSIONS,
    MOST_WAITING,
    SESSION_S,
    UNIX_PEER,
    Door,
    OneTimeKey,
)
from hwctl.faces.api.problems import MissingScopeError, UnauthorisedError

POWER = ("POST", "/api/v1/nodes/pi1/power", {"action": "off"})
WRITES = [
    POWER,
    ("PUT", "/api/v1/nodes/pi1/locate", {"active": True}),
    ("POST", "/api/v1/shutdown", {}),
    ("DELETE", "/api/v1/shutdown", None),
    ("DELETE", "/api/v1/operations/op-1", None),
    ("PUT", "/api/v1/fans/intake", {"mode": "auto"}),
    ("PUT", "/api/v1/strips/lid", {"mode": "off"}),
]
ALLOWED = {
    "read": set(),
    "power": {0, 1, 2, 3, 4},
    "config": {5, 6},
    "admin": set(range(7)),
}


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_write_from_loopback_needs_a_token(site, method, path, body):
    with site.client() as client:
        answer = client.request(method, path, json=body)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "/docs/errors#unauthorised"
    assert "hwctl token create" in answer.json()["hint"]
    assert site.service.calls == []


@pytest.mark.parametrize("scope", ["read", "power", "config", "admin"])
def test_each_scope_reaches_as_far_as_it_says(site, scope):
    token = site.token(scope)
    reached = set()
    with site.client(token) as client:
        assert client.get("/api/v1/rig").status_code == 200
        for index, (method, path, body) in enumerate(WRITES):
            answer = client.request(method, path, json=body)
            if answer.status_code != 403:
                reached.add(index)
            else:
                assert answer.json()["type"] == "/docs/errors#missing-scope"
    assert reached == ALLOWED[scope]
    assert {call[-1] for call in site.service.calls if call[0] != "power"} <= {f"token:{scope}-0"}


def test_a_token_is_named_in_the_journal(site):
    with site.client(site.tokens.create("sam", ["power"])) as client:
        client.put("/api/v1/nodes/pi1/locate", json={"active": True})
    assert site.service.calls == [("locate", "pi1", True, "token:sam")]


def test_a_token_for_one_node_reaches_no_other_and_not_the_shutdown(site):
    with site.client(site.token("power", "pi1")) as client:
        own = client.post("/api/v1/nodes/pi1/power", json={"action": "off"})
        other = client.post("/api/v1/nodes/pi2/power", json={"action": "off"})
        located = client.put("/api/v1/nodes/pi2/locate", json={"active": True})
        shutdown = client.post("/api/v1/shutdown")
        held = site.service.power("pi3", "off", by="test")
        cancelled = client.delete(f"/api/v1/operations/{held.id}")
        read = client.get("/api/v1/nodes/pi2")
    assert own.status_code == 202
    assert [one.status_code for one in (other, located, shutdown, cancelled)] == [403] * 4
    assert "pi1" in other.json()["detail"]
    assert read.status_code == 200
    assert len(site.service.calls) == 2


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer hwctl_0011aa_wrong",
        "Bearer",
        "Basic cm9vdDpyb290",
        "Bearer " + "x" * 5000,
        "bearer hwctl_",
        "Bearer hwctl___",
    ],
)
def test_a_wrong_token_is_refused_even_for_reading(site, authorization):
    with site.client(Authorization=authorization) as client:
        read = client.get("/api/v1/rig")
        write = client.request(POWER[0], POWER[1], json=POWER[2])
    assert (read.status_code, write.status_code) == (401, 401)
    assert site.service.calls == []


def test_a_revoked_token_ends_at_once_even_if_another_process_revoked_it(site):
    token = site.tokens.create("sam", ["power"])
    with site.client(token) as client:
        before = client.put("/api/v1/nodes/pi1/locate", json={"active": True})
        TokenStore(site.tokens._path).revoke("sam")
        after = client.put("/api/v1/nodes/pi1/locate", json={"active": True})
    assert (before.status_code, after.status_code) == (200, 401)


def test_the_unix_socket_needs_no_token_and_knows_the_uid(site):
    with site.local() as client:
        answer = client.request(POWER[0], POWER[1], json=POWER[2])
    assert answer.status_code == 202
    assert answer.json()["by"] == f"local:{os.getuid()}"
    assert site.socket.stat().st_mode & 0o777 == 0o660


def test_a_token_shown_at_the_unix_socket_still_counts(site):
    with site.local(Authorization=f"Bearer {site.token('read')}") as client:
        answer = client.request(POWER[0], POWER[1], json=POWER[2])
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "unix:"},
        {"Forwarded": "for=unix"},
        {"X-Real-Ip": ""},
        {UNIX_PEER.replace("_", "-"): "0"},
        {UNIX_PEER: "0"},
        {"Host": "localhost"},
    ],
)
def test_no_header_pretends_to_be_the_unix_socket(site, headers):
    with site.client(**headers) as client:
        answer = client.request(POWER[0], POWER[1], json=POWER[2])
    assert answer.status_code == 401
    assert site.service.calls == []


def connection(client, **headers):
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection(
        {
            "type": "http",
            "path": "/api/v1/rig",
            "query_string": b"",
            "headers": raw,
            "client": client,
            "server": ("10.0.0.1", 8470),
            "state": {},
        }
    )


@pytest.fixture
def door(tmp_path):
    async def at_once(_seconds):
        pass

    return Door(
        TokenStore(tmp_path / "tokens.json"), OneTimeKey(), clock=lambda: 0.0, pause=at_once
    )


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.2", "fe80::1%eth0", "::ffff:10.0.0.7"])
def test_reading_from_another_machine_needs_the_scope_read(door, address):
    async def run():
        with pytest.raises(UnauthorisedError):
            await door.admit(connection((address, 5000)), "read")
        token = door._tokens.create("far", ["read"])
        with_token = connection((address, 5000), Authorization=f"Bearer {token}")
        assert (await door.admit(with_token, "read")).by == "token:far"
        with pytest.raises(MissingScopeError):
            await door.admit(with_token, "power")

    asyncio.run(run())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_reading_from_loopback_needs_none(door, address):
    caller = asyncio.run(door.admit(connection((address, 5000)), "read"))
    assert caller.by is None


@pytest.mark.parametrize("client", [None, ("", 0), ("nonsense", 1)])
def test_a_client_without_address_is_a_stranger(door, client):
    with pytest.raises(UnauthorisedError):
        asyncio.run(door.admit(connection(client), "read"))


def test_the_one_time_key_signs_a_browser_in_once(site):
    key = site.key.mint()
    with site.client() as client:
        answer = client.get(f"/?key={key}")
        write = client.request(POWER[0], POWER[1], json=POWER[2])
        who = client.get("/session").json()
    with site.client() as other:
        again = other.get(f"/?key={key}")
        refused = other.request(POWER[0], POWER[1], json=POWER[2])
        renewed = other.get(f"/?key={site.announced[-1]}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert str(site.server.port) in cookie.partition("=")[0]
    assert key not in cookie
    assert (write.status_code, write.json()["by"]) == (202, "session")
    assert who["scopes"] == ["admin", "config", "power", "read"]
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    assert refused.status_code == 401
    assert len(set(site.announced)) == 3
    assert renewed.status_code == 303


def test_a_wrong_key_and_a_head_request_do_not_use_the_key_up(site):
    key = site.key.mint()
    with site.client() as client:
        assert client.get("/?key=wrong").status_code == 401
        assert client.head(f"/?key={key}").status_code == 200
        assert client.get(f"/?key={key}").status_code == 303


def test_a_session_by_token_has_the_tokens_scopes_and_ends_with_it(site):
    token = site.tokens.create("sam", ["power"])
    with site.client() as client:
        signed_in = client.post("/session", json={"token": token})
        write = client.put("/api/v1/nodes/pi1/locate", json={"active": True})
        beyond = client.put("/api/v1/fans/intake", json={"mode": "auto"})
        site.tokens.revoke("sam")
        revoked = client.put("/api/v1/nodes/pi1/locate", json={"active": False})
        read = client.get("/api/v1/rig")
    assert signed_in.status_code == 200
    assert token not in signed_in.headers["set-cookie"]
    assert write.status_code == 200
    assert site.service.calls == [("locate", "pi1", True, "token:sam")]
    assert beyond.status_code == 403
    assert revoked.status_code == 401
    assert read.status_code == 200


def test_a_session_ends_after_twelve_hours_and_by_signing_out(site):
    with site.client() as client:
        client.get(f"/?key={site.key.mint()}")
        site.now += SESSION_S - 1
        before = client.put("/api/v1/nodes/pi1/locate", json={"active": True})
        site.now += 2
        after = client.put("/api/v1/nodes/pi1/locate", json={"active": True})
        client.get(f"/?key={site.key.mint()}")
        cookies = dict(client.cookies)
        assert client.delete("/session").status_code == 204
    with site.client() as thief:
        thief.cookies.update(cookies)
        stolen = thief.put("/api/v1/nodes/pi1/locate", json={"active": True})
    assert (before.status_code, after.status_code, stolen.status_code) == (200, 401, 401)


def test_sessions_are_bounded(door):
    first = door.open_session(None)
    for _ in range(MOST_SESSIONS):
        door.open_session(None)
    assert len(door._sessions) == MOST_SESSIONS
    assert door._session(first) is None


def test_signing_in_with_a_wrong_token_is_refused(site):
    with site.client() as client:
        wrong = client.post("/session", json={"token": "hwctl_00_no"})
        none = client.post("/session")
    assert (wrong.status_code, none.status_code) == (401, 401)
    assert "set-cookie" not in wrong.headers


def test_wrong_tokens_are_answered_ever_more_slowly_up_to_a_limit(site):
    with site.client("hwctl_00_wrong") as client:
        for _ in range(8):
            client.get("/api/v1/rig")
    assert site.pauses == sorted(site.pauses)
    assert site.pauses[0] < site.pauses[3] < site.pauses[-1] == MOST_DELAY_S


def test_who_guesses_delays_nobody_else_and_cannot_pile_up(make_site):
    held = threading.Event()

    async def pause(_seconds):
        await asyncio.to_thread(held.wait)

    site = make_site(pause=pause)
    answers = []

    def guess():
        with site.client("hwctl_00_wrong") as client:
            answers.append(client.get("/api/v1/rig").status_code)

    guessers = [threading.Thread(target=guess) for _ in range(MOST_WAITING + 3)]
    for one in guessers:
        one.start()
    with site.client() as client:
        assert client.get("/api/v1/rig").status_code == 200
    while len(answers) < 3:
        guessers[0].join(0.01)
    held.set()
    for one in guessers:
        one.join()
    assert sorted(answers) == [401] * MOST_WAITING + [429] * 3


@pytest.mark.parametrize("site_header", ["cross-site", "same-site", "nonsense"])
def test_another_sites_page_cannot_write(site, site_header):
    with site.client() as client:
        client.get(f"/?key={site.key.mint()}")
        answer = client.request(
            POWER[0], POWER[1], json=POWER[2], headers={"Sec-Fetch-Site": site_header}
        )
        read = client.get(
            "/api/v1/live", headers={"Sec-Fetch-Site": site_header, "Sec-Fetch-Mode": "no-cors"}
        )
    assert answer.status_code == 403
    assert answer.json()["type"] == "/docs/errors#cross-site"
    assert read.status_code == 403
    assert site.service.calls == []


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://127.0.0.1", ""]
)
def test_a_write_must_come_from_this_origin(site, origin):
    with site.client() as client:
        client.get(f"/?key={site.key.mint()}")
        answer = client.request(POWER[0], POWER[1], json=POWER[2], headers={"Origin": origin})
    assert answer.status_code == 403
    assert site.service.calls == []


@pytest.mark.parametrize(
    ("headers", "by", "why"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "unknown", "another site"),
        ({"Origin": "http://evil.example"}, "unknown", "another site"),
        ({"Host": "evil.example"}, "unknown", "by that name"),
        ({"Authorization": "Bearer hwctl_00_wrong"}, "unknown", "token is wrong"),
        ({}, "anonymous", "needs a token"),
        ({"scope": "read"}, "token:read-0", "needs the scope power"),
        ({"scope": "power", "node": "pi2"}, "token:power-0", "reaches only pi2"),
    ],
)
def test_who_is_turned_away_is_recorded_once(site, headers, by, why):
    token = None
    if "scope" in headers:
        token = site.token(headers["scope"], *([headers["node"]] if "node" in headers else []))
        headers = {}
    with site.client(token, **headers) as client:
        refused = client.request(POWER[0], POWER[1], json=POWER[2])
        client.get("/api/v1/rig")
    assert refused.status_code in (401, 403, 421)
    ((what, who, origin, said),) = site.service.away
    assert (what, who, origin) == (f"{POWER[0]} {POWER[1]}", by, "127.0.0.1")
    assert why in said
    assert site.service.calls == []


def test_our_own_page_may_write_and_a_link_may_open_it(site):
    with site.client() as client:
        client.get(f"/?key={site.key.mint()}")
        own = client.put(
            "/api/v1/nodes/pi1/locate",
            json={"active": True},
            headers={"Sec-Fetch-Site": "same-origin", "Origin": site.server.url},
        )
        linked = client.get(
            "/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        )
    assert (own.status_code, linked.status_code) == (200, 200)


def test_a_form_of_another_site_cannot_post(site):
    with site.client() as client:
        client.get(f"/?key={site.key.mint()}")
        answer = client.post(POWER[1], data={"action": "off"})
    assert answer.status_code == 415
    assert site.service.calls == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8470",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "[::1",
        "[::1]x",
        "",
        "a:b:c",
    ],
)
def test_a_rebound_name_is_refused_even_for_reading(site, host):
    with site.client(Host=host) as client:
        answer = client.get("/api/v1/rig")
        write = client.request(POWER[0], POWER[1], json=POWER[2])
    assert answer.status_code == 421
    assert answer.json()["type"] == "/docs/errors#wrong-host"
    assert write.status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8470", "127.0.0.1", "[::1]:8470", "192.168.4.1", "rig.home."]
)
def test_the_machines_own_names_are_allowed(make_site, host):
    with make_site(hosts=["Rig.home"]).client(Host=host) as client:
        assert client.get("/api/v1/rig").status_code == 200
