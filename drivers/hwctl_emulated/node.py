"""A board: it boots, works, gets warm, throttles, halts, and loses what was not written.

The head never touches this: it switches the outlet, and asks over the network.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from hwctl.model.wiring import Node as NodeWiring
from hwctl_emulated.jobs import Jobs

BOOT_S = (20.0, 35.0)
HALT_S = (6.0, 15.0)
DIRTY_FROM = 0.4
"""Part of a boot after which file systems are mounted for writing (untuned)."""
SOFT_CELSIUS, HARD_CELSIUS = 80.0, 85.0
"""Where a Pi's firmware slows its cores (soft and hard limit; unverified)."""
HEAT_CAPACITY = 30.0
"""Joules per degree of board and heat sink (untuned)."""
HEATING = 0.8
"""Part of the draw that warms the SoC's heat sink (untuned)."""
STILL_AIR, MOVED_AIR = 0.085, 0.25
"""Watts per degree given off in still air, and added by full air flow (untuned)."""
SENSOR_STEP = 0.487
"""Degrees per step of a Pi's SoC sensor (unverified)."""

FAULTS = frozenset(
    {
        "hang",
        "exporter-dead",
        "exporter-html",
        "exporter-truncated",
        "exporter-huge",
        "exporter-endless",
        "exporter-busy",
        "exporter-nan",
        "exporter-negative",
        "temp-stuck",
        "temp-lost",
        "unplugged",
    }
)


@dataclass(frozen=True, slots=True)
class Board:
    """What the type of a board decides. Watts are at its 5 V input (untuned)."""

    cpus: int
    idle_watts: float
    busy_watts: float
    memory: int
    hertz: float


_GIB = 1 << 30
BOARDS = {
    "Raspberry Pi 5": Board(4, 3.2, 8.8, 8 * _GIB, 2.4e9),
    "Raspberry Pi Zero 2 W": Board(4, 0.8, 2.6, _GIB // 2, 1.0e9),
    "RockPro64": Board(6, 3.4, 9.5, 4 * _GIB, 1.8e9),
}
PI_4B = Board(4, 2.7, 6.4, 4 * _GIB, 1.8e9)
"""The usual one, and what an unknown board is taken for."""


class State(StrEnum):
    OFF = "off"
    BOOTING = "booting"
    UP = "up"
    HALTING = "halting"
    HALTED = "halted"


class Node:
    """One board behind its outlet. Times are seconds of the world's clock.

    :param epoch: the wall clock at second 0.
    """

    def __init__(self, name: str, wiring: NodeWiring, rng: Random, epoch: float = 0.0) -> None:
        self.name = name
        self.board = BOARDS.get(wiring.board, PI_4B)
        self.state = State.OFF
        self.powered = False
        self.faults: set[str] = set()
        self.forced_load: float | None = None
        self.dirty = 0
        """How often power was lost with file systems open for writing."""
        self.boots = 0
        self.boot_id = ""
        self.booted_at = 0.0
        self.celsius = 32.0
        self.load = 0.0
        self.load1 = 0.0
        self.busy: list[float] = []
        self.cpu_s: list[dict[str, float]] = []
        """Per CPU, seconds in each mode since boot."""
        self._epoch = epoch
        self._wiring = wiring
        self._rng = rng
        self._jobs = Jobs(self.board.cpus, rng, calm=4.0 if wiring.role == "orchestrator" else 1.0)
        self._since = 0.0
        self._lasts = 0.0
        self._reboots = False
        self._halted_watts = wiring.halted_watts * rng.uniform(0.62, 0.75)
        self._boot_amps = wiring.boot_amps * rng.uniform(0.75, 0.95)
        self._inrush_amps = wiring.inrush_amps * rng.uniform(0.88, 0.98)
        self._now_in_state = 0.0
        self._shown = self.celsius
        self._powered_at = 0.0

    # --- what the outlet and people do ---------------------------------------------------------

    @property
    def reachable(self) -> bool:
        """Whether its network answers."""
        return self.state is State.UP and "unplugged" not in self.faults

    @property
    def boot_wall(self) -> float:
        """When its kernel started, by the wall clock."""
        return self._epoch + self.booted_at

    @property
    def dirty_now(self) -> bool:
        """Whether losing power now would lose data."""
        if self.state is State.BOOTING:
            return self._progress >= DIRTY_FROM
        return self.state in (State.UP, State.HALTING)

    def set_power(self, on: bool, now: float) -> None:
        """The outlet, or the whole supply, gives or takes power."""
        if on == self.powered:
            return
        self._age(now)
        self.powered = on
        if on:
            self._powered_at = now
            self._boot(now)
            return
        if self.dirty_now:
            self.dirty += 1
        self._enter(State.OFF, now, 0.0)
        self.load = 0.0
        self.busy = []

    def halt(self, now: float, *, reboot: bool = False) -> None:
        """``systemctl poweroff`` or ``reboot``, as typed on the node itself."""
        if self.state is State.UP:
            self._reboots = reboot
            self._enter(State.HALTING, now, self._rng.uniform(*HALT_S))

    def wake(self, now: float) -> None:
        """A magic packet: felt by a network card whose board has power and is halted."""
        if self.state is State.HALTED and "unplugged" not in self.faults:
            self._boot(now)

    def run_in(self, now: float, uptime: float) -> None:
        """Be up, as if power and work had been there for ``uptime`` seconds."""
        self.powered = True
        self._powered_at = now - uptime
        self._boot(now - uptime)
        self._come_up(now - uptime)
        self._jobs.begin(now)
        self._work(now, 0.0)
        self.celsius = self._shown = 46.0
        for modes in self.cpu_s:
            _spend(modes, 0.35, uptime)

    # --- time ----------------------------------------------------------------------------------

    def step(self, now: float, seconds: float, air_celsius: float, flow: float) -> None:
        """Live for ``seconds`` until ``now`` in air of ``air_celsius`` moved by ``flow`` 0..1."""
        self._age(now)
        if self.state is State.UP:
            self._work(now, seconds)
        cooling = STILL_AIR + MOVED_AIR * flow
        heat = HEATING * self.watts(now)
        drop = cooling * (self.celsius - air_celsius)
        self.celsius += (heat - drop) * seconds / HEAT_CAPACITY
        if "temp-stuck" not in self.faults:
            self._shown = self.celsius

    def watts(self, now: float) -> float:
        """Draw now."""
        board = self.board
        if not self.powered:
            return 0.0
        match self.state:
            case State.HALTED:
                draw = self._halted_watts
            case State.BOOTING:
                draw = self._boot_amps * 5.0
            case State.HALTING:
                draw = board.idle_watts + 0.3
            case _:
                dynamic = (board.busy_watts - board.idle_watts) * self.load * self.speed
                draw = board.idle_watts + dynamic
        return max(draw, 5.0 * self._inrush(now - self._powered_at))

    @property
    def speed(self) -> float:
        """Clock rate, as part of the greatest: the firmware lowers it above 80 and 85 °C."""
        if self.celsius < SOFT_CELSIUS:
            return 1.0
        if self.celsius < HARD_CELSIUS:
            return 1.0 - 0.4 * (self.celsius - SOFT_CELSIUS) / (HARD_CELSIUS - SOFT_CELSIUS)
        return 0.35

    @property
    def shown_celsius(self) -> float | None:
        """What its sensor says; ``None`` if it says nothing."""
        if "temp-lost" in self.faults:
            return None
        return int(self._shown / SENSOR_STEP) * SENSOR_STEP

    def _inrush(self, age: float) -> float:
        """Amperes into empty capacitors: a peak, then falling within the time that is wired."""
        lasts = self._wiring.inrush_s
        if age >= lasts:
            return 0.0
        flat = lasts * 0.35
        if age <= flat:
            return self._inrush_amps
        return self._inrush_amps * (lasts - age) / (lasts - flat)

    @property
    def _progress(self) -> float:
        return self._now_in_state / self._lasts if self._lasts else 1.0

    def _enter(self, state: State, now: float, lasts: float) -> None:
        self.state = state
        self._since = now
        self._lasts = lasts
        self._now_in_state = 0.0

    def _boot(self, now: float) -> None:
        self._enter(State.BOOTING, now, self._rng.uniform(*BOOT_S))

    def _age(self, now: float) -> None:
        self._now_in_state = now - self._since
        if self._now_in_state < self._lasts:
            return
        if self.state is State.BOOTING:
            self._come_up(now)
        elif self.state is State.HALTING and "hang" not in self.faults:
            if self._reboots:
                self._boot(now)
            else:
                self._enter(State.HALTED, now, 0.0)
                self.load = 0.0
                self.busy = []

    def _come_up(self, now: float) -> None:
        boot_began = self._since
        self._enter(State.UP, now, 0.0)
        self.boots += 1
        self.boot_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self.booted_at = boot_began
        self.load1 = 0.0
        self.cpu_s = [dict.fromkeys(MODES, 0.0) for _ in range(self.board.cpus)]
        for modes in self.cpu_s:
            _spend(modes, 0.6, now - boot_began)
        self.busy = [0.0] * self.board.cpus
        self._jobs.begin(now)

    def _work(self, now: float, seconds: float) -> None:
        self.busy = self._jobs.busy(now)
        if self.forced_load is not None:
            self.busy = [self.forced_load] * self.board.cpus
        self.load = sum(self.busy) / len(self.busy)
        self.load1 += (sum(self.busy) - self.load1) * min(1.0, seconds / 60)
        for modes, busy in zip(self.cpu_s, self.busy, strict=True):
            _spend(modes, busy, seconds)


MODES = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")
"""In the order of node_exporter's page."""


def _spend(modes: dict[str, float], busy: float, seconds: float) -> None:
    """Book ``seconds`` of one CPU: work is mostly user space, idling partly waits for the disk."""
    modes["user"] += busy * seconds * 0.86
    modes["system"] += busy * seconds * 0.12
    modes["softirq"] += busy * seconds * 0.02
    idle = (1 - busy) * seconds
    modes["iowait"] += idle * 0.01
    modes["idle"] += idle * 0.99
