"""The rig and what is around it, from the user's own files: chips, boards, bank, air and light.

Physics moves on a fixed grid of :data:`STEP_S`, whoever asks and however often, so that the same
seed and the same inputs at the same times make the same world. What hwctl does to a line, a
register or the strip is felt at once.
"""

from typing import Any

from hwctl.model.errors import HostError
from hwctl.model.settings import Settings
from hwctl.model.wiring import Wiring
from hwctl_emulated.assembly import Parts, assemble, check_references, named
from hwctl_emulated.bank import Bank, Mains, Source
from hwctl_emulated.control import control
from hwctl_emulated.emc230x import FAN_BASE, WATCHDOG_S
from hwctl_emulated.fan import Fan
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.node import Node, State
from hwctl_emulated.page import Answer, answer
from hwctl_emulated.pins import EmulatedFactory
from hwctl_emulated.scenario import Seen, scenario_named
from hwctl_emulated.seeds import stream
from hwctl_emulated.shell import run
from hwctl_emulated.spi import EmulatedSpi

STEP_S = 0.25
HEAD_WATTS = 1.5
"""A Zero 2 W with a little to do (untuned)."""
ROOM_CELSIUS = 26.0
CASE_HEATING, CASE_S = 0.35, 120.0
"""Degrees per watt in a case with still air, and how slowly it warms (untuned)."""
FIRST_CHARGE = 0.8
"""Where the settings say nothing."""
RUN_IN_S = 3 * 3600.0
"""How long the rig had been running when the world begins."""
RUN_IN_SETTING = 0x80
"""What the last hwctl had left in the fan controllers."""


class World:
    """One rig.

    :param start_wall: the wall clock at second 0.
    :param speed: seconds of the world per real second, where a real clock drives it. A chip's
        watchdog is stretched with it: the host that must feed it is slowed by real input and
        output, which no chip's oscillator can know.
    :raises ConfigError: the wiring names a part, a pin or a bus that there is not.
    """

    def __init__(
        self,
        wiring: Wiring,
        settings: Settings,
        *,
        seed: int,
        scenario: str = "afternoon",
        start_wall: float,
        speed: float = 1.0,
    ) -> None:
        self.wiring = wiring
        self.settings = settings
        self.now = 0.0
        self.start_wall = start_wall
        self.head_powered = True
        self.mains_override: bool | None = None
        self.mains = True
        self.air_celsius = ROOM_CELSIUS + 4
        self.peaks = dict.fromkeys(wiring.rail, 0.0)
        """The greatest current seen on each rail, in amperes."""
        self.overruns = dict.fromkeys(wiring.rail, 0)
        """Steps in which a rail carried more than its budget."""
        self._tick = 0
        self._scenario = scenario_named(scenario)
        watchdog_s = max(WATCHDOG_S, 0.75 * speed)
        self.parts: Parts = assemble(wiring, seed, lambda: self.now, watchdog_s)
        self.sources = {name: self._source(name, seed) for name in wiring.supply}
        self.nodes = {
            name: Node(name, node, stream(seed, f"node/{name}"), start_wall)
            for name, node in wiring.node.items()
        }
        self.fans = {
            name: Fan(fan.rpm_max, fan.start_duty, stream(seed, f"fan/{name}"))
            for name, fan in wiring.fan.items()
        }
        check_references(wiring, self.parts)
        self._outlet_of = {name: wiring.outlet_of(name) for name in wiring.node}
        self._run_in()
        for relay in self.parts.relays.values():
            relay.lines.watch(relay.line, lambda _level: self._share_power())

    # --- what hwctl reaches --------------------------------------------------------------------

    def i2c(self, bus: str) -> EmulatedI2c:
        return named(self.parts.i2c, bus, "I2C bus")

    def gpio(self, bus: str) -> EmulatedFactory:
        """A gpiozero pin factory, with its own reservations."""
        return EmulatedFactory(self.lines(bus), self.parts.revision or 0)

    def lines(self, bus: str) -> GpioLines:
        """The same lines without gpiozero."""
        return named(self.parts.gpio, bus, "GPIO bus")

    def spi(self, bus: str) -> EmulatedSpi:
        return named(self.parts.spi, bus, "SPI bus")

    def answer(self, node: str, target: str) -> Answer:
        """What the node's exporter answers. :raises HostError: nothing does."""
        board = named(self.nodes, node, "node")
        if not board.reachable or "exporter-dead" in board.faults:
            raise HostError("connection refused", where=node, hint="is the node up?")
        return answer(board, target, self.start_wall + self.now)

    def page(self, node: str, query: str = "") -> bytes:
        """The exporter's page. :raises HostError: unreachable, not 200, broken off or endless."""
        got = self.answer(node, f"/metrics?{query}" if query else "/metrics")
        if got.status != 200:
            raise HostError(f"HTTP status {got.status}", where=node, hint="ask again later")
        if got.then != "end":
            raise HostError("the page has no end", where=node, hint="look at its exporter")
        return got.body

    def command(self, node: str, line: str) -> tuple[int, str]:
        """Run a command line as ssh does. :raises HostError: the node does not answer."""
        board = named(self.nodes, node, "node")
        if not board.reachable:
            raise HostError("connection refused", where=node, hint="is the node up?")
        return run(board, line, self.now)

    def control(self, order: dict[str, Any]) -> dict[str, Any]:
        """What no hardware has: faults, the mains switch, the truth (see :mod:`.control`)."""
        return control(self, order)

    # --- time ----------------------------------------------------------------------------------

    def advance_to(self, now: float) -> None:
        """Live until ``now``; earlier times change nothing."""
        while (self._tick + 1) * STEP_S <= now:
            self._step()
        self.now = max(self.now, now)

    def _step(self) -> None:
        self._tick += 1
        self.now = self._tick * STEP_S
        seen = Seen(self.now, all(map(_down, self.nodes.values())), self._lowest_charge())
        mains = self._scenario.mains(seen)
        self.mains = mains if self.mains_override is None else self.mains_override
        loads = self._loads()
        for name, source in self.sources.items():
            source.step(loads[name], self.mains, STEP_S)
        self._share_power()
        flow = sum(fan.flow for fan in self.fans.values()) / max(1, len(self.fans))
        warmth = CASE_HEATING * sum(loads.values()) * (1 - 0.7 * flow)
        self.air_celsius += (ROOM_CELSIUS + warmth - self.air_celsius) * STEP_S / CASE_S
        for node in self.nodes.values():
            node.step(self.now, STEP_S, self.air_celsius, flow)
        for name, fan in self.fans.items():
            wired = self.wiring.fan[name]
            chip = self.parts.fans[wired.device]
            fan.step(chip.duty(wired.channel - 1) if self.head_powered else 0.0, STEP_S)
            chip.rpm[wired.channel - 1] = fan.rpm
        for strip in self.parts.strips.values():
            strip.settle(self.now)
        self._measure()

    # --- power ---------------------------------------------------------------------------------

    def _source(self, name: str, seed: int) -> Source:
        supply = self.wiring.supply[name]
        volts = next((rail.volts for rail in self.wiring.rail.values() if rail.supply == name), 5.1)
        if supply.kind == "mains":
            return Mains(volts)
        settings = self.settings.supply.get(name)
        said = settings.charge_at_first_start if settings else None
        rng = stream(seed, f"supply/{name}")
        charge = (FIRST_CHARGE if said is None else said) + rng.uniform(-0.01, 0.01)
        return Bank(supply, volts, min(1.0, max(0.0, charge)), rng)

    @property
    def _head_supply(self) -> str | None:
        """Head, fans and whatever names no rail hang on the first supply of the file."""
        return next(iter(self.wiring.supply), None)

    def _supply_of(self, rail: str | None) -> str | None:
        return self.wiring.rail[rail].supply if rail else self._head_supply

    def rail_amps(self) -> dict[str, float]:
        """Amperes on each rail; head and fans are on none."""
        amps = dict.fromkeys(self.wiring.rail, 0.0)
        for name, node in self.nodes.items():
            outlet = self._outlet_of[name]
            if outlet:
                rail = self.wiring.outlet[outlet].rail
                amps[rail] += node.watts(self.now) / self.wiring.rail[rail].volts
        for strip in self.wiring.strip.values():
            if strip.rail and self._has_volts(self._supply_of(strip.rail)):
                amps[strip.rail] += self.parts.strips[strip.device].amps
        return amps

    def _loads(self) -> dict[str, float]:
        """Watts wanted from each supply."""
        loads = dict.fromkeys(self.wiring.supply, 0.0)
        for rail, amps in self.rail_amps().items():
            wired = self.wiring.rail[rail]
            loads[wired.supply] += amps * wired.volts
            self.peaks[rail] = max(self.peaks[rail], amps)
            self.overruns[rail] += amps > wired.budget_amps
        head = self._head_supply
        if head is not None and self._has_volts(head):
            loads[head] += HEAD_WATTS + sum(fan.watts for fan in self.fans.values())
            for name, node in self.nodes.items():
                if self._outlet_of[name] is None:
                    loads[head] += node.watts(self.now)
            for strip in self.wiring.strip.values():
                if strip.rail is None:
                    loads[head] += 5.0 * self.parts.strips[strip.device].amps
        return loads

    def _has_volts(self, supply: str | None) -> bool:
        return supply is None or self.sources[supply].volts > 0

    def _share_power(self) -> None:
        """Give power to, or take it from, whatever hangs on relays and supplies."""
        self._power_head(self._has_volts(self._head_supply))
        for name, node in self.nodes.items():
            outlet = self._outlet_of[name]
            node.set_power(
                self._fed(outlet) if outlet else self._has_volts(self._head_supply), self.now
            )
        for strip in self.wiring.strip.values():
            if not self._has_volts(self._supply_of(strip.rail)):
                self.parts.strips[strip.device].power_off()

    def _fed(self, outlet: str) -> bool:
        wired = self.wiring.outlet[outlet]
        return self.parts.relays[wired.device].on and self._has_volts(self._supply_of(wired.rail))

    def _power_head(self, on: bool) -> None:
        """A head without power: nothing answers, lines fall to their pulls, chips forget."""
        if on == self.head_powered:
            return
        self.head_powered = on
        for i2c in self.parts.i2c.values():
            i2c.powered = on
        for spi in self.parts.spi.values():
            spi.powered = on
        for lines in self.parts.gpio.values():
            lines.powered = on
        if on:
            for chip in (*self.parts.gauges.values(), *self.parts.fans.values()):
                chip.power_on()
        else:
            for lines in self.parts.gpio.values():
                lines.power_on()

    def _lowest_charge(self) -> float:
        banks = (source for source in self.sources.values() if isinstance(source, Bank))
        return min((bank.pack.charge for bank in banks), default=1.0)

    def _measure(self) -> None:
        pins: dict[str, tuple[float, float]] = {}
        for name, supply in self.wiring.supply.items():
            source = self.sources[name]
            if supply.output_gauge:
                pins[supply.output_gauge.device] = (source.volts, source.amps)
            if supply.input_gauge:
                pins[supply.input_gauge.device] = (source.input_volts, source.input_amps)
        for name, outlet in self.wiring.outlet.items():
            if outlet.meter:
                # The meter sits behind the relay: no volts while it is open.
                volts = self.sources[self.wiring.rail[outlet.rail].supply].volts
                node = self.nodes[outlet.node] if outlet.node else None
                watts = node.watts(self.now) if node else 0.0
                fed = self._fed(name) and volts > 0
                pins[outlet.meter.device] = (volts, watts / volts) if fed else (0.0, 0.0)
        for name, gauge in self.parts.gauges.items():
            volts, amps = pins.get(name, (0.0, 0.0))
            if isinstance(gauge, Ina219):
                gauge.sense(volts, amps)
            else:
                gauge.sense(volts, amps, STEP_S, self.air_celsius + 3)

    # --- the beginning -------------------------------------------------------------------------

    def _run_in(self) -> None:
        """The rig was running before: relays on, nodes up, fans turning."""
        for relay in self.parts.relays.values():
            relay.lines.drive(relay.line, not relay.active_low)
        for node in self.nodes.values():
            node.run_in(0.0, RUN_IN_S)
        for chip in self.parts.fans.values():
            for channel in range(chip.product_fans):
                chip.start(False)
                chip.write(FAN_BASE + 0x10 * channel)
                chip.write(RUN_IN_SETTING)
                chip.stop()
        for name, fan in self.fans.items():
            wired = self.wiring.fan[name]
            fan.run_in(RUN_IN_SETTING / 255)
            self.parts.fans[wired.device].rpm[wired.channel - 1] = fan.rpm
        for name, watts in self._loads().items():
            self.sources[name].step(watts, self.mains, 0.0)
        self._measure()


def _down(node: Node) -> bool:
    return node.state in (State.OFF, State.HALTED)
