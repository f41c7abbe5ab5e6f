"""INA226: the device side of a 36 V current monitor.

Source: TI SBOS547B, table 7-1 (registers and their power-on values) and electrical characteristics
(ranges, errors); TI SBOS547, pages 15 and 16 (CURRENT and POWER, worked out); the kernel's
drivers/iio/adc/ina2xx-adc.c (CVRF). When flags are cleared is from memory of the datasheet
(unverified). The alert pin is not there.

============  ====  ====================================================================
CONFIG        0x00  RST 15, 0b100 in 14:12, AVG 11:9, VBUSCT 8:6, VSHCT 5:3, MODE 2:0
SHUNT         0x01  signed, 2.5 uV
BUS           0x02  1.25 mV, up to 40.96 V
POWER         0x03  unsigned, CURRENT * BUS / 20000
CURRENT       0x04  signed, SHUNT * CALIBRATION / 2048
CALIBRATION   0x05  15 bits
MASK_ENABLE   0x06  CVRF bit 3, OVF bit 2
============  ====  ====================================================================
"""

from enum import IntEnum
from random import Random

from hwctl_emulated.pointer_chip import PointerChip, signed, word


class Register(IntEnum):
    CONFIG = 0x00
    SHUNT = 0x01
    BUS = 0x02
    POWER = 0x03
    CURRENT = 0x04
    CALIBRATION = 0x05
    MASK_ENABLE = 0x06
    ALERT_LIMIT = 0x07
    MANUFACTURER_ID = 0xFE
    DIE_ID = 0xFF


CONFIG_RESET = 0x4127
FIXED, FIXED_MASK = 0x4000, 0x7000
"""Bits 14..12 of CONFIG, which cannot be written (unverified)."""
RST = 1 << 15
CVRF = 1 << 3
OVF = 1 << 2
MASK_WRITABLE = 0xFC03

SHUNT_LSB = 2.5e-6
BUS_LSB = 1.25e-3
OFFSET = 10e-6
"""Volts at the shunt, at most."""
BUS_OFFSET = 7.5e-3
"""Volts at the bus, at most."""
GAIN = 0.001
"""Error of both gains, at most."""


class Ina226(PointerChip):
    """One part and its shunt. Without ``rng`` it measures without error.

    :param reversed_shunt: forward current reads negative, as when IN+ and IN- are swapped.
    """

    def __init__(
        self, shunt_ohms: float, rng: Random | None = None, *, reversed_shunt: bool = False
    ) -> None:
        super().__init__()
        self._ohms = -shunt_ohms if reversed_shunt else shunt_ohms
        self._rng = rng
        # Half of the greatest error: a part picked from the middle of the bag.
        self._shunt_gain = 1 + (rng.uniform(-0.5, 0.5) * GAIN if rng else 0.0)
        self._bus_gain = 1 + (rng.uniform(-0.5, 0.5) * GAIN if rng else 0.0)
        self._offset = rng.uniform(-0.5, 0.5) * OFFSET if rng else 0.0
        self._bus_offset = rng.uniform(-0.5, 0.5) * BUS_OFFSET if rng else 0.0
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up."""
        self._config = CONFIG_RESET
        self._calibration = self._mask = self._limit = 0
        self._shunt = self._bus = 0
        self._ready = False
        self._single = False

    def sense(self, volts: float, amps: float) -> None:
        """One conversion of what is on the pins now."""
        mode = self._config & 0b111
        if mode in (0b000, 0b100) or (mode < 0b100 and not self._single):
            return
        self._single = False
        if mode & 0b001:
            noise = self._rng.gauss(0, OFFSET / 8) if self._rng else 0.0
            sensed = amps * self._ohms * self._shunt_gain + self._offset + noise
            self._shunt = signed(sensed / SHUNT_LSB, 16)
        if mode & 0b010:
            sensed = volts * self._bus_gain + self._bus_offset
            self._bus = max(0, min(0x7FFF, round(sensed / BUS_LSB)))
        self._ready = True

    @property
    def _current_exact(self) -> int:
        return int(self._shunt * self._calibration / 2048)

    @property
    def _power_exact(self) -> int:
        return int(abs(self._current_exact) * self._bus / 20_000)

    @property
    def _flags(self) -> int:
        over = abs(self._current_exact) > 0x7FFF or self._power_exact > 0xFFFF
        return (CVRF if self._ready else 0) | (OVF if over else 0)

    def load(self, register: int) -> bytes:
        match register:
            case Register.CONFIG:
                return word(self._config)
            case Register.SHUNT:
                return word(self._shunt)
            case Register.BUS:
                return word(self._bus)
            case Register.POWER:
                return word(self._power_exact)
            case Register.CURRENT:
                return word(signed(self._current_exact, 16))
            case Register.CALIBRATION:
                return word(self._calibration)
            case Register.MASK_ENABLE:
                flags = self._flags
                self._ready = False
                return word(self._mask | flags)
            case Register.ALERT_LIMIT:
                return word(self._limit)
            case Register.MANUFACTURER_ID:
                return word(0x5449)
            case Register.DIE_ID:
                return word(0x2260)
            case _:
                return b"\xff\xff"

    def store(self, register: int, value: int) -> None:
        match register:
            case Register.CONFIG if value & RST:
                self.power_on()
            case Register.CONFIG:
                self._config = value & ~FIXED_MASK | FIXED
                self._single = True
                if value & 0b011:
                    self._ready = False
            case Register.CALIBRATION:
                self._calibration = value & 0x7FFF
            case Register.MASK_ENABLE:
                self._mask = value & MASK_WRITABLE
            case Register.ALERT_LIMIT:
                self._limit = value
