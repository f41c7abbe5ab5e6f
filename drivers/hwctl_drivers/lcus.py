"""LCUS-1, -2, -4, -8: relay boards with a CH340 on USB, one port each.

Part        LC Technology LCUS-1, LCUS-2, LCUS-4, LCUS-8 and their many copies
Sources     tilga.com/prod/5732195 and optimusdigital.ro 12595, the sellers' protocol: 9600 baud,
            A0, channel, 00 or 01, check code, with the frames A0 01 01 A2 and A0 01 00 A1;
            relay.py of Brian Rzycki (2020, on a 2-channel board): the status query and its answer
            "CH1: ON \\r\\nCH2: OFF\\r\\n", 8N1, stale first answers;
            github.com/Brasme/usb_ch340_4x_relay_control, ch340_relay.py (on an LCUS-4): all eight
            frames, FF, the pause
Bus         serial, 9600 baud, 8N1
Ranges      1, 2, 4 or 8 relays, counted from 1 as printed
Quirks      - A command is not answered. Boards of 2 and more answer FF with a line per relay;
              boards of 1 say nothing to it (unverified), so that their state is assumed.
            - The first answer to FF is often that of before: it is asked twice, the second counts.
            - A board takes one command at a time, so each is followed by a pause. What the board
              says in it is dropped.
            - Copies exist that look the same and answer in another form (A0 .. with operation 5, or
              bytes): they are switched, and want ``answers = false``.
            - A CH340 has no serial number: name it by its USB port (`hwctl udev --port`).
            - All relays are off after the board's own power came back (unverified).
"""

import re

from pydantic import Field

from hwctl.model.drivers import Driver, Options, SerialBus
from hwctl.model.errors import (
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)

BAUD = 9600
"""The sellers' protocol."""
START = 0xA0
QUERY = b"\xff"
LINE_END = b"\r\n"
LINE_MOST = 16
"""Bytes; "CH8: OFF" and its end are 10."""
LIMIT_S = 0.2
"""For each line. Eight of them take 83 ms at 9600 baud; 50 ms for one answer was enough for
Rzycki's board."""
PAUSE_S = 0.1
"""After each command: ch340_relay.py."""

_LINE = re.compile(rb"CH([1-8]): ?(ON|OFF) *\r\n")


def frame(channel: int, on: bool) -> bytes:
    """The command for one relay; its last byte is the sum of those before it."""
    command = bytes([START, channel, on])
    return command + bytes([sum(command) & 0xFF])


def state_from(line: bytes) -> tuple[int, bool] | None:
    """Channel and state of one line of the status, ``None`` if it is something else."""
    found = _LINE.fullmatch(line)
    return None if found is None else (int(found[1]), found[2] == b"ON")


class LcusOptions(Options):
    """What the wiring file says of one board."""

    channels: int = Field(ge=1, le=8, description="how many relays it has")
    answers: bool | None = Field(
        default=None,
        description="whether it tells its relays' states; left out, all but boards of one do",
    )

    @property
    def reads_back(self) -> bool:
        """Whether it is asked."""
        return self.channels > 1 if self.answers is None else self.answers

    def claims(self) -> tuple[str, ...]:
        return ("the port",)


class Lcus:
    """One board."""

    def __init__(self, bus: SerialBus, options: LcusOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"LCUS-{options.channels}"

    def probe(self) -> None:
        """Set the port up, and ask for all states, if the board tells them."""
        self._bus.configure(baud=BAUD)
        if not self._options.reads_back:
            return
        self._states()
        if more := self._bus.read(LINE_MOST, limit_s=PAUSE_S, until=LINE_END):
            raise DeviceMismatchError(
                f"says more than {self._options.channels} relays do: {more!r}",
                where=self._where,
                hint="compare `channels` in the wiring file with the board",
            )

    def get(self, channel: int = 1) -> bool | None:
        """Whether the relay is on, asked twice; ``None`` if the board does not tell.

        :raises DeviceTimeoutError: no answer, or half of one.
        :raises DeviceDataError: another answer.
        """
        self._check(channel)
        if not self._options.reads_back:
            return None
        self._states()
        return self._states()[channel - 1]

    def set(self, channel: int, on: bool) -> None:
        """Send the command. Nothing tells whether it has arrived; the next ``get`` may."""
        self._check(channel)
        self._bus.write(frame(channel, on))
        self._bus.read(LINE_MOST, limit_s=PAUSE_S)

    def _states(self) -> list[bool]:
        self._bus.discard()
        self._bus.write(QUERY)
        return [self._state(channel) for channel in range(1, self._options.channels + 1)]

    def _state(self, channel: int) -> bool:
        line = self._bus.read(LINE_MOST, limit_s=LIMIT_S, until=LINE_END)
        if not line.endswith(LINE_END) and len(line) < LINE_MOST:
            raise DeviceTimeoutError(
                f"answers no more than {line!r} for relay {channel}"
                if line or channel > 1
                else "does not answer",
                where=self._where,
                hint="compare `channels` with the board; some tell nothing: `answers = false`",
            )
        said = state_from(line)
        if said is None or said[0] != channel:
            raise DeviceDataError(
                f"answers {line!r} for relay {channel}",
                where=self._where,
                hint="is this the port of the relay board? some answer otherwise: "
                "`answers = false`",
            )
        return said[1]

    def _check(self, channel: int) -> None:
        if not 1 <= channel <= self._options.channels:
            raise DeviceNotFoundError(
                f"has no relay {channel}",
                where=self._where,
                hint="`channel` is 1 to `channels`, as printed on the board",
            )


def _reads_back(options: LcusOptions) -> bool:
    return options.reads_back


DRIVER = Driver(
    name="lcus",
    summary="1 to 8 relays behind a CH340 on USB",
    parts=("LCUS-1", "LCUS-2", "LCUS-4", "LCUS-8"),
    bus="serial",
    roles=frozenset({"outlet"}),
    options=LcusOptions,
    open=Lcus,
    reads_back=_reads_back,
    channels=lambda options: options.channels,
    first_channel=1,
    proof="published frames, byte by byte over a pty; stale, torn and foreign answers",
)
