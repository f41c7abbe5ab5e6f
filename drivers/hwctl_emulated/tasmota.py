"""Tasmota: the device side of its HTTP commands, as far as relays go.

Source: tasmota.github.io/docs (Commands, PowerOnState) and the firmware's source:
ExecuteCommandPower (a command stops the relay's pulse timer, then starts it again if the relay is
on, or, with PowerOnState 5, off), SetPulseTimer (units), CmndPulsetime (the command starts the
timer at once), HandleHttpCommand (one JSON object, status 200, also for a wrong password).
"""

import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from hwctl_emulated.part import Site

OFF, ON, TOGGLE, SAVED, ALWAYS_ON, PULSE_ON = range(6)
"""PowerOnState."""
WORDS = {"0": False, "off": False, "false": False, "1": True, "on": True, "true": True}


class Tasmota:
    """One device. Its settings outlive an outage."""

    def __init__(
        self,
        clock: Callable[[], float],
        relays: int = 1,
        password: str | None = None,
        power_on_state: int = SAVED,
    ) -> None:
        self._clock = clock
        self._relays = relays
        self._password = password
        self.power_on_state = power_on_state
        self._power = [False] * relays
        self._pulse_time = [0] * relays
        self._ends: list[float | None] = [None] * relays

    def relay(self, channel: int) -> bool:
        self._settle()
        return self._power[channel - 1]

    def power_on(self) -> None:
        self._settle()
        for index, was in enumerate(self._power):
            match self.power_on_state:
                case 0 | 5:
                    self._power[index] = False
                case 1 | 4:
                    self._power[index] = True
                case 2:
                    self._power[index] = not was
            self._start(index)

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        del method, headers, body
        self._settle()
        parts = urlsplit(path)
        if parts.path != "/cm":
            return 404, {"content-type": "text/plain"}, b"Not Found"
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if self._password is not None and (
            query.get("user") != "admin" or query.get("password") != self._password
        ):
            said: object = {"WARNING": "Need user=<username>&password=<password>"}
        else:
            said = self._command(query.get("cmnd", ""))
        answer = json.dumps(said, separators=(",", ":")).encode()
        return 200, {"content-type": "application/json"}, answer

    def _command(self, line: str) -> dict[str, object]:
        word, _, value = line.partition(" ")
        name = word.rstrip("0123456789").lower()
        number = int(word[len(name) :] or 1)
        if name == "poweronstate":
            if value.isdigit() and int(value) <= PULSE_ON:
                self.power_on_state = int(value)
            return {"PowerOnState": self.power_on_state}
        if name not in {"power", "pulsetime"}:
            return {"Command": "Unknown"}
        if not 1 <= number <= self._relays:
            return {}
        index = number - 1
        if name == "pulsetime":
            if value.isdigit() and int(value) < 65536:
                self._pulse_time[index] = int(value)
                self._ends[index] = self._end(index)
            left = max(0.0, (self._ends[index] or 0.0) - self._clock())
            remaining = int(left + 100 if left > 11.1 else left * 10)
            return {f"PulseTime{number}": {"Set": self._pulse_time[index], "Remaining": remaining}}
        if value.lower() in WORDS:
            self._power[index] = WORDS[value.lower()]
            self._start(index)
        elif value.lower() in {"2", "toggle"}:
            self._power[index] = not self._power[index]
            self._start(index)
        key = "POWER" if self._relays == 1 else f"POWER{number}"
        return {key: "ON" if self._power[index] else "OFF"}

    def _start(self, index: int) -> None:
        runs = self._power[index] != (self.power_on_state == PULSE_ON)
        self._ends[index] = self._end(index) if runs else None

    def _end(self, index: int) -> float | None:
        value = self._pulse_time[index]
        if value == 0:
            return None
        return self._clock() + (value - 100 if value > 111 else value / 10)

    def _settle(self) -> None:
        now = self._clock()
        for index, end in enumerate(self._ends):
            if end is not None and end <= now:
                self._power[index] = self.power_on_state == PULSE_ON
                self._ends[index] = None


def make(site: Site) -> Tasmota:
    password = site.text("password", "")
    return Tasmota(
        site.clock,
        int(site.number("relays", 1)),
        password or None,
        PULSE_ON if site.flag("cycles", default=False) else SAVED,
    )
