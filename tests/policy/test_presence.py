"""What is known of a node's operating system, and never more than that."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.drivers import LoadSample
from hwctl.model.readings import ABSENT, Quality
from hwctl.model.rig import Os
from hwctl.policy.presence import Limits, Presence, hear, quality, step

LIMITS = Limits(stale_s=4.0, unreachable_s=12.0, boot_s=180.0)


def sample(busy, total, boot="b1", celsius=50.0, cpus=4, **kwargs) -> LoadSample:
    return LoadSample(
        busy_s=busy, total_s=total, boot_id=boot, celsius=celsius, cpus=cpus, **kwargs
    )


def seen(state: Presence, now: float, powered: bool | None = True, halt=False) -> Presence:
    return step(state, now, powered=powered, asked_to_halt=halt, limits=LIMITS)


def up(now: float = 100.0) -> Presence:
    """A node that has answered twice, the last time at ``now``, with a load of 0.5."""
    state = hear(Presence(), now - 1, sample(1000.0, 4000.0), "pi1")
    return seen(hear(state, now, sample(1002.0, 4004.0), "pi1"), now)


def test_one_answer_tells_no_load():
    state = seen(hear(Presence(), 100.0, sample(1000.0, 4000.0), "pi1"), 100.0)
    assert state.os is Os.UP
    assert state.load == ABSENT
    assert state.celsius.value == 50.0


def test_load_is_the_quotient_of_what_the_counters_went_on_by():
    assert up().load.value == pytest.approx(0.5)


def test_a_load_that_is_told_is_taken():
    state = hear(Presence(), 5.0, LoadSample(load=0.25), "pi1")
    assert state.load.value == 0.25


@pytest.mark.parametrize("told", [math.nan, math.inf, -0.1, 1.5])
def test_a_load_that_cannot_be_is_not_taken(told):
    assert hear(Presence(), 5.0, LoadSample(load=told), "pi1").load == ABSENT


def test_silence_is_stale_then_unreachable_and_never_zero():
    state = up()
    for now, os, fresh in (
        (104.0, Os.UP, Quality.OK), (104.1, Os.UP, Quality.STALE),
        (112.0, Os.UP, Quality.STALE), (112.1, Os.UNREACHABLE, Quality.STALE),
        (9999.0, Os.UNREACHABLE, Quality.STALE),
    ):  # fmt: skip
        state = seen(state, now)
        assert (state.os, state.load.quality) == (os, fresh)
        assert state.load.value == pytest.approx(0.5)
        assert state.load.taken == 100.0
        assert quality(state, now, LIMITS) is fresh


def test_it_answers_again():
    state = seen(up(), 500.0)
    state = seen(hear(state, 501.0, sample(1400.0, 5608.0), "pi1"), 501.0)
    assert state.os is Os.UP
    assert state.load.quality is Quality.OK
    assert state.load.value == pytest.approx(398 / 1604)


def test_never_heard():
    state = seen(Presence(), 10.0)
    assert state.os is Os.BOOTING
    assert seen(state, 189.9).os is Os.BOOTING
    assert seen(state, 190.1).os is Os.UNREACHABLE
    assert seen(Presence(), 10.0, powered=None).os is Os.UNKNOWN
    assert quality(state, 10.0, LIMITS) is Quality.ABSENT


def test_without_its_feed_it_is_halted_and_nothing_of_before_counts():
    state = seen(up(), 101.0, powered=False)
    assert state == Presence(os=Os.HALTED, boot_id="b1")
    state = seen(state, 110.0, powered=True)
    assert state.os is Os.BOOTING
    assert state.heard is None
    state = hear(state, 140.0, sample(10.0, 100.0, boot="b2"), "pi1")
    assert (state.boot_id, state.load) == ("b2", ABSENT)


def test_halting_as_long_as_it_is_asked_to():
    assert seen(up(), 101.0, halt=True).os is Os.HALTING
    assert seen(up(), 900.0, halt=True).os is Os.HALTING


def test_a_clock_that_was_set_is_no_boot():
    state = hear(up(), 101.0, sample(1003.0, 4008.0, boot="moved"), "pi1")
    assert state.boot_id == "b1"
    assert state.load.value == pytest.approx(0.25)


def test_a_clock_that_was_set_while_nobody_heard_is_no_boot():
    state = hear(up(), 3700.0, sample(2000.0, 4004.0 + 4 * 3600, boot="moved"), "pi1")
    assert state.boot_id == "b1"


def test_a_boot_is_seen_though_it_has_counted_further_than_the_one_before():
    """A board that had just booted is reset, and heard again only after a minute."""
    state = hear(Presence(), 100.0, sample(5.0, 40.0), "pi1")
    state = hear(state, 170.0, sample(30.0, 200.0, boot="b2"), "pi1")
    assert state.boot_id == "b2"
    assert state.load == ABSENT


@pytest.mark.parametrize(
    ("busy", "total"),
    [(900.0, 3000.0), (900.0, 4005.0), (1003.0, 3999.0), (2000.0, 4005.0), (1002.0, 4004.0)],
)
def test_counters_that_run_backwards_or_too_fast_tell_no_load(busy, total):
    state = hear(up(), 101.0, sample(busy, total), "pi1")
    assert state.load.taken == 100.0
    assert seen(state, 104.5).load.quality is Quality.STALE
    state = hear(state, 102.0, sample(busy + 1, total + 4), "pi1")
    assert state.load.value == pytest.approx(0.25)


def test_an_answer_that_tells_no_temperature_leaves_none():
    state = hear(up(), 101.0, sample(1003.0, 4008.0, celsius=None), "pi1")
    assert state.celsius.value is None
    assert state.celsius.quality is Quality.ABSENT
    assert state.told_temperature


numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1e5))
answers = st.builds(
    LoadSample,
    busy_s=numbers, total_s=numbers, cpus=st.sampled_from((None, 4)), celsius=numbers, load=numbers,
    boot_id=st.sampled_from((None, "b1", "b2")),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 40.0), st.one_of(st.none(), answers),
            st.sampled_from((True, True, None, False)), st.booleans(),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_whatever_it_answers_nothing_is_made_up(history):
    state, now, told_load = Presence(), 50.0, False
    for passed, answer, powered, halt in history:
        now += passed
        if answer is not None and powered is not False:
            before = state
            state = hear(state, now, answer, "pi1")
            if state.load.taken == now and state.load.value is not None:
                # A load needs one that was told, or two answers of the same boot.
                told_load = answer.load is not None or before.total_s is not None
                assert told_load
        state = seen(state, now, powered, halt)
        load, heat = state.load, state.celsius
        assert load.value is None or (0.0 <= load.value <= 1.0 and math.isfinite(load.value))
        assert heat.value is None or math.isfinite(heat.value)
        for reading in (load, heat):
            assert reading.quality is not Quality.OK or now - reading.taken <= LIMITS.stale_s
        assert state.os is not Os.UP or (state.heard is not None and now - state.heard <= 12.0)
        assert powered is not False or (load == ABSENT and state.os is Os.HALTED)
