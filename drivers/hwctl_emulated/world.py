"""The rig and what is around it, from the user's own files: chips, boards, bank, air and light.

Physics moves on a fixed grid of :data:`STEP_S`, whoever asks and however often, so that the same
seed and the same inputs at the same times make the same world. What hwctl does to a line, a
register, an outlet or the strip is felt at once.
"""

from typing import Any

from hwctl.model.errors import HostError
from hwctl.model.settings import Settings
from hwctl.model.wiring import Wiring
from hwctl_emulated.air import Air
from hwctl_emulated.assembly import assemble, check_references
from hwctl_emulated.bank import Bank, Mains, Source
from hwctl_emulated.control import control
from hwctl_emulated.draws import Draws
from hwctl_emulated.emc230x import WATCHDOG_S
from hwctl_emulated.feeds import Feeds
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.http_end import Answer
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.net_parts import NetParts
from hwctl_emulated.node import Node, State
from hwctl_emulated.page import answer
from hwctl_emulated.parts import Parts, named
from hwctl_emulated.pins import EmulatedFactory
from hwctl_emulated.scenario import Seen, scenario_named
from hwctl_emulated.seeds import stream
from hwctl_emulated.shell import run
from hwctl_emulated.spi import EmulatedSpi
from hwctl_emulated.wires import Files, HidBoard, Wire

STEP_S = 0.25
GAUGE_WARMTH = 3.0
"""Degrees by which gauges are warmer than the air (untuned)."""
FIRST_CHARGE = 0.8
"""Where the settings say nothing."""
RUN_IN_S = 3 * 3600.0
"""How long the rig had been running when the world begins."""


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
        self.mains_override: bool | None = None
        self.mains = True
        self.peaks = dict.fromkeys(wiring.rail, 0.0)
        """The greatest current seen on each rail, in amperes."""
        self.overruns = dict.fromkeys(wiring.rail, 0)
        """Steps in which a rail carried more than its budget."""
        self._tick = 0
        self._running = False
        self._scenario = scenario_named(scenario)
        self.parts: Parts = assemble(
            wiring,
            seed,
            lambda: self.now,
            watchdog_s=max(WATCHDOG_S, 0.75 * speed),
            settle=self.settle,
            alive=self._alive,
        )
        self.sources = {name: self._source(name, seed) for name in wiring.supply}
        self.nodes = {
            name: Node(name, node, stream(seed, f"node/{name}"), start_wall)
            for name, node in wiring.node.items()
        }
        check_references(wiring, self.parts)
        self.air = Air(wiring, self.parts, seed)
        self.feeds = Feeds(wiring, self.parts, self.sources, self.nodes)
        self.draws = Draws(wiring, self.parts, self.sources, self.nodes, self.air.fans, self.feeds)
        self._run_in()
        self._running = True

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

    def tty(self, bus: str) -> Wire:
        """A serial port or Modbus line, as what is sent to it and answered."""
        return named(self.parts.wires, bus, "serial or Modbus bus")

    def hid(self, bus: str) -> HidBoard:
        return named(self.parts.hid, bus, "HID device")

    def sysfs(self, bus: str) -> Files:
        return named(self.parts.files, bus, "folder of the kernel")

    @property
    def net(self) -> NetParts:
        """Outlets on the network, and programs that switch one."""
        return self.parts.net

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

    @property
    def head_powered(self) -> bool:
        return self.feeds.head_powered

    def rail_amps(self) -> dict[str, float]:
        """Amperes on each rail; head and fans are on none."""
        return self.draws.rail_amps(self.now)

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
        self.feeds.share(self.now)
        self.air.warm(sum(loads.values()), STEP_S)
        for node in self.nodes.values():
            node.step(self.now, STEP_S, self.air.celsius, self.air.flow)
        self.feeds.halted()
        self.air.turn(STEP_S, powered=self.head_powered)
        for strip in self.parts.strips.values():
            strip.settle(self.now)
        self.draws.measure(self.now, self.air.celsius + GAUGE_WARMTH, STEP_S)

    def settle(self) -> None:
        """Something may have been switched."""
        if self._running:
            self.feeds.share(self.now)

    def _alive(self, device: str) -> bool:
        return self.feeds.device_alive(device)

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

    def _loads(self) -> dict[str, float]:
        """Watts wanted from each supply; peaks are noted."""
        amps = self.draws.rail_amps(self.now)
        for rail, flowing in amps.items():
            self.peaks[rail] = max(self.peaks[rail], flowing)
            self.overruns[rail] += flowing > self.wiring.rail[rail].budget_amps
        return self.draws.supply_watts(self.now, amps)

    def _lowest_charge(self) -> float:
        banks = (source for source in self.sources.values() if isinstance(source, Bank))
        return min((bank.pack.charge for bank in banks), default=1.0)

    # --- the beginning -------------------------------------------------------------------------

    def _run_in(self) -> None:
        """The rig was running before: outlets on, nodes up, fans turning."""
        for device, begin in self.parts.begin.items():
            begin([one.channel for one in self.wiring.outlet.values() if one.device == device])
        for name, node in self.nodes.items():
            outlet = self.feeds.outlet_of(name)
            if outlet is None or self.feeds.fed(outlet):
                node.run_in(0.0, RUN_IN_S)
        self.air.run_in()
        for name, watts in self._loads().items():
            self.sources[name].step(watts, self.mains, 0.0)
        self.draws.measure(self.now, self.air.celsius + GAUGE_WARMTH, STEP_S)


def _down(node: Node) -> bool:
    return node.state in (State.OFF, State.HALTED)
