"""PCF8574, PCF8574A: the device side of an expander without registers, and of a relay board on it.

Source: NXP PCF8574/PCF8574A data sheet, revision 5, page 6 (pins at power-on, what reading gives)
and page 8 (each byte written replaces the last).
"""


class Pcf8574:
    """One part with eight relays, channels 0 to 7 as its pins.

    :attr:`pulled_low` are pins that something else holds low, as a pressed button does.
    """

    def __init__(self, *, active_low: bool = True) -> None:
        self._active_low = active_low
        self.pulled_low: set[int] = set()
        self.power_on()

    def power_on(self) -> None:
        """All pins high, by 100 uA."""
        self._latch = 0xFF

    def level(self, pin: int) -> bool:
        """What is on the pin."""
        return bool(self._latch >> pin & 1) and pin not in self.pulled_low

    def relay(self, channel: int) -> bool:
        """Whether the relay on that pin is pulled in."""
        return self.level(channel) != self._active_low

    # --- the wires ---------------------------------------------------------------------------

    def start(self, read: bool) -> bool:
        del read
        return True

    def write(self, byte: int) -> bool:
        self._latch = byte
        return True

    def read(self) -> int:
        return sum(self.level(pin) << pin for pin in range(8))

    def stop(self) -> None:
        """Nothing: each byte has had its effect."""
