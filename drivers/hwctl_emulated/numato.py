"""Numato Lab: the device side of a USB relay module and its command line.

Source: the README of the ROS 2 package numato_relay (clearpathrobotics), October 2023, with what a
4-channel module answered: each character is echoed, CR ends a command and is echoed as LF CR, then
come the state, LF CR and ``>``; a relay that is not there gets the prompt alone. ``ver`` and
``id get``, eight characters each: github.com/cdleonard/numato_control, test_numato_controller.py,
and the package numato-usb-relay. Names of relays: pdudaemon, drivers/numatousb.py, which has
a small letter on 16 relays where the maker's samples have a capital: either is taken (unverified).
Relays are off at power-up (unverified).
"""

from hwctl_emulated.part import Site

CR = ord("\r")
NEW_LINE = b"\n\r"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


class Numato:
    """One module."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self.power_on()

    def power_on(self) -> None:
        """All relays off, nothing half typed."""
        self._closed = dict.fromkeys(range(self._channels), False)
        self._typed = bytearray()

    def relay(self, channel: int) -> bool:
        """Relay ``channel``, from 0."""
        return self._closed[channel]

    def received(self, data: bytes) -> bytes:
        shown = bytearray()
        for byte in data:
            if byte != CR:
                self._typed.append(byte)
                shown.append(byte)
                continue
            words = self._typed.decode("ascii", "replace").split()
            self._typed.clear()
            value = self._run(words).encode()
            shown += NEW_LINE + (value + NEW_LINE if value else b"") + b">"
        return bytes(shown)

    def _run(self, words: list[str]) -> str:
        match words:
            case ["ver"]:
                return "00000008"
            case ["id", "get"]:
                return "00000000"
            case ["relay", "on" | "off" | "read" as verb, name]:
                relay = self._number(name)
                if relay is None:
                    return ""
                if verb == "read":
                    return "on" if self._closed[relay] else "off"
                self._closed[relay] = verb == "on"
        return ""

    def _number(self, name: str) -> int | None:
        if self._channels == 64:
            number = int(name) if len(name) == 2 and name.isdecimal() else -1
        else:
            number = DIGITS.find(name.upper()) if len(name) == 1 else -1
        return number if number in self._closed else None


def make(site: Site) -> Numato:
    """As the wiring file has it."""
    return Numato(int(site.number("channels", 1)))
