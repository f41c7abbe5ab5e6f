"""What an operation has decided, carried out: by the network, or by an outlet's own thread."""

from functools import partial
from typing import TYPE_CHECKING

from hwctl.engine import assembly, memory, power_facts
from hwctl.engine.operations import Done
from hwctl.model.errors import HwctlError
from hwctl.policy.operation import Action

if TYPE_CHECKING:
    from hwctl.engine.core import Engine


def carry_out(engine: "Engine", action: Action, done: Done) -> None:
    """One journalled action; called by the writer. ``done`` is called once, from any thread."""
    outlet_id: str | None = action.target
    if action.verb in ("halt", "reboot"):
        if engine.network.can_halt(action.target):
            if engine.desk.wants(action):
                engine.network.ask(action.target, action.verb, done)
            return
        # A power button asks too.
        outlet_id = engine.outlet_of.get(action.target)
    if outlet_id is None:
        return
    outlet = engine.wiring.outlet[outlet_id]
    begun = Begun(lambda: engine.desk.wants(action))
    # One key per operation: an order to switch is never dropped for a later one.
    engine.bus_of[outlet.device].order(
        outlet.device, f"switch/{outlet_id}/{action.operation}/{action.step}",
        assembly.switcher(action, outlet.channel, _known(engine, outlet.device), begun),
        partial(_switched, engine, outlet_id, action, begun, done),
    )  # fmt: skip


class Begun:
    """Asks whether an order is still wanted, when its turn has come; and keeps the answer."""

    def __init__(self, wants: "assembly.Wanted") -> None:
        self._wants = wants
        self.yes = False

    def __call__(self) -> bool:
        self.yes = self._wants()
        return self.yes


def _known(engine: "Engine", device: str) -> dict[int, bool]:
    """What its channels were last ordered to be."""
    return {
        engine.wiring.outlet[outlet].channel: on
        for outlet, on in tuple(engine.assumed.items())
        if engine.wiring.outlet[outlet].device == device
    }


def _switched(
    engine: "Engine",
    outlet: str,
    action: Action,
    begun: Begun,
    done: Done,
    error: HwctlError | None,
) -> None:
    """From the bus's thread. What cannot be read back is remembered."""
    if begun.yes and error is None and action.verb in ("switch", "cycle"):
        comes_on = action.verb == "cycle" or bool(action.on)
        if not engine.says[engine.wiring.outlet[outlet].device].reads_back:
            engine.assumed[outlet] = comes_on
            memory.remember_assumed(engine)
        if comes_on:
            late = action.off_s + power_facts.DEVICE_S if action.verb == "cycle" else 0.0
            if not engine.says[engine.wiring.outlet[outlet].device].prompt:
                late += engine.limits.verify_s
            power_facts.expect_inrush(engine, outlet, late + power_facts.CONTACT_S)
    done(error)
    engine.wake()
