"""A USB relay board ("USBRelayN"): the device side, as its firmware does it.

Source: u1f35c/usb-relay-firmware, main.c: GET_REPORT and SET_REPORT of whatever kind and number do
the same; a serial number in EEPROM; for the commands see :class:`Command`. That board has one
relay; bits of more are as darrylb123/usbrelay, libusbrelay.c, reads them.
"""

from enum import IntEnum

from hwctl_emulated.part import Site

LENGTH = 8
BLANK = "UNSET"
"""What a board says whose EEPROM is blank."""

DESCRIPTOR = bytes.fromhex("06 00 FF 09 01 A1 01 15 00 26 FF 00 75 08 95 08 09 00 B2 02 01 C0")
"""One feature report of 8 bytes, without a number."""
VENDOR, PRODUCT = 0x16C0, 0x05DF


class Command(IntEnum):
    """The first byte of what is written; a relay or a serial number follows."""

    SET_SERIAL = 0xFA
    ALL_OFF = 0xFC
    OFF = 0xFD
    ALL_ON = 0xFE
    ON = 0xFF


class HidRelay:
    """One board. Relays are counted from 1."""

    def __init__(
        self, *, channels: int = 2, serial: str = BLANK, normally_closed: bool = False
    ) -> None:
        self._channels = channels
        self._normally_closed = normally_closed
        self._serial = serial.encode("ascii").ljust(6, b"\0")
        self._states = 0

    def relay(self, channel: int) -> bool:
        """Whether the contact that feeds the node is closed."""
        return bool(self._states >> channel - 1 & 1) is not self._normally_closed

    def power_on(self) -> None:
        """All relays let go; the serial number stays."""
        self._states = 0

    def get_feature(self, report: int, length: int) -> bytes:
        """The firmware does not look at the report's number."""
        del report
        return (self._serial + bytes([0, self._states]))[:length]

    def set_feature(self, report: int, data: bytes) -> None:
        del report
        command, argument = (data + b"\0\0")[:2]
        mask = 1 << argument - 1 if 1 <= argument <= self._channels else 0
        every = (1 << self._channels) - 1
        match command:
            case Command.ON:
                self._states |= mask
            case Command.OFF:
                self._states &= ~mask
            case Command.ALL_ON:
                self._states = every
            case Command.ALL_OFF:
                self._states = 0
            case Command.SET_SERIAL:
                self._serial = data[1:7].ljust(6, b"\0")

    def write(self, report: int, data: bytes) -> None:
        """An output report: the kernel sends it as SET_REPORT, for want of an endpoint."""
        self.set_feature(report, data)


def make(site: Site) -> HidRelay:
    """The board of one device's table."""
    letters = "".join(site.rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=5))
    return HidRelay(
        channels=int(site.number("channels", 2)),
        serial=site.text("serial", letters),
        normally_closed=site.text("contact", "normally-open") == "normally-closed",
    )
