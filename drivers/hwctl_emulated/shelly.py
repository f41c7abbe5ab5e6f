"""Shelly: the device side of its relays, first generation and later.

Source: shelly-api-docs.shelly.cloud: gen1 /relay/{index} (turn, timer; ison, has_timer), gen2
Switch (Set, GetStatus), RPCChannels (POST /rpc with a whole frame), Authentication (Digest with
SHA-256 by RFC 7616, user admin). That a plain order ends a running timer, and the codes of errors,
are unverified.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import parse_qs, urlsplit

from hwctl_emulated.part import Site

CHANNELS = 4
USER = "admin"

Reply = tuple[int, Mapping[str, str], bytes]


class Shelly:
    """One device."""

    def __init__(
        self,
        clock: Callable[[], float],
        rng: Random,
        generation: int = 2,
        password: str | None = None,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._generation = generation
        self._password = password
        self._realm = f"shellyplus1-{rng.getrandbits(48):012x}"
        self._nonces: set[str] = set()
        self._output = [False] * CHANNELS
        self._timers: list[tuple[float, float] | None] = [None] * CHANNELS
        """Start and duration in seconds."""

    def relay(self, channel: int) -> bool:
        self._settle()
        return self._output[channel]

    def power_on(self) -> None:
        """As it was before: its factory setting for plugs is "restore last" (unverified)."""
        self._settle()
        self._timers = [None] * CHANNELS

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self._settle()
        given = headers.get("authorization", "")
        if self._generation == 1:
            wanted = base64.b64encode(f"{USER}:{self._password}".encode()).decode()
            if self._password is not None and given != f"Basic {wanted}":
                return 401, {"www-authenticate": 'Basic realm="shelly1"'}, b"401 Unauthorized"
            return self._first(path)
        if self._password is not None and not self._digest_holds(method, path, given):
            nonce = f"{self._rng.getrandbits(32):08x}"
            self._nonces.add(nonce)
            challenge = f'Digest qop="auth", realm="{self._realm}", nonce="{nonce}"'
            return 401, {"www-authenticate": f"{challenge}, algorithm=SHA-256"}, b""
        return self._later(method, path, body)

    # --- generation 1 ---

    def _first(self, path: str) -> Reply:
        parts = urlsplit(path)
        found = re.fullmatch(r"/relay/(\d)", parts.path)
        if found is None or int(found[1]) >= CHANNELS:
            return 404, {"content-type": "text/plain"}, b"Not Found"
        channel = int(found[1])
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if query.get("turn") in {"on", "off"}:
            self._switch(channel, query["turn"] == "on", float(query.get("timer", 0)))
        timer = self._timers[channel]
        now = self._clock()
        return _json(
            {
                "ison": self._output[channel],
                "has_timer": timer is not None,
                "timer_started": int(timer[0]) if timer else 0,
                "timer_duration": int(timer[1]) if timer else 0,
                "timer_remaining": int(timer[0] + timer[1] - now) if timer else 0,
                "overpower": False,
                "source": "http",
            }
        )

    # --- generation 2 and later ---

    def _later(self, method: str, path: str, body: bytes) -> Reply:
        if (method, path) != ("POST", "/rpc"):
            return 404, {"content-type": "text/plain"}, b"Not Found"
        try:
            frame = json.loads(body)
            ident, called, params = frame["id"], frame["method"], frame.get("params", {})
        except (ValueError, KeyError, TypeError):
            return 400, {"content-type": "text/plain"}, b"Bad Request"
        reply = {"id": ident, "src": self._realm}
        if "src" in frame:
            reply["dst"] = frame["src"]
        channel = params.get("id")
        if called not in {"Switch.Set", "Switch.GetStatus"}:
            error = {"code": 404, "message": f"No handler for {called}"}
            return _json({**reply, "error": error}, 500)
        if channel not in range(CHANNELS):
            error = {"code": -105, "message": f"Argument 'id', value {channel} not found!"}
            return _json({**reply, "error": error}, 500)
        if called == "Switch.Set":
            was = self._output[channel]
            self._switch(channel, params["on"] is True, float(params.get("toggle_after", 0)))
            return _json({**reply, "result": {"was_on": was}})
        status: dict[str, object] = {
            "id": channel,
            "source": "http",
            "output": self._output[channel],
        }
        if timer := self._timers[channel]:
            status |= {"timer_started_at": round(timer[0], 2), "timer_duration": timer[1]}
        return _json({**reply, "result": status})

    def _digest_holds(self, method: str, path: str, given: str) -> bool:
        """RFC 7616, section 3.4, qop=auth; each nonce once."""
        if not given.startswith("Digest "):
            return False
        said = {key: a or b for key, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)}
        nonce = said.get("nonce", "")
        if nonce not in self._nonces or said.get("algorithm") != "SHA-256":
            return False
        self._nonces.discard(nonce)
        secret = _sha256(f"{USER}:{self._realm}:{self._password}")
        asked = _sha256(f"{method}:{path}")
        middle = f"{nonce}:{said.get('nc')}:{said.get('cnonce')}:{said.get('qop')}"
        right = _sha256(f"{secret}:{middle}:{asked}")
        return (said.get("username"), said.get("uri"), said.get("response")) == (USER, path, right)

    def _switch(self, channel: int, on: bool, timer_s: float) -> None:
        self._output[channel] = on
        self._timers[channel] = (self._clock(), timer_s) if timer_s > 0 else None

    def _settle(self) -> None:
        now = self._clock()
        for channel, timer in enumerate(self._timers):
            if timer is not None and sum(timer) <= now:
                self._output[channel] = not self._output[channel]
                self._timers[channel] = None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(content: object, status: int = 200) -> Reply:
    body = json.dumps(content, separators=(",", ":")).encode()
    return status, {"content-type": "application/json", "connection": "close"}, body


def make(site: Site) -> Shelly:
    generation = int(site.number("generation", 2))
    return Shelly(site.clock, site.rng, generation, site.text("password", "") or None)
