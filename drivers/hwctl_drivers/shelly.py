"""Shelly: plugs and relays of every generation, by HTTP.

Part        generation 1 (Shelly 1, 1PM, 2.5, Plug S, 4Pro); generation 2 and later (Plus, Pro,
            Gen3, Gen4) with Switch components
Sources     shelly-api-docs.shelly.cloud: gen1 (/relay/{index}), gen2/ComponentsAndServices/Switch,
            gen2/General/RPCChannels, gen2/General/Authentication
Bus         network; channels 0 to 3 as Shelly counts them
Cycle       by the device: ``timer`` ("one-shot flip-back timer in seconds") and ``toggle_after``
Quirks      - Generation 1 asks for its password by Basic, in the clear; later ones by Digest with
              SHA-256, each request in two steps and two connections. Their user is always admin.
            - Switch.Set answers how the output WAS; only Switch.GetStatus tells how it is.
            - A timer that is left over (a cycle cut short, "Auto ON" of its settings) would turn a
              node on that was ordered off. Whether a plain off ends it is not documented, so after
              each off it is looked for, and finding one is an error.
            - Six channels at a time (gen2/General/RPCChannels); no connection is kept open.
            - In the profile of roller shutters there are no switches.
"""

import json
import math
from typing import Any

from pydantic import Field

from hwctl.model.drivers import Driver, HttpRequest, Net, Options
from hwctl.model.errors import DeviceDataError, DeviceError

MOST = 4096
"""Bytes of an answer; a full status has about 500."""
FRAME = 1
"""The id of every request; one at a time, each on a connection of its own."""


class ShellyOptions(Options):
    """What the wiring file says of one Shelly."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)
    port: int = Field(default=80, ge=1, le=65535)
    generation: int = Field(default=2, ge=1, le=4)
    user: str = Field(default="admin", min_length=1, max_length=64)
    password: str | None = Field(default=None, max_length=128, repr=False)
    limit_s: float = Field(default=0.4, gt=0, le=10, description="for one request")


class Shelly:
    """One device. A dead one fails at the first request of an order, within ``limit_s``."""

    def __init__(self, net: Net, options: ShellyOptions) -> None:
        self._net = net
        self._options = options
        self._where = f"Shelly at {options.host}"

    async def get(self, channel: int = 0) -> bool:
        """:raises DeviceDataError: an answer that does not say it."""
        if self._options.generation == 1:
            return self._flag(await self._relay(channel), "ison")
        return self._flag(await self._call("Switch.GetStatus", {"id": channel}), "output")

    async def set(self, channel: int, on: bool) -> None:
        """:raises DeviceError: it refused, or would turn itself on again."""
        if self._options.generation == 1:
            relay = await self._relay(channel, f"?turn={'on' if on else 'off'}")
            if self._flag(relay, "ison") != on:
                raise DeviceError(
                    f"channel {channel} stayed {'off' if on else 'on'}",
                    where=self._where,
                    hint="its web page tells why: overpower, overtemperature or an interlock",
                )
            timed = relay.get("has_timer") is True
        else:
            await self._switch({"id": channel, "on": on})
            timed = not on and "timer_started_at" in await self._call(
                "Switch.GetStatus", {"id": channel}
            )
        if timed and not on:
            raise DeviceError(
                f"channel {channel} is off, but a timer of the device will turn it on again",
                where=self._where,
                hint="switch off `Auto ON` on its web page, and give the order again",
            )

    async def cycle(self, channel: int, off_s: float) -> None:
        """Off now; the device itself turns it on again after whole seconds.

        :raises DeviceError: it refused, or runs no timer.
        """
        seconds = max(1, math.ceil(off_s))
        if self._options.generation == 1:
            relay = await self._relay(channel, f"?turn=off&timer={seconds}")
            timed = not self._flag(relay, "ison") and relay.get("has_timer") is True
        else:
            await self._switch({"id": channel, "on": False, "toggle_after": seconds})
            status = await self._call("Switch.GetStatus", {"id": channel})
            timed = not self._flag(status, "output") and "timer_started_at" in status
        if not timed:
            raise DeviceError(
                f"channel {channel} was ordered off and on again, but runs no timer",
                where=self._where,
                hint="update its firmware; until then switch it off and on",
            )

    async def _switch(self, params: dict[str, Any]) -> None:
        self._flag(await self._call("Switch.Set", params), "was_on")

    async def _relay(self, channel: int, query: str = "") -> dict[str, Any]:
        """Generation 1."""
        return await self._ask(self._request("GET", f"/relay/{channel:d}{query}"))

    async def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Generation 2 and later. gen2/General/RPCChannels, "POST request with entire frame"."""
        frame = {"id": FRAME, "src": "hwctl", "method": method, "params": params}
        body = json.dumps(frame, separators=(",", ":")).encode()
        answer = await self._ask(self._request("POST", "/rpc", body))
        if isinstance(error := answer.get("error"), dict):
            said = "".join(c for c in str(error.get("message")) if c.isprintable())
            raise DeviceError(
                f"refuses {method}: {said[:100]} ({str(error.get('code'))[:10]})",
                where=self._where,
                hint="has it that channel, and is its profile `switch`?",
            )
        result = answer.get("result")
        if answer.get("id") != FRAME or not isinstance(result, dict):
            raise self._nonsense(json.dumps(answer).encode())
        return result

    def _request(self, method: Any, path: str, body: bytes = b"") -> HttpRequest:  # noqa: ANN401 - a literal
        return HttpRequest(
            method,
            self._options.host,
            self._options.port,
            path,
            body,
            {"Content-Type": "application/json"} if body else {},
            self._options.user if self._options.password is not None else None,
            self._options.password,
        )

    async def _ask(self, request: HttpRequest) -> dict[str, Any]:
        answer = await self._net.http(request, limit_s=self._options.limit_s, most=MOST)
        if answer.status == 401:
            raise DeviceError(
                "wants a password" if self._options.password is None else "refuses the password",
                where=self._where,
                hint="`password` must be the one of its web page; the user of later ones is admin",
            )
        try:
            content = json.loads(answer.body)
        except ValueError as error:
            raise self._nonsense(answer.body) from error
        # An error comes with status 500, and a frame that tells which.
        if not isinstance(content, dict) or (answer.status != 200 and "error" not in content):
            raise self._nonsense(answer.body)
        return content

    def _flag(self, answer: dict[str, Any], name: str) -> bool:
        value = answer.get(name)
        if not isinstance(value, bool):
            raise self._nonsense(json.dumps(answer).encode())
        return value

    def _nonsense(self, body: bytes) -> DeviceDataError:
        return DeviceDataError(
            f"answered what no Shelly of generation {self._options.generation} says: {body[:60]!r}",
            where=self._where,
            hint="http://ITS-ADDRESS/shelly tells its generation: `gen`, or none for 1",
        )


DRIVER = Driver(
    name="shelly",
    summary="plugs and relays of Shelly, generation 1 and later, by HTTP",
    parts=("Shelly 1, 1PM, 2.5, 4Pro, Plug S", "Shelly Plus, Pro, Gen3 and Gen4 with switches"),
    bus="net",
    roles=frozenset({"outlet"}),
    options=ShellyOptions,
    open=Shelly,
    proof="the documented exchanges over real sockets, Basic and Digest SHA-256 included",
    cycles=True,
    channels=4,
)
