"""Outlets of a UPS or PDU behind a NUT server.

Part        UPSes and PDUs with switched outlets that Network UPS Tools knows
Sources     NUT docs/net-protocol.txt (commands, errors, quoting), docs/nut-names.txt (names);
            Debian's upsd 2.8.0
Bus         network, TCP 3493; channels are NUT's outlets from 1 on (0 would be all of them)
Quirks      - INSTCMD's OK means that the command was passed to the driver, not that it was done:
              believe ``outlet.N.status``.
            - USERNAME and PASSWORD are always answered OK; a wrong password shows at INSTCMD.
            - ``upscmd -l UPS`` lists the commands that a UPS has. Many UPSes with outlets can
              switch none of them.
            - ``load.cycle`` takes no time: the UPS alone decides how long it is off. It is used
              only where `cycle_off_s` says how long that is.
            - The password travels in the clear.
"""

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from hwctl.model.drivers import Driver, Net, Options
from hwctl.model.errors import DeviceDataError, DeviceError

ANSWER = re.compile(r'VAR (\S+) (\S+) "((?:[^"\\]|\\["\\])*)"')
"""net-protocol.txt, "GET VAR"."""
STATES = {"on": True, "off": False}
"""nut-names.txt, outlet.n.status."""
HINTS = {
    "ACCESS-DENIED": "in upsd.users: the right password, and `instcmds = ALL` for that user",
    "USERNAME-REQUIRED": "set `user` and `password` as in upsd.users",
    "PASSWORD-REQUIRED": "set `password` as in upsd.users",
    "INVALID-PASSWORD": "set `password` as in upsd.users",
    "UNKNOWN-UPS": "`upsc -l` lists the names that the server knows: `ups` must be one",
    "CMD-NOT-SUPPORTED": "`upscmd -l UPS` lists what it can: it may have no switched outlets",
    "VAR-NOT-SUPPORTED": "`upsc UPS` lists what it tells: is outlet.N.status there?",
    "DATA-STALE": "the driver of the UPS has lost it: look at its cable and its log",
    "DRIVER-NOT-CONNECTED": "the driver of the UPS does not run: `upsdrvctl start`",
}
"""By error. net-protocol.txt, "Error responses"."""

Plain = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Printable = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]


def quoted(text: str) -> str:
    """As net-protocol.txt wants it: in quotes, with quotes and backslashes escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class NutOutletOptions(Options):
    """What the wiring file says of one UPS."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)
    port: int = Field(default=3493, ge=1, le=65535)
    ups: Plain = Field(description="its name on the server")
    user: Printable
    password: Printable = Field(repr=False)
    cycle_off_s: float | None = Field(
        default=None, gt=0, description="how long outlet.N.load.cycle is off; unset: not used"
    )
    limit_s: float = Field(default=0.4, gt=0, le=10, description="for one conversation")


class NutOutlet:
    """One UPS."""

    def __init__(self, net: Net, options: NutOutletOptions) -> None:
        self._net = net
        self._options = options
        self._where = f"{options.ups} at {options.host}:{options.port}"

    async def get(self, channel: int = 1) -> bool:
        """:raises DeviceError: the server knows no such UPS or outlet, or has stale data."""
        name = f"outlet.{self._checked(channel)}.status"
        (answer,) = await self._say(f"GET VAR {self._options.ups} {name}")
        self._refused(answer)
        found = ANSWER.fullmatch(answer)
        if found is None or found.group(1, 2) != (self._options.ups, name):
            raise self._nonsense(answer)
        state = STATES.get(found[3].lower())
        if state is None:
            raise self._nonsense(answer)
        return state

    async def set(self, channel: int, on: bool) -> None:
        """:raises DeviceError: the server refuses."""
        await self._command(f"outlet.{self._checked(channel)}.load.{'on' if on else 'off'}")

    async def cycle(self, channel: int, off_s: float) -> None:
        """:raises DeviceError: the UPS is not off that long, or the server refuses."""
        kept = self._options.cycle_off_s
        if kept is None or off_s > kept:
            raise DeviceError(
                f"its load.cycle is not known to stay off for {off_s:g} s",
                where=self._where,
                hint="measure it, and set `cycle_off_s`; or leave it unset to switch off and on",
            )
        await self._command(f"outlet.{self._checked(channel)}.load.cycle")

    async def _command(self, name: str) -> None:
        answers = await self._say(
            f"USERNAME {quoted(self._options.user)}",
            f"PASSWORD {quoted(self._options.password)}",
            f"INSTCMD {self._options.ups} {name}",
        )
        for answer in answers:
            self._refused(answer)
            if answer != "OK" and not answer.startswith("OK "):
                raise self._nonsense(answer)

    async def _say(self, *lines: str) -> list[str]:
        return await self._net.converse(
            self._options.host, self._options.port, lines, limit_s=self._options.limit_s
        )

    def _refused(self, answer: str) -> None:
        word, _, rest = answer.partition(" ")
        if word == "ERR":
            fault = _harmless(rest)
            raise DeviceError(
                f"the server says {fault}",
                where=self._where,
                hint=HINTS.get(fault.partition(" ")[0], "upsd's log tells more"),
            )

    def _nonsense(self, answer: str) -> DeviceDataError:
        return DeviceDataError(
            f"answered what makes no sense: {_harmless(answer)}",
            where=self._where,
            hint="does upsd run at that port?",
        )

    def _checked(self, channel: int) -> int:
        if channel < 1:
            raise DeviceError(
                "outlet 0 would be all outlets at once",
                where=self._where,
                hint="NUT counts outlets from 1",
            )
        return channel


def _harmless(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])


DRIVER = Driver(
    name="nut_outlet",
    summary="switched outlets of a UPS or PDU behind a NUT server",
    parts=("UPSes and PDUs with outlet.N.load.on and .off in NUT",),
    bus="net",
    roles=frozenset({"outlet"}),
    options=NutOutletOptions,
    open=NutOutlet,
    proof="Debian's upsd 2.8.0 with a driver that has switched outlets",
    cycles=lambda options: options.cycle_off_s is not None,
    channels=64,
    first_channel=1,
)
