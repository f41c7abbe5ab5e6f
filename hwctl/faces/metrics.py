"""Prometheus: the snapshot and the counters, on a registry of their own.

A value that is not known, or that is stale, is absent: Prometheus then shows a gap, as it should.
Names and labels stand in the public interface and do not change.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from hwctl import __version__
from hwctl.engine.service import Counters, RigService
from hwctl.model.readings import Quality
from hwctl.model.rig import NodeState, Os, Power, Rig


class RigCollector(Collector):
    """Makes all metrics from one snapshot, at the moment of the scrape."""

    def __init__(self, service: RigService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        rig, counters = self._service.rig(), self._service.counters()
        yield from _supplies(rig)
        yield from _nodes(rig)
        yield from _parts(rig)
        yield _gauge(
            "hwctl_shutdown_needed_seconds",
            "What the rig needs to come down in order",
            None,
            [("", rig.shutdown.needed_s)],
        )
        yield from _counted(counters)
        yield InfoMetricFamily("hwctl_build", "This hwctl", value={"version": __version__})


class Exposition:
    """The text of a scrape."""

    def __init__(self, service: RigService) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RigCollector(service))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The body, and its media type, in the format that ``Accept`` asks for."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type


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
    frames = CounterMetricFamily("hwctl_strip_frames", "Frames sent", labels=["strip"])
    for strip, number in counters.frames.items():
        frames.add_metric([strip], number)
    yield frames
    errors = CounterMetricFamily(
        "hwctl_driver_errors", "Errors of devices", labels=["driver", "kind"]
    )
    for (device, kind), number in counters.driver_errors.items():
        errors.add_metric([device, kind], number)
    yield errors
    total, buckets = 0, []
    bounds = [f"{bound:g}" for bound in counters.tick_bounds]
    for bound, number in zip([*bounds, "+Inf"], counters.tick_counts, strict=True):
        total += number
        buckets.append((bound, float(total)))
    ticks = HistogramMetricFamily("hwctl_tick_duration_seconds", "How long ticks took")
    ticks.add_metric([], buckets, counters.tick_sum)
    yield ticks


def _gauge(
    name: str, text: str, label: str | None, values: Iterable[tuple[str, float | None]]
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for key, value in values:
        if value is not None:
            family.add_metric([key] if label else [], value)
    return family
