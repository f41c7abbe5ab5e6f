"""LCUS-1, -2, -4, -8: the device side of a relay board behind a CH340.

Source: the sellers' protocol (tilga.com/prod/5732195): A0, address of the switch from 01, 00 "off"
or 01 "on", check code; relay.py of Brian Rzycki (2020): FF is answered with "CH1: ON \\r\\n" and so
on, ON padded to the length of OFF, and often with what was true before; no check of a wrong code is
published: such a frame is taken for noise here (unverified). Relays are off at power-up
(unverified).
"""

from hwctl_emulated.part import Site

START = 0xA0
STATUS = 0xFF


class Lcus:
    """One board.

    :param answers: whether it knows the status query.
    """

    def __init__(self, channels: int, *, answers: bool) -> None:
        self._channels = channels
        self._answers = answers
        self.power_on()

    def power_on(self) -> None:
        """All relays off, nothing half received."""
        self._on = [False] * self._channels
        self._told = list(self._on)
        self._waiting = bytearray()

    def relay(self, channel: int) -> bool:
        """Relay ``channel``, from 1."""
        return self._on[channel - 1]

    def received(self, data: bytes) -> bytes:
        self._waiting += data
        said = bytearray()
        while self._waiting:
            first = self._waiting[0]
            if first == START:
                if len(self._waiting) < 4:
                    break
                taken = 4 if self._switch(*self._waiting[1:4]) else 1
            else:
                taken = 1
                if first == STATUS and self._answers:
                    said += self._status()
            del self._waiting[:taken]
        return bytes(said)

    def _switch(self, address: int, operation: int, check: int) -> bool:
        if check != (START + address + operation) % 256:
            return False
        if 1 <= address <= self._channels and operation in (0, 1):
            self._on[address - 1] = operation == 1
        return True

    def _status(self) -> bytes:
        told, self._told = self._told, list(self._on)
        lines = (f"CH{n}: {'ON ' if on else 'OFF'}\r\n" for n, on in enumerate(told, start=1))
        return "".join(lines).encode()


def make(site: Site) -> Lcus:
    """As the wiring file has it."""
    channels = int(site.number("channels", 1))
    return Lcus(channels, answers=site.flag("answers", default=channels > 1))
