"""The token store: what it keeps, what it refuses, and what happens to a damaged file."""

import json
import multiprocessing
import os
import stat

import pytest

from hwctl.engine.tokens import TokenStore
from hwctl.model.errors import ConfigError, NotPossibleError, RequestError, UnknownTargetError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "tokens.json"


@pytest.fixture
def store(path):
    return TokenStore(path, clock=lambda: 1000.0)


def test_a_token_is_shown_once_and_only_its_hash_is_kept(store, path):
    token = store.create("sam", ["power"], ["pi1", "pi2"])
    prefix, token_id, secret = token.split("_", 2)
    grant = store.check(token)
    assert prefix == "hwctl"
    assert len(secret) >= 43  # 256 bits in base64
    assert secret not in path.read_text()
    assert grant is not None
    assert (grant.name, grant.id, grant.created) == ("sam", token_id, 1000.0)
    assert grant.nodes == {"pi1", "pi2"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.create("eve", ["power"]) != token


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["read"], {"read"}),
        (["power"], {"read", "power"}),
        (["config"], {"read", "config"}),
        (["power", "config"], {"read", "power", "config"}),
        (["admin"], {"read", "power", "config", "admin"}),
    ],
)
def test_what_scopes_include(store, scopes, allowed):
    grant = store.check(store.create("sam", scopes))
    assert {one for one in ("read", "power", "config", "admin") if grant.allows(one)} == allowed


def test_near_misses_are_refused(store):
    token = store.create("sam", ["read"])
    _, token_id, secret = token.split("_", 2)
    other = store.create("eve", ["read"]).split("_", 2)
    for wrong in (
        "",
        "hwctl",
        "hwctl__",
        token[:-1],
        token + "x",
        token.upper(),
        f"hwctl_{token_id}_",
        f"hwctl_{other[1]}_{secret}",
        f"HWCTL_{token_id}_{secret}",
        f"hwctl_{token_id}_{secret}\udcff",
    ):
        assert store.check(wrong) is None, wrong


def test_a_change_by_another_process_is_seen(store, path):
    assert store.check("hwctl_a_b") is None
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        token = pool.apply(_create, (str(path), "far"))
    assert store.check(token).name == "far"
    TokenStore(path).revoke("far")
    assert store.check(token) is None


def _create(path, name):
    from pathlib import Path

    return TokenStore(Path(path)).create(name, ["read"])


def test_list_and_revoke(path):
    now = [1.0]
    store = TokenStore(path, clock=lambda: now[0])
    store.create("first", ["read"])
    now[0] = 2.0
    token = store.create("second", ["admin"])
    assert [one.name for one in store.list()] == ["first", "second"]
    assert store.grant(store.list()[1].id) == store.list()[1]
    store.revoke("second")
    assert [one.name for one in store.list()] == ["first"]
    assert store.check(token) is None
    with pytest.raises(UnknownTargetError):
        store.revoke("second")


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("", ["read"]),
        ("a b", ["read"]),
        ("../x", ["read"]),
        ("x" * 65, ["read"]),
        ("sam\n", ["read"]),
        ("sam", []),
        ("sam", ["root"]),
        ("sam", "read"),
    ],
)
def test_what_cannot_be_is_refused(store, path, name, scopes):
    with pytest.raises(RequestError) as caught:
        store.create(name, scopes)
    assert caught.value.hint
    assert not path.exists()


def test_a_name_is_given_once(store):
    token = store.create("sam", ["read"])
    with pytest.raises(NotPossibleError, match="sam"):
        store.create("sam", ["admin"])
    assert not store.check(token).allows("admin")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"format": 2, "tokens": []}',
        b'{"format": 1}',
        b'{"format": 1, "tokens": [{"id": "a"}]}',
        b'{"format": 1, "tokens": [{"id": "a", "name": "b", "scopes": ["root"], "nodes": [],'
        b' "created": 1, "sha256": "00"}]}',
    ],
)
def test_a_damaged_file_is_said_so_and_left_as_it_is(store, path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    for attempt in (
        lambda: store.check("hwctl_a_b"),
        store.list,
        lambda: store.create("sam", ["read"]),
        lambda: store.revoke("sam"),
    ):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert str(path) in str(caught.value)
        assert caught.value.hint
    assert path.read_bytes() == content


def test_a_file_that_others_may_write_is_not_trusted(store, path):
    token = store.create("sam", ["admin"])
    path.chmod(0o666)
    os.utime(path)
    with pytest.raises(ConfigError, match="others may write"):
        store.check(token)


def test_a_failed_write_leaves_the_old_file_and_no_scraps(store, path):
    token = store.create("sam", ["read"])
    before = path.read_bytes()
    path.rename(path.with_name("kept"))
    path.mkdir()  # cannot be replaced by a file
    with pytest.raises(ConfigError):
        store.create("eve", ["read"])
    path.rmdir()
    path.with_name("kept").rename(path)
    assert path.read_bytes() == before
    assert store.check(token) is not None
    assert not [
        one
        for one in path.parent.iterdir()
        if one.name.startswith(f".{path.name}.") and not one.name.endswith(".lock")
    ]


def test_the_file_can_be_read_by_people(store, path):
    store.create("sam", ["power"], ["pi1"])
    document = json.loads(path.read_text())
    assert document["tokens"][0]["name"] == "sam"
    assert set(document["tokens"][0]) == {"id", "name", "scopes", "nodes", "created", "sha256"}


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
SERVICE = (23456, 23457)
"""A user and a group that no machine has."""


@needs_root
def test_what_root_makes_belongs_to_whom_the_directory_belongs_to(store, path):
    """`sudo hwctl token create`: the service could not read a file of root's."""
    path.parent.mkdir(mode=0o700)
    os.chown(path.parent, *SERVICE)
    store.create("sam", ["power"])
    store.create("eve", ["read"])
    store.revoke("sam")
    made = list(path.parent.iterdir())
    assert {one.name for one in made} == {"tokens.json", ".tokens.json.lock"}
    for one in made:
        facts = one.stat()
        assert (facts.st_uid, facts.st_gid) == SERVICE
        assert stat.S_IMODE(facts.st_mode) == 0o600


@needs_root
def test_a_file_of_roots_from_before_is_given_back_at_the_next_change(store, path):
    store.create("sam", ["power"])
    os.chown(path.parent, *SERVICE)
    store.create("eve", ["read"])
    assert (path.stat().st_uid, path.stat().st_gid) == SERVICE


@needs_root
def test_root_gives_nothing_away_that_a_planted_link_leads_to(store, path, tmp_path):
    precious = tmp_path / "shadow"
    precious.write_text("secret")
    path.parent.mkdir()
    path.with_name(f".{path.name}.lock").symlink_to(precious)
    os.chown(path.parent, *SERVICE)
    with pytest.raises(ConfigError):
        store.create("sam", ["power"])
    assert precious.stat().st_uid == os.getuid()
    assert precious.read_text() == "secret"
