"""Whole rigs in this process: the engine and its real drivers, on emulated chips."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
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
        wired = self.loaded.wiring.outlet[outlet]
        return self.world.parts.switches[wired.device].relay(wired.channel)

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
            relay = world.parts.switches[wired.device]
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


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


MakePair = Callable[..., Pair]


@pytest.fixture
def certificate(tmp_path: Path) -> MakePair:
    """make(name="rig", days=1, age_days=0, signed_by=None, purpose="SERVER_AUTH"): for the names
    rig.test and 127.0.0.1, signed by itself or by another pair."""

    def make(
        name: str = "rig",
        *,
        days: float = 1.0,
        age_days: float = 0.0,
        signed_by: Pair | None = None,
        purpose: str = "SERVER_AUTH",
        passphrase: bytes | None = None,
    ) -> Pair:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name}.test")])
        issuer, signer = subject, own
        if signed_by is not None:
            issuer = x509.load_pem_x509_certificate(signed_by.cert.read_bytes()).subject
            signer = serialization.load_pem_private_key(signed_by.key.read_bytes(), None)
        start = datetime.now(UTC) - timedelta(days=age_days)
        names = [x509.DNSName("rig.test"), x509.IPAddress(ip_address("127.0.0.1"))]
        usage = getattr(x509.ExtendedKeyUsageOID, purpose)
        cert = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.BasicConstraints(ca=signed_by is None, path_length=None), True)
            .sign(signer, hashes.SHA256())
        )
        pair = Pair(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        locked = (
            serialization.BestAvailableEncryption(passphrase)
            if passphrase
            else serialization.NoEncryption()
        )
        pair.key.write_bytes(
            own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        )
        return pair

    return make
