"""PCA9685: the device side of 16 PWM outputs.

Source: NXP PCA9685 data sheet, revision 3 page 12 (register summary, notes 1 and 2) and revision 2
pages 21 and 23 (a channel's bits and their reset values, full on and full off); MODE1, MODE2,
sub-addresses and PRE_SCALE after power-up, and RESTART, as Zephyr's and Adafruit's drivers use
them (unverified).

The part's further addresses (0x70 after power-up, three sub-addresses) are not modelled.
"""

CHANNELS = 16
MODE1, MODE2, SUBADDRESS, LED, ALL_LED, PRESCALE = 0x00, 0x01, 0x02, 0x06, 0xFA, 0xFE
LED_END = LED + 4 * CHANNELS
RESTART, AUTO_INCREMENT, SLEEP = 1 << 7, 1 << 5, 1 << 4
INVERT = 1 << 4
FULL = 1 << 4
OSCILLATOR_HZ = 25_000_000


class Pca9685:
    """One part; :meth:`duty` counts channels from 0, as the part does."""

    def __init__(self) -> None:
        self._pointer = 0
        self._first = True
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up: asleep, all outputs off."""
        self._registers = dict.fromkeys(range(LED_END), 0)
        self._registers |= {MODE1: SLEEP | 0x01, MODE2: 0x04, PRESCALE: 0x1E}
        self._registers |= {SUBADDRESS: 0xE2, 0x03: 0xE4, 0x04: 0xE8, 0x05: 0xE0}
        for channel in range(CHANNELS):
            self._registers[LED + 4 * channel + 3] = FULL
        self._cut_off = False

    @property
    def hz(self) -> float:
        """The frequency of all outputs."""
        return OSCILLATOR_HZ / (4096 * (self._registers[PRESCALE] + 1))

    @property
    def running(self) -> bool:
        return not self._registers[MODE1] & SLEEP and not self._cut_off

    def duty(self, channel: int) -> float:
        """The share of the time in which that pin is high, 0..1."""
        high = self._on(channel) if self.running else 0.0
        return 1 - high if self._registers[MODE2] & INVERT else high

    def _on(self, channel: int) -> float:
        on_low, on_high, off_low, off_high = (
            self._registers[LED + 4 * channel + byte] for byte in range(4)
        )
        if off_high & FULL:
            return 0.0
        if on_high & FULL:
            return 1.0
        on, off = on_high << 8 | on_low, off_high << 8 | off_low
        return (off - on) % 4096 / 4096

    # --- the wires ---------------------------------------------------------------------------

    def start(self, read: bool) -> bool:
        if not read:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        if self._first:
            self._pointer = byte
            self._first = False
        else:
            self._store(self._pointer, byte)
            self._advance()
        return True

    def read(self) -> int:
        value = self._registers.get(self._pointer, 0)
        if self._pointer == MODE1 and self._cut_off:
            value |= RESTART
        self._advance()
        return value

    def stop(self) -> None:
        self._first = True

    def _advance(self) -> None:
        if self._registers[MODE1] & AUTO_INCREMENT:
            self._pointer += 1
            if self._pointer in (LED_END, PRESCALE + 1):
                self._pointer = MODE1

    # --- registers ---------------------------------------------------------------------------

    def _store(self, register: int, value: int) -> None:
        if register == MODE1:
            self._mode(value)
        elif register == MODE2:
            self._registers[MODE2] = value & 0x1F
        elif SUBADDRESS <= register < LED:
            self._registers[register] = value & 0xFE
        elif LED <= register < LED_END:
            self._led(register, value)
        elif ALL_LED <= register < PRESCALE:
            for channel in range(CHANNELS):
                self._led(LED + 4 * channel + register - ALL_LED, value)
        elif register == PRESCALE and self._registers[MODE1] & SLEEP:
            self._registers[PRESCALE] = max(3, value)

    def _led(self, register: int, value: int) -> None:
        self._cut_off = self._cut_off and bool(self._registers[MODE1] & SLEEP)
        high_byte = (register - LED) % 2
        self._registers[register] = value & 0x1F if high_byte else value

    def _mode(self, value: int) -> None:
        before = self._registers[MODE1]
        if value & SLEEP and not before & SLEEP:
            # Outputs that sleep cuts off stay off until they are restarted or written.
            self._cut_off = self._cut_off or any(map(self._on, range(CHANNELS)))
        elif value & RESTART and not value & SLEEP:
            self._cut_off = False
        self._registers[MODE1] = value & ~RESTART
