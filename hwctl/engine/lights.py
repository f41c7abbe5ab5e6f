"""The loop that keeps one strip lit: a thread of its own, which alone touches the device.

A tick hands over a scene; between ticks the loop draws from the latest one. A strip that fails is
tried again once a second and delays nobody else.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hwctl.engine.clock import Clock
from hwctl.engine.service import Frame
from hwctl.model.drivers import LedStrip, Shown
from hwctl.model.errors import BusError, DeviceError
from hwctl.model.readings import Quality
from hwctl.model.rig import Rig
from hwctl.model.settings import LightsSettings
from hwctl.model.units import clamp
from hwctl.policy.lighting import Scene, StripOverride, draw, scene

DARK_FPS = 4
"""Frames a second while no pixel is lit: the rate of ticks, as nothing changes in between."""
RESEND_S = 0.5
"""A frame that does not change is sent again this often: noise on the wire may have spoilt it."""
RETRY_S = 1.0
"""A strip that failed is tried again this often."""
LONG_S = 0.1
"""A rest longer than this can be broken off by :meth:`StripLoop.stop`."""
STOP_S = 3.0
"""For the thread to end: a frame takes milliseconds, so more means that the bus hangs."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The last frame that the device took."""

    rgb: bytes
    brightness: float
    at: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now."""

    rgb: bytes
    send: bool
    """Whether the device needs it: not if it shows the very same already."""
    interval: float
    """Seconds between this frame and the next."""


def plan(now: float, scene: Scene, sent: Sent | None, fps: int) -> Plan:
    """The frame at ``now``, and when the next one is due."""
    rgb = draw(scene, now)
    same = sent is not None and rgb is sent.rgb and scene.brightness == sent.brightness
    due = sent is None or now - sent.at >= RESEND_S
    return Plan(rgb, send=due or not same, interval=1.0 / (DARK_FPS if scene.dark else fps))


Opened = Callable[[], LedStrip]
"""Opens the bus and the device, probes it, and closes what it had opened before. Called by the
strip's thread at the start and after every failure."""
Health = Callable[[DeviceError | BusError | None], None]
"""Told once when the strip fails, with the error, and once when it works again, with ``None``."""


class StripLoop:
    """Keeps a strip of ``leds`` showing the latest scene.

    ``wait(seconds)`` sleeps, and returns whether to end; by default, when :meth:`stop` is
    called. Properties may be read from any thread.

    Patterns, pace and ``fps`` go by real seconds, which are the clock's over its speed: a pattern
    that blinks sixty times too fast is dangerous.
    """

    def __init__(
        self,
        strip: str,
        opened: Opened,
        *,
        clock: Clock,
        settings: LightsSettings,
        leds: int,
        health: Health,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.strip = strip
        self.leds = leds
        self._opened = opened
        self._clock = clock
        self._settings = settings
        self._health = health
        self._stopping = threading.Event()
        self._wait = wait or self._rest
        self._thread: threading.Thread | None = None
        self._device: LedStrip | None = None
        self._scene: Scene | None = None
        self._sent: Sent | None = None
        self._shown: Shown | None = None
        self._lit: tuple[int, bytes, float] | None = None
        self._frames = 0
        self._errors: dict[str, int] = {}
        self._failed = False
        self._due = float("-inf")
        self._window_from: float | None = None
        self._window_frames = 0
        self._measured: float | None = None

    def update(self, rig: Rig, override: StripOverride) -> None:
        """Show ``rig`` from the next frame on. Called at every tick, by one thread."""
        self.set_scene(
            scene(rig, self._now(), self._settings, self.leds, override, previous=self._scene)
        )

    def set_scene(self, scene: Scene) -> None:
        """Draw from ``scene`` from the next frame on."""
        self._scene = scene

    @property
    def scene(self) -> Scene | None:
        """The latest scene."""
        return self._scene

    @property
    def shown(self) -> Shown | None:
        """What became of the last frame; ``None`` before the first, and while the strip fails."""
        return None if self._failed else self._shown

    @property
    def quality(self) -> Quality:
        """Of what is said of this strip: ``stale`` while it fails but may still be lit."""
        if self._lit is None:
            return Quality.ABSENT
        return Quality.STALE if self._failed else Quality.OK

    @property
    def fps(self) -> float | None:
        """Frames drawn per real second, whether sent or found to be shown already; ``None``
        before the first whole second."""
        return 0.0 if self._failed else self._measured

    @property
    def frames(self) -> int:
        """Frames sent since the start."""
        return self._frames

    @property
    def errors(self) -> dict[str, int]:
        """Failures by kind, since the start."""
        return dict(self._errors)

    def frame(self) -> Frame | None:
        """What is lit now; its ``seq`` changes only with what is lit."""
        lit = self._lit
        return None if lit is None else Frame(*lit)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self.run, name=f"strip-{self.strip}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, which leaves the strip dark: a bar that stands still would lie."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None

    def run(self) -> None:
        """Draw until told to stop; then one dark frame."""
        while not self._wait(self.step()) and not self._stopping.is_set():
            pass
        if self._device is not None:
            try:
                self._send(self._device, bytes(3 * self.leds), 0.0, self._now())
            except (DeviceError, BusError) as error:
                self._fail(error)

    def step(self) -> float:
        """Draw one frame; the real seconds until the next one is due."""
        scene = self._scene
        if scene is None:
            return 1.0 / DARK_FPS
        now = self._now()
        try:
            device = self._device
            if device is None:
                device = self._device = self._opened()
            planned = plan(now, scene, self._sent, self._settings.fps)
            if planned.send:
                self._send(device, planned.rgb, scene.brightness, now)
        except (DeviceError, BusError) as error:
            self._fail(error)
            return RETRY_S
        if self._failed:
            self._failed = False
            self._health(None)
        self._count(now)
        # A frame that is late does not make the next ones hurry.
        self._due = clamp(self._due + planned.interval, now, now + planned.interval)
        return max(0.0, self._due - self._now())

    def _rest(self, seconds: float) -> bool:
        """Sleep; an event costs half as much again as a plain sleep, sixty times a second."""
        if seconds > LONG_S:
            return self._stopping.wait(seconds)
        time.sleep(seconds)
        return self._stopping.is_set()

    def _now(self) -> float:
        return self._clock.now() / self._clock.speed

    def _send(self, device: LedStrip, rgb: bytes, brightness: float, now: float) -> None:
        self._shown = device.show(rgb, brightness)
        self._frames += 1
        self._sent = Sent(rgb, brightness, now)
        lit = self._lit
        if lit is None:
            self._lit = (1, rgb, brightness)
        elif rgb != lit[1] or brightness != lit[2]:
            self._lit = (lit[0] + 1, rgb, brightness)

    def _fail(self, error: DeviceError | BusError) -> None:
        kind = error.kind if isinstance(error, DeviceError) else error.slug
        self._errors[kind] = self._errors.get(kind, 0) + 1
        self._device, self._sent, self._window_from = None, None, None
        if not self._failed:
            self._failed = True
            self._health(error)

    def _count(self, now: float) -> None:
        if self._window_from is None:
            self._window_from, self._window_frames, self._measured = now, 0, None
            return
        self._window_frames += 1
        if now - self._window_from >= 1.0:
            self._measured = self._window_frames / (now - self._window_from)
            self._window_from, self._window_frames = now, 0
