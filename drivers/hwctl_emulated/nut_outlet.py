"""A NUT server with one UPS that has switched outlets.

Source: NUT docs/net-protocol.txt and docs/nut-names.txt; answers and errors as Debian's upsd 2.8.0
gives them.
"""

import re
from collections.abc import Callable

from hwctl_emulated.part import Site

OUTLETS = 64
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


class NutServer:
    """One conversation at a time; who starts anew says USERNAME again."""

    def __init__(
        self,
        clock: Callable[[], float],
        ups: str,
        user: str,
        password: str,
        cycle_off_s: float | None = None,
    ) -> None:
        self._clock = clock
        self._ups = ups
        self._login = (user, password)
        self._cycle_off_s = cycle_off_s
        self._said: tuple[str, str] = ("", "")
        self._on = [False] * OUTLETS
        self._back: list[float | None] = [None] * OUTLETS

    def relay(self, channel: int) -> bool:
        self._settle()
        return self._on[channel - 1]

    def power_on(self) -> None:
        self._settle()
        self._said = ("", "")

    def line(self, text: str) -> str:
        self._settle()
        words = [
            re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain
            for quoted, plain in TOKEN.findall(text)
        ]
        match [words[0].upper() if words else "", *words[1:]]:
            case ["USERNAME", user]:
                self._said = (user, "")
                return "OK"
            case ["PASSWORD", password]:
                self._said = (self._said[0], password)
                return "OK"
            case ["GET", "VAR", ups, name]:
                return self._variable(ups, name)
            case ["INSTCMD", ups, name]:
                return self._command(ups, name)
            case ["LOGOUT"]:
                self._said = ("", "")
                return "OK Goodbye"
            case ["USERNAME" | "PASSWORD" | "GET" | "INSTCMD", *_]:
                return "ERR INVALID-ARGUMENT"
        return "ERR UNKNOWN-COMMAND"

    def _variable(self, ups: str, name: str) -> str:
        if ups != self._ups:
            return "ERR UNKNOWN-UPS"
        found = re.fullmatch(r"outlet\.([1-9]\d?)\.(status|switchable)", name)
        if found is None or int(found[1]) > OUTLETS:
            return "ERR VAR-NOT-SUPPORTED"
        value = "yes"
        if found[2] == "status":
            value = "on" if self._on[int(found[1]) - 1] else "off"
        return f'VAR {ups} {name} "{value}"'

    def _command(self, ups: str, name: str) -> str:
        said, self._said = self._said, ("", "")
        if not said[0]:
            return "ERR USERNAME-REQUIRED"
        if not said[1]:
            return "ERR PASSWORD-REQUIRED"
        if ups != self._ups:
            return "ERR UNKNOWN-UPS"
        found = re.fullmatch(r"outlet\.([1-9]\d?)\.load\.(on|off|cycle)", name)
        if found is None or int(found[1]) > OUTLETS:
            return "ERR CMD-NOT-SUPPORTED"
        if found[2] == "cycle" and self._cycle_off_s is None:
            return "ERR CMD-NOT-SUPPORTED"
        if said != self._login:
            return "ERR ACCESS-DENIED"
        index = int(found[1]) - 1
        self._on[index] = found[2] == "on"
        self._back[index] = None
        if found[2] == "cycle" and self._cycle_off_s is not None:
            self._back[index] = self._clock() + self._cycle_off_s
        return "OK"

    def _settle(self) -> None:
        now = self._clock()
        for index, back in enumerate(self._back):
            if back is not None and back <= now:
                self._on[index] = True
                self._back[index] = None


def make(site: Site) -> NutServer:
    kept = site.number("cycle_off_s", 0.0)
    return NutServer(
        site.clock,
        site.text("ups", ""),
        site.text("user", ""),
        site.text("password", ""),
        kept or None,
    )
