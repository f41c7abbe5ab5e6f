"""Sequent Microsystems' eight-relay card: the device side, an expander like the PCA9554.

Source: TI PCA9554 data sheet SCPS128B, pages 7 and 8 (registers, values after power-up, what the
polarity register does); SequentMicrosystems/8relind-rpi, relay.c (which bit is which relay). That
the card's drivers see a low pin while it is an input is (unverified).
"""

from hwctl_emulated.register_chip import RegisterChip

INPUT, OUTPUT, POLARITY, CONFIG = 0x00, 0x01, 0x02, 0x03
MASKS = (0x01, 0x04, 0x40, 0x10, 0x20, 0x80, 0x08, 0x02)
"""relay.c, relayMaskRemap."""


class Pca9554(RegisterChip):
    """The expander. :param floating: the pins' levels while they are inputs."""

    def __init__(self, floating: int) -> None:
        super().__init__()
        self.floating = floating
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up: all pins are inputs, the latch holds ones."""
        self._registers = {OUTPUT: 0xFF, POLARITY: 0x00, CONFIG: 0xFF}

    @property
    def pins(self) -> int:
        """The levels on all eight."""
        inputs = self._registers[CONFIG]
        return self.floating & inputs | self._registers[OUTPUT] & ~inputs & 0xFF

    def load(self, register: int) -> int:
        number = register & 0b11
        if number == INPUT:
            return self.pins ^ self._registers[POLARITY] & self._registers[CONFIG]
        return self._registers[number]

    def store(self, register: int, value: int) -> None:
        if register & 0b11 != INPUT:
            self._registers[register & 0b11] = value


class SequentRelay(Pca9554):
    """One card; channels 1 to 8 as printed."""

    def __init__(self) -> None:
        super().__init__(floating=0x00)

    def relay(self, channel: int) -> bool:
        """Whether that relay is pulled in."""
        return bool(self.pins & MASKS[channel - 1])
