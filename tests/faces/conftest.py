import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from hwctl.engine.tokens import TokenStore
from hwctl.faces.api import ApiServer, OneTimeKey, create_app


def _load() -> ModuleType:
    name = "faces_stand_in"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("stand_in.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stand_in() -> ModuleType:
    return _load()


class Site:
    """One server over one stand-in, with what a test needs to talk to it."""

    def __init__(self, service, tmp_path: Path, **options) -> None:
        self.service = service
        self.now = 1000.0
        self.pauses: list[float] = []
        self.tokens = TokenStore(tmp_path / "tokens.json")
        self.announced: list[str] = []
        self.key = OneTimeKey(self.announced.append)
        self.socket = tmp_path / "hwctl.sock"
        tls = options.pop("tls", None)
        self.app = create_app(
            service,
            self.tokens,
            key=self.key,
            clock=lambda: self.now,
            pause=options.pop("pause", self._pause),
            **options,
        )
        self.server = ApiServer(self.app, "127.0.0.1", 0, self.socket, tls=tls)
        self.server.start()

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=20, verify=False)

    def local(self, **headers: str) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=False)
        return httpx.Client(
            base_url="http://localhost", transport=transport, headers=headers, timeout=20
        )

    def token(self, scope: str, *nodes: str) -> str:
        return self.tokens.create(f"{scope}-{len(self.tokens.list())}", [scope], nodes)


@pytest.fixture
def make_site(stand_in: ModuleType, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(rig=None, *, service=None, **options) -> Site:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Site(service or stand_in.StandIn(rig), folder, **options))
        return made[-1]

    yield make
    for site in made:
        site.server.stop()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What reads requests: C where it has wheels (not on armv7), else Python."""
    if request.param == "h11":
        monkeypatch.setitem(sys.modules, "httptools", None)
    else:
        pytest.importorskip("httptools", reason="httptools has no wheel for this machine")
    return request.param
