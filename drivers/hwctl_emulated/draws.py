"""What is drawn from each rail and supply, and what the gauges see of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hwctl.model.wiring import Wiring
from hwctl_emulated.bank import Bank, Source
from hwctl_emulated.fan import Fan
from hwctl_emulated.feeds import Feeds
from hwctl_emulated.node import Node
from hwctl_emulated.parts import Felt, Parts

HEAD_WATTS = 1.5
"""A Zero 2 W with a little to do (untuned)."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Sums, and nothing that changes."""

    wiring: Wiring
    parts: Parts
    sources: Mapping[str, Source]
    nodes: Mapping[str, Node]
    fans: Mapping[str, Fan]
    feeds: Feeds

    def rail_amps(self, now: float) -> dict[str, float]:
        """Amperes on each rail; head and fans are on none."""
        amps = dict.fromkeys(self.wiring.rail, 0.0)
        for name, node in self.nodes.items():
            outlet = self.feeds.outlet_of(name)
            if outlet:
                rail = self.wiring.outlet[outlet].rail
                amps[rail] += node.watts(now) / self.wiring.rail[rail].volts
        for strip in self.wiring.strip.values():
            if strip.rail and self.feeds.has_volts(self.feeds.supply_of(strip.rail)):
                amps[strip.rail] += self.parts.strips[strip.device].amps
        return amps

    def supply_watts(self, now: float, rail_amps: Mapping[str, float]) -> dict[str, float]:
        """Watts wanted from each supply."""
        loads = dict.fromkeys(self.wiring.supply, 0.0)
        for rail, amps in rail_amps.items():
            wired = self.wiring.rail[rail]
            loads[wired.supply] += amps * wired.volts
        head = self.feeds.head_supply
        if head is not None and self.feeds.has_volts(head):
            loads[head] += HEAD_WATTS + sum(fan.watts for fan in self.fans.values())
            for name, node in self.nodes.items():
                if self.feeds.outlet_of(name) is None:
                    loads[head] += node.watts(now)
            for strip in self.wiring.strip.values():
                if strip.rail is None:
                    loads[head] += 5.0 * self.parts.strips[strip.device].amps
        return loads

    def measure(self, now: float, celsius: float, seconds: float) -> None:
        """Let every gauge feel what is true where it sits, for ``seconds``."""
        felt: dict[tuple[str, int], Felt] = {}
        for name, supply in self.wiring.supply.items():
            source = self.sources[name]
            if place := supply.output_gauge:
                felt[place.device, place.channel] = self._at_supply(
                    source, source.volts, source.amps, celsius, seconds
                )
            if place := supply.input_gauge:
                felt[place.device, place.channel] = self._at_supply(
                    source, source.input_volts, source.input_amps, celsius, seconds
                )
        for name, outlet in self.wiring.outlet.items():
            if outlet.meter:
                # The meter sits behind the switch: no volts while it is open.
                volts = self.sources[self.wiring.rail[outlet.rail].supply].volts
                watts = self.nodes[outlet.node].watts(now) if outlet.node else 0.0
                fed = self.feeds.fed(name) and volts > 0
                felt[outlet.meter.device, outlet.meter.channel] = Felt(
                    *((volts, watts / volts) if fed else (0.0, 0.0)),
                    celsius=celsius,
                    seconds=seconds,
                )
        nothing = Felt(celsius=celsius, seconds=seconds)
        for name, gauge in self.parts.gauges.items():
            for channel in gauge.channels:
                gauge.feel(channel, felt.get((name, channel), nothing))

    @staticmethod
    def _at_supply(
        source: Source, volts: float, amps: float, celsius: float, seconds: float
    ) -> Felt:
        """At its output or input; gauges that sit at its cells feel those, at either."""
        if not isinstance(source, Bank):
            return Felt(volts, amps, celsius=celsius, seconds=seconds)
        pack = source.pack
        return Felt(
            volts,
            amps,
            pack_volts=pack.terminal_volts,
            pack_amps=pack.amps,
            cell_volts=pack.cell_volts,
            cell_amps=pack.cell_amps,
            charge=pack.charge,
            celsius=celsius,
            seconds=seconds,
        )
