"""Prometheus: the snapshot and the counters as text (exposition format 0.0.4).

A value that is not known, or that is stale, is absent: Prometheus then shows a gap, as it should.
Names and labels stand in the public interface and do not change.

Written here because the client library brings an HTTP server and e-mail parsing along, 3 MB of the
60 that the service may take; its parser judges this text in the tests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hwctl import __version__
from hwctl.engine.service import Counters, RigService
from hwctl.model.readings import Quality
from hwctl.model.rig import NodeState, Os, Power, Rig

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. A sample is (suffix of the name, labels, value)."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    text: str
    samples: tuple[tuple[str, Labels, float], ...]

    def lines(self) -> Iterator[str]:
        """As Prometheus reads it; nothing at all where nothing is known."""
        if not self.samples:
            return
        yield f"# HELP {self.name} {self.text}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.samples:
            inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels)
            yield (
                f"{self.name}{suffix}{{{inside}}} {value!r}"
                if inside
                else (f"{self.name}{suffix} {value!r}")
            )


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def render(service: RigService) -> bytes:
    """The body of a scrape."""
    rig, counters = service.rig(), service.counters()
    needed = _gauge(
        "hwctl_shutdown_needed_seconds",
        "What the rig needs to come down in order",
        None,
        [("", rig.shutdown.needed_s)],
    )
    build = Metric(
        "hwctl_build_info", "gauge", "This hwctl", (("", (("version", __version__),), 1.0),)
    )
    families = (*_supplies(rig), *_nodes(rig), *_parts(rig), needed, *_counted(counters), build)
    return "".join(f"{line}\n" for family in families for line in family.lines()).encode()


def _supplies(rig: Rig) -> Iterator[Metric]:
    known = [one for one in rig.supplies if one.quality is Quality.OK]
    for name, text, attribute in (
        ("charge_ratio", "Charge, 0 to 1", "charge"),
        ("volts", "Voltage", "volts"),
        ("amperes", "Current, positive while discharging", "amps"),
        ("watts", "Power", "watts"),
        ("runtime_seconds", "Until empty at the present draw", "runtime_s"),
    ):
        yield _gauge(
            f"hwctl_supply_{name}",
            text,
            "supply",
            [(one.id, getattr(one, attribute)) for one in known],
        )


def _nodes(rig: Rig) -> Iterator[Metric]:
    known = [one for one in rig.nodes if one.quality is Quality.OK]
    yield _gauge(
        "hwctl_node_load_ratio",
        "Busy share of all CPUs, 0 to 1",
        "node",
        [(one.id, one.load) for one in known],
    )
    yield _gauge(
        "hwctl_node_temperature_celsius",
        "Temperature",
        "node",
        [(one.id, one.celsius) for one in known],
    )
    yield _gauge(
        "hwctl_node_up",
        "Whether its operating system runs and answers",
        "node",
        [(one.id, _up(one)) for one in rig.nodes],
    )


def _up(node: NodeState) -> float | None:
    if node.os is Os.UNKNOWN:
        return 0.0 if node.power is Power.OFF else None
    return float(node.os is Os.UP)


def _parts(rig: Rig) -> Iterator[Metric]:
    yield _gauge(
        "hwctl_outlet_on",
        "Whether the feed is on",
        "outlet",
        [
            (one.id, None if one.on is None else float(one.on))
            for one in rig.outlets
            if one.quality is Quality.OK
        ],
    )
    fans = [one for one in rig.fans if one.quality is Quality.OK]
    yield _gauge(
        "hwctl_fan_duty_ratio", "Duty, 0 to 1", "fan", [(one.id, one.duty) for one in fans]
    )
    yield _gauge(
        "hwctl_fan_speed_rpm", "Speed, turns a minute", "fan", [(one.id, one.rpm) for one in fans]
    )
    yield _gauge(
        "hwctl_strip_watts",
        "Estimated power of the frame that is shown",
        "strip",
        [(one.id, one.watts) for one in rig.strips if one.quality is Quality.OK],
    )


def _counted(counters: Counters) -> Iterator[Metric]:
    yield Metric(
        "hwctl_strip_frames_total",
        "counter",
        "Frames sent",
        tuple(("", (("strip", s),), float(n)) for s, n in counters.frames.items()),
    )
    yield Metric(
        "hwctl_driver_errors_total",
        "counter",
        "Errors of devices",
        tuple(
            ("", (("driver", device), ("kind", kind)), float(number))
            for (device, kind), number in counters.driver_errors.items()
        ),
    )
    total = 0
    samples: list[tuple[str, Labels, float]] = []
    bounds = [f"{bound:g}" for bound in counters.tick_bounds]
    for bound, number in zip([*bounds, "+Inf"], counters.tick_counts, strict=True):
        total += number
        samples.append(("_bucket", (("le", bound),), float(total)))
    samples += [("_sum", (), counters.tick_sum), ("_count", (), float(total))]
    yield Metric("hwctl_tick_duration_seconds", "histogram", "How long ticks took", tuple(samples))


def _gauge(
    name: str, text: str, label: str | None, values: Iterable[tuple[str, float | None]]
) -> Metric:
    return Metric(
        name,
        "gauge",
        text,
        tuple(
            ("", ((label, key),) if label else (), value)
            for key, value in values
            if value is not None
        ),
    )
