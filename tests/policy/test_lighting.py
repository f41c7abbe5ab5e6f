"""What a strip shows: every state of a node, the charge, ceilings and modes."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwctl.model.readings import Quality
from hwctl.model.rig import (
    NodeState,
    Os,
    Power,
    Rig,
    ShutdownState,
    SupplyState,
    SupplyStatus,
)
from hwctl.model.settings import LightsSettings
from hwctl.policy import colour
from hwctl.policy.lighting import MODES, StripOverride, draw, scene
from hwctl.policy.segments import Look, layout, look

SETTINGS = LightsSettings()
DARK = bytes(3)
NODE = NodeState(
    id="pi0",
    role="compute",
    host=None,
    outlet="feed0",
    power=Power.ON,
    os=Os.UP,
    load=0.25,
    celsius=50.0,
    watts=None,
    protected=False,
    locate=False,
    quality=Quality.OK,
    age_s=0.5,
)
BANK = SupplyState(
    id="bank",
    kind="power-bank",
    charge=0.6,
    charge_margin=0.02,
    volts=5.0,
    amps=1.0,
    watts=5.0,
    celsius=None,
    status=SupplyStatus.IDLE,
    runtime_s=None,
    runtime_low_s=None,
    mains=True,
    gauges=(),
    quality=Quality.OK,
    age_s=0.1,
)
STANDBY = ShutdownState("standby", 60.0, None, None, None, None, (), True, None, None)
RUNNING = replace(STANDBY, state="running", needed_s=100.0)


def rig(*nodes, supplies=(BANK,), shutdown=STANDBY, at=1e9) -> Rig:
    nodes = tuple(replace(node, id=f"pi{index}") for index, node in enumerate(nodes))
    return Rig(
        "football", "", 1, at, False, 1.0, True, (), supplies, nodes, (), (), (), (), (), shutdown
    )


def lit(rgb: bytes) -> list[bytes]:
    return [rgb[index : index + 3] for index in range(0, len(rgb), 3)]


def shown(node, now=0.0, leds=13, **kwargs) -> list[bytes]:
    """The pixels of a strip with one node and no charge."""
    made = scene(rig(node, **kwargs), now, LightsSettings(battery_leds=0), leds)
    return lit(draw(made, now))


def number_lit(pixels) -> int:
    return sum(pixel != DARK for pixel in pixels)


# --- where things are ------------------------------------------------------------------------


def test_the_football_has_thirteen_pixels_a_node_and_eight_for_the_charge():
    plan = layout(60, 4, 8)
    assert plan.segments == ((0, 13), (13, 13), (26, 13), (39, 13))
    assert plan.charge == (52, 8)


def test_too_few_pixels_cost_the_charge_first_then_nodes_share_them():
    assert layout(60, 56, 8).charge == (60, 0)
    assert layout(60, 56, 8).segments[55] == (55, 1)
    shared = layout(10, 56, 8)
    assert len(shared.segments) == 10
    assert sorted(node for group in shared.groups for node in group) == list(range(56))


@given(leds=st.integers(1, 400), nodes=st.integers(0, 80), charge=st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_no_two_things_share_a_pixel_and_nothing_lies_beyond_the_strip(leds, nodes, charge):
    plan = layout(leds, nodes, charge)
    used = [first + i for first, length in (*plan.segments, plan.charge) for i in range(length)]
    assert len(used) == len(set(used))
    assert all(0 <= index < leds for index in used)
    assert all(length > 0 for _, length in plan.segments)


def test_a_pixel_that_nodes_share_shows_the_most_urgent():
    down = replace(NODE, os=Os.UNREACHABLE, load=None)
    off = replace(NODE, power=Power.OFF)
    made = scene(rig(NODE, down, off, off), 0.0, LightsSettings(battery_leds=0), 2)
    assert lit(draw(made, 0.0))[0] == colour.RED
    assert lit(draw(made, 0.0))[1] == colour.DIM_BLUE


# --- which state -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "shutdown", "expected"),
    [
        ({}, STANDBY, Look.OK),
        ({"locate": True, "os": Os.UNREACHABLE}, RUNNING, Look.LOCATE),
        ({"os": Os.UNREACHABLE, "throttled": True}, RUNNING, Look.COUNTDOWN),
        ({"os": Os.UNREACHABLE, "throttled": True}, STANDBY, Look.FAIL),
        ({"throttled": True, "os": Os.BOOTING}, STANDBY, Look.OVERHEAT),
        ({"celsius": 80.0}, STANDBY, Look.OVERHEAT),
        ({"os": Os.BOOTING, "load": None}, STANDBY, Look.REBUILD),
        ({"power": Power.POWERING_OFF}, STANDBY, Look.REBUILD),
        ({"power": Power.OFF, "os": Os.UNREACHABLE}, RUNNING, Look.HOTSPARE),
        ({"os": Os.HALTED}, RUNNING, Look.HOTSPARE),
        ({"quality": Quality.STALE}, STANDBY, Look.STALE),
        ({"load": None}, STANDBY, Look.UNKNOWN),
        ({"load": None, "quality": Quality.STALE}, STANDBY, Look.UNKNOWN),
        ({"quality": Quality.SUSPECT}, STANDBY, Look.DEGRADED),
        ({"power": Power.UNKNOWN}, STANDBY, Look.DEGRADED),
        ({"power": Power.UNKNOWN, "outlet": None}, STANDBY, Look.OK),
    ],
)
def test_the_most_urgent_state_is_shown(change, shutdown, expected):
    assert look(replace(NODE, **change), shutdown) is expected


# --- how each looks --------------------------------------------------------------------------


def test_a_bar_is_as_long_as_the_root_of_the_load_and_has_the_colour_of_the_temperature():
    pixels = shown(NODE)
    assert pixels[:7] == [colour.of_temperature(50.0)] * 7  # a base pixel and half of twelve
    assert pixels[7:] == [DARK] * 6
    hot = shown(replace(NODE, celsius=75.0))
    assert hot[1] != pixels[1]


@pytest.mark.parametrize("load", [0.0, 0.01, 0.05, 0.1, 0.3, 0.6, 1.0])
def test_more_load_is_more_light(load):
    less, more = shown(replace(NODE, load=load)), shown(replace(NODE, load=min(1.0, load + 0.02)))
    assert sum(map(sum, less)) < sum(map(sum, more)) or load == 1.0
    assert number_lit(less) >= (2 if load else 1)


def test_no_load_is_a_lit_base_pixel_and_an_unknown_one_is_dots():
    idle = shown(replace(NODE, load=0.0))
    unknown = shown(replace(NODE, load=None))
    assert idle[0] == colour.of_temperature(50.0)
    assert number_lit(idle) == 1
    assert unknown == [colour.DIM_WHITE, DARK] * 6 + [colour.DIM_WHITE]


def test_an_unknown_temperature_has_a_colour_of_its_own():
    assert shown(replace(NODE, celsius=None))[0] == colour.TEAL
    assert colour.TEAL not in colour.ramp()


def test_the_base_pixel_breathes_while_the_sample_is_fresh():
    made = scene(rig(NODE), 0.0, LightsSettings(battery_leds=0), 13)
    first, second = lit(draw(made, 0.0)), lit(draw(made, 2.0))
    assert sum(second[0]) < sum(first[0])
    assert first[1:] == second[1:]
    assert number_lit(second) == number_lit(first), "even breathed out it is lit"


def test_a_stale_bar_is_frozen_and_dim_but_as_long_as_it_was():
    fresh = shown(NODE)
    stale = replace(NODE, quality=Quality.STALE)
    made = scene(rig(stale), 0.0, LightsSettings(battery_leds=0), 13)
    frames = {draw(made, now / 7) for now in range(100)}
    assert len(frames) == 1
    pixels = lit(frames.pop())
    assert number_lit(pixels) == number_lit(fresh)
    for old, new in zip(fresh, pixels, strict=True):
        assert sum(new) < 0.6 * sum(old) or old == DARK


def test_a_node_that_fails_shows_two_red_ends_and_its_last_bar():
    down = replace(NODE, os=Os.UNREACHABLE, quality=Quality.STALE)
    on, off = shown(down, now=0.0), shown(down, now=0.5)
    assert (on[0], on[-1]) == (colour.RED, colour.RED)
    assert (off[0], off[-1]) == (DARK, DARK)
    assert on[1:-1] == off[1:-1]
    assert 0 < number_lit(on[1:-1]) < 11
    assert colour.RED not in on[1:-1]


def test_a_node_that_fails_and_never_told_anything_is_black_between_its_ends():
    pixels = shown(replace(NODE, os=Os.UNREACHABLE, load=None, celsius=None))
    assert pixels == [colour.RED, *[DARK] * 11, colour.RED]


def test_locate_is_white_and_blue_twice_a_second():
    node = replace(NODE, locate=True)
    seen = [shown(node, now=quarter / 4)[5] for quarter in range(8)]
    assert seen == [colour.WHITE, colour.BLUE] * 4


def test_an_overheated_bar_is_amber_once_a_second():
    hot = replace(NODE, throttled=True)
    assert shown(hot, now=0.1)[:7] == [colour.AMBER] * 7
    assert number_lit(shown(hot, now=0.6)) == 1


def test_booting_runs_forwards_and_halting_backwards():
    def heads(node):
        made = scene(rig(node), 0.0, LightsSettings(battery_leds=0), 13)
        frames = [lit(draw(made, 0.1 + step * 0.3)) for step in range(5)]
        return [max(range(13), key=lambda index: sum(frame[index])) for frame in frames]

    forwards = heads(replace(NODE, os=Os.BOOTING))
    backwards = heads(replace(NODE, os=Os.HALTING))
    assert forwards == sorted(forwards)
    assert len(set(forwards)) == 5
    assert backwards == sorted(backwards, reverse=True)


def test_a_node_that_is_off_is_one_dim_blue_pixel():
    assert shown(replace(NODE, power=Power.OFF)) == [colour.DIM_BLUE, *[DARK] * 12]


def test_a_degraded_node_has_an_amber_base():
    pixels = shown(replace(NODE, quality=Quality.SUSPECT))
    assert pixels[0] == colour.AMBER
    assert pixels[1] == colour.of_temperature(50.0)


def test_the_countdown_drains_and_blinks_when_it_is_near():
    settings = LightsSettings(battery_leds=0)
    made, lengths = None, []
    for second in range(0, 100, 10):
        world = rig(NODE, shutdown=RUNNING, at=1e9 + second)
        made = scene(world, float(second), settings, 13, previous=made)
        lengths.append(number_lit(lit(draw(made, float(second)))))
    assert lengths[0] == 13
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] <= 3
    assert not any(draw(made, 90.5))
    assert set(lit(draw(made, 90.0))) <= {colour.VIOLET, DARK, lit(draw(made, 90.0))[2]}


def test_a_countdown_of_unknown_length_is_a_full_bar():
    unknown = replace(RUNNING, needed_s=None)
    assert shown(NODE, shutdown=unknown) == [colour.VIOLET] * 13


# --- bars move -------------------------------------------------------------------------------


def follow(loads, leds=101, tick=0.25):
    """Scenes of one node over ``loads``, one a tick."""
    settings, made, now, result = LightsSettings(battery_leds=0), None, 0.0, []
    for load in loads:
        made = scene(rig(replace(NODE, load=load)), now, settings, leds, previous=made)
        result.append((now, made))
        now += tick
    return result


def length(frame) -> int:
    """Of the bar, up to the first dark pixel."""
    pixels = lit(frame)
    return pixels.index(DARK) if DARK in pixels else len(pixels)


def test_a_bar_grows_within_a_tenth_of_a_second_and_shrinks_within_a_second():
    (_, _), (now, up) = follow([0.0, 1.0])
    assert length(draw(up, now)) == 1
    assert 60 <= length(draw(up, now + 0.1)) <= 68  # 1 - 1/e of 100
    scenes = follow([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    now, down = scenes[-1]
    assert 35 <= length(draw(down, now)) <= 39  # 1/e, one second after
    frames = [length(draw(down, now + frame / 60)) for frame in range(15)]
    assert frames == sorted(frames, reverse=True)


def test_no_bar_jumps_at_a_tick():
    scenes = follow([0.0, 0.5, 0.1, 1.0, 0.9, 0.0, 0.3])
    for (_, before), (now, after) in pairwise(scenes):
        assert abs(length(draw(before, now)) - length(draw(after, now))) <= 1


def test_a_peak_is_marked_for_two_seconds():
    scenes = follow([0.0, 1.0] + [0.0] * 14)
    marks = [lit(draw(made, now))[100] != DARK for now, made in scenes]
    assert marks[2:9] == [True] * 7
    assert not any(marks[10:])


def test_a_bar_at_rest_is_a_part_that_does_not_move():
    scenes = follow([0.5] * 3)
    now, made = scenes[-1]
    assert lit(draw(made, now))[1:] == lit(draw(made, now + 0.2))[1:]


# --- the charge ------------------------------------------------------------------------------


def charge_bar(bank, now=0.0, **kwargs) -> list[bytes]:
    made = scene(rig(NODE, supplies=(bank,), **kwargs), now, SETTINGS, 60)
    return lit(draw(made, now))[52:]


def test_the_charge_has_notches_at_the_quarters():
    pixels = charge_bar(BANK)  # 60 %: 4.8 pixels
    assert pixels[1] == pixels[3] == colour.BLUE
    assert pixels[0] == pixels[2] == colour.YELLOW
    assert pixels[4] not in (DARK, colour.YELLOW)
    assert pixels[5] == colour.DIM_BLUE
    assert pixels[6:] == [DARK, DARK]


def test_a_low_charge_is_amber_an_unknown_one_dots_a_stale_one_dim():
    low = charge_bar(replace(BANK, charge=0.2))
    unknown = charge_bar(replace(BANK, charge=None, quality=Quality.ABSENT))
    stale = charge_bar(replace(BANK, quality=Quality.STALE))
    assert low[0] == colour.AMBER
    assert unknown == [colour.DIM_WHITE, DARK] * 4
    assert DARK < stale[0] < colour.YELLOW


def test_the_charge_breathes_while_it_grows():
    charging = replace(BANK, status=SupplyStatus.CHARGING)
    assert sum(charge_bar(charging, now=2.0)[0]) < sum(charge_bar(charging)[0])
    assert charge_bar(BANK, now=2.0) == charge_bar(BANK)


def test_the_lowest_of_two_batteries_is_shown():
    made = scene(rig(supplies=(BANK, replace(BANK, id="other", charge=0.2))), 0.0, SETTINGS, 8)
    assert lit(draw(made, 0.0))[0] == colour.AMBER


def test_a_rig_on_mains_alone_shows_no_charge():
    mains = replace(BANK, kind="mains", charge=None)
    assert charge_bar(mains) == [DARK] * 8


# --- brightness and modes --------------------------------------------------------------------

DISCHARGING = (replace(BANK, status=SupplyStatus.DISCHARGING),)


def test_ceilings_on_battery_and_in_a_shutdown():
    assert scene(rig(NODE), 0.0, SETTINGS, 60).brightness == 0.5
    assert scene(rig(NODE, supplies=DISCHARGING), 0.0, SETTINGS, 60).brightness == 0.35
    down = rig(NODE, supplies=DISCHARGING, shutdown=RUNNING)
    assert scene(down, 0.0, SETTINGS, 60).brightness == 0.1
    asked = StripOverride(brightness=0.2)
    assert scene(rig(NODE, supplies=DISCHARGING), 0.0, SETTINGS, 60, asked).brightness == 0.2


@pytest.mark.parametrize("change", [{"locate": True}, {"os": Os.UNREACHABLE}])
def test_locate_and_fail_show_even_at_no_brightness_and_nothing_else_does(change):
    world = rig(NODE, replace(NODE, **change))
    made = scene(world, 0.0, SETTINGS, 60, StripOverride(brightness=0.0))
    pixels = lit(draw(made, 0.0))
    assert made.brightness == 0.1
    assert number_lit(pixels[26:52]) >= 2
    assert number_lit(pixels[:26]) == number_lit(pixels[52:]) == 0
    assert not made.dark


def test_others_keep_their_light_beside_an_alarm():
    settings = LightsSettings(low_brightness=0.02)
    world = rig(NODE, replace(NODE, locate=True), shutdown=RUNNING)
    made = scene(world, 0.0, settings, 60)
    share = max(lit(draw(made, 0.0))[0]) / max(colour.VIOLET)
    assert share**2.2 * made.brightness == pytest.approx(0.02, rel=0.1)


def test_off_is_dark_but_for_locate():
    down = replace(NODE, os=Os.UNREACHABLE)
    off = StripOverride(mode="off")
    made = scene(rig(NODE, down), 0.0, SETTINGS, 60, off)
    assert made.dark
    assert draw(made, 0.0) == bytes(180)
    made = scene(rig(replace(NODE, locate=True), down), 0.0, SETTINGS, 60, off)
    assert not made.dark
    pixels = lit(draw(made, 0.0))
    assert pixels[:26] == [colour.WHITE] * 26
    assert number_lit(pixels[26:]) == 0


def test_battery_mode_shows_the_charge_on_the_whole_strip_and_still_locates():
    battery = StripOverride(mode="battery")
    pixels = lit(draw(scene(rig(NODE, NODE), 0.0, SETTINGS, 60, battery), 0.0))
    assert number_lit(pixels) == 36 + 1
    located = scene(rig(NODE, replace(NODE, locate=True)), 0.0, SETTINGS, 60, battery)
    assert lit(draw(located, 0.0))[26:52] == [colour.WHITE] * 26
    assert lit(draw(located, 0.0))[:26] == pixels[:26]


def test_what_does_not_move_is_the_same_object_from_tick_to_tick():
    off = rig(replace(NODE, power=Power.OFF))
    first = scene(off, 0.0, SETTINGS, 60)
    second = scene(off, 0.25, SETTINGS, 60, previous=first)
    assert draw(first, 0.1) is draw(first, 0.2)
    assert draw(second, 0.3) is draw(first, 0.1)


# --- whatever comes --------------------------------------------------------------------------

nodes = st.builds(
    replace,
    st.just(NODE),
    power=st.sampled_from(Power),
    os=st.sampled_from(Os),
    load=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    celsius=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    locate=st.booleans(),
    throttled=st.sampled_from((None, True, False)),
    quality=st.sampled_from(Quality),
)
supplies = st.builds(
    replace,
    st.just(BANK),
    charge=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    status=st.sampled_from(SupplyStatus),
    quality=st.sampled_from(Quality),
)


@settings(max_examples=150, deadline=None)
@given(
    ticks=st.lists(
        st.tuples(st.lists(nodes, max_size=6), st.lists(supplies, max_size=2)),
        min_size=1,
        max_size=4,
    ),
    leds=st.integers(1, 70),
    charge=st.integers(0, 12),
    mode=st.sampled_from((*MODES, None, "disco")),
    brightness=st.none() | st.floats(0, 1),
    shutdown=st.sampled_from((STANDBY, RUNNING, replace(RUNNING, needed_s=None))),
)
def test_every_frame_fits_its_strip(ticks, leds, charge, mode, brightness, shutdown):
    lights = LightsSettings(battery_leds=charge)
    made, now = None, 0.0
    for state, batteries in ticks:
        world = rig(*state, supplies=tuple(batteries), shutdown=shutdown, at=1e9 + now)
        made = scene(world, now, lights, leds, StripOverride(mode, brightness), made)
        for frame in range(3):
            assert len(draw(made, now + frame / 10)) == 3 * leds
        assert 0.0 <= made.brightness <= 1.0
        now += 0.25
