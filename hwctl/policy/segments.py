"""The pieces of a strip: where they are, and how each is drawn at one tick.

See :mod:`hwctl.policy.lighting` for what they mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from hwctl.model.readings import Quality
from hwctl.model.rig import NodeState, Os, Power, ShutdownState, SupplyState, SupplyStatus
from hwctl.model.units import clamp
from hwctl.policy import colour
from hwctl.policy.pixels import (
    ATTACK_S,
    RELEASE_S,
    Bar,
    Blink,
    Breath,
    Part,
    Still,
    bar,
    chase,
    dots,
)

OVERHEAT_CELSIUS = 80.0
"""The Pi's soft limit, where it begins to throttle (unverified)."""
STALE_LIGHT = 0.25
"""Share of the light that a stale bar keeps; untuned."""
NOTCHES = (0.25, 0.5, 0.75)
NOTCHES_FROM = 8
"""A charge bar shorter than this has no room for notches."""


class Look(IntEnum):
    """What is shown of a node. The least value is the most urgent."""

    LOCATE = 1
    COUNTDOWN = 2
    FAIL = 3
    OVERHEAT = 4
    REBUILD = 5
    UNKNOWN = 6
    STALE = 7
    DEGRADED = 8
    OK = 9
    HOTSPARE = 10


@dataclass(frozen=True, slots=True)
class Level:
    """Where a node's bar was at a tick, and where it goes."""

    start: float
    target: float
    peak: float
    peak_at: float

    def at(self, since_tick: float) -> float:
        tau = RELEASE_S if self.start > self.target else ATTACK_S
        return self.target + (self.start - self.target) * math.exp(-since_tick / tau)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are on a strip; (first LED, LEDs)."""

    segments: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, ...], ...]
    """The nodes that each segment shows: more than one where nodes outnumber the LEDs."""
    charge: tuple[int, int]


def layout(leds: int, nodes: int, charge_leds: int) -> Layout:
    """Equal segments in the order of the nodes, then the charge at the end.

    Too few LEDs cost first the charge, then the nodes' own segments: several share a pixel, which
    shows the most urgent.
    """
    charge_leds = min(charge_leds, leds)
    if nodes and leds - charge_leds < nodes:
        charge_leds = 0
    room = leds - charge_leds
    shown = min(nodes, room)
    each = room // shown if shown else 0
    groups: list[list[int]] = [[] for _ in range(shown)]
    for node in range(nodes if shown else 0):
        groups[node * shown // nodes].append(node)
    return Layout(
        segments=tuple((index * each, each) for index in range(shown)),
        groups=tuple(tuple(group) for group in groups),
        charge=(room, charge_leds),
    )


def look(node: NodeState, shutdown: ShutdownState) -> Look:
    """What is the most urgent to show of ``node``."""
    off = node.power is Power.OFF or node.os is Os.HALTED
    moving = node.power in (Power.POWERING_ON, Power.POWERING_OFF)
    if node.locate:
        return Look.LOCATE
    if off:
        return Look.HOTSPARE
    if shutdown.state == "running":
        return Look.COUNTDOWN
    if node.os is Os.UNREACHABLE:
        return Look.FAIL
    if node.throttled or (node.celsius is not None and node.celsius >= OVERHEAT_CELSIUS):
        return Look.OVERHEAT
    if moving or node.os in (Os.BOOTING, Os.HALTING):
        return Look.REBUILD
    if node.load is None:
        return Look.UNKNOWN
    if node.quality in (Quality.STALE, Quality.ABSENT):
        return Look.STALE
    feed_lost = node.outlet is not None and node.power is Power.UNKNOWN
    if node.quality is Quality.SUSPECT or feed_lost:
        return Look.DEGRADED
    return Look.OK


def segment(
    node: NodeState, shown: Look, leds: int, level: Level | None, left: float
) -> list[Part]:
    """The pixels of one node. ``left``: share of the countdown, negative when it is near."""
    frozen = _frozen(node, level, leds)
    dark = bytes(3 * leds)
    match shown:
        case Look.LOCATE:
            return [Blink(colour.WHITE * leds, colour.BLUE * leds, hz=2.0)]
        case Look.COUNTDOWN:
            drained = colour.VIOLET + bar(colour.VIOLET, leds - 1, abs(left))
            return [Blink(drained, dark, hz=1.0) if left < 0 else Still(drained)]
        case Look.FAIL:
            ends = frozen[3:-3] if leds > 2 else b""
            one = (colour.RED + ends + colour.RED)[: 3 * leds]
            other = (colour.DARK + ends + colour.DARK)[: 3 * leds]
            return [Blink(one, other, hz=1.0)]
        case Look.OVERHEAT:
            amber = colour.AMBER + bar(colour.AMBER, leds - 1, level.target if level else 0.0)
            return [Blink(amber, amber[:3].translate(colour.dimmer(0.3)) + dark[3:], hz=1.0)]
        case Look.REBUILD:
            down = node.os is Os.HALTING or node.power is Power.POWERING_OFF
            return [chase(leds, down)]
        case Look.HOTSPARE:
            return [Still(colour.DIM_BLUE + dark[3:])]
        case Look.UNKNOWN:
            return [Still(dots(colour.DIM_WHITE, leds))]
        case Look.STALE:
            return [Still(frozen)]
        case Look.OK | Look.DEGRADED:
            return _living(node, shown, leds, level)


def _living(node: NodeState, shown: Look, leds: int, level: Level | None) -> list[Part]:
    """Base pixel and bar of a node whose sample is fresh."""
    rgb = colour.of_temperature(node.celsius)
    base = colour.AMBER if shown is Look.DEGRADED else rgb
    if level is None or leds == 1:
        share = 0.4 + 0.6 * (level.target if level else 0.0)
        return [Breath(base.translate(colour.dimmer(share))), Still(bytes(3 * (leds - 1)))]
    length = leds - 1
    peak = math.ceil(level.peak * length) - 1
    if peak < math.ceil(level.target * length):
        peak = -1  # the bar itself ends there, or will
    if level.start == level.target:
        return [Breath(base), Still(bar(rgb, length, level.target, peak))]
    return [Breath(base), Bar(rgb, length, level.start, level.target, peak)]


def _frozen(node: NodeState, level: Level | None, leds: int) -> bytes:
    """The last bar, dim, without a heartbeat; dark if there was none."""
    if level is None:
        return bytes(3 * leds)
    rgb = colour.of_temperature(node.celsius)
    dim = colour.dimmer(colour.light(STALE_LIGHT))
    return (rgb + bar(rgb, leds - 1, level.target)).translate(dim)


def charge_bar(supplies: Sequence[SupplyState], leds: int) -> Still | Breath:
    """The lowest charge of the rig's batteries: a bar, breathing while one is charged."""
    known = [supply for supply in supplies if supply.charge is not None]
    if not known:
        unknown = any(supply.kind != "mains" for supply in supplies)
        return Still(dots(colour.DIM_WHITE, leds) if unknown else bytes(3 * leds))
    lowest = min(known, key=lambda supply: supply.charge or 0.0)
    charge = clamp(lowest.charge or 0.0, 0.0, 1.0)
    rgb = colour.AMBER if charge < NOTCHES[0] else colour.YELLOW
    shown = bytearray(bar(rgb, leds, charge))
    for notch in NOTCHES if leds >= NOTCHES_FROM else ():
        index = round(notch * leds) - 1
        lit = charge >= notch
        shown[3 * index : 3 * index + 3] = colour.BLUE if lit else colour.DIM_BLUE
    if lowest.quality is not Quality.OK:
        return Still(bytes(shown.translate(colour.dimmer(colour.light(STALE_LIGHT)))))
    if any(supply.status is SupplyStatus.CHARGING for supply in supplies):
        return Breath(bytes(shown))
    return Still(bytes(shown))


def cut(part: Still | Breath, first: int, leds: int) -> Still | Breath:
    """Some of the pixels of a charge bar."""
    return replace(part, rgb=part.rgb[3 * first : 3 * (first + leds)])
