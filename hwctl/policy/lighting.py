"""What the strip shows, from what is known of the rig.

The names are those of IBPI (SFF-8489, as ledmon has them), the rates are ours and slow. Length is
load, colour is temperature, a breathing pixel is a heartbeat: it stops when the sample is old.
Nothing unknown looks like zero. On the segment of a node, the first of these that applies:

=========  ===========================================================================
locate     all of it, white and blue in turn, 2 Hz
countdown  violet, drains from right to left while the rig comes down; 1 Hz when it is near
fail       the two end pixels red, 1 Hz; between them the last bar, frozen and dim
overheat   the bar amber, 1 Hz
rebuild    something runs through it, once in 2 s: forwards booting, backwards halting
hotspare   one dim blue pixel: off on purpose
stale      the bar frozen and dimmed to a quarter, no heartbeat
unknown    dim white dots
degraded   as ok, with an amber base pixel
ok         base pixel and bar
=========  ===========================================================================

A node that is off or has halted is a hotspare whatever else is true; only locate is above that.

Times are those of one clock, which the frames must be drawn by as well. It must run in real
seconds whatever the speed of an emulated rig: blinking sixty times too fast is dangerous.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hwctl.model.rig import NodeState, Rig, SupplyStatus
from hwctl.model.settings import LightsSettings
from hwctl.model.units import clamp
from hwctl.policy import colour
from hwctl.policy.pixels import FINE, Moment, Part, Still, is_still, joined
from hwctl.policy.segments import Level, Look, charge_bar, cut, layout, look, segment

MODES = ("load", "battery", "off")
"""``load``: nodes and charge. ``battery``: the charge on the whole strip. ``off``: dark. A node
that is to be located shows in every mode."""
PEAK_S = 2.0
"""A peak is marked for so long; untuned."""
NEAR_S = 10.0
"""The countdown blinks when so little is left; untuned."""
ALARM_BRIGHTNESS = 0.1
"""``locate`` and ``fail`` are shown at least so bright, whatever the ceilings. Untuned."""


@dataclass(frozen=True, slots=True)
class StripOverride:
    """What somebody asked of this strip; ``None``: as the settings say."""

    mode: str | None = None
    brightness: float | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that frames are drawn from until the next tick."""

    leds: int
    mode: str
    asked: float
    """The brightness as asked for, 0..1."""
    brightness: float
    """The brightness to be used: after ceilings."""
    at: float
    parts: tuple[Part, ...]
    still: bytes | None
    """The frame, if it is always the same."""
    dark: bool
    """Whether no pixel is lit."""
    levels: Mapping[str, Level] = field(default_factory=dict)
    countdown: tuple[float, float] | None = None
    """When it began (on the rig's clock), and how many seconds it was to take."""


def draw(scene: Scene, now: float) -> bytes:
    """The frame at ``now``: ``scene.leds`` RGB triplets.

    The very same object as before if nothing moves, so that it need not be sent again.
    """
    if scene.still is not None:
        return scene.still
    moment = Moment(now, max(0.0, now - scene.at))
    return b"".join([part.pixels(moment) for part in scene.parts])


def scene(
    rig: Rig,
    now: float,
    settings: LightsSettings,
    leds: int,
    override: StripOverride = StripOverride(),
    previous: Scene | None = None,
) -> Scene:
    """What a strip of ``leds`` shows from ``now`` on.

    ``previous`` is the scene before, so that bars move on from where they are.
    """
    mode = override.mode if override.mode in MODES else MODES[0]
    looks = [look(node, rig.shutdown) for node in rig.nodes]
    asked = settings.brightness if override.brightness is None else override.brightness
    calm = min(asked, _ceiling(rig, settings))
    urgent = {Look.LOCATE, Look.FAIL} if mode == "load" else {Look.LOCATE}
    brightness = max(calm, ALARM_BRIGHTNESS) if urgent.intersection(looks) else calm
    faint = colour.dimmer(colour.light(calm / brightness)) if calm < brightness else None

    countdown = _countdown(rig, previous)
    levels = _levels(rig.nodes, now, previous)
    plan = layout(leds, len(rig.nodes), settings.battery_leds)
    charge = charge_bar(rig.supplies, leds if mode == "battery" else plan.charge[1])
    parts: list[Part] = []
    at = 0
    for (first, length), group in zip(plan.segments, plan.groups, strict=True):
        best = min(group, key=lambda index: (looks[index], -(rig.nodes[index].load or 0.0)))
        node, shown = rig.nodes[best], looks[best]
        if mode == "load" or shown is Look.LOCATE:
            pieces = segment(node, shown, length, levels.get(node.id), _left(rig, countdown))
        elif mode == "battery":
            pieces = [cut(charge, first, length)]
        else:
            pieces = [Still(bytes(3 * length))]
        if faint is not None and shown not in urgent:
            pieces = [piece.dimmed(faint) for piece in pieces]
        parts += pieces
        at = first + length
    rest: list[Part] = [Still(bytes(3 * (leds - at)))]
    if mode == "battery":
        rest = [cut(charge, at, leds - at)]
    elif mode == "load":
        rest = [Still(bytes(3 * (plan.charge[0] - at))), charge]
    parts += rest if faint is None else [piece.dimmed(faint) for piece in rest]

    parts = list(joined(parts))
    still = b"".join(part.rgb for part in parts) if is_still(parts) else None
    if previous is not None and still == previous.still:
        still = previous.still
    return Scene(
        leds=leds,
        mode=mode,
        asked=asked,
        brightness=brightness,
        at=now,
        parts=tuple(parts),
        still=still,
        dark=brightness <= 0 or (still is not None and not any(still)),
        levels=levels,
        countdown=countdown,
    )


def _ceiling(rig: Rig, settings: LightsSettings) -> float:
    """No brighter than this: energy is scarce on a battery, and scarcer in a shutdown."""
    if rig.shutdown.state in ("running", "down"):
        return min(settings.low_brightness, settings.battery_brightness)
    if any(supply.status is SupplyStatus.DISCHARGING for supply in rig.supplies):
        return settings.battery_brightness
    return 1.0


def _levels(nodes: Sequence[NodeState], now: float, previous: Scene | None) -> dict[str, Level]:
    """The bar of every node whose load is, or was, known. Roots, so that 0..10 % can be seen."""
    levels = {}
    for node in nodes:
        if node.load is None or not math.isfinite(node.load):
            continue
        target = math.sqrt(clamp(node.load, 0.0, 1.0))
        before = previous.levels.get(node.id) if previous is not None else None
        if previous is None or before is None:
            levels[node.id] = Level(target, target, target, now)
            continue
        start = before.at(max(0.0, now - previous.at))
        if abs(start - target) < 0.5 / (FINE * FINE):
            start = target
        top, peak, peak_at = max(start, target), before.peak, before.peak_at
        if top >= peak or now - peak_at >= PEAK_S:
            peak, peak_at = top, now
        levels[node.id] = Level(start, target, peak, peak_at)
    return levels


def _countdown(rig: Rig, previous: Scene | None) -> tuple[float, float] | None:
    """When the shutdown that runs was first seen, and what it was to take then."""
    if rig.shutdown.state != "running":
        return None
    if previous is not None and previous.countdown is not None:
        return previous.countdown
    return rig.at, rig.shutdown.needed_s or 0.0


def _left(rig: Rig, countdown: tuple[float, float] | None) -> float:
    """Share of the countdown that is left, 0..1; negative in its last seconds. Full if nobody
    knows how long it will take."""
    if countdown is None or countdown[1] <= 0:
        return 1.0
    began, total = countdown
    left = total - (rig.at - began)
    if rig.shutdown.needed_s is not None:
        left = min(left, rig.shutdown.needed_s)
    share = clamp(left / total, 1e-3, 1.0)
    return -share if left <= NEAR_S else share
