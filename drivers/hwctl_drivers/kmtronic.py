"""KMTronic USB and RS232 relay boards with 1, 2, 4 or 8 relays.

Part        KMTronic USB One, Two, Four and Eight Relay, RS232 Eight Relay
Sources     info.kmtronic.com/kmtronic-usb-relay-test-software.html: all commands and answers;
            .../controlling-usb-one-relay-by-raspberry-pi.html: 9600 baud
Bus         serial, 9600 baud, 8N1
Ranges      1, 2, 4 or 8 relays, counted from 1 as printed
Quirks      - A command is not answered.
            - Boards of 1 and 2 are asked relay by relay (FF ch 03) and answer FF ch state; those of
              4 and 8 are asked for all (FF 09 00) and answer a byte each, with no frame around.
            - The boards on RS485 speak Modbus or have an address: not these.
            - All relays are off after the board's own power came back (unverified).
"""

from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, Options, SerialBus
from hwctl.model.errors import (
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)

BAUD = 9600
START = 0xFF
ASK_ONE = 0x03
ASK_ALL = b"\xff\x09\x00"
STATES = {0: False, 1: True}
LIMIT_S = 0.3
"""For one answer; 8 bytes take 8 ms (untuned)."""
MOST = 16
"""Bytes read while probing: more than any board answers."""


def frame(channel: int, on: bool) -> bytes:
    """The command for one relay."""
    return bytes([START, channel, on])


class KmtronicOptions(Options):
    """What the wiring file says of one board."""

    channels: Literal[1, 2, 4, 8] = Field(description="how many relays it has")

    @property
    def answers_one(self) -> bool:
        """Whether it is asked relay by relay."""
        return self.channels <= 2

    def claims(self) -> tuple[str, ...]:
        return ("the port",)


class Kmtronic:
    """One board."""

    def __init__(self, bus: SerialBus, options: KmtronicOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"KMTronic board of {options.channels}"

    def probe(self) -> None:
        """Set the port up and ask; boards of 4 and 8 show by their answer's length which they are.

        :raises DeviceMismatchError: it answers for another number of relays.
        """
        self._bus.configure(baud=BAUD)
        if self._options.answers_one:
            for channel in range(1, self._options.channels + 1):
                self.get(channel)
            return
        answer = self._ask(ASK_ALL, MOST)
        if len(answer) in (4, 8) and len(answer) != self._options.channels:
            raise DeviceMismatchError(
                f"answers for {len(answer)} relays",
                where=self._where,
                hint="compare `channels` in the wiring file with the board",
            )
        self._all_from(answer)

    def get(self, channel: int = 1) -> bool:
        """Whether the relay is on.

        :raises DeviceTimeoutError: no answer, or half of one.
        :raises DeviceDataError: another answer, or that of another relay.
        """
        self._check(channel)
        if self._options.answers_one:
            return self._one_from(self._ask(bytes([START, channel, ASK_ONE]), 3), channel)
        return self._all_from(self._ask(ASK_ALL, self._options.channels))[channel - 1]

    def set(self, channel: int, on: bool) -> None:
        """Send the command, which the board does not answer."""
        self._check(channel)
        self._bus.write(frame(channel, on))

    def _ask(self, query: bytes, most: int) -> bytes:
        self._bus.discard()
        self._bus.write(query)
        return self._bus.read(most, limit_s=LIMIT_S)

    def _one_from(self, answer: bytes, channel: int) -> bool:
        self._complete(answer, 3)
        if answer[0] != START or answer[1] != channel or answer[2] not in STATES:
            raise self._nonsense(answer, f"for relay {channel}")
        return STATES[answer[2]]

    def _all_from(self, answer: bytes) -> list[bool]:
        self._complete(answer, self._options.channels)
        if len(answer) != self._options.channels or not STATES.keys() >= set(answer):
            raise self._nonsense(answer, "for its relays")
        return [STATES[byte] for byte in answer]

    def _complete(self, answer: bytes, length: int) -> None:
        if len(answer) < length:
            raise DeviceTimeoutError(
                f"answers {len(answer)} bytes of {length}" if answer else "does not answer",
                where=self._where,
                hint="compare `channels` with the board, and look at its supply and its cable",
            )

    def _nonsense(self, answer: bytes, what: str) -> DeviceDataError:
        return DeviceDataError(
            f"answers {answer.hex(' ')} {what}",
            where=self._where,
            hint="is this the port of the relay board? boards on RS485 have other drivers",
        )

    def _check(self, channel: int) -> None:
        if not 1 <= channel <= self._options.channels:
            raise DeviceNotFoundError(
                f"has no relay {channel}",
                where=self._where,
                hint="`channel` is 1 to `channels`, as printed on the board",
            )


DRIVER = Driver(
    name="kmtronic",
    summary="1, 2, 4 or 8 relays on USB or RS232",
    parts=("KMTronic USB relay boards", "KMTronic RS232 8 relays"),
    bus="serial",
    roles=frozenset({"outlet"}),
    options=KmtronicOptions,
    open=Kmtronic,
    reads_back=True,
    channels=lambda options: options.channels,
    first_channel=1,
    proof="the maker's table of commands, byte by byte over a pty; torn and foreign answers",
)
