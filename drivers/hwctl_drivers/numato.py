"""Numato Lab USB relay modules with 1 to 64 relays, by their command line.

Part        Numato Lab 1, 2, 4, 8, 16, 32 and 64 Channel USB Relay Module
Sources     pdudaemon, drivers/numatousb.py: commands, prompt, names of relays on each size;
            github.com/numato/samplecode, the maker's own: every character is echoed;
            usbrelay16_32/relayread.py: relays 10 and up are A and up;
            the README of the ROS 2 package numato_relay (clearpathrobotics), October 2023: what a
            4-channel board answers, and to a relay that it has not
Bus         serial (CDC-ACM, so that the baud rate means nothing)
Ranges      1, 2, 4, 8, 16, 32 or 64 relays, counted from 0 as in the maker's manuals
Quirks      - What another program typed and did not end is carried out by the next CR. The maker's
              samples send a lone CR first; here `ver` is sent first, which spoils such a rest.
            - It answers a command only with its prompt, whether it was understood or not.
            - The 4-channel board has no serial number (the README's dmesg): name it by its port.
            - Newer modules that ask for a password (UR8A) are not covered.
            - All relays are off after the board's own power came back (unverified).
"""

from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, Options, SerialBus, UsbId
from hwctl.model.errors import (
    DeviceDataError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)

BAUD = 9600
PROMPT = b">"
STATES = {b"on": True, b"off": False}
LIMIT_S = 0.2
"""For one answer; 0.1 s is what github.com/cdleonard/numato_control waits."""
MOST = 64
"""Bytes of an answer; "relay read 00", its state and the ends are under 30."""


def name_of(channel: int, channels: int) -> str:
    """What a board of ``channels`` relays calls relay ``channel``."""
    if channels > 32:
        return f"{channel:02d}"
    return str(channel) if channel < 10 else chr(ord("A") + channel - 10)


class NumatoOptions(Options):
    """What the wiring file says of one module."""

    channels: Literal[1, 2, 4, 8, 16, 32, 64] = Field(description="how many relays it has")

    def claims(self) -> tuple[str, ...]:
        return ("the port",)


class Numato:
    """One module."""

    def __init__(self, bus: SerialBus, options: NumatoOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"Numato module of {options.channels}"

    def probe(self) -> None:
        """Ask for the version.

        :raises DeviceMismatchError: something else answers.
        """
        self._bus.configure(baud=BAUD)
        answer = self._ask("ver")
        if len(answer.split()) != 1:
            raise DeviceMismatchError(
                f"answers {answer!r} where its version belongs",
                where=self._where,
                hint="is this the port of the relay module? `ls -l /dev/hwctl` lists what has a "
                "name",
            )

    def get(self, channel: int = 0) -> bool:
        """Whether the relay is on.

        :raises DeviceTimeoutError: no answer, or half of one.
        :raises DeviceDataError: another answer, or that of another relay.
        :raises DeviceMismatchError: the module has no such relay.
        """
        answer = self._ask(f"relay read {self._name(channel)}").strip()
        if not answer:
            raise DeviceMismatchError(
                f"knows no relay {channel}",
                where=self._where,
                hint="compare `channels` in the wiring file with the module",
            )
        if answer not in STATES:
            raise self._nonsense(answer, f"for relay {channel}")
        return STATES[answer]

    def set(self, channel: int, on: bool) -> None:
        """Switch, and wait for the prompt."""
        answer = self._ask(f"relay {'on' if on else 'off'} {self._name(channel)}").strip()
        if answer:
            raise self._nonsense(answer, "where nothing belongs")

    def _ask(self, command: str) -> bytes:
        """What stands between the echo and the prompt."""
        self._bus.discard()
        self._bus.write(command.encode() + b"\r")
        answer = self._bus.read(MOST, limit_s=LIMIT_S, until=PROMPT)
        if not answer.endswith(PROMPT) and len(answer) < MOST:
            raise DeviceTimeoutError(
                f"answers no more than {answer!r}" if answer else "does not answer",
                where=self._where,
                hint="unplug the module and plug it in again; is this its port?",
            )
        echo, _, rest = answer[:-1].partition(b"\n")
        if echo.strip() != command.encode():
            raise self._nonsense(answer, f"to {command!r}")
        return rest

    def _nonsense(self, answer: bytes, what: str) -> DeviceDataError:
        return DeviceDataError(
            f"answers {answer!r} {what}",
            where=self._where,
            hint="is another program on this port, or is it another device's? "
            "`ls -l /dev/hwctl` lists what has a name",
        )

    def _name(self, channel: int) -> str:
        if not 0 <= channel < self._options.channels:
            raise DeviceNotFoundError(
                f"has no relay {channel}",
                where=self._where,
                hint="`channel` is 0 to `channels` - 1, as in the maker's manual",
            )
        return name_of(channel, self._options.channels)


DRIVER = Driver(
    name="numato",
    summary="1 to 64 relays on USB, by a command line",
    parts=("Numato Lab USB relay modules",),
    bus="serial",
    roles=frozenset({"outlet"}),
    options=NumatoOptions,
    open=Numato,
    reads_back=True,
    channels=lambda options: options.channels,
    usb=(
        # 4 channels: the README's dmesg. 16: relay.py of Steve Torchinsky (2022). 1:
        # github.com/wdkuchler/numato-pas.
        UsbId(0x2A19, 0x0C01, "numato"),
        UsbId(0x2A19, 0x0C03, "numato"),
        UsbId(0x2A19, 0x0C05, "numato"),
    ),
    proof="captured answers over a pty and a USB gadget's tty; unplugged, silent, foreign",
)
