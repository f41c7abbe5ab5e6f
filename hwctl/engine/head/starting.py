"""Which rig a head is to run: the one that is there, the one that is named, or an empty start."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwctl.config.load import Loaded, load
from hwctl.engine.head.contents import CONFIG_DIR, UNIT_PATH, starting_rig
from hwctl.engine.head.machine import Machine
from hwctl.engine.head.needs import make_key
from hwctl.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Chosen:
    config: str
    """The settings file, on the head."""
    files: dict[str, str]
    """What has to be written for it."""
    rig: Loaded | None
    """``None``: the empty start."""


def choose(machine: Machine, given: Path | None) -> Chosen:
    """:raises ConfigError: the rig cannot run, or it is not clear which one is meant."""
    folder = machine.at(str(CONFIG_DIR))
    if given is not None:
        rig = load(given)
        if given.resolve().parent == folder.resolve():
            return Chosen(str(CONFIG_DIR / given.name), {}, rig)
        return _brought(machine, given, rig)
    there = machine.find(str(CONFIG_DIR), "*.hwctl.toml")
    if not there:
        files = starting_rig(machine)
        return Chosen(str(CONFIG_DIR / "rig.hwctl.toml"), files, None)
    if len(there) > 1:
        unit = machine.text(UNIT_PATH) or ""
        named = re.search(r"^ExecStart=.* --config (\S+)$", unit, re.MULTILINE)
        if named is None or named[1] not in there:
            raise ConfigError(
                f"there are several rigs: {', '.join(there)}",
                where=str(CONFIG_DIR),
                hint="say which one: hwctl install --config FILE",
            )
        there = [named[1]]
    return Chosen(there[0], {}, load(machine.at(there[0])))


def _brought(machine: Machine, given: Path, rig: Loaded) -> Chosen:
    """A rig's two files, copied to the head."""
    if Path(rig.settings.wiring).name != rig.settings.wiring:
        raise ConfigError(
            f"`wiring` names {rig.settings.wiring}, in another folder",
            where=str(given),
            hint="put both files into one folder",
        )
    files = {}
    for source in (rig.wiring_path, given):
        path = str(CONFIG_DIR / source.name)
        text = source.read_text(encoding="utf-8")
        there = machine.text(path)
        if there is not None and there != text:
            raise ConfigError(
                f"{path} is there already, and another one",
                where=str(given),
                hint=f"edit {path} itself, or move it away first",
            )
        files[path] = text
    return Chosen(str(CONFIG_DIR / given.name), files, rig)


def first_steps(machine: Machine, chosen: Chosen) -> Iterator[str]:
    """What a person has to do before the rig can run."""
    for host in chosen.rig.hosts.values() if chosen.rig else ():
        key = getattr(host.control.options, "key", None) if host.control else None
        if key is not None and not machine.exists(key):
            yield make_key(key)
            break
    yield f"sudo hwctl doctor {chosen.config}"
