"""Tasmota: plugs and relay boards with that firmware, by HTTP.

Part        devices with Tasmota 9 or newer (the version: unverified), 1 to 8 relays, HTTP
Sources     tasmota.github.io/docs, Commands and PowerOnState; the firmware's source
            (ExecuteCommandPower, SetPulseTimer, CmndPulsetime, HandleHttpCommand)
Bus         network; channels 1 to 8 as Tasmota counts its relays (Power0 means all: never sent)
Cycle       PulseTime turns a relay OFF after a while, and on again only with PowerOnState 5
            ("after a PulseTime period turn relay(s) ON (acts as inverted PulseTime mode)"). It is
            one setting for all relays and for what happens after an outage, so it is for the owner
            to choose: `cycles = true` says that the device has it, and it is asked for before
            every cycle. Backlog with Delay is no way: any other request in between ends it
            (arendst/Tasmota#7772, unverified).
Quirks      - The password travels in the address, in the clear.
            - Wrong passwords get status 401 (unverified), or 200 and {"WARNING":"Need user=..."}.
            - A relay alone answers as POWER, one of several as POWER<n>.
            - PulseTime stays set. With PowerOnState 5 every off would then be a cycle, so an
              ordinary off sets it to 0 first. After a cycle it is left set: whoever presses the
              button on the device sees it come on again.
            - With PowerOnState 5 the relays are off after an outage of the device itself.
            - A relay may be locked (PowerLock) or interlocked: the answer tells its true state,
              which is compared with the one that was asked for.
"""

import json
import math
from typing import Any
from urllib.parse import quote

from pydantic import Field

from hwctl.model.drivers import Driver, HttpRequest, Net, Options
from hwctl.model.errors import DeviceDataError, DeviceError

MOST = 4096
"""Bytes of an answer; those used here have less than 100."""
INVERTED = 5
"""PowerOnState. tasmota.github.io/docs/PowerOnState."""
LONGEST_S = 64800.0
"""PulseTime 64900. tasmota.github.io/docs/Commands."""
STATES = {"ON": True, "OFF": False}


def pulse_time(off_s: float) -> int:
    """The value of PulseTime for at least ``off_s`` seconds: 1..111 are tenths of a second,
    112..64900 are seconds and 100 more. tasmota.github.io/docs/Commands, SetPulseTimer.

    :raises ValueError: above :data:`LONGEST_S`.
    """
    if not 0 < off_s <= LONGEST_S:
        raise ValueError(f"{off_s:g} s is not within 0.1 s and {LONGEST_S:.0f} s")
    return math.ceil(off_s * 10) if off_s <= 11.1 else math.ceil(off_s) + 100


class TasmotaOptions(Options):
    """What the wiring file says of one Tasmota."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)
    port: int = Field(default=80, ge=1, le=65535)
    relays: int = Field(default=1, ge=1, le=8, description="how many it has")
    user: str = Field(default="admin", min_length=1, max_length=64)
    password: str | None = Field(default=None, max_length=128, repr=False)
    cycles: bool = Field(default=False, description="whether its PowerOnState is 5")
    limit_s: float = Field(default=0.4, gt=0, le=10, description="for one request")


class Tasmota:
    """One device. A dead one fails at the first request of an order, within ``limit_s``."""

    def __init__(self, net: Net, options: TasmotaOptions) -> None:
        self._net = net
        self._options = options
        self._where = f"Tasmota at {options.host}"
        self._login = ""
        if options.password is not None:
            user, password = quote(options.user, safe=""), quote(options.password, safe="")
            self._login = f"user={user}&password={password}&"

    async def get(self, channel: int = 1) -> bool:
        """:raises DeviceDataError: an answer that says nothing of that relay."""
        return self._state(channel, await self._ask(f"Power{self._checked(channel)}"))

    async def set(self, channel: int, on: bool) -> None:
        """:raises DeviceError: it refused, or the relay did not follow."""
        self._checked(channel)
        if self._options.cycles and not on:
            await self._pulse(channel, 0)
        await self._power(channel, on)

    async def cycle(self, channel: int, off_s: float) -> None:
        """Off now; the device itself turns the relay on again.

        :raises DeviceError: its PowerOnState is not 5; nothing was changed.
        """
        self._checked(channel)
        try:
            pulse = pulse_time(off_s)
        except ValueError as error:
            raise DeviceError(f"cannot stay off so long: {error}", where=self._where) from error
        state = (await self._ask("PowerOnState")).get("PowerOnState")
        if state != INVERTED:
            raise DeviceError(
                f"would not come on again by itself: its PowerOnState is {str(state)[:20]!r}",
                where=self._where,
                hint="`PowerOnState 5` on its console, or `cycles = false` in the wiring file",
            )
        await self._pulse(channel, pulse)
        await self._power(channel, on=False)

    async def _power(self, channel: int, on: bool) -> None:
        answer = await self._ask(f"Power{channel} {'On' if on else 'Off'}")
        if self._state(channel, answer) != on:
            raise DeviceError(
                f"relay {channel} stayed {'off' if on else 'on'}",
                where=self._where,
                hint="`PowerLock` and `Interlock` on its console tell why",
            )

    async def _pulse(self, channel: int, value: int) -> None:
        answer = (await self._ask(f"PulseTime{channel} {value}")).get(f"PulseTime{channel}")
        if not isinstance(answer, dict) or answer.get("Set") != value:
            raise DeviceDataError(
                f"did not take PulseTime{channel} {value}",
                where=self._where,
                hint="it needs Tasmota 9 or newer",
            )

    def _state(self, channel: int, answer: dict[str, Any]) -> bool:
        key = f"POWER{channel}"
        if key not in answer and self._options.relays == 1:
            key = "POWER"
        state = STATES.get(str(answer.get(key)).upper())
        if state is None:
            raise DeviceDataError(
                f"does not say whether relay {channel} is on: {json.dumps(answer)[:80]}",
                where=self._where,
                hint="`relays` must be how many it has; `StateText1 OFF` and `StateText2 ON` on "
                "its console bring back its words",
            )
        return state

    def _checked(self, channel: int) -> int:
        if not 1 <= channel <= self._options.relays:
            raise DeviceError(
                f"has no relay {channel}",
                where=self._where,
                hint="Tasmota counts from 1; `relays` says how many there are",
            )
        return channel

    async def _ask(self, command: str) -> dict[str, Any]:
        answer = await self._net.http(
            HttpRequest(
                "GET",
                self._options.host,
                self._options.port,
                f"/cm?{self._login}cmnd={quote(command)}",
            ),
            limit_s=self._options.limit_s,
            most=MOST,
        )
        try:
            content = json.loads(answer.body) if answer.status == 200 else {}
        except ValueError as error:
            raise self._nonsense(answer.body) from error
        if not isinstance(content, dict):
            raise self._nonsense(answer.body)
        if answer.status == 401 or "Need user" in str(content.get("WARNING")):
            raise DeviceError(
                "refuses the password",
                where=self._where,
                hint="`password` must be its web password, and `user` is admin",
            )
        if answer.status != 200:
            raise DeviceDataError(
                f"answered with status {answer.status}",
                where=self._where,
                hint="is its firmware Tasmota, and its HTTP API on (SetOption128)?",
            )
        return content

    def _nonsense(self, body: bytes) -> DeviceDataError:
        return DeviceDataError(
            f"answered what no Tasmota says: {body[:60]!r}",
            where=self._where,
            hint="open its address in a browser: is it that device?",
        )


DRIVER = Driver(
    name="tasmota",
    summary="plugs and relay boards with Tasmota, 1 to 8 relays, by HTTP",
    parts=("any device with Tasmota 9 or newer",),
    bus="net",
    roles=frozenset({"outlet"}),
    options=TasmotaOptions,
    open=Tasmota,
    proof="answers as Tasmota's source makes them, over real sockets",
    cycles=lambda options: bool(options.cycles),
    channels=8,
    first_channel=1,
)
