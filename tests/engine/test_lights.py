"""The strip's loop, over the real driver and a bus that keeps what is written."""

import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from hwctl.engine.clock import ManualClock
from hwctl.engine.lights import DARK_FPS, RETRY_S, StripLoop, plan
from hwctl.model.errors import BusError
from hwctl.model.readings import Quality
from hwctl.model.rig import NodeState, Os, Power, Rig, ShutdownState
from hwctl.model.settings import LightsSettings
from hwctl.policy.lighting import StripOverride, draw, scene
from hwctl_drivers.ws281x_spi import Ws281xOptions, Ws281xSpi

LEDS = 60
SETTINGS = LightsSettings()
NODE = NodeState(
    "pi0", "compute", None, None, Power.ON, Os.UP, 0.4, 50.0, None, False, False, Quality.OK, 0.1
)
OFF = replace(NODE, power=Power.OFF)


def rig(*nodes) -> Rig:
    shutdown = ShutdownState("standby", None, None, None, None, None, (), True, None, None)
    return Rig("r", "", 0, 1e9, False, 1.0, True, (), (), nodes, (), (), (), (), (), shutdown)


def made(node, mode="load", **kwargs):
    return scene(rig(node), 0.0, SETTINGS, LEDS, StripOverride(mode=mode, **kwargs))


class Bus:
    """An SPI bus that keeps what is written, and fails when told to."""

    max_transfer = 4096

    def __init__(self):
        self.written: list[bytes] = []
        self.broken = False
        self.touched = threading.Event()

    def configure(self, *, speed_hz, mode=0):
        assert mode == 0

    def write(self, data):
        if self.broken:
            raise BusError("write failed: No such device", where="spi0", hint="plug it in")
        self.written.append(bytes(data))
        self.touched.set()


def encoded(rgb: bytes, brightness: float) -> bytes:
    """What the driver writes for a frame."""
    bus = Bus()
    Ws281xSpi(bus, Ws281xOptions(leds=LEDS)).show(rgb, brightness)
    return bus.written[0]


class Rigged:
    """A loop, its bus, its clock, and what it said of its health."""

    def __init__(self, wait=None, clock=None):
        self.bus = Bus()
        self.clock = clock or ManualClock(100.0)
        self.said = []
        self.opened = 0
        self.openable = True
        self.loop = StripLoop(
            "lid",
            self.open,
            clock=self.clock,
            settings=SETTINGS,
            leds=LEDS,
            health=self.said.append,
            wait=wait,
        )

    def open(self):
        self.opened += 1
        if not self.openable:
            raise BusError("is not there", where="spi0", hint="dtparam=spi=on")
        device = Ws281xSpi(self.bus, Ws281xOptions(leds=LEDS))
        device.probe()
        return device

    def run(self, seconds):
        """Step as the thread would."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.advance(max(self.loop.step(), 1e-3))


# --- plan ------------------------------------------------------------------------------------


def test_what_moves_is_sent_at_every_frame():
    moving = made(NODE)
    first = plan(1.0, moving, None, 60)
    assert first.send
    assert first.interval == pytest.approx(1 / 60)
    assert first.rgb == draw(moving, 1.0)


def test_what_stands_still_is_sent_again_only_now_and_then():
    rigged = Rigged()
    rigged.loop.set_scene(made(OFF))
    rigged.run(5.0)
    assert 10 <= rigged.loop.frames <= 12
    assert len(set(rigged.bus.written)) == 1
    assert rigged.loop.frame().seq == 1
    assert rigged.loop.fps == pytest.approx(60, abs=2)


def test_a_new_brightness_is_sent_at_once():
    rigged = Rigged()
    rigged.loop.set_scene(made(OFF))
    rigged.loop.step()
    rigged.loop.set_scene(made(OFF, brightness=0.2))
    rigged.loop.step()
    assert rigged.loop.frames == 2
    assert rigged.loop.frame().brightness == 0.2
    assert rigged.loop.frame().seq == 2


def test_a_dark_strip_is_drawn_four_times_a_second():
    rigged = Rigged()
    rigged.loop.set_scene(made(NODE, mode="off"))
    rigged.run(5.0)
    assert rigged.loop.fps == pytest.approx(DARK_FPS, abs=0.1)
    assert set(rigged.bus.written) == {encoded(bytes(3 * LEDS), 0.5)}


# --- the loop --------------------------------------------------------------------------------


def test_sixty_frames_a_second_are_sent_while_something_moves():
    rigged = Rigged()
    rigged.loop.set_scene(made(NODE))
    assert rigged.loop.fps is None
    rigged.run(3.0)
    assert rigged.loop.fps == pytest.approx(60, abs=2)
    assert rigged.loop.frames == pytest.approx(180, abs=4)
    assert len(set(rigged.bus.written)) > 20


def test_what_the_frame_says_is_what_is_on_the_wire():
    rigged = Rigged()
    rigged.loop.update(rig(NODE), StripOverride())
    rigged.run(0.5)
    frame = rigged.loop.frame()
    assert rigged.bus.written[-1] == encoded(frame.rgb, frame.brightness)
    assert any(frame.rgb)
    assert rigged.loop.shown.watts > 0


def test_nothing_is_written_before_there_is_anything_to_show():
    rigged = Rigged()
    rigged.loop.step()
    assert rigged.bus.written == []
    assert rigged.opened == 0
    assert rigged.loop.frame() is None
    assert rigged.loop.shown is None
    assert rigged.loop.quality is Quality.ABSENT


def test_a_late_frame_does_not_make_the_next_ones_hurry():
    rigged = Rigged()
    rigged.loop.set_scene(made(NODE))
    rigged.loop.step()
    rigged.clock.advance(2.0)
    rigged.loop.step()
    assert rigged.loop.step() > 0


def test_bars_move_on_from_scene_to_scene():
    rigged = Rigged()
    rigged.loop.update(rig(replace(NODE, load=0.0)), StripOverride())
    rigged.run(0.25)
    short = sum(map(bool, rigged.loop.frame().rgb))
    rigged.loop.update(rig(replace(NODE, load=1.0)), StripOverride())
    rigged.loop.step()
    assert sum(map(bool, rigged.loop.frame().rgb)) == short
    rigged.run(0.5)
    assert sum(map(bool, rigged.loop.frame().rgb)) > short


def test_an_emulated_rig_at_sixty_times_the_speed_blinks_no_faster():
    class World:
        """A clock that runs sixty times as fast as the seconds it is given."""

        speed = 60.0

        def __init__(self):
            self.real = 0.0

        def now(self):
            return self.real * self.speed

        def wall(self):
            return 1e9 + self.now()

    world = World()
    rigged = Rigged(clock=world)
    frames = []
    rigged.loop.update(rig(replace(NODE, locate=True)), StripOverride())
    for _ in range(120):
        world.real += rigged.loop.step()
        frames.append(rigged.loop.frame().rgb)
    changes = sum(a != b for a, b in pairwise(frames))
    assert world.real == pytest.approx(2.0, abs=0.1)
    assert 7 <= changes <= 8, "2 Hz: four changes a second"


# --- failures --------------------------------------------------------------------------------


def test_a_strip_that_fails_is_told_once_and_tried_once_a_second():
    rigged = Rigged()
    rigged.loop.set_scene(made(NODE))
    rigged.run(1.0)
    rigged.bus.broken = True
    sent, opened = rigged.loop.frames, rigged.opened
    rigged.run(5.0)
    assert [str(error) for error in rigged.said] == ["spi0: write failed: No such device"]
    assert rigged.loop.errors == {"bus": 5}
    assert rigged.opened - opened == 4, "opened anew for every attempt after the first"
    assert rigged.loop.frames == sent
    assert rigged.loop.quality is Quality.STALE
    assert rigged.loop.fps == 0.0
    assert rigged.loop.shown is None
    assert rigged.loop.frame() is not None, "it may still be lit"
    rigged.bus.broken = False
    rigged.run(2.5)
    assert rigged.said[1:] == [None]
    assert rigged.loop.quality is Quality.OK
    assert rigged.loop.fps == pytest.approx(60, abs=2)


def test_a_strip_that_is_not_there_at_the_start_is_waited_for():
    rigged = Rigged()
    rigged.openable = False
    rigged.loop.set_scene(made(OFF))
    assert rigged.loop.step() == RETRY_S
    assert rigged.loop.step() == RETRY_S
    assert rigged.loop.quality is Quality.ABSENT
    assert len(rigged.said) == 1
    rigged.openable = True
    rigged.loop.step()
    assert rigged.said[1] is None
    assert rigged.loop.frames == 1


# --- the end ---------------------------------------------------------------------------------


def test_the_end_leaves_the_strip_dark():
    rigged = None
    naps = iter(range(30))

    def wait(seconds):
        rigged.clock.advance(seconds)
        return next(naps, None) is None

    rigged = Rigged(wait=wait)
    rigged.loop.set_scene(made(NODE))
    rigged.loop.run()
    assert len(rigged.bus.written) == 31 + 1
    assert rigged.bus.written[-1] == encoded(bytes(3 * LEDS), 0.0)
    assert not any(rigged.loop.frame().rgb)


def test_a_strip_that_fails_at_the_end_does_not_keep_anybody():
    rigged = Rigged(wait=lambda seconds: True)
    rigged.loop.set_scene(made(NODE))
    rigged.loop.step()
    rigged.bus.broken = True
    rigged.loop.run()
    assert rigged.loop.quality is Quality.STALE
    assert len(rigged.said) == 1


def test_the_thread_starts_and_ends():
    rigged = Rigged()
    rigged.loop.set_scene(made(OFF))
    rigged.loop.start()
    assert rigged.bus.touched.wait(10)
    rigged.loop.stop()
    assert rigged.bus.written[-1] == encoded(bytes(3 * LEDS), 0.0)
    assert not [thread for thread in threading.enumerate() if thread.name == "strip-lid"]
