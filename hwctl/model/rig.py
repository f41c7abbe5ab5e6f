"""The snapshot: what is known of the rig at one moment, immutable and replaced whole.

Field names are those of the HTTP interface. ``None`` means "not known" and is shown as such.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hwctl.model.readings import Quality


class SupplyStatus(StrEnum):
    """What a supply is doing."""

    CHARGING = "charging"
    DISCHARGING = "discharging"
    FULL = "full"
    IDLE = "idle"
    UNKNOWN = "unknown"


class Power(StrEnum):
    """What the node's feed is doing; read back, or in transition."""

    ON = "on"
    OFF = "off"
    POWERING_ON = "powering-on"
    POWERING_OFF = "powering-off"
    UNKNOWN = "unknown"


class Os(StrEnum):
    """What the node's operating system is doing, as far as it can be told from outside."""

    UP = "up"
    BOOTING = "booting"
    HALTING = "halting"
    HALTED = "halted"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SupplyState:
    id: str
    kind: str
    charge: float | None
    """0..1"""
    charge_margin: float | None
    """The true charge lies within ``charge ± charge_margin``."""
    volts: float | None
    amps: float | None
    """Positive while discharging, negative while charging."""
    watts: float | None
    celsius: float | None
    status: SupplyStatus
    runtime_s: float | None
    """Until empty at the present draw; ``None`` while not discharging."""
    runtime_low_s: float | None
    """The pessimistic bound of the same."""
    mains: bool | None
    """Whether energy comes in from outside."""
    gauges: tuple[str, ...]
    quality: Quality
    age_s: float | None


@dataclass(frozen=True, slots=True)
class NodeState:
    id: str
    role: str
    host: str | None
    """The address under which its load is read."""
    outlet: str | None
    power: Power
    os: Os
    load: float | None
    """Busy share of all its CPUs, 0..1. While stale: the last value, with its age."""
    celsius: float | None
    watts: float | None
    protected: bool
    locate: bool
    quality: Quality
    """Of ``load`` and ``celsius``."""
    age_s: float | None
    throttled: bool | None = None
    operation: str | None = None
    """The operation that holds this node."""
    boot_id: str | None = None


@dataclass(frozen=True, slots=True)
class OutletState:
    id: str
    node: str | None
    on: bool | None
    read_back: str
    """``true``: the pin or port was read; ``assumed``: the device cannot tell."""
    volts: float | None
    amps: float | None
    watts: float | None
    quality: Quality
    age_s: float | None


@dataclass(frozen=True, slots=True)
class FanState:
    id: str
    duty: float | None
    """0..1, as last accepted by the device."""
    rpm: float | None
    mode: str
    """``auto`` or ``manual``."""
    cause: str
    """Why it turns as it does, in a few words."""
    quality: Quality


@dataclass(frozen=True, slots=True)
class StripState:
    id: str
    leds: int
    mode: str
    brightness: float
    """As asked for, 0..1."""
    watts: float | None
    """Estimated from the last frame."""
    limited: bool
    """Whether the power limit dimmed the last frame."""
    fps: float | None
    quality: Quality


@dataclass(frozen=True, slots=True)
class SensorState:
    id: str
    celsius: float | None
    quality: Quality
    age_s: float | None


class OpState(StrEnum):
    """The life of an operation."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (OpState.DONE, OpState.FAILED, OpState.CANCELLED)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of an operation, as it went. Times are wall-clock seconds since the epoch."""

    name: str
    started: float
    finished: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class OperationState:
    """A command that takes time. Times are wall-clock seconds since the epoch."""

    id: str
    kind: str
    """``on``, ``off``, ``cycle`` or ``reset``."""
    target: str
    state: OpState
    step: str | None
    steps: tuple[StepRecord, ...]
    started: float
    finished: float | None
    error: str | None
    forced: str | None
    """What risk was taken, and why: ``None`` if none was."""
    by: str
    reason: str
    expires: float
    """A command not begun by then is never carried out."""
    cancellable: bool


@dataclass(frozen=True, slots=True)
class ShutdownState:
    state: str
    """``standby``, ``confirming``, ``running``, ``down``, ``recovering`` or ``off`` (disarmed)."""
    needed_s: float | None
    """What the rig needs to come down in order."""
    left_s: float | None
    left_low_s: float | None
    """What is left, and its pessimistic bound; ``None`` while on mains or unknown."""
    threshold_s: float | None
    """The shutdown begins when ``left_low_s`` falls to this."""
    stage: str | None
    stages: tuple[str, ...]
    armed: bool
    cause: str | None
    restart_charge: float | None
    """The charge at which nodes that the shutdown stopped are started again."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, kept in the journal. ``at`` is wall-clock seconds."""

    id: int
    at: float
    kind: str
    """Dotted, from the general to the particular: ``power.cut``, ``driver.failed``."""
    subject: str
    text: str
    severity: str = "info"
    """``info``, ``warning`` or ``critical``."""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rig:
    """Everything, at one moment. ``at`` is wall-clock seconds since the epoch."""

    name: str
    title: str
    seq: int
    at: float
    emulated: bool
    speed: float
    healthy: bool
    problems: tuple[str, ...]
    """What is wrong with the service itself: a bus that does not answer, a full disk."""
    supplies: tuple[SupplyState, ...]
    nodes: tuple[NodeState, ...]
    outlets: tuple[OutletState, ...]
    fans: tuple[FanState, ...]
    strips: tuple[StripState, ...]
    sensors: tuple[SensorState, ...]
    operations: tuple[OperationState, ...]
    """Those under way, and the last few that ended."""
    shutdown: ShutdownState
