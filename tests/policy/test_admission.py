"""Whether a board may be switched on, and what is said if it may not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.policy.admission import Energy, RailLoad, admit, no_headroom, too_little

AMPS = st.floats(0, 100)


@pytest.mark.parametrize(
    ("drawn", "reserved", "inrush", "admitted"),
    [
        (0.0, 0.0, 3.0, True),
        (7.0, 2.0, 3.0, True),
        (7.0, 2.1, 3.0, False),
        (9.1, 0.0, 3.0, False),
        (12.0, 0.0, 0.0, True),
    ],
)
def test_the_inrush_must_fit_beside_what_is_drawn_and_what_may_still_come(
    drawn, reserved, inrush, admitted
):
    assert admit(RailLoad(12.0, drawn, reserved), inrush) is admitted


@settings(max_examples=50, deadline=None)
@given(AMPS, AMPS, AMPS, st.lists(AMPS, max_size=20))
def test_however_many_ask_the_budget_is_never_exceeded(budget, drawn, reserved, inrushes):
    for inrush in inrushes:
        if admit(RailLoad(budget, drawn, reserved), inrush):
            reserved += inrush
            assert drawn + reserved <= budget + 1e-9


def test_waiting_helps_against_the_inrush_of_others_and_not_against_what_is_drawn():
    """Only what waiting cannot mend is refused; the figures say why."""
    assert no_headroom("5v", RailLoad(12.0, 6.0, 5.9), 1, 3.0) is None
    assert no_headroom("5v", RailLoad(12.0, 9.5, 0.0), 1, 3.0) == (
        "rail 5v carries 9.5 A of 12 A, and it needs 3 A more at the start"
    )
    assert "the first of these 4 needs" in str(no_headroom("5v", RailLoad(12.0, 9.5, 0.0), 4, 3.0))


@settings(max_examples=50, deadline=None)
@given(AMPS, AMPS, AMPS, AMPS)
def test_what_is_refused_could_not_be_admitted_either(budget, drawn, reserved, inrush):
    load = RailLoad(budget, drawn, reserved)
    if no_headroom("5v", load, 1, inrush) is not None:
        assert not admit(load, inrush)


def test_the_time_left_is_that_at_the_draw_with_the_new_boards():
    # 600 s at 10 W are 6,000 J; at 15 W they last 400 s.
    bank = Energy("bank", left_low_s=600.0, watts=10.0, threshold_s=399.0)
    assert too_little(bank, 5.0) is None
    short = Energy("bank", left_low_s=600.0, watts=10.0, threshold_s=400.0)
    assert too_little(short, 5.0) == (
        "bank would last 400 s at 15.0 W, and a shutdown is begun at 400 s"
    )


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0, 1e5), st.floats(0, 1e3), st.floats(0, 1e3)
)
def test_more_boards_are_never_easier_to_carry(left, watts, threshold, some, more):
    energy = Energy("bank", left, watts, threshold)
    if too_little(energy, some) is not None:
        assert too_little(energy, some + more) is not None
