"""USB relay boards that are HID devices: "USBRelay1" to "USBRelay8".

Part        boards of www.dcttech.com and their copies, USB 16c0:05df, product "USBRelayN"
Sources     u1f35c/usb-relay-firmware, main.c (a firmware for these boards: report, commands,
            read-back); darrylb123/usbrelay, libusbrelay.c; pikvm/kvmd, ugpio/hidrelay.py;
            labgrid, usb_hid_relay.py (the same commands and read-back, four times over)
Bus         HID: one feature report of 8 bytes without a number; it is read and written through
            the kernel's hidraw, no driver has to be detached
Quirks      - Channels are counted from 1, as printed on the boards.
            - What is read back is the pin that drives the coil, not the contact: a welded contact
              is only seen by the feed's gauge.
            - All relays are off after the board has lost USB power: a hub that is reset, or a head
              that cuts USB while it reboots, lets go of them. Nodes on the normally-closed contacts
              stay on then; give ``contact = "normally-closed"``.
            - All boards have the same USB identity and no USB serial number. Five characters in the
              report tell them apart (``serial``); `usbrelay` shows them, and can set them. Boards
              come with the same five more often than not (unverified).
            - 16c0:05df is a number that hobbyists share: another device may have it.
            - The board does not know how many relays it has; ``channels`` is what is printed.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, HidBus, Options, UsbId
from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError

MOST_CHANNELS = 8
REPORT = 0
"""It numbers none. labgrid, usb_hid_relay.py."""
LENGTH = 8
"""Bytes of the report. main.c, usbHidReportDescriptor."""
SERIAL = slice(0, 5)
"""Where the five characters are. libusbrelay.c."""
STATES = 7
"""Which byte has a bit for each relay, 1 for on. libusbrelay.c, hidrelay.py."""


class Command(IntEnum):
    """The first byte that is written; the second is the channel. main.c."""

    ON = 0xFF
    OFF = 0xFD


class HidRelayOptions(Options):
    """What the wiring file says of one board."""

    channels: int = Field(ge=1, le=MOST_CHANNELS, description="how many relays it has")
    serial: str | None = Field(
        default=None,
        pattern=r"^[!-~]{5}$",
        description="the board's five characters, where there is more than one board",
    )
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the nodes"
    )

    def claims(self) -> Sequence[str]:
        return ("feature report",)


def order(command: Command, channel: int) -> bytes:
    """The report that switches one relay."""
    return bytes([command, channel]).ljust(LENGTH, b"\0")


class HidRelay:
    """One board; channels from 1."""

    def __init__(self, bus: HidBus, options: HidRelayOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = "USB relay board"

    def probe(self) -> None:
        found = self._report()[SERIAL]
        if not all(0x21 <= byte <= 0x7E for byte in found):
            raise DeviceMismatchError(
                f"has no five characters where a relay board has them: {found.hex(' ')}",
                where=self._where,
                hint="another device has the same USB number; compare `path` with /dev/hwctl",
            )
        wanted = self._options.serial
        if wanted is not None and found.decode("ascii") != wanted:
            raise DeviceMismatchError(
                f"is board {found.decode('ascii')}, not {wanted}",
                where=self._where,
                hint="compare `path` with /dev/hwctl, which names boards by their USB port",
            )

    def get(self, channel: int = 1) -> bool:
        """Whether the node is fed, as the board says."""
        bit = 1 << self._checked(channel) - 1
        return bool(self._report()[STATES] & bit) is self._on

    def set(self, channel: int, on: bool) -> None:
        command = Command.ON if on is self._on else Command.OFF
        self._bus.set_feature(REPORT, order(command, self._checked(channel)))

    @property
    def _on(self) -> bool:
        """The coil's state while the node is fed."""
        return self._options.contact == "normally-open"

    def _checked(self, channel: int) -> int:
        if not 1 <= channel <= self._options.channels:
            raise DeviceNotFoundError(
                f"has channels 1 to {self._options.channels}, no channel {channel}",
                where=self._where,
                hint="mend `channel` of the outlet, or `channels` of the device",
            )
        return channel

    def _report(self) -> bytes:
        report = self._bus.get_feature(REPORT, LENGTH)
        if len(report) != LENGTH or report in (bytes(LENGTH), b"\xff" * LENGTH):
            raise DeviceDataError(
                f"answers {report.hex(' ') or 'nothing'}, which no relay board does",
                where=self._where,
                hint="unplug it and plug it in again; a poor cable is usual",
            )
        return report


DRIVER = Driver(
    name="hid_relay",
    summary="USB relay board by HID, 1 to 8 channels",
    parts=("USBRelay1", "USBRelay2", "USBRelay4", "USBRelay8"),
    bus="hid",
    roles=frozenset({"outlet"}),
    options=HidRelayOptions,
    open=HidRelay,
    reads_back=True,
    channels=lambda options: options.channels,
    first_channel=1,
    usb=(UsbId(0x16C0, 0x05DF, "usbrelay", "hidraw"),),
    proof="four public clients' frames; Linux's hidraw and uhid with the emulated board behind",
)
