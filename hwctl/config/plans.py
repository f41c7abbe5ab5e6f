"""Checks of the settings: against themselves, and against the wiring."""

from collections.abc import Iterator, Sequence

from hwctl.config.cross import ring_words
from hwctl.config.draft import SettingsDraft, WiringDraft
from hwctl.config.needs import needs, ring
from hwctl.config.outlets import check_woken
from hwctl.config.problems import Problem, listed, meant, quoted
from hwctl.config.tls import server_context
from hwctl.config.toml_lines import KeyPath
from hwctl.model.errors import ConfigError

RESTART_GAP = 0.05
"""Between the charge at which a rig goes down and that at which it comes up again; a rig that
has less swings between the two. Untuned."""
CELSIUS = (-40.0, 125.0)
"""What silicon's own sensors can tell; a curve beyond that is a slip of the pen."""


def check_settings(settings: SettingsDraft, wiring: WiringDraft | None) -> Iterator[Problem]:
    """Everything that is wrong with the settings.

    :param wiring: ``None`` if the wiring file could not be read at all.
    """
    yield from _alone(settings)
    yield from _tls(settings)
    if wiring:
        yield from _names(settings, wiring)
        yield from _groups(settings, wiring)
        yield from _needs(settings, wiring)
        yield from _hosts(settings, wiring)
        yield from _stages(settings, wiring)
        yield from _meters(settings, wiring)
        yield from check_woken(settings, wiring)
        yield from _strips(settings, wiring)


def _alone(draft: SettingsDraft) -> Iterator[Problem]:
    settings = draft.settings
    for table, curve in (
        ("curve", settings.cooling.curve),
        ("load_curve", settings.cooling.load_curve),
    ):
        yield from _curve(draft, ("cooling", table), curve)
    for at, (celsius, _) in enumerate(settings.cooling.curve):
        if not CELSIUS[0] <= celsius <= CELSIUS[1]:
            yield draft.source.problem(
                ("cooling", "curve", at),
                f"`curve` has a point at {celsius:g} °C",
                f"allowed: {CELSIUS[0]:g} to {CELSIUS[1]:g} °C",
            )
    shutdown = settings.shutdown
    if shutdown.restart_charge < shutdown.floor + RESTART_GAP - 1e-9:
        yield draft.source.problem(
            ("shutdown", "restart_charge"),
            f"`restart_charge` is {shutdown.restart_charge:g}, `floor` is {shutdown.floor:g}: "
            "the rig would go down again as soon as it is up",
            f"set `restart_charge` to {shutdown.floor + RESTART_GAP:.2f} or more",
        )
    pairs: list[tuple[KeyPath, float, str, float]] = [
        (
            ("shutdown", "halt_deadline_s"),
            shutdown.halt_deadline_s,
            "halt_s",
            shutdown.halt_s,
        ),
        (
            ("gauges", "stale_after_s"),
            settings.gauges.stale_after_s,
            "every_s",
            settings.gauges.every_s,
        ),
    ]
    for node, host in settings.host.items():
        pairs += [
            (("host", node, "stale_after_s"), host.stale_after_s, "every_s", host.every_s),
            (
                ("host", node, "unreachable_after_s"),
                host.unreachable_after_s,
                "stale_after_s",
                host.stale_after_s,
            ),
        ]
    for key, value, other, least in pairs:
        if value <= least:
            yield draft.source.problem(
                key,
                f"{quoted(key[-1])} is {value:g} s, but {quoted(other)} is {least:g} s",
                f"set it above {quoted(other)}",
            )


def _tls(draft: SettingsDraft) -> Iterator[Problem]:
    """Both files or neither; and a pair that a client can accept."""
    service = draft.settings.service
    named = {"tls_cert": service.tls_cert, "tls_key": service.tls_key}
    missing = [key for key, value in named.items() if value is None]
    if len(missing) == 1:
        (there,) = named.keys() - set(missing)
        yield draft.source.problem(
            ("service", there),
            f"{quoted(there)} stands without {quoted(missing[0])}",
            "name both files, or neither",
        )
    files = service.tls_files(draft.source.path)
    if files is None:
        return
    late: list[ConfigError] = []
    try:
        server_context(*files, expired=late.append)
    except ConfigError as error:
        key = "tls_key" if error.where == str(files[1]) else "tls_cert"
        yield draft.source.problem(
            ("service", key), f"{quoted(key)}, {error.where}: {error.what}", error.hint
        )
    for expired in late:
        yield draft.source.problem(
            ("service", "tls_cert"),
            f"{quoted('tls_cert')}, {expired.where}: {expired.what}",
            expired.hint,
            severity="warning",
        )


def _curve(
    draft: SettingsDraft, key: KeyPath, points: Sequence[tuple[float, float]]
) -> Iterator[Problem]:
    if not points:
        yield draft.source.problem(
            key, f"{quoted(key[-1])} has no points", "leave it out, or give at least one"
        )
    for at in range(1, len(points)):
        (x0, duty0), (x1, duty1) = points[at - 1], points[at]
        if x1 <= x0:
            yield draft.source.problem(
                (*key, at),
                f"{quoted(key[-1])} goes from {x0:g} to {x1:g}",
                "sort its points, each above the one before",
            )
        elif duty1 < duty0:
            yield draft.source.problem(
                (*key, at),
                f"{quoted(key[-1])} lowers the duty from {duty0:g} to {duty1:g} "
                f"between {x0:g} and {x1:g}",
                "let the duty stay or rise from point to point",
            )


def _names(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    for table, known in (("host", "node"), ("supply", "supply")):
        entries = draft.source.values.get(table, {})
        for name in entries if isinstance(entries, dict) else ():
            if name not in wiring.declared(known):
                yield draft.source.problem(
                    (table, name),
                    f"there is no {known} {quoted(name)} in {wiring.source.path.name}",
                    meant(name, list(wiring.declared(known)), "known"),
                )


def _groups(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    known = wiring.declared("node")
    for group, members in draft.settings.group.items():
        if group == "all":
            yield draft.source.problem(
                ("group", group), "`all` always means all nodes", "give the group another name"
            )
        if not members:
            yield draft.source.problem(
                ("group", group), f"group {quoted(group)} has no nodes", "name some, or remove it"
            )
        for at, member in enumerate(members):
            if member not in known:
                yield draft.source.problem(
                    ("group", group, at),
                    f"group {quoted(group)} names {quoted(member)}, but there is no such node in "
                    f"{wiring.source.path.name}",
                    meant(member, list(known), "known"),
                )


def _needs(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    """What the wiring says of `needs`, and what the shutdown's stages say of the others."""
    written = {name: node.needs or () for name, node in wiring.wiring.node.items()}
    if ring(written):
        return  # said already
    waiting = ring(needs(wiring.wiring, draft.settings))
    for name in waiting:
        if wiring.wiring.node[name].needs is not None:
            after = waiting[(waiting.index(name) + 1) % len(waiting)]
            yield wiring.source.problem(
                ("node", name, "needs"),
                f"{ring_words(waiting)}; a node without `needs` needs those of the later stages",
                f"take {quoted(after)} out of these `needs`, or give the others `needs` of their "
                "own",
            )
            return


def _hosts(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    shutdown = draft.settings.shutdown
    staged = {role for stage in shutdown.stages for role in stage}
    declared = draft.source.values.get("host", {})
    for name, node in wiring.wiring.node.items():
        host = draft.settings.host.get(name)
        if host is None:
            if name not in declared and not node.protected:
                yield draft.source.problem(
                    ("host",),
                    f"node {quoted(name)} has no table [host.{name}]: it can neither be seen "
                    "nor told to halt",
                    f"add [host.{name}] with `load` and `control`",
                    "warning",
                )
            continue
        if host.load is None:
            yield draft.source.problem(
                ("host", name),
                f"node {quoted(name)} has no `load`: it cannot be seen",
                'add `load = { driver = "node_exporter", url = "..." }`',
                "warning",
            )
        if host.control is None and shutdown.armed and node.role in staged:
            yield draft.source.problem(
                ("host", name),
                f"node {quoted(name)} has no `control`: a shutdown cannot tell it to halt",
                'add `control = { driver = "ssh", address = "...", user = "..." }`',
                "warning",
            )


def _stages(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    stages = draft.settings.shutdown.stages
    roles = {node.role for node in wiring.wiring.node.values()}
    whole = len(wiring.wiring.node) == len(wiring.declared("node"))
    table = draft.source.values.get("shutdown", {})
    written = isinstance(table, dict) and "stages" in table
    first: dict[str, int] = {}
    for at, stage in enumerate(stages):
        for within, role in enumerate(stage):
            here = ("shutdown", "stages", at, within)
            if role not in roles and whole:  # the role may be that of a node that is wrong
                yield draft.source.problem(
                    here,
                    f"no node has the role {quoted(role)}, which stage {at + 1} of the shutdown "
                    "names",
                    meant(role, sorted(roles), "roles"),
                    "error" if written else "warning",
                )
            if first.setdefault(role, at) != at:
                yield draft.source.problem(
                    here,
                    f"the role {quoted(role)} is in stage {first[role] + 1} and stage {at + 1}",
                    "leave it in one of the two",
                )
    outside = {
        node.role
        for node in wiring.wiring.node.values()
        if not node.protected and node.role not in first
    }
    for role in sorted(outside):
        nodes = [name for name, node in wiring.wiring.node.items() if node.role == role]
        yield draft.source.problem(
            ("shutdown", "stages"),
            f"no stage of the shutdown has the role {quoted(role)}: {listed(nodes[:6])} "
            f"{'stays' if len(nodes) == 1 else 'stay'} on until the supply is empty",
            "add it to `stages`, or mark what must stay on as `protected`",
            "warning",
        )


def _meters(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    if not draft.settings.shutdown.armed:
        return
    for name, outlet in wiring.wiring.outlet.items():
        if outlet.node is not None and outlet.meter is None:
            yield wiring.source.problem(
                ("outlet", name),
                f"outlet {quoted(name)} has no `meter`: that {quoted(outlet.node)} has halted "
                "cannot be proven by its draw",
                'add `meter = { device = "..." }`',
                "warning",
            )


def _strips(draft: SettingsDraft, wiring: WiringDraft) -> Iterator[Problem]:
    wanted = draft.settings.lights.battery_leds
    for name, strip in wiring.wiring.strip.items():
        use = wiring.devices.get(strip.device)
        leds = getattr(use.options, "leds", None) if use else None
        if isinstance(leds, int) and wanted > leds:
            yield draft.source.problem(
                ("lights", "battery_leds"),
                f"`battery_leds` is {wanted}, but strip {quoted(name)} has {leds} LEDs "
                f"({wiring.source.place(('device', strip.device, 'leds'))})",
                f"set it to {leds} or less",
            )
