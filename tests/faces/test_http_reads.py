"""What can be read over HTTP, over real sockets."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from hwctl.faces.api.documents import rig_json
from hwctl.model.readings import Quality
from hwctl.model.rig import (
    FanState,
    NodeState,
    OperationState,
    OutletState,
    ShutdownState,
    StripState,
    SupplyState,
)

KINDS = ("supplies", "nodes", "outlets", "fans", "strips", "sensors")


def names(kind):
    return {field.name for field in fields(kind)}


def test_rig_is_the_snapshot_field_by_field(site):
    with site.client() as client:
        answer = client.get("/api/v1/rig")
        operation = site.service.power("pi1", "cycle", by="test")
        later = client.get("/api/v1/rig").json()
    document = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert document["name"] == "football"
    assert document["emulated"] is True
    assert set(document["supplies"][0]) == names(SupplyState)
    assert set(document["nodes"][0]) == names(NodeState)
    assert set(document["outlets"][0]) == names(OutletState)
    assert set(document["fans"][0]) == names(FanState)
    assert set(document["strips"][0]) == names(StripState)
    assert set(document["shutdown"]) == names(ShutdownState)
    assert set(later["operations"][0]) == names(OperationState)
    assert later["nodes"][1]["operation"] == operation.id
    assert document["outlets"][0]["read_back"] == "true"
    assert document["supplies"][0]["status"] == "discharging"


def test_moments_are_iso_8601_in_utc_with_milliseconds(site):
    operation = site.service.power("pi1", "off", by="test")
    site.service.set_operation(operation.id, finished=operation.started + 1.2345)
    with site.client() as client:
        rig = client.get("/api/v1/rig").json()
    expected = datetime.fromtimestamp(site.service.rig().at, UTC)
    assert rig["at"] == expected.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    shown = rig["operations"][0]
    assert shown["finished"].endswith(".234Z")
    assert shown["steps"][0]["started"].endswith("Z")
    assert shown["steps"][0]["finished"] is None
    assert datetime.fromisoformat(shown["expires"]).tzinfo is not None


def test_unknown_is_null_and_never_zero(site):
    site.service.change_node(
        "pi2", load=None, celsius=None, watts=None, age_s=None, quality=Quality.ABSENT
    )
    site.service.change_supply(charge=None, charge_margin=None, runtime_s=None)
    with site.client() as client:
        rig = client.get("/api/v1/rig").json()
    node = rig["nodes"][2]
    assert [node[key] for key in ("load", "celsius", "watts", "age_s")] == [None] * 4
    assert node["quality"] == "absent"
    assert rig["supplies"][0]["charge"] is None


def test_what_is_not_finite_is_null(stand_in):
    rig = stand_in.make_rig()
    odd = replace(rig.nodes[0], load=float("nan"), watts=float("inf"))
    document = json.loads(rig_json(replace(rig, nodes=(odd,), at=float("nan"))))
    assert document["nodes"][0]["load"] is None
    assert document["nodes"][0]["watts"] is None
    assert document["at"] is None


def test_bytes_are_made_once_for_each_snapshot_and_anew_for_the_next(site):
    with site.client() as client:
        first = client.get("/api/v1/rig")
        again = client.get("/api/v1/rig", headers={"If-None-Match": first.headers["etag"]})
        site.service.change_node("pi0", load=0.99)
        changed = client.get("/api/v1/rig", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert changed.status_code == 200
    assert changed.json()["nodes"][0]["load"] == 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_each_collection_and_each_member(site, kind):
    with site.client() as client:
        every = client.get(f"/api/v1/{kind}").json()
        single = client.get(f"/api/v1/{kind}/{every[0]['id']}").json()
        rig = client.get("/api/v1/rig").json()
        absent = client.get(f"/api/v1/{kind}/nothing")
    assert every == rig[kind]
    assert single == every[0]
    assert absent.status_code == 404
    assert absent.json()["type"] == "/docs/errors#unknown-target"
    assert every[0]["id"] in absent.json()["hint"]


def test_a_mistyped_name_is_answered_with_the_nearest(site):
    with site.client() as client:
        answer = client.get("/api/v1/fans/intak")
    assert answer.json()["hint"] == "did you mean intake?"


def test_operations_are_listed_latest_first(site):
    first = site.service.power("pi1", "cycle", by="a")
    second = site.service.power("pi2", "off", by="a")
    with site.client() as client:
        listed = client.get("/api/v1/operations").json()
        limited = client.get("/api/v1/operations?limit=1").json()
        single = client.get(f"/api/v1/operations/{first.id}").json()
    assert [one["id"] for one in listed] == [second.id, first.id]
    assert [one["id"] for one in limited] == [second.id]
    assert single["target"] == "pi1"


def test_history_gives_means_with_gaps(site, stand_in):
    with site.client() as client:
        answer = client.get(
            "/api/v1/history",
            params={
                "series": "supply/bank/watts",
                "from": "2025-11-21T04:00:00Z",
                "to": "2025-11-21T04:10:00+00:00",
                "step": 60,
            },
        ).json()
        by_default = client.get("/api/v1/history?series=node/pi1/load").json()
    assert len(answer["points"]) == 10
    assert answer["points"][0][0] == "2025-11-21T04:00:00.000Z"
    assert answer["points"][1][1] is None
    assert answer["step_s"] == 60
    assert len(by_default["points"]) == 300


def test_history_takes_epoch_seconds_and_an_unescaped_plus(site):
    with site.client() as client:
        answer = client.get(
            "/api/v1/history?series=node/pi1/load&from=1763697600&to=2025-11-21T05:00:00+00:00"
        )
    assert answer.status_code == 200
    assert answer.json()["from"] == "2025-11-21T04:00:00.000Z"
    assert answer.json()["to"] == "2025-11-21T05:00:00.000Z"


@pytest.mark.parametrize(
    ("query", "status", "where"),
    [
        ("series=node/pi1/load&from=yesterday", 422, "query.from"),
        ("series=node/pi1/load&from=nan", 422, "query.from"),
        ("series=node/pi1/load&from=200&to=100", 422, "query.from"),
        ("series=node/pi1/load&from=0&to=9999999&step=1", 422, "query.step"),
        ("series=node/pi1/load&step=-1", 422, "query.step"),
        ("from=0", 422, "query.series"),
        ("series=who/knows", 404, "who/knows"),
    ],
)
def test_history_refuses_what_makes_no_sense(site, query, status, where):
    with site.client() as client:
        answer = client.get(f"/api/v1/history?{query}")
    assert answer.status_code == status
    assert answer.json()["where"] == where


def test_health_follows_the_ticks(site):
    with site.client() as client:
        well = client.get("/healthz")
        site.service.tick_age = 2.5
        late = client.get("/healthz")
        head = client.head("/healthz")
    assert (well.status_code, well.json()["healthy"]) == (200, True)
    assert late.status_code == 503
    assert late.json()["healthy"] is False
    assert late.json()["problems"] == ["the last tick was 2.5 s ago"]
    assert head.status_code == 503


def test_health_tells_the_services_problems(site):
    site.service.change(healthy=False, problems=("the journal's disk is full",))
    with site.client() as client:
        answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["healthy"] is False
    assert answer.json()["problems"] == ["the journal's disk is full"]


def test_about_names_the_modes_of_strips(make_site):
    with make_site(min_off_s=5.0).client() as client:
        about = client.get("/api/v1/about").json()
    assert about["min_off_s"] == 5.0
    assert "load" in about["strip_modes"]


def conforms(value, schema, schemas):
    """Whether JSON fits a schema, as far as the schemas here go."""
    if "$ref" in schema:
        return conforms(value, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return any(conforms(value, one, schemas) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties")
        if not isinstance(value, dict):
            return False
        return properties is None or (
            set(schema["required"]) <= set(value) <= set(properties)
            and all(conforms(one, properties[name], schemas) for name, one in value.items())
        )
    if kind == "array":
        return isinstance(value, list) and all(
            conforms(one, schema["items"], schemas) for one in value
        )
    if kind == "string" and schema.get("format") == "date-time":
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    types = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    return isinstance(value, types[kind])


def test_openapi_is_true(site):
    site.service.tell("something")
    operation = site.service.power("pi1", "cycle", by="test")
    with site.client() as client:
        openapi = client.get("/openapi.json").json()
        rig = client.get("/api/v1/rig").json()
        events = client.get("/api/v1/events", headers={"Accept": "application/json"}).json()
        shown = client.get(f"/api/v1/operations/{operation.id}").json()
    schemas = openapi["components"]["schemas"]
    assert conforms(rig, schemas["Rig"], schemas)
    assert not conforms(rig | {"at": 1.0}, schemas["Rig"], schemas)
    assert conforms(events[0], schemas["Event"], schemas)
    assert conforms(shown, schemas["Operation"], schemas)
    for method, path in [
        ("get", "/api/v1/rig"),
        ("get", "/api/v1/nodes/{id}"),
        ("post", "/api/v1/nodes/{id}/power"),
        ("put", "/api/v1/nodes/{id}/locate"),
        ("put", "/api/v1/fans/{id}"),
        ("put", "/api/v1/strips/{id}"),
        ("delete", "/api/v1/operations/{operation_id}"),
        ("post", "/api/v1/shutdown"),
        ("delete", "/api/v1/shutdown"),
        ("get", "/api/v1/events"),
        ("get", "/api/v1/history"),
        ("get", "/healthz"),
        ("get", "/metrics"),
    ]:
        said = openapi["paths"][path][method]
        assert "application/problem+json" in said["responses"]["default"]["content"]
    assert openapi["paths"]["/api/v1/shutdown"]["post"]["security"] == [{"token": ["power"]}]
    refs = {part.split('"')[0] for part in json.dumps(openapi).split("#/components/schemas/")[1:]}
    assert refs <= set(schemas)


def test_pages_name_no_address_outside(site):
    with site.client() as client:
        index = client.get("/")
        paths = ["/", "/docs", "/docs/errors"]
        paths += [f"/assets/{name}" for name in ("app.js", "style.css", "docs.js", "docs.css")]
        texts = {path: client.get(path) for path in paths}
        missing = client.get("/assets/__init__.py")
    for path, answer in texts.items():
        assert answer.status_code == 200, path
        assert "//" not in answer.text.replace("http://www.w3.org", "").replace("// ", ""), path
    assert "<style" not in index.text
    assert " style=" not in index.text
    assert " onclick=" not in index.text
    assert index.text.count("<script") == index.text.count('<script type="module" src="/assets/')
    assert missing.status_code == 404


def test_every_module_that_a_page_imports_is_served(site):
    with site.client() as client:
        seen, ahead = set(), ["app.js", "docs.js"]
        while ahead:
            name = ahead.pop()
            seen.add(name)
            answer = client.get(f"/assets/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["content-type"].startswith("text/javascript")
            imported = [
                line.rpartition('from "./')[2].rstrip('";')
                for line in answer.text.splitlines()
                if line.startswith(("import ", "} from"))
            ]
            ahead += [one for one in imported if one not in seen]
    assert {"dom.js", "nodes.js", "strip.js"} <= seen


def test_security_headers_are_on_every_answer(site):
    with site.client() as client:
        answers = [
            client.get("/"),
            client.get("/api/v1/rig"),
            client.get("/nowhere"),
            client.post("/api/v1/shutdown"),
            client.get("/assets/app.js"),
        ]
        site.service.broken = True
        answers.append(client.get("/api/v1/rig"))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
