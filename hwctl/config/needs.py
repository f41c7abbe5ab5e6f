"""Which node works with which: what comes up first, and goes down last."""

from collections.abc import Collection, Mapping

from hwctl.model.settings import Settings
from hwctl.model.wiring import Wiring


def needs(wiring: Wiring, settings: Settings) -> dict[str, tuple[str, ...]]:
    """By node: those that come up before it and go down after it.

    What its table says; without that, the nodes of the later stages of the shutdown, since what
    goes down last is what the others work with.
    """
    stage_of: dict[str, int] = {}
    for index, roles in enumerate(settings.shutdown.stages):
        stage_of.update(dict.fromkeys(roles, index))
    found = {}
    for name, node in wiring.node.items():
        stage = stage_of.get(node.role, 0)
        found[name] = (
            tuple(other for other in node.needs if other in wiring.node)
            if node.needs is not None
            else tuple(
                other for other, entry in wiring.node.items() if stage_of.get(entry.role, 0) > stage
            )
        )
    return found


def ring(wanted: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Nodes that wait for each other, each for the next and the last for the first, or nothing.

    One that only needs itself is none.
    """
    settled: set[str] = set()
    for start in wanted:
        path: list[str] = []
        ahead = [iter((start,))]
        while ahead:
            node = next(ahead[-1], None)
            if node is None:
                ahead.pop()
                if path:
                    settled.add(path.pop())
            elif node in path:
                if node != path[-1]:
                    return tuple(path[path.index(node) :])
            elif node not in settled:
                path.append(node)
                ahead.append(iter(wanted.get(node, ())))
    return ()
