"""Naming several nodes at once: ``pi1``, ``pi[1-4,7]``, ``@compute``, ``all``, or several of these.

Ranges are written as PowerMan and Slurm write them. A group is one of the settings, or a role of
the wiring; a group of the settings comes first.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hwctl.model.errors import RequestError, UnknownTargetError
from hwctl.model.wiring import Wiring

MOST = 4096
"""Names that one range may stand for."""
_RANGE = re.compile(r"([a-z0-9_-]*)\[([0-9,-]{1,200})\]([a-z0-9_-]*)")
_SPLIT = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True, slots=True)
class Expanded:
    """The nodes meant, in the wiring's order, each once."""

    nodes: tuple[str, ...]
    named: frozenset[str]
    """Those that were named themselves, and not only as members of a group."""


def expand(
    wanted: Sequence[str], wiring: Wiring, groups: Mapping[str, Collection[str]]
) -> Expanded:
    """:raises UnknownTargetError: no such node or group.
    :raises RequestError: nothing, or a range that is none.
    """
    named: set[str] = set()
    grouped: set[str] = set()
    for word in (one.strip() for text in wanted for one in _SPLIT.split(text)):
        if word in wiring.node:
            named.add(word)
        elif word.startswith("@") or word == "all":
            grouped |= _members(word, wiring, groups)
        else:
            named |= set(_names(word, wiring))
    nodes = tuple(node for node in wiring.node if node in named | grouped)
    if not nodes:
        raise RequestError("no node is named", hint="name one, a range pi[1-3], @GROUP, or all")
    return Expanded(nodes, frozenset(named))


def _members(word: str, wiring: Wiring, groups: Mapping[str, Collection[str]]) -> set[str]:
    name = word.removeprefix("@")
    if word == "all" or name == "all":
        return set(wiring.node)
    if name in groups:
        return set(groups[name])
    members = {node for node, entry in wiring.node.items() if entry.role == name}
    if not members:
        known = sorted({*groups, *(entry.role for entry in wiring.node.values())})
        raise UnknownTargetError(
            f"there is no group @{name}", where=word, hint=f"there are: {', '.join(known)}, all"
        )
    return members


def _names(word: str, wiring: Wiring) -> list[str]:
    match = _RANGE.fullmatch(word)
    if match is None:
        if "[" in word or "]" in word or not word:
            raise RequestError(
                f"{word!r} is no range", where=word, hint="write it as pi[1-3] or pi[1,3-5]"
            )
        raise _unknown(word, wiring)
    before, inside, after = match.groups()
    names = []
    for part in inside.split(","):
        first, dash, last = part.partition("-")
        low, high = (first, last) if dash else (first, first)
        if not low.isdigit() or not high.isdigit() or int(low) > int(high):
            raise RequestError(
                f"{part!r} is no range", where=word, hint="write it as pi[1-3] or pi[1,3-5]"
            )
        if int(high) - int(low) >= MOST:
            raise RequestError(f"{part!r} stands for too many nodes", where=word)
        # pi[01-10] means pi01 to pi10.
        names += [
            f"{before}{number:0{len(low)}d}{after}" for number in range(int(low), int(high) + 1)
        ]
    for name in names:
        if name not in wiring.node:
            raise _unknown(name, wiring)
    return names


def _unknown(name: str, wiring: Wiring) -> UnknownTargetError:
    known = list(wiring.node)
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return UnknownTargetError(
        f"there is no node {name[:64]!r}", hint=f"there are: {shown or 'none'}"
    )
