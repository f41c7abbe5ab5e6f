"""A strip at 60 frames a second: the service's own loop, and LedFx beside it."""

import math
import os
import time
from collections.abc import Iterator

from bench import ledfx
from bench.figure import Figure, Job, Result, Setup
from bench.measure import WINDOW_S, CpuOfSelf
from hwctl.engine.clock import RealClock
from hwctl.engine.core import TICK_S
from hwctl.engine.lights import StripLoop
from hwctl.model.readings import Quality
from hwctl.model.rig import NodeState, Os, Power, Rig, ShutdownState, SupplyState, SupplyStatus
from hwctl.model.settings import LightsSettings
from hwctl.policy.lighting import StripOverride
from hwctl_drivers.ws281x_spi import Ws281xOptions, Ws281xSpi

LEDS = 300

STRIP = Figure(
    "strip_300_leds_60_fps", "%",
    "300 LEDs at 60 frames a second, of one core: the strip's thread, drawing 4 nodes whose load "
    "changes with every tick, 4 ticks a second included, into /dev/null",
    limit=1,
)  # fmt: skip
FPS = Figure(
    "strip_300_leds_sent", "frames/s",
    "Frames that really went out meanwhile",
    peer_of=STRIP.name,
)  # fmt: skip
LEDFX = Figure(
    "strip_300_leds_60_fps_ledfx", "%",
    f"LedFx {ledfx.VERSION}, 300 LEDs, effect `rainbow` at 60 pictures a second, sent over UDP, "
    "of one core; only with --peers",
    peer_of=STRIP.name,
)  # fmt: skip


class Null:
    """An SPI bus that ends in /dev/null."""

    max_transfer = 4096

    def __init__(self) -> None:
        self._fd = os.open(os.devnull, os.O_WRONLY)

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        """/dev/null has no clock."""

    def write(self, data: bytes) -> None:
        """One system call, as with spidev."""
        os.write(self._fd, data)

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)


def rig(tick: int) -> Rig:
    """Four nodes, each with its own slow swing of load and temperature, on a battery."""
    nodes = []
    for index in range(4):
        load = 0.5 + 0.45 * math.sin(0.21 * tick + 1.7 * index)
        nodes.append(
            NodeState(
                id=f"pi{index}",
                role="compute",
                host=None,
                outlet=None,
                power=Power.ON,
                os=Os.UP,
                load=load,
                celsius=45 + 25 * load,
                watts=3 + 4 * load,
                protected=False,
                locate=False,
                quality=Quality.OK,
                age_s=0.1,
            )
        )
    bank = SupplyState(
        "bank", "power-bank", max(0.2, 0.9 - tick / 5000), 0.02, 5.1, 4.0, 20.4, 30.0,
        SupplyStatus.DISCHARGING, 9000.0, 8000.0, False, (), Quality.OK, 0.1,
    )  # fmt: skip
    still = ShutdownState("standby", 60.0, 9000.0, 8000.0, 90.0, None, (), True, None, 0.3)
    return Rig(
        "bench", "", tick, 1.75e9 + TICK_S * tick, True, 1.0, True, (), (bank,), tuple(nodes),
        (), (), (), (), (), still,
    )  # fmt: skip


def measure(setup: Setup) -> Iterator[Result]:
    """Ours in this process, LedFx in its own, one after the other."""
    seconds = 6.0 if setup.quick else 12.0
    bus = Null()
    loop = StripLoop(
        "lid",
        lambda: Ws281xSpi(bus, Ws281xOptions(leds=LEDS, limit_amps=4.0)),
        clock=RealClock(),
        settings=LightsSettings(fps=60),
        leds=LEDS,
        health=lambda _error: None,
    )
    loop.update(rig(0), StripOverride())
    loop.start()
    time.sleep(1.0)
    sent, cpu, started = loop.frames, CpuOfSelf(), time.monotonic()
    tick = 0
    while (now := time.monotonic()) < started + seconds:
        tick += 1
        if tick % (WINDOW_S // TICK_S) == 0:
            cpu.mark()
        loop.update(rig(tick), StripOverride())
        time.sleep(max(0.0, started + tick * TICK_S - now))
    percent, frames = cpu.percent(), loop.frames - sent
    fps = frames / (time.monotonic() - started)
    loop.stop()
    bus.close()
    yield Result(STRIP.name, percent, f"over {seconds:.0f} s")
    yield Result(FPS.name, fps)
    yield ledfx.measure(LEDFX.name, setup, LEDS, seconds)


JOBS = (Job((STRIP, FPS, LEDFX), measure),)
