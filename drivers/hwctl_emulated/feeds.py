"""Who has power: outlets, supplies, the head itself, and the buttons that boards have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hwctl.model.wiring import Wiring
from hwctl_emulated.bank import Source
from hwctl_emulated.node import Node, State
from hwctl_emulated.parts import Parts


class _Bus(Protocol):
    powered: bool


@dataclass(slots=True)
class Feeds:
    """Gives power to, and takes it from, whatever hangs on outlets and supplies."""

    wiring: Wiring
    parts: Parts
    sources: Mapping[str, Source]
    nodes: Mapping[str, Node]
    head_powered: bool = True
    _outlet_of: dict[str, str | None] = field(init=False)
    _supply_of_device: dict[str, str] = field(init=False)
    _had_volts: dict[str, bool] = field(init=False)
    _pressed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outlet_of = {name: self.wiring.outlet_of(name) for name in self.wiring.node}
        self._supply_of_device = {
            outlet.device: self.wiring.rail[outlet.rail].supply
            for outlet in self.wiring.outlet.values()
        }
        self._had_volts = dict.fromkeys(self.wiring.supply, True)

    # --- what is fed by what -------------------------------------------------------------------

    @property
    def head_supply(self) -> str | None:
        """Head, fans and whatever names no rail hang on the first supply of the file."""
        return next(iter(self.wiring.supply), None)

    def supply_of(self, rail: str | None) -> str | None:
        return self.wiring.rail[rail].supply if rail else self.head_supply

    def outlet_of(self, node: str) -> str | None:
        return self._outlet_of[node]

    def has_volts(self, supply: str | None) -> bool:
        return supply is None or self.sources[supply].volts > 0

    def device_alive(self, device: str) -> bool:
        """Whether a device with a supply of its own has power."""
        return self.has_volts(self._supply_of_device.get(device, self.head_supply))

    def fed(self, outlet: str) -> bool:
        """Whether volts come out of it."""
        wired = self.wiring.outlet[outlet]
        on = self.parts.switches[wired.device].relay(wired.channel)
        return on and self.has_volts(self.supply_of(wired.rail))

    # --- sharing it out --------------------------------------------------------------------------

    def share(self, now: float) -> None:
        """Look at everything that switches, and let it have its effect."""
        self._power_head(self.has_volts(self.head_supply))
        self._power_devices()
        self.halted()
        for name, node in self.nodes.items():
            outlet = self._outlet_of[name]
            node.set_power(self.fed(outlet) if outlet else self.has_volts(self.head_supply), now)
        self._press(now)
        for strip in self.wiring.strip.values():
            if not self.has_volts(self.supply_of(strip.rail)):
                self.parts.strips[strip.device].power_off()

    def halted(self) -> None:
        """A board behind a power button switches itself off when its system has halted."""
        for device, button in self.parts.buttons.items():
            if any(node.state is State.HALTED for node in self._nodes_on(device)):
                button.switch_off()

    def _nodes_on(self, device: str) -> list[Node]:
        return [
            self.nodes[outlet.node]
            for outlet in self.wiring.outlet.values()
            if outlet.device == device and outlet.node
        ]

    def _press(self, now: float) -> None:
        """Short presses and magic packets that came since the last look."""
        for device, button in self.parts.buttons.items():
            if button.halt_requests > self._pressed.get(device, 0):
                for node in self._nodes_on(device):
                    node.halt(now)
            self._pressed[device] = button.halt_requests
        for device, card in self.parts.wakers.items():
            if card.relay(0):
                card.power_on()  # it waits for the next one
                for node in self._nodes_on(device):
                    node.wake(now)

    def _power_devices(self) -> None:
        """Outlet devices with a supply of their own: as they come up when it is back."""
        for supply in self.sources:
            has = self.has_volts(supply)
            if has and not self._had_volts[supply]:
                for device in self.parts.fed_by_rail:
                    if self._supply_of_device.get(device) == supply:
                        self.parts.switches[device].power_on()
            self._had_volts[supply] = has

    def _power_head(self, on: bool) -> None:
        """A head without power: nothing answers, lines fall to their pulls, chips forget."""
        if on == self.head_powered:
            return
        self.head_powered = on
        parts = self.parts
        buses: Sequence[_Bus] = (
            *parts.i2c.values(), *parts.spi.values(), *parts.gpio.values(),
            *parts.wires.values(), *parts.hid.values(), *parts.files.values(),
        )  # fmt: skip
        for bus in buses:
            bus.powered = on
        if on:
            for gauge in parts.gauges.values():
                if not gauge.on_cells:
                    gauge.power_on()
            for board in parts.fans.values():
                board.power_on()
            return
        for lines in parts.gpio.values():
            lines.power_on()
        for device, switch in parts.switches.items():
            if device not in parts.fed_by_rail:
                switch.power_on()
