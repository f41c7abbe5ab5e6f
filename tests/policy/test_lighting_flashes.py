"""Nothing flashes more than three times a second (WCAG 2.3.1).

A general flash, as WCAG defines it, is a pair of opposing changes in relative luminance of 0.1 or
more where the darker one is below 0.8. Every pixel of every state is followed for ten seconds at
60 frames a second, at full brightness.
"""

from dataclasses import replace

import pytest

from hwctl.model.readings import Quality
from hwctl.model.rig import NodeState, Os, Power, Rig, ShutdownState, SupplyState, SupplyStatus
from hwctl.model.settings import LightsSettings
from hwctl.policy.lighting import StripOverride, draw, scene

FPS = 60
TICK = 15
"""Frames from tick to tick."""
LUMINANCE = [(value / 255) ** 2.2 for value in range(256)]

NODE = NodeState(
    "pi0", "compute", None, None, Power.ON, Os.UP, 0.4, 50.0, None, False, False, Quality.OK, 0.1
)
BANK = SupplyState(
    "bank", "power-bank", 0.6, None, None, None, None, None, SupplyStatus.CHARGING, None, None,
    True, (), Quality.OK, 0.1,
)  # fmt: skip
STANDBY = ShutdownState("standby", 8.0, None, None, None, None, (), True, None, None)

STEADY = {
    "ok": NODE,
    "locate": replace(NODE, locate=True),
    "fail": replace(NODE, os=Os.UNREACHABLE),
    "overheat": replace(NODE, throttled=True),
    "booting": replace(NODE, os=Os.BOOTING),
    "halting": replace(NODE, os=Os.HALTING),
    "hotspare": replace(NODE, power=Power.OFF),
    "stale": replace(NODE, quality=Quality.STALE),
    "unknown": replace(NODE, load=None),
    "degraded": replace(NODE, quality=Quality.SUSPECT),
}


def flashes(levels, window=FPS) -> int:
    """The most flashes that begin within any second."""
    turns, direction = [], 0
    low = high = levels[0]
    for frame, level in enumerate(levels):
        low, high = min(low, level), max(high, level)
        up = direction <= 0 and level - low >= 0.1 and low < 0.8
        down = direction >= 0 and high - level >= 0.1 and level < 0.8
        if up or down:
            turns.append(frame)
            direction = 1 if up else -1
            low = high = level
    most = max((sum(start <= t < start + window for t in turns) for start in turns), default=0)
    return most // 2  # two opposing changes are one flash


def film(states, *, leds=13, shutdown=STANDBY, mode="load", seconds=10):
    """The relative luminance of every pixel over time; ``states(tick)`` gives the node."""
    made, frames = None, []
    settings = LightsSettings(battery_leds=0 if mode == "load" else 8, brightness=1.0)
    for frame in range(seconds * FPS):
        now = frame / FPS
        if frame % TICK == 0:
            node = states(frame // TICK)
            rig = Rig(
                "r", "", 0, 1e9 + now, False, 1.0, True, (), (BANK,), (node,), (), (), (), (), (),
                shutdown,
            )  # fmt: skip
            made = scene(rig, now, settings, leds, StripOverride(mode=mode), made)
        frames.append(draw(made, now))
    return [
        [
            0.2126 * LUMINANCE[frame[i]]
            + 0.7152 * LUMINANCE[frame[i + 1]]
            + 0.0722 * LUMINANCE[frame[i + 2]]
            for frame in frames
        ]
        for i in range(0, 3 * leds, 3)
    ]


def test_the_counter_counts():
    assert flashes(([1.0] * 6 + [0.0] * 6) * 50) == 5
    assert flashes(([1.0] * 15 + [0.0] * 15) * 20) == 2
    assert flashes([0.05 * (frame % 2) for frame in range(600)]) == 0
    ramp = [frame / 30 for frame in range(30)]
    assert flashes((ramp + ramp[::-1]) * 10) == 1


@pytest.mark.parametrize("leds", [1, 2, 4, 13])
@pytest.mark.parametrize("state", STEADY)
def test_no_state_flashes_more_than_twice_a_second(state, leds):
    pixels = film(lambda _: STEADY[state], leds=leds)
    assert max(map(flashes, pixels)) <= 2


def test_locate_does_flash():
    assert max(map(flashes, film(lambda _: STEADY["locate"]))) == 2


def test_the_countdown_does_not_flash_faster():
    running = replace(STANDBY, state="running")
    assert max(map(flashes, film(lambda _: NODE, shutdown=running))) == 1


@pytest.mark.parametrize("mode", ["battery", "off"])
def test_the_other_modes_do_not_flash(mode):
    assert max(map(flashes, film(lambda _: NODE, leds=20, mode=mode))) <= 1


@pytest.mark.parametrize("period", [1, 2, 3])
def test_load_that_jumps_at_every_sample_does_not_flash(period):
    pixels = film(lambda tick: replace(NODE, load=float(tick // period % 2)))
    assert max(map(flashes, pixels)) <= 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (one, other)
        for one in STEADY
        for other in STEADY
        if one < other and "locate" not in (one, other)
    ],
)
def test_a_node_that_changes_its_state_at_every_tick_stays_below_the_limit(one, other):
    pixels = film(lambda tick: STEADY[one if tick % 2 else other], seconds=4)
    assert max(map(flashes, pixels)) <= 3
