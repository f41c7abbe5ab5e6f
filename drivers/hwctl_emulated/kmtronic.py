"""KMTronic: the device side of a relay board on USB or RS232.

Source: info.kmtronic.com/kmtronic-usb-relay-test-software.html::

    FF 01 01   relay 1 on       FF 01 00   off
    FF 01 03   status (1 and 2 relays)      > FF 01 xx
    FF 09 00   status (4 and 8 relays)      > xx xx xx xx, or eight

Relays are off at power-up, and bytes that begin no command are passed over (both unverified).
"""

from hwctl_emulated.part import Site

LEAD = 0xFF


class Kmtronic:
    """One board."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self.power_on()

    def power_on(self) -> None:
        """All relays off, nothing half received."""
        self._states = bytearray(self._channels)
        self._input = b""

    def relay(self, channel: int) -> bool:
        """Relay ``channel``, from 1."""
        return bool(self._states[channel - 1])

    def received(self, data: bytes) -> bytes:
        self._input += data
        answer = b""
        while True:
            start = self._input.find(LEAD)
            self._input = self._input[start:] if start >= 0 else b""
            if len(self._input) < 3:
                return answer
            answer += self._command(self._input[1], self._input[2])
            self._input = self._input[3:]

    def _command(self, number: int, what: int) -> bytes:
        if self._channels >= 4 and (number, what) == (9, 0):
            return bytes(self._states)
        if 1 <= number <= self._channels:
            if what in (0, 1):
                self._states[number - 1] = what
            elif what == 3 and self._channels <= 2:
                return bytes([LEAD, number, self._states[number - 1]])
        return b""


def make(site: Site) -> Kmtronic:
    """As the wiring file has it."""
    return Kmtronic(int(site.number("channels", 1)))
