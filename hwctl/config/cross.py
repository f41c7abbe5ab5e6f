"""Checks across the tables of a wiring file: references, channels, rails."""

from collections.abc import Iterator, Sequence

from hwctl.config.claims import check_claims
from hwctl.config.draft import WiringDraft
from hwctl.config.needs import ring
from hwctl.config.outlets import check_outlets
from hwctl.config.problems import Problem, listed, meant, quoted
from hwctl.config.toml_lines import KeyPath


def check_wiring(draft: WiringDraft) -> Iterator[Problem]:
    """Everything that is wrong between the entries of the wiring file."""
    yield from check_claims(draft)
    yield from check_outlets(draft)
    yield from _references(draft)
    yield from _channels(draft)
    yield from _feeds(draft)
    yield from _needs(draft)
    yield from _rails(draft)


def _references(draft: WiringDraft) -> Iterator[Problem]:
    wiring = draft.wiring
    wanted: list[tuple[KeyPath, str, str | None]] = [
        *((("rail", name, "supply"), "supply", rail.supply) for name, rail in wiring.rail.items()),
        *(
            (("outlet", name, "rail"), "rail", outlet.rail)
            for name, outlet in wiring.outlet.items()
        ),
        *(
            (("outlet", name, "node"), "node", outlet.node)
            for name, outlet in wiring.outlet.items()
        ),
        *((("strip", name, "rail"), "rail", strip.rail) for name, strip in wiring.strip.items()),
    ]
    for key, table, target in wanted:
        known = draft.declared(table)
        if target is not None and target not in known:
            yield draft.source.problem(
                key,
                f"there is no {table} {quoted(target)}",
                meant(target, list(known), f"{table} tables in this file"),
            )


def _channels(draft: WiringDraft) -> Iterator[Problem]:
    """Roles and channels: each place on a device exists, does what is wanted, and is used once."""
    owners: dict[tuple[str, str, int], tuple[str, KeyPath]] = {}
    for who, key, role, device, channel in _places(draft):
        if device not in draft.declared("device"):
            yield draft.source.problem(
                (*key, "device"),
                f"there is no device {quoted(device)}",
                meant(device, _with_role(draft, role), f"devices that are {_a(role)}"),
            )
            continue
        driver = draft.drivers.get(device)
        if driver is None:
            continue  # what is wrong with it has been said
        if role not in driver.roles:
            yield draft.source.problem(
                (*key, "device"),
                f"{who} needs {_a(role)}, but {quoted(device)} ({driver.name}, "
                f"{draft.source.place(('device', device))}) is "
                f"{listed([_a(one) for one in sorted(driver.roles)])}",
                meant("", _with_role(draft, role), f"devices that are {_a(role)}"),
            )
            continue
        use = draft.devices.get(device)
        if use is None:
            continue  # its options are wrong: how many it has is not known
        first, last = use.channels.start, use.channels.stop - 1
        if channel not in use.channels:
            allowed = f"{first} to {last}" if last > first else f"only {first}"
            yield draft.source.problem(
                (*key, "channel"),
                f"{who} names channel {channel} of {quoted(device)}, which has {allowed}",
                f"allowed: {allowed} ({driver.name})",
            )
            continue
        other, other_key = owners.setdefault((role, device, channel), (who, key))
        if other != who:
            yield draft.source.problem(
                key,
                f"channel {channel} of {quoted(device)} is used by {other} "
                f"({draft.source.place(other_key)}) and {who} ({draft.source.place(key)})",
                "give each its own channel or device",
            )


def _with_role(draft: WiringDraft, role: str) -> list[str]:
    return [name for name, driver in draft.drivers.items() if role in driver.roles]


def _places(draft: WiringDraft) -> Iterator[tuple[str, KeyPath, str, str, int]]:
    """Every place on a device that the file names: by whom, where, role, device, channel."""
    wiring = draft.wiring
    for name, supply in wiring.supply.items():
        for key in ("output_gauge", "input_gauge"):
            place = getattr(supply, key)
            if place:
                here = ("supply", name, key)
                yield f"{key} of supply {name}", here, "gauge", place.device, place.channel
    for name, outlet in wiring.outlet.items():
        yield f"outlet {name}", ("outlet", name), "outlet", outlet.device, outlet.channel
        if outlet.meter:
            here = ("outlet", name, "meter")
            meter = outlet.meter
            yield f"meter of outlet {name}", here, "gauge", meter.device, meter.channel
    for name, fan in wiring.fan.items():
        yield f"fan {name}", ("fan", name), "fan", fan.device, fan.channel
    for name, strip in wiring.strip.items():
        driver = draft.drivers.get(strip.device)
        channel = driver.first_channel if driver else 0
        yield f"strip {name}", ("strip", name), "strip", strip.device, channel


def _a(role: str) -> str:
    return f"{'an' if role.startswith('o') else 'a'} {role}"


def _feeds(draft: WiringDraft) -> Iterator[Problem]:
    """A node has one outlet at most: with two, cutting one would leave it on."""
    feeds: dict[str, str] = {}
    for name, outlet in draft.wiring.outlet.items():
        if outlet.node is None:
            continue
        other = feeds.setdefault(outlet.node, name)
        if other != name:
            here, there = ("outlet", name, "node"), ("outlet", other, "node")
            yield draft.source.problem(
                here,
                f"node {quoted(outlet.node)} is fed by outlet {other} "
                f"({draft.source.place(there)}) and outlet {name} ({draft.source.place(here)})",
                "leave `node` out of one of the two",
            )


def _needs(draft: WiringDraft) -> Iterator[Problem]:
    """What each node needs is there, and no two wait for each other."""
    known = draft.declared("node")
    wanted = {name: node.needs or () for name, node in draft.wiring.node.items()}
    for name, others in wanted.items():
        for at, other in enumerate(others):
            here = ("node", name, "needs", at)
            if other not in known:
                yield draft.source.problem(
                    here,
                    f"there is no node {quoted(other)}",
                    meant(other, list(known), "node tables in this file"),
                )
            elif other == name:
                yield draft.source.problem(
                    here, f"node {quoted(name)} needs itself", "take it out of its `needs`"
                )
    waiting = ring(wanted)
    if waiting:
        yield draft.source.problem(
            ("node", waiting[0], "needs"),
            ring_words(waiting),
            f"take {quoted(waiting[1])} out of these `needs`, or break the ring elsewhere",
        )


def ring_words(waiting: Sequence[str]) -> str:
    """Who waits for whom, for people."""
    steps = [quoted(name) for name in (*waiting, waiting[0])]
    return f"nodes need each other in a ring: {' needs '.join(steps)}"


def _rails(draft: WiringDraft) -> Iterator[Problem]:
    wiring = draft.wiring
    sums: dict[str, float] = {}
    for name, rail in wiring.rail.items():
        supply = wiring.supply.get(rail.supply)
        if supply is None or supply.max_watts is None:
            continue
        watts = rail.volts * rail.budget_amps
        if watts > supply.max_watts:
            yield draft.source.problem(
                ("rail", name, "budget_amps"),
                f"rail {quoted(name)} may draw {watts:.1f} W ({rail.volts:g} V times "
                f"{rail.budget_amps:g} A), but supply {quoted(rail.supply)} gives at most "
                f"{supply.max_watts:g} W ({draft.source.place(('supply', rail.supply))})",
                f"lower `budget_amps` to {_floor(supply.max_watts / rail.volts)} or less",
            )
            continue
        before = sums.get(rail.supply, 0.0)
        sums[rail.supply] = before + watts
        if before <= supply.max_watts < sums[rail.supply]:
            yield draft.source.problem(
                ("rail", name, "budget_amps"),
                f"with rail {quoted(name)}, the rails of supply {quoted(rail.supply)} may draw "
                f"{sums[rail.supply]:.1f} W together, but it gives at most {supply.max_watts:g} W",
                "lower their `budget_amps`",
                "warning",
            )
    for outlet in wiring.outlet.values():
        node = wiring.node.get(outlet.node or "")
        fed = wiring.rail.get(outlet.rail)
        if node is None or fed is None:
            continue
        key = "inrush_amps" if node.inrush_amps >= node.boot_amps else "boot_amps"
        amps = max(node.inrush_amps, node.boot_amps)
        if amps > fed.budget_amps:
            yield draft.source.problem(
                ("node", str(outlet.node), key),
                f"node {quoted(outlet.node)} may draw {amps:g} A when switched on, more than "
                f"rail {quoted(outlet.rail)} can carry ({fed.budget_amps:g} A, "
                f"{draft.source.place(('rail', outlet.rail, 'budget_amps'))})",
                f"correct `{key}` or `budget_amps`; as it stands the node is never switched on",
            )


def _floor(value: float) -> str:
    return f"{int(value * 10) / 10:g}"
