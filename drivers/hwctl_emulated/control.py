"""The hand of whoever tests: faults, the mains switch, and the truth that no gauge tells.

Orders are dictionaries, so that they fit through a socket:

=====================================================  ==========================================
``{"op": "status"}``                                   everything, as it truly is
``{"op": "mains", "on": true | false | null}``         ``null``: as the scenario has it
``{"op": "node", "node": N, "fault": F, "on": true}``  F of :data:`hwctl_emulated.node.FAULTS`
``{"op": "node", "node": N, "load": 0..1 | null}``     ``null``: the node's own jobs
``{"op": "gauge", "device": D, "fault": F | null}``    F of :data:`hwctl_emulated.i2c.FAULTS`; any
                                                       device on I2C
``{"op": "silence", "device": D, "on": true | false}`` a device answers nothing; not for those on
                                                       I2C and GPIO
``{"op": "reset", "device": D}``                       a brown-out: as after power-up
``{"op": "fan", "fan": F, "stalled": true | false}``   something blocks the blades
``{"op": "charge", "supply": S, "charge": 0..1}``      jump to that charge
=====================================================  ==========================================

Each answers with what ``status`` answers, and takes effect at once.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from hwctl.model.errors import RequestError
from hwctl_emulated.bank import Bank
from hwctl_emulated.i2c import FAULTS as BUS_FAULTS
from hwctl_emulated.i2c import Fault
from hwctl_emulated.node import FAULTS as NODE_FAULTS
from hwctl_emulated.parts import named

if TYPE_CHECKING:
    from hwctl_emulated.world import World

OPS = ("status", "mains", "node", "gauge", "silence", "reset", "fan", "charge")


def control(world: "World", order: dict[str, Any]) -> dict[str, Any]:
    """Carry out ``order``. :raises RequestError: it says something that cannot be."""
    match order:
        case {"op": "status"}:
            pass
        case {"op": "mains", "on": bool() | None as on}:
            world.mains_override = on
        case {"op": "node", "node": str(name), "fault": str(fault), "on": bool(on)}:
            node = named(world.nodes, name, "node")
            if fault not in NODE_FAULTS:
                raise _refused(f"fault {fault!r}", NODE_FAULTS)
            (node.faults.add if on else node.faults.discard)(fault)
        case {"op": "node", "node": str(name), "load": None | int() | float() as load}:
            if load is not None and not 0 <= load <= 1:
                raise _refused(f"load {load}", ("0 to 1", "null"))
            named(world.nodes, name, "node").forced_load = load
        case {"op": "gauge", "device": str(name), "fault": str() | None as fault}:
            bus, address = named(world.parts.addresses, name, "device on I2C")
            if fault is None:
                bus.faults.pop(address, None)
            elif fault in BUS_FAULTS:
                bus.faults[address] = cast("Fault", fault)
            else:
                raise _refused(f"fault {fault!r}", BUS_FAULTS)
        case {"op": "reset", "device": str(name)}:
            named(world.parts.can_reset, name, "device").power_on()
            world.settle()
        case {"op": "silence", "device": str(name), "on": bool(on)}:
            named(world.parts.can_be_silent, name, "device that can be silent")
            (world.parts.silent.add if on else world.parts.silent.discard)(name)
        case {"op": "fan", "fan": str(name), "stalled": bool(stalled)}:
            named(world.air.fans, name, "fan").stalled = stalled
        case {"op": "charge", "supply": str(name), "charge": int() | float() as charge}:
            source = named(world.sources, name, "supply")
            if not isinstance(source, Bank) or not 0 <= charge <= 1:
                raise _refused(f"charge {charge} of {name}", ("0 to 1, of a bank or battery",))
            source.set_charge(charge)
        case _:
            raise _refused(f"order {order!r:.80}", OPS)
    return status(world)


def status(world: "World") -> dict[str, Any]:
    """The truth, as plain dictionaries of numbers and strings."""
    return {
        "now": world.now,
        "mains": world.mains,
        "head": world.head_powered,
        "air_celsius": world.air.celsius,
        "supplies": {
            name: {
                "volts": source.volts,
                "amps": source.amps,
                "watts": source.volts * source.amps,
                "input_volts": source.input_volts,
                "input_amps": source.input_amps,
            }
            | (_bank(source) if isinstance(source, Bank) else {})
            for name, source in world.sources.items()
        },
        "rails": {
            name: {"amps": amps, "peak_amps": world.peaks[name], "overruns": world.overruns[name]}
            for name, amps in world.rail_amps().items()
        },
        "outlets": {
            name: {"on": world.parts.switches[outlet.device].relay(outlet.channel)}
            for name, outlet in world.wiring.outlet.items()
        },
        "nodes": {
            name: {
                "state": node.state.value,
                "powered": node.powered,
                "reachable": node.reachable,
                "dirty": node.dirty,
                "boots": node.boots,
                "boot_id": node.boot_id,
                "watts": node.watts(world.now),
                "celsius": node.celsius,
                "load": node.load,
                "faults": sorted(node.faults),
            }
            for name, node in world.nodes.items()
        },
        "fans": {
            name: {"rpm": fan.rpm, "stalled": fan.stalled, "watts": fan.watts}
            for name, fan in world.air.fans.items()
        },
        "strips": {name: _strip(world, strip.device) for name, strip in world.wiring.strip.items()},
    }


def _bank(bank: Bank) -> dict[str, Any]:
    return {
        "charge": bank.pack.charge,
        "full": bank.full,
        "joules": bank.pack.joules,
        "pack_volts": bank.pack.terminal_volts,
        "pack_amps": bank.pack.amps,
        "energy_in": bank.energy_in,
        "energy_out": bank.energy_out,
        "losses": bank.losses,
    }


def _strip(world: "World", device: str) -> dict[str, Any]:
    strip = world.parts.strips[device]
    strip.settle(world.now)
    return {
        "pixels": strip.pixels.hex(),
        "frames": strip.frames,
        "garbage": strip.garbage,
        "amps": strip.amps,
    }


def _refused(what: str, allowed: Iterable[str]) -> RequestError:
    return RequestError(
        f"{what} cannot be", where="emulated world", hint=f"allowed: {', '.join(sorted(allowed))}"
    )
