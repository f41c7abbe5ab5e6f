"""The network of a rehearsal: nodes and outlets in this process, which answer at once."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hwctl.config.load import Loaded
from hwctl.model.drivers import HttpAnswer, HttpRequest, SnmpAgent, SshLogin
from hwctl.model.errors import HostError


class LiveOutlets(Protocol):
    """Outlets on an emulated network (``hwctl_emulated.net_parts.NetParts``).

    All raise HostError where nobody answers.
    """

    def http(
        self,
        host: str,
        port: int,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Mapping[str, str], bytes]: ...

    def line(self, host: str, port: int, text: str) -> str: ...

    def snmp_get(self, host: str, port: int, oid: str) -> int | None: ...

    def snmp_set(self, host: str, port: int, oid: str, value: int) -> bool: ...

    def datagram(self, host: str, port: int, data: bytes) -> None: ...

    def run(self, argv: Sequence[str]) -> tuple[int, str]: ...


class LiveNodes(Protocol):
    """Nodes and outlets of an emulated world."""

    @property
    def net(self) -> LiveOutlets: ...

    def page(self, node: str, query: str = "") -> bytes: ...

    def command(self, node: str, line: str) -> tuple[int, str]: ...


class WorldNet:
    """A :class:`~hwctl.model.drivers.Net` without sockets. SNMP asks for no community or key."""

    def __init__(self, world: LiveNodes, loaded: Loaded) -> None:
        self._world = world
        self._nodes: dict[str, str] = {}
        for node, host in loaded.hosts.items():
            for use in (host.load, host.control):
                if use is None:
                    continue
                for name in ("host", "address"):
                    address = getattr(use.options, name, None)
                    if isinstance(address, str):
                        self._nodes[address] = node

    async def get(self, host: str, port: int, path: str, *, limit_s: float, most: int) -> bytes:
        del port, limit_s
        body = self._world.page(self._node(host), path.partition("?")[2])
        if len(body) > most:
            raise HostError(f"sent more than {most} bytes", where=host)
        return body

    async def http(self, request: HttpRequest, *, limit_s: float, most: int) -> HttpAnswer:
        del limit_s
        answer = self._asked(request, request.headers)
        if answer.status == 401 and request.user is not None:
            offered = answer.headers.get("www-authenticate", "")
            answer = self._asked(request, {**request.headers, **_login(request, offered)})
        if len(answer.body) > most:
            raise HostError(f"sent more than {most} bytes", where=request.host)
        return answer

    def _asked(self, request: HttpRequest, headers: Mapping[str, str]) -> HttpAnswer:
        status, given, body = self._world.net.http(
            request.host, request.port, request.method, request.path,
            {name.lower(): value for name, value in headers.items()}, request.body,
        )  # fmt: skip
        return HttpAnswer(status, body, {name.lower(): value for name, value in given.items()})

    async def converse(
        self, host: str, port: int, lines: Sequence[str], *, limit_s: float
    ) -> list[str]:
        del limit_s
        return [self._world.net.line(host, port, line) for line in lines]

    async def datagram(self, host: str, port: int, data: bytes, *, broadcast: bool = False) -> None:
        del broadcast
        self._world.net.datagram(host, port, data)

    async def snmp_get(self, agent: SnmpAgent, oid: str, *, limit_s: float) -> int:
        del limit_s
        value = self._world.net.snmp_get(agent.host, agent.port, oid)
        if value is None:
            raise HostError(f"has no object {oid}", where=agent.host)
        return value

    async def snmp_set(self, agent: SnmpAgent, oid: str, value: int, *, limit_s: float) -> None:
        del limit_s
        if not self._world.net.snmp_set(agent.host, agent.port, oid, value):
            raise HostError(f"does not take {value} for {oid}", where=agent.host)

    async def run(self, argv: Sequence[str], *, limit_s: float) -> tuple[int, str]:
        del limit_s
        return self._world.net.run(argv)

    async def ssh(self, login: SshLogin, command: str, *, limit_s: float) -> tuple[int | None, str]:
        del limit_s
        return self._world.command(self._node(login.address), command)

    def _node(self, address: str) -> str:
        if address not in self._nodes:
            raise HostError(f"nobody lives at {address}", where=address)
        return self._nodes[address]


def _login(request: HttpRequest, offered: str) -> Mapping[str, str]:
    """The header that answers a 401."""
    import httpx  # noqa: PLC0415 - heavy, and few outlets ask for a password

    user, password = request.user or "", request.password or ""
    digest = offered.lower().startswith("digest")
    auth: httpx.Auth = (
        httpx.DigestAuth(user, password) if digest else httpx.BasicAuth(user, password)
    )
    asked = httpx.Request(request.method, f"http://{request.host}:{request.port}{request.path}")
    flow = auth.sync_auth_flow(asked)
    answered = next(flow)
    if digest:
        refusal = httpx.Response(401, headers={"www-authenticate": offered}, request=asked)
        answered = flow.send(refusal)
    return {"authorization": answered.headers["authorization"]}
