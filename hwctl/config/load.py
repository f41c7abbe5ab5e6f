"""A rig's files as checked objects, or every fault of them, each at its line."""

from dataclasses import dataclass
from pathlib import Path

from hwctl.config import drivers
from hwctl.config.board import BoardPins
from hwctl.config.cross import check_wiring
from hwctl.config.draft import HostUse, SettingsDraft, Use, WiringDraft
from hwctl.config.plans import check_settings
from hwctl.config.problems import ConfigProblems, Problem, quoted, quoted_path
from hwctl.config.source import Source, missing_hint, read
from hwctl.config.toml_lines import KeyPath
from hwctl.config.translate import check as check_model
from hwctl.config.translate import check_parts
from hwctl.model.drivers import DeviceRole, Driver
from hwctl.model.errors import ConfigError
from hwctl.model.settings import DriverUse, Settings
from hwctl.model.wiring import DeviceEntry, Wiring

_DEVICE_KEYS = tuple(DeviceEntry.model_fields)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rig that may run."""

    settings: Settings
    wiring: Wiring
    devices: dict[str, Use]
    """By id: the driver and its options."""
    hosts: dict[str, HostUse]
    """Every node of the wiring, in its order."""
    board: BoardPins
    problems: tuple[Problem, ...]
    """Warnings only."""
    wiring_path: Path


def load(path: Path) -> Loaded:
    """Read and check a rig.

    :param path: the settings file, which names the wiring file.
    :raises ConfigProblems: something is wrong; it holds all that is.
    """
    problems: list[Problem] = []
    source = read(path, problems)
    if source is None:
        raise ConfigProblems(problems)
    if _is_wiring(source):
        problems.append(_settings_wanted(source))
        raise ConfigProblems(problems)
    settings = _settings(source, problems)
    wiring_source = _named_wiring(source, problems)
    wiring = _wiring(wiring_source, problems) if wiring_source else None
    problems.extend(check_settings(settings, wiring))
    ordered = _ordered(problems, path)
    failed = any(one.severity == "error" for one in ordered)
    if failed or wiring is None or wiring.pins is None:
        raise ConfigProblems(ordered)
    return Loaded(
        settings.settings,
        wiring.wiring,
        dict(wiring.devices),
        {node: settings.hosts.get(node, HostUse(None, None)) for node in wiring.wiring.node},
        wiring.pins,
        tuple(ordered),
        wiring.source.path,
    )


def check(path: Path) -> list[Problem]:
    """Everything that is wrong with a rig, warnings included.

    :param path: a settings file, with which its wiring file is checked, or a wiring file alone.
    """
    problems: list[Problem] = []
    source = read(path, problems)
    if source is not None and _is_wiring(source):
        _wiring(source, problems)
        return _ordered(problems, path)
    try:
        return list(load(path).problems)
    except ConfigProblems as error:
        return error.problems


def _ordered(problems: list[Problem], first: Path) -> list[Problem]:
    return sorted(problems, key=lambda one: (one.file != str(first), one.file, one.line))


def _is_wiring(source: Source) -> bool:
    """Told by its keys: each kind has tables that the other must not have."""
    return "wiring" not in source.values and bool(
        {"rig", "board", "bus", "device"} & source.values.keys()
    )


def _settings_wanted(source: Source) -> Problem:
    beside = source.path.with_suffix(".hwctl.toml")
    try:
        there = beside.is_file()
    except (OSError, ValueError):
        there = False
    return source.problem(
        (),
        "is a wiring file, which says what there is, not what to do with it",
        f"name the settings file, {quoted_path(beside)}"
        if there
        else f'write a settings file beside it, with `wiring = "{source.path.name}"`',
    )


def _named_wiring(source: Source, problems: list[Problem]) -> Source | None:
    """Read the wiring file that the settings name."""
    name = source.values.get("wiring")
    if not isinstance(name, str):
        return None  # said already: missing, or no text
    path = source.path.parent / name
    found: list[Problem] = []
    wiring = read(path, found)
    if wiring is None and len(found) == 1 and found[0].what == "does not exist":
        problems.append(
            source.problem(
                ("wiring",),
                f"`wiring` names {quoted_path(path)}, which does not exist",
                missing_hint(path),
            )
        )
        return None
    problems.extend(found)
    if wiring is not None and not _is_wiring(wiring):
        problems.append(
            source.problem(
                ("wiring",),
                f"`wiring` names {quoted_path(path)}, which is no wiring file",
                "name the file that has the tables [rig], [board] and [device]",
            )
        )
        return None
    return wiring


def _wiring(source: Source, problems: list[Problem]) -> WiringDraft:
    wiring = check_parts(source, source.values, Wiring, problems)
    found: dict[str, Driver] = {}
    devices: dict[str, Use] = {}
    for name, entry in wiring.device.items():
        key = ("device", name)
        driver = _driver(source, key, entry.driver, problems)
        if driver:
            found[name] = driver
            options = check_model(
                source, key, entry.options, driver.options, problems, beside=_DEVICE_KEYS
            )
            if options is not None:
                devices[name] = Use(driver, options)
    board = getattr(wiring, "board", None)
    draft = WiringDraft(source, wiring, found, devices, BoardPins(board) if board else None)
    problems.extend(check_wiring(draft))
    return draft


def _settings(source: Source, problems: list[Problem]) -> SettingsDraft:
    settings = check_parts(source, source.values, Settings, problems)
    hosts: dict[str, HostUse] = {}
    for node, host in settings.host.items():
        hosts[node] = HostUse(
            _host_use(source, node, "load", host.load, problems),
            _host_use(source, node, "control", host.control, problems),
        )
    return SettingsDraft(source, settings, hosts)


def _host_use(
    source: Source, node: str, role: DeviceRole, wanted: DriverUse | None, problems: list[Problem]
) -> Use | None:
    if wanted is None:
        return None
    base = ("host", node, role)
    driver = _driver(source, base, wanted.driver, problems)
    if driver is None:
        return None
    if role not in driver.roles or driver.bus != "net":
        fitting = [quoted(one) for one in drivers.with_role(role, "net")]
        problems.append(
            source.problem(
                (*base, "driver"),
                f"driver {quoted(driver.name)} cannot be used as `{role}` of a host",
                f"drivers that can: {', '.join(fitting) or 'none'}",
            )
        )
        return None
    options = check_model(
        source, base, wanted.options, driver.options, problems, beside=("driver",)
    )
    return Use(driver, options) if options is not None else None


def _driver(source: Source, base: KeyPath, name: str, problems: list[Problem]) -> Driver | None:
    """The driver that the table ``base`` names."""
    try:
        return drivers.find(name)
    except ConfigError as error:
        problems.append(source.problem((*base, "driver"), error.what, error.hint))
        return None
