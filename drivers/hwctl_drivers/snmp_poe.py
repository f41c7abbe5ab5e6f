"""PoE switches by SNMP: the standard table of power sourcing ports.

Part        managed PoE switches and injectors with POWER-ETHERNET-MIB
Sources     RFC 3621, pethPsePortAdminEnable and pethPsePortDetectionStatus (the numbers of the
            detection states: unverified)
Bus         network, UDP 161; channels are ports, within the group of ``group``
Quirks      - A wrong community is answered by silence, as a switch without power is.
            - "public" may mostly read only; a read-only community is refused when switching.
            - Ports are numbered as the maker likes ("implementation specific", RFC 3621); the group
              is 1 on what is no stack.
            - What is set survives a restart of the switch (RFC 3621: persistent).
            - An enabled port gives power only to what asks for it; `detection = true` also asks
              whether the port has a fault.
"""

from enum import IntEnum
from typing import Self

from pydantic import Field, model_validator

from hwctl.model.drivers import Driver, Net, Options, SnmpAgent
from hwctl.model.errors import DeviceDataError, DeviceError

ENTRY = "1.3.6.1.2.1.105.1.1.1"
"""pethPsePortEntry. RFC 3621."""


class Column(IntEnum):
    """RFC 3621."""

    ADMIN_ENABLE = 3
    DETECTION_STATUS = 6


TRUTH = {1: True, 2: False}
"""TruthValue, as POWER-ETHERNET-MIB has it."""
FAULTS = {4: "a fault", 6: "another fault"}
"""pethPsePortDetectionStatus: fault, otherFault (unverified)."""


class SnmpPoeOptions(Options):
    """What the wiring file says of one switch."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)
    port: int = Field(default=161, ge=1, le=65535)
    group: int = Field(default=1, ge=1, le=2**31 - 1)
    community: str = Field(default="private", min_length=1, max_length=255, repr=False)
    user: str | None = Field(
        default=None, min_length=1, max_length=32, description="SNMPv3, in place of `community`"
    )
    auth_key: str | None = Field(default=None, min_length=8, max_length=128, repr=False)
    priv_key: str | None = Field(default=None, min_length=8, max_length=128, repr=False)
    detection: bool = Field(default=False, description="also ask for faults of an enabled port")
    limit_s: float = Field(default=0.4, gt=0, le=10, description="for one request")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.priv_key is not None and self.auth_key is None:
            raise ValueError("`priv_key` needs `auth_key`")
        if self.auth_key is not None and self.user is None:
            raise ValueError("`auth_key` needs `user`")
        return self


class SnmpPoe:
    """One group of one switch."""

    def __init__(self, net: Net, options: SnmpPoeOptions) -> None:
        self._net = net
        self._options = options
        self._agent = SnmpAgent(
            options.host,
            options.port,
            options.community,
            options.user,
            options.auth_key,
            options.priv_key,
        )

    async def get(self, channel: int = 1) -> bool:
        """Whether the port may give power.

        :raises DeviceError: a value that is no TruthValue; with ``detection``, a fault.
        """
        value = await self._read(Column.ADMIN_ENABLE, channel)
        if value not in TRUTH:
            raise DeviceDataError(
                f"says {value}, which is neither true (1) nor false (2)",
                where=self._where(channel),
                hint="is it a switch with POWER-ETHERNET-MIB?",
            )
        if TRUTH[value] and self._options.detection:
            fault = FAULTS.get(await self._read(Column.DETECTION_STATUS, channel))
            if fault is not None:
                raise DeviceError(
                    f"is enabled, but gives no power: {fault}",
                    where=self._where(channel),
                    hint="look for a short or an overload on its cable, and at the switch's log",
                )
        return TRUTH[value]

    async def set(self, channel: int, on: bool) -> None:
        """:raises HostError: the switch refuses."""
        await self._net.snmp_set(
            self._agent,
            self._oid(Column.ADMIN_ENABLE, channel),
            1 if on else 2,
            limit_s=self._options.limit_s,
        )

    async def _read(self, column: Column, channel: int) -> int:
        oid = self._oid(column, channel)
        return await self._net.snmp_get(self._agent, oid, limit_s=self._options.limit_s)

    def _oid(self, column: Column, channel: int) -> str:
        return f"{ENTRY}.{column:d}.{self._options.group:d}.{channel:d}"

    def _where(self, channel: int) -> str:
        return f"port {self._options.group}.{channel} of {self._options.host}"


DRIVER = Driver(
    name="snmp_poe",
    summary="ports of PoE switches, by SNMPv2c or SNMPv3",
    parts=("PoE switches with POWER-ETHERNET-MIB (RFC 3621)",),
    bus="net",
    roles=frozenset({"outlet"}),
    options=SnmpPoeOptions,
    open=SnmpPoe,
    proof="net-snmp's agent with that table, SNMPv2c and SNMPv3",
    channels=1024,
    first_channel=1,
)
