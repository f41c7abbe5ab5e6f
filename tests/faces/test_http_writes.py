"""Commands over HTTP: what the service is asked for, and what is refused before it is asked."""

import os

import pytest


def test_power_begins_an_operation_that_can_be_watched_and_cancelled(site):
    with site.local() as client:
        answer = client.post(
            "/api/v1/nodes/pi1/power",
            json={"action": "cycle", "reason": "does not answer"},
            headers={"Idempotency-Key": "abc-1"},
        )
        watched = client.get(answer.headers["location"])
        cancelled = client.delete(answer.headers["location"])
        again = client.delete(answer.headers["location"])
    assert answer.status_code == 202
    assert answer.json()["state"] == "running"
    assert answer.headers["location"] == f"/api/v1/operations/{answer.json()['id']}"
    verb, node, action, force, reason, by, key = site.service.calls[0]
    assert (verb, node, action, force, reason, key) == (
        "power",
        "pi1",
        "cycle",
        False,
        "does not answer",
        "abc-1",
    )
    assert by.startswith("local:")
    assert watched.json()["id"] == answer.json()["id"]
    assert cancelled.json()["state"] == "cancelled"
    assert again.status_code == 409
    assert again.json()["type"] == "/docs/errors#not-possible"


def test_the_same_idempotency_key_gives_the_same_operation(site):
    with site.local(**{"Idempotency-Key": "once"}) as client:
        first = client.post("/api/v1/nodes/pi1/power", json={"action": "cycle"})
        second = client.post("/api/v1/nodes/pi1/power", json={"action": "cycle"})
    assert first.json()["id"] == second.json()["id"]
    assert len(site.service.calls) == 1


def test_two_commands_for_one_node_the_second_is_told_which_holds_it(site):
    with site.local() as client:
        first = client.post("/api/v1/nodes/pi1/power", json={"action": "cycle"})
        second = client.post("/api/v1/nodes/pi1/power", json={"action": "off"})
    problem = second.json()
    assert second.status_code == 409
    assert second.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "/docs/errors#target-busy"
    assert problem["operation"] == first.json()["id"]
    assert problem["retryable"] is True
    assert problem["hint"]
    assert len(site.service.calls) == 1


def test_a_protected_node_and_a_full_journal(site):
    site.service.change_node("pi0", protected=True)
    with site.local() as client:
        protected = client.post("/api/v1/nodes/pi0/power", json={"action": "off"})
        site.service.journal_writable = False
        full = client.post("/api/v1/nodes/pi1/power", json={"action": "off"})
    assert (protected.status_code, protected.json()["type"]) == (403, "/docs/errors#not-allowed")
    assert (full.status_code, full.json()["type"]) == (503, "/docs/errors#journal-unavailable")
    assert full.json()["retryable"] is True
    assert site.service.calls == []


def test_locate_fans_and_strips(site):
    with site.local() as client:
        located = client.put("/api/v1/nodes/pi2/locate", json={"active": True})
        manual = client.put(
            "/api/v1/fans/intake", json={"mode": "manual", "duty": 0.6, "for_s": 60}
        )
        auto = client.put("/api/v1/fans/intake", json={"mode": "auto"})
        strip = client.put("/api/v1/strips/lid", json={"mode": "charge", "brightness": 1})
        dimmed = client.put("/api/v1/strips/lid", json={"brightness": 0.25})
    by = f"local:{os.getuid()}"
    assert located.json()["locate"] is True
    assert manual.json()["mode"] == "manual"
    assert auto.json()["mode"] == "auto"
    assert strip.json()["mode"] == "charge"
    assert dimmed.json()["brightness"] == 0.25
    assert site.service.calls == [
        ("locate", "pi2", True, by),
        ("fan", "intake", "manual", 0.6, 60.0, by),
        ("fan", "intake", "auto", 0.0, 0.0, by),
        ("strip", "lid", "charge", 1.0, by),
        ("strip", "lid", None, 0.25, by),
    ]


def test_shutdown_is_started_and_called_off(site):
    with site.local() as client:
        started = client.post("/api/v1/shutdown", json={"reason": "going home"})
        bare = client.post("/api/v1/shutdown")
        called_off = client.delete("/api/v1/shutdown")
    assert (started.status_code, started.json()["state"]) == (202, "running")
    assert bare.status_code == 202
    assert (called_off.status_code, called_off.json()["state"]) == (200, "standby")
    assert [call[:2] for call in site.service.calls[:2]] == [
        ("shutdown_start", "going home"),
        ("shutdown_start", ""),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "where"),
    [
        ("POST", "/api/v1/nodes/pi1/power", {}, "body.action"),
        ("POST", "/api/v1/nodes/pi1/power", {"action": "explode"}, "body.action"),
        ("POST", "/api/v1/nodes/pi1/power", {"action": "off", "force": "yes"}, "body.force"),
        ("POST", "/api/v1/nodes/pi1/power", {"action": "off", "now": True}, "body.now"),
        ("POST", "/api/v1/nodes/pi1/power", {"action": "off", "reason": "a\nb"}, "body.reason"),
        ("POST", "/api/v1/nodes/pi1/power", {"action": "off", "reason": "x" * 201}, "body.reason"),
        ("POST", "/api/v1/nodes/pi1/power", [1], "body"),
        ("PUT", "/api/v1/nodes/pi1/locate", {"active": 1}, "body.active"),
        ("PUT", "/api/v1/fans/intake", {"mode": "manual"}, "body.manual.duty"),
        ("PUT", "/api/v1/fans/intake", {"mode": "manual", "duty": 1.1}, "body.manual.duty"),
        ("PUT", "/api/v1/fans/intake", {"mode": "manual", "duty": "0.5"}, "body.manual.duty"),
        ("PUT", "/api/v1/fans/intake", {"mode": "auto", "duty": 0.5}, "body.auto.duty"),
        ("PUT", "/api/v1/fans/intake", {"mode": "turbo"}, "body"),
        ("PUT", "/api/v1/strips/lid", {}, "body"),
        ("PUT", "/api/v1/strips/lid", {"mode": "disco"}, "body.mode"),
        ("PUT", "/api/v1/strips/lid", {"brightness": -0.1}, "body.brightness"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(site, method, path, body, where):
    with site.local() as client:
        answer = client.request(method, path, json=body)
    problem = answer.json()
    assert answer.status_code == 422
    assert problem["type"] == "/docs/errors#invalid-request"
    assert problem["where"] == where
    assert problem["errors"][0]["where"] == where
    assert site.service.calls == []


@pytest.mark.parametrize("duty", [b"NaN", b"Infinity", b"1e999", b"-Infinity"])
def test_a_number_that_is_none_is_refused(site, duty):
    with site.local(**{"Content-Type": "application/json"}) as client:
        answer = client.put(
            "/api/v1/fans/intake", content=b'{"mode": "manual", "duty": ' + duty + b"}"
        )
    assert answer.status_code in (400, 422)
    assert site.service.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nodes/pi9/power",
        "/api/v1/nodes/..%2f..%2fetc/power",
        "/api/v1/nodes/%00/power",
        "/api/v1/nodes/pi1;reboot/power",
    ],
)
def test_an_unknown_node_is_404_and_nothing_happens(site, path):
    with site.local() as client:
        answer = client.post(path, json={"action": "off"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert site.service.calls == []


@pytest.mark.parametrize("key", ["", "x" * 201, "a b"])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(site, key):
    with site.local(**{"Idempotency-Key": key}) as client:
        answer = client.post("/api/v1/nodes/pi1/power", json={"action": "off"})
    assert answer.status_code == 422
    assert site.service.calls == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/nodes/pi9/power", {"action": "off"}),
        ("POST", "/api/v1/power", {"action": "off", "nodes": ["pi1", "pi9"]}),
        ("PUT", "/api/v1/nodes/pi9/locate", {"active": True}),
        ("PUT", "/api/v1/fans/none", {"mode": "auto"}),
        ("PUT", "/api/v1/strips/none", {"mode": "off"}),
        ("DELETE", "/api/v1/operations/none", None),
    ],
)
@pytest.mark.parametrize("limited", [False, True])
def test_what_is_not_there_is_for_the_engine_to_refuse_and_to_record(
    site, method, path, body, limited
):
    """A token that reaches only some nodes is told no more than that."""
    token = site.token("admin", *(["pi1"] if limited else []))
    with site.client(token) as client:
        answer = client.request(method, path, json=body)
    assert answer.status_code in ((403, 404) if limited else (404,))
    assert site.service.calls == []


def test_several_nodes_are_begun_together(site):
    with site.client(site.token("power")) as client:
        answer = client.post(
            "/api/v1/power",
            json={"action": "off", "nodes": ["pi1", "pi2"], "reason": "night"},
            headers={"Idempotency-Key": "k"},
        )
    assert answer.status_code == 202
    assert [one["target"] for one in answer.json()] == ["pi1", "pi2"]
    assert [call[1:6] for call in site.service.calls] == [
        ("pi1", "off", False, "night", "token:power-0"),
        ("pi2", "off", False, "night", "token:power-0"),
    ]


def test_a_token_for_one_node_does_not_reach_a_group_with_others(site):
    with site.client(site.token("power", "pi1")) as client:
        own = client.post("/api/v1/power", json={"action": "off", "nodes": ["pi1"]})
        more = client.post("/api/v1/power", json={"action": "off", "nodes": ["all"]})
    assert (own.status_code, more.status_code) == (202, 403)
    assert len(site.service.calls) == 1
    assert [(what, by) for what, by, _, _ in site.service.away] == [
        ("POST /api/v1/power", "token:power-0")
    ]


@pytest.mark.parametrize(
    ("nodes", "where"),
    [([], "body.nodes"), ("pi1", "body.nodes"), (["pi 1"], "body.nodes.0"), ([""], "body.nodes.0")],
)
def test_nodes_are_a_list_of_names(site, nodes, where):
    with site.local() as client:
        answer = client.post("/api/v1/power", json={"action": "off", "nodes": nodes})
    assert answer.status_code == 422
    assert answer.json()["where"] == where
