"""Which node needs which, and which stand in a group: every fault at its line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.config.load import check, load
from hwctl.config.needs import needs, ring

COMPUTE = 'role = "compute"'
ORCHESTRATOR = 'role = "orchestrator"'
PORT = "port = 8470"


def more(line: str, after: str) -> tuple[str, str]:
    return after, f"{after}\n{line}"


FAULTS = {
    "an unknown node": (
        [more('needs = ["pi0", "pi7"]', COMPUTE)], [],
        "needs = ", "there is no node `pi7`", "did you mean `pi1`? node tables in this file: ",
    ),
    "itself": (
        [more('needs = ["pi1"]', COMPUTE)], [],
        "needs = ", "node `pi1` needs itself", "take it out of its `needs`",
    ),
    "a ring": (
        [more('needs = ["pi1"]', ORCHESTRATOR), more('needs = ["pi0"]', COMPUTE)], [],
        'needs = ["pi1"]',
        "nodes need each other in a ring: `pi0` needs `pi1` needs `pi0`",
        "take `pi1` out of these `needs`",
    ),
    "a ring with what the stages say": (
        [more('needs = ["pi1"]', ORCHESTRATOR)], [],
        "needs = ", "nodes need each other in a ring: `pi0` needs `pi1` needs `pi0`; a node "
        "without `needs` needs those of the later stages", "take `pi1` out",
    ),
    "an unknown node in a group": (
        [], [more('[group]\nhalf = ["pi0", "pi7"]', PORT)],
        "half = ", "group `half` names `pi7`, but there is no such node in small.toml",
        "did you mean `pi1`? known: `pi0`, `pi1`",
    ),
    "an empty group": (
        [], [more("[group]\nhalf = []", PORT)],
        "half = ", "group `half` has no nodes", "name some, or remove it",
    ),
    "a group called all": (
        [], [more('[group]\nall = ["pi0"]', PORT)],
        "all = ", "`all` always means all nodes", "give the group another name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_once_at_its_line(rig, fault):
    wiring, settings_, line, what, hint = FAULTS[fault]
    found = check(rig(tuple(wiring), tuple(settings_)))
    assert len(found) == 1, "\n".join(map(str, found))
    problem = found[0]
    assert problem.severity == "error"
    assert problem.what == what
    assert problem.hint.startswith(hint)
    assert line in Path(problem.file).read_text().splitlines()[problem.line - 1]


def test_a_ring_of_a_wiring_file_alone_is_found_too(rig):
    path = rig((more('needs = ["pi1"]', ORCHESTRATOR), more('needs = ["pi0"]', COMPUTE)))
    (problem,) = check(path.with_name("small.toml"))
    assert "in a ring" in problem.what


def test_what_is_needed_is_what_the_table_says_or_the_later_stages(rig):
    loaded = load(rig())
    assert needs(loaded.wiring, loaded.settings) == {"pi0": (), "pi1": ("pi0",)}
    loaded = load(rig((more("needs = []", COMPUTE),)))
    assert needs(loaded.wiring, loaded.settings) == {"pi0": (), "pi1": ()}
    loaded = load(rig((more('needs = ["pi1"]', ORCHESTRATOR), more("needs = []", COMPUTE))))
    assert needs(loaded.wiring, loaded.settings) == {"pi0": ("pi1",), "pi1": ()}


def test_a_group_that_is_right_is_taken(rig):
    path = rig(settings=(more('[group]\nhalf = ["pi1"]', PORT),))
    assert load(path).settings.group == {"half": ("pi1",)}


NODES = st.sampled_from("abcdef")


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(NODES, st.lists(NODES, unique=True)))
def test_a_ring_is_found_if_and_only_if_there_is_one(wanted):
    """Against taking away, again and again, what needs nothing that is left."""
    left = {name: set(others) - {name} for name, others in wanted.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    found = ring(wanted)
    assert bool(found) == bool(left)
    for one, other in zip(found, (*found[1:], *found[:1]), strict=True):
        assert other in wanted[one]
