"""Several nodes at once: names, ranges, groups; and nothing that could be typed by mistake."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.errors import RequestError, UnknownTargetError
from hwctl.model.targets import expand
from hwctl.model.wiring import Wiring

PI = [f"pi{index}" for index in range(12)]
RACK = [f"r1-n{index:02d}" for index in range(1, 13)]
SPARE = ["spare", "spare-b"]
GROUPS = {"half": ["pi0", "pi1", "pi2"], "storage": ["spare"], "mixed_1": ["r1-n01", "pi3"]}


def wiring(*names):
    roles = {"pi0": "orchestrator", "spare": "storage", "spare-b": "storage"}
    return Wiring.model_validate(
        {
            "rig": {"name": "many"},
            "board": {"model": "any"},
            "node": {name: {"role": roles.get(name, "compute")} for name in names},
        }
    )


RIG = wiring(*PI, *RACK, *SPARE)

ROWS = {
    "one": (["pi1"], ["pi1"]),
    "in the wiring's order, each once": (["pi3", "pi1", "pi3", "pi0"], ["pi0", "pi1", "pi3"]),
    "with commas": (["pi1,pi0", "pi2"], ["pi0", "pi1", "pi2"]),
    "a range": (["pi[1-3]"], ["pi1", "pi2", "pi3"]),
    "a range of one": (["pi[2-2]"], ["pi2"]),
    "a list in brackets": (["pi[0,4-5,7]"], ["pi0", "pi4", "pi5", "pi7"]),
    "ranges side by side": (["pi[0-1],pi[4,6]"], ["pi0", "pi1", "pi4", "pi6"]),
    "over the tens": (["pi[9-11]"], ["pi9", "pi10", "pi11"]),
    "with leading zeros": (["r1-n[08-11]"], ["r1-n08", "r1-n09", "r1-n10", "r1-n11"]),
    "a role": (["@orchestrator"], ["pi0"]),
    "a group of the settings": (["@half"], ["pi0", "pi1", "pi2"]),
    "a group goes before a role of that name": (["@storage"], ["spare"]),
    "a group and a name": (["@mixed_1", "spare-b"], ["pi3", "r1-n01", "spare-b"]),
    "all": (["all"], [*PI, *RACK, *SPARE]),
    "all, as a group": (["@all"], [*PI, *RACK, *SPARE]),
    "with blanks": ([" pi1 , pi2 "], ["pi1", "pi2"]),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_is_meant(row):
    wanted, nodes = ROWS[row]
    assert list(expand(wanted, RIG, GROUPS).nodes) == nodes


def test_what_was_named_itself_is_told_from_members_of_groups():
    assert expand(["pi1", "pi[3-4]", "@half"], RIG, GROUPS).named == {"pi1", "pi3", "pi4"}
    assert expand(["all"], RIG, GROUPS).named == frozenset()


def test_a_node_called_all_is_a_node():
    assert expand(["all"], wiring("all", "pi0"), {}).nodes == ("all",)


UNKNOWN = {
    "a node": ("pi99", "there is no node 'pi99'", "there are: pi0, pi1, "),
    "within a range": ("pi[10-13]", "there is no node 'pi12'", "there are: "),
    "zeros that are not there": ("pi[01-02]", "there is no node 'pi01'", "there are: "),
    "zeros that are missing": ("r1-n[8-9]", "there is no node 'r1-n8'", "there are: "),
    "a group": ("@racks", "there is no group @racks", "there are: compute, half, mixed_1, "),
    "a nameless group": ("@", "there is no group @", "there are: "),
    "a long one": ("x" * 500, f"there is no node '{'x' * 64}'", "there are: "),
    "capitals": ("PI1", "there is no node 'PI1'", "there are: "),
}


@pytest.mark.parametrize("row", UNKNOWN)
def test_what_is_unknown_is_named_beside_what_there_is(row):
    word, what, hint = UNKNOWN[row]
    with pytest.raises(UnknownTargetError) as caught:
        expand(["pi1", word], RIG, GROUPS)
    assert caught.value.what == what
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "word",
    [
        "pi[3-1]", "pi[]", "pi[1-]", "pi[-1]", "pi[1--2]", "pi[1", "pi1]", "pi[[1]]", "pi[a-b]",
        "pi[1-2][3-4]", "pi[1,,2]", "", ",", "pi1,", "pi[²]", "pi[1 - 2]",
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused(word):
    with pytest.raises(RequestError):
        expand([word], RIG, GROUPS)


@pytest.mark.parametrize("word", ["pi[0-4096]", "pi[0-99999999999999999999]"])
def test_a_range_is_bounded_before_it_is_spelled_out(word):
    with pytest.raises(RequestError, match="too many nodes"):
        expand([word], RIG, GROUPS)


@pytest.mark.parametrize("wanted", [[], [" "]])
def test_nothing_is_no_command(wanted):
    with pytest.raises(RequestError):
        expand(wanted, RIG, GROUPS)


def test_an_empty_group_is_no_command():
    with pytest.raises(RequestError, match="no node is named"):
        expand(["@none"], RIG, {"none": []})


WORDS = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="pi[]-,@0123456789al ", max_size=30),
    st.sampled_from([*PI, "@half", "all", "pi[1-3]"]),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS, max_size=5))
def test_whatever_is_typed_there_are_nodes_or_a_refusal(wanted):
    try:
        found = expand(wanted, RIG, GROUPS)
    except RequestError:
        return
    assert found.nodes
    assert set(found.nodes) <= set(RIG.node)
    assert found.named <= set(found.nodes)
    assert list(found.nodes) == [name for name in RIG.node if name in found.nodes]
