"""SNMP through pysnmp: INTEGER objects of one agent, read and written, SNMPv2c or SNMPv3.

Each agent has an engine of its own: pysnmp keeps SNMPv3 keys by the user's name, so that two
switches with one user and two passwords would take them from each other. An engine whose agent
answers no more is given up: pysnmp goes on with the clock of an SNMPv3 agent as it was before that
agent restarted, and would never be answered again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch.asyncio import (
    USM_AUTH_HMAC96_SHA,
    USM_AUTH_NONE,
    USM_PRIV_CFB128_AES,
    USM_PRIV_NONE,
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    Udp6TransportTarget,
    UdpTransportTarget,
    UsmUserData,
    get_cmd,
    set_cmd,
)
from pysnmp.proto import errind
from pysnmp.proto.rfc1902 import Integer32
from pysnmp.proto.rfc1905 import (
    EndOfMibView,
    NoSuchInstance,
    NoSuchObject,
)

from hwctl.model.drivers import SnmpAgent
from hwctl.model.errors import HostError

GIVE_UP_S = 60
"""When pysnmp itself forgets a request. The caller's own limit is shorter."""
PATIENCE = 3
"""Failures of an engine that was never answered. Untuned."""

LET_IN = "`community`, or `user`, `auth_key` and `priv_key`, must be those of the device"
READ_ONLY = "the device must let this community or user write: a read-only one is not enough"
NO_OBJECT = "compare group and port with `snmpwalk` of 1.3.6.1.2.1.105.1.1.1.3"
REFUSED = {
    6: READ_ONLY,  # noAccess
    16: LET_IN,  # authorizationError
    17: READ_ONLY,  # notWritable
    11: NO_OBJECT,  # noCreation
    18: NO_OBJECT,  # inconsistentName
}
"""Hints by error-status. RFC 3416, section 3."""

_Command = Callable[..., Coroutine[Any, Any, tuple[Any, Any, Any, tuple[Any, ...]]]]


@dataclass(slots=True)
class _Line:
    """The way to one agent: one request at a time, so that giving up an engine hurts no other."""

    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    engine: Any = None
    answered: bool = False
    """Since the engine was made."""
    failures: int = 0

    def failed(self) -> None:
        """An engine that has not been answered yet may only be slow: a small head takes its time
        for the first exchange of SNMPv3, which then goes on behind the caller's limit."""
        self.failures += 1
        if self.answered or self.failures >= PATIENCE:
            self.give_up()

    def give_up(self) -> None:
        engine, self.engine = self.engine, None
        self.answered, self.failures = False, 0
        if engine is not None:
            engine.close_dispatcher()


class SnmpClient:
    """Used from one event loop. The time limit is the caller's; nothing is sent twice."""

    def __init__(self) -> None:
        self._lines: dict[SnmpAgent, _Line] = {}

    async def get(self, agent: SnmpAgent, address: tuple[str, int], oid: str) -> int:
        """:param address: where the agent really is.

        :raises HostError: no such object, one of another type, or the agent does not let us in. A
            wrong community is answered by silence.
        """
        value = await self._ask(get_cmd, agent, address, ObjectType(ObjectIdentity(oid)))
        if isinstance(value, NoSuchObject | NoSuchInstance | EndOfMibView):
            raise HostError(f"has no object {oid}", where=_where(agent), hint=NO_OBJECT)
        # Counters and gauges are integers for Python too, and INTEGER is asked for.
        if not isinstance(value, Integer32) or value.tagSet != Integer32.tagSet:
            raise HostError(
                f"its object {oid} is no INTEGER, but {type(value).__name__}",
                where=_where(agent),
                hint=NO_OBJECT,
            )
        return int(value)

    async def set(self, agent: SnmpAgent, address: tuple[str, int], oid: str, value: int) -> None:
        """:raises HostError: the agent refuses, or does not let us in."""
        wanted = ObjectType(ObjectIdentity(oid), Integer32(value))
        await self._ask(set_cmd, agent, address, wanted)

    def close(self) -> None:
        """Let go of all sockets, on the loop."""
        for line in self._lines.values():
            line.give_up()

    async def _ask(
        self, command: _Command, agent: SnmpAgent, address: tuple[str, int], wanted: ObjectType
    ) -> object:
        line = self._lines.setdefault(agent, _Line())
        async with line.busy:
            if line.engine is None:
                line.engine = SnmpEngine()
            done = False
            try:
                value = await _asked(line.engine, command, agent, address, wanted)
                done = line.answered = True
                return value
            finally:
                # Also when the caller's limit is over, which cancels this.
                if not done:
                    line.failed()


async def _asked(
    engine: SnmpEngine,
    command: _Command,
    agent: SnmpAgent,
    address: tuple[str, int],
    wanted: ObjectType,
) -> object:
    kind = Udp6TransportTarget if ":" in address[0] else UdpTransportTarget
    try:
        target = await kind.create(address, timeout=GIVE_UP_S, retries=0)
        failed, status, _, bindings = await command(
            engine, _credentials(agent), target, ContextData(), wanted, lookupMib=False
        )
    except (PySnmpError, OSError) as error:
        raise HostError(
            f"cannot be asked: {error}", where=_where(agent), hint="is this its address?"
        ) from error
    if failed:
        silent = isinstance(failed, errind.RequestTimedOut)
        raise HostError(
            "did not answer" if silent else f"does not let us in: {failed}",
            where=_where(agent),
            hint=LET_IN,
        )
    if status:
        raise HostError(
            f"refused: {status.prettyPrint() if hasattr(status, 'prettyPrint') else status}",
            where=_where(agent),
            hint=REFUSED.get(int(status), NO_OBJECT),
        )
    value: object = bindings[0][1]
    return value


def _credentials(agent: SnmpAgent) -> CommunityData | UsmUserData:
    if agent.user is None:
        return CommunityData(agent.community, mpModel=1)  # noqa: S508 - many PoE switches have no more
    return UsmUserData(
        agent.user,
        agent.auth_key,
        agent.priv_key,
        authProtocol=USM_AUTH_HMAC96_SHA if agent.auth_key else USM_AUTH_NONE,
        privProtocol=USM_PRIV_CFB128_AES if agent.priv_key else USM_PRIV_NONE,
    )


def _where(agent: SnmpAgent) -> str:
    return f"SNMP agent at {agent.host}:{agent.port}"
