"""Whole rigs in this process: the engine and its real drivers, on emulated chips."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hwctl.config.load import Loaded, load
from hwctl.engine.core import Engine
from hwctl.engine.journal import Journal, open_journal
from hwctl.engine.rehearsal import Rehearsal
from hwctl.model.rig import OperationState
from hwctl_emulated.world import World

ROOT = Path(__file__).resolve().parents[1]
FOOTBALL = ROOT / "wiring" / "football.hwctl.toml"
EPOCH = 1_795_000_000.0


def changed(loaded: Loaded, changes: dict[str, Any]) -> Loaded:
    """``loaded`` with values of its files replaced: {"settings.shutdown.armed": False}."""
    for path, value in changes.items():
        root, *names = path.split(".")
        loaded = replace(loaded, **{root: _put(getattr(loaded, root), names, value)})
    return loaded


def _put(model: Any, names: list[str], value: Any) -> Any:
    name, *rest = names
    old = model[name] if isinstance(model, dict) else getattr(model, name)
    new = _put(old, rest, value) if rest else value
    return {**model, name: new} if isinstance(model, dict) else model.model_copy(update={name: new})


@dataclass
class Stage:
    """A rehearsal, with what a test needs to look behind the scenes."""

    loaded: Loaded
    state_dir: Path
    world: World
    journal: Journal
    rehearsal: Rehearsal
    edges: list[tuple[float, str, bool]] = field(default_factory=list)
    """(when, outlet, on) of every change of a relay, whoever made it."""

    @property
    def engine(self) -> Engine:
        return self.rehearsal.engine

    @property
    def now(self) -> float:
        return self.rehearsal.clock.now()

    def run(self, seconds: float, tick_s: float = 1.0) -> None:
        self.rehearsal.run(seconds, tick_s)

    def run_until(self, what: Callable[[], bool], most_s: float, tick_s: float = 1.0) -> None:
        """Run until ``what`` holds, which it must within ``most_s``."""
        end = self.now + most_s
        while not what():
            assert self.now < end, f"not within {most_s} s"
            self.rehearsal.step(tick_s)

    def restart(self, away_s: float = 0.0) -> None:
        """hwctl is killed, and comes again ``away_s`` later."""
        self.journal.close()
        self.rehearsal.clock.advance(away_s)
        self.world.advance_to(self.now)
        self.journal = open_journal(self.state_dir)
        self.rehearsal.restart(self.journal)

    def stop(self) -> None:
        """hwctl ends in good order."""
        self.engine.stop()

    def control(self, op: str, **order: Any) -> dict[str, Any]:
        return self.world.control({"op": op, **order})

    def op(self, operation: OperationState) -> OperationState:
        """The operation as it is now."""
        return self.engine.operation(operation.id)

    def power(self, node: str, action: str, **kwargs: Any) -> OperationState:
        return self.engine.power(node, action, by="test", **kwargs)  # type: ignore[arg-type]

    def kinds(self) -> list[str]:
        """Kinds of all events so far."""
        return [event.kind for event in self.engine.events(0, 2000)]

    def on(self, node: str) -> bool:
        """Whether its relay is really on."""
        outlet = self.loaded.wiring.outlet_of(node)
        assert outlet is not None
        return self.world.parts.relays[self.loaded.wiring.outlet[outlet].device].on

    def dirty(self) -> int:
        """How often power was lost with file systems open for writing."""
        return sum(node.dirty for node in self.world.nodes.values())


MakeStage = Callable[..., Stage]


@pytest.fixture(scope="session")
def football_loaded() -> Loaded:
    return load(FOOTBALL)


@pytest.fixture
def rehearsal(football_loaded: Loaded, tmp_path: Path) -> Iterator[MakeStage]:
    """make(seed=1, scenario="steady", changes={...}): the football, ready for its first step."""
    made: list[Stage] = []

    def make(
        seed: int = 1, scenario: str = "steady", changes: dict[str, Any] | None = None
    ) -> Stage:
        loaded = changed(football_loaded, changes or {})
        world = World(
            loaded.wiring, loaded.settings, seed=seed, scenario=scenario, start_wall=EPOCH
        )
        state_dir = tmp_path / f"state{len(made)}"
        journal = open_journal(state_dir)
        stage = Stage(loaded, state_dir, world, journal, Rehearsal(loaded, world, journal))
        for outlet, wired in loaded.wiring.outlet.items():
            relay = world.parts.relays[wired.device]
            relay.lines.watch(relay.line, _noting(stage, outlet, relay.active_low))
        made.append(stage)
        return stage

    yield make
    for stage in made:
        stage.journal.close()


def _noting(stage: Stage, outlet: str, active_low: bool) -> Callable[[bool], None]:
    def note(level: bool) -> None:
        stage.edges.append((stage.world.now, outlet, level != active_low))

    return note
