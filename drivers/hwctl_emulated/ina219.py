"""INA219: the device side of a 26 V current monitor.

Source: the register map as other drivers have it
(kernel drivers/hwmon/ina2xx.c, adafruit_ina219.py); the
TI datasheet SBOS448 for error sizes (unverified).

============  ==  =========================================================
CONFIG        0   RST 15, BRNG 13, PG 12:11, BADC 10:7, SADC 6:3, MODE 2:0; 0x399F after reset
SHUNT         1   signed, 10 uV
BUS           2   4 mV in bits 15:3, CNVR bit 1, OVF bit 0
POWER         3   unsigned, 20 x current step
CURRENT       4   signed, SHUNT * CALIBRATION / 4096
CALIBRATION   5   bit 0 is always 0
============  ==  =========================================================
"""

from enum import IntEnum
from random import Random

from hwctl_emulated.pointer_chip import PointerChip, signed, word


class Register(IntEnum):
    CONFIG = 0
    SHUNT = 1
    BUS = 2
    POWER = 3
    CURRENT = 4
    CALIBRATION = 5


CONFIG_RESET = 0x399F
RST = 1 << 15
BRNG = 1 << 13
CNVR = 1 << 1
OVF = 1 << 0

SHUNT_LSB = 10e-6
BUS_LSB = 4e-3
OFFSET = 10e-6
"""Volts at the shunt, typical (unverified)."""
GAIN = 0.002
"""Typical error of both gains (unverified)."""


class Ina219(PointerChip):
    """One part and its shunt. Without ``rng`` it measures without error.

    :param reversed_shunt: forward current reads negative, as when IN+ and IN- are swapped.
    """

    def __init__(
        self, shunt_ohms: float, rng: Random | None = None, *, reversed_shunt: bool = False
    ) -> None:
        super().__init__()
        self._ohms = -shunt_ohms if reversed_shunt else shunt_ohms
        self._rng = rng
        self._offset = rng.uniform(-1, 1) * OFFSET if rng else 0.0
        self._shunt_gain = 1 + (rng.uniform(-1, 1) * GAIN if rng else 0.0)
        self._bus_gain = 1 + (rng.uniform(-1, 1) * GAIN if rng else 0.0)
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up."""
        self._config = CONFIG_RESET
        self._calibration = 0
        self._shunt = 0
        self._bus = 0
        self._ready = False
        self._single = False

    def sense(self, volts: float, amps: float) -> None:
        """One conversion of what is on the pins now."""
        mode = self._config & 0b111
        if mode in (0b000, 0b100) or (mode < 0b100 and not self._single):
            return
        self._single = False
        if mode & 0b001:
            noise = self._rng.gauss(0, OFFSET / 4) if self._rng else 0.0
            raw = (amps * self._ohms * self._shunt_gain + self._offset + noise) / SHUNT_LSB
            # PG sets the range: 40 mV, doubled by each step.
            limit = 4000 << (self._config >> 11 & 0b11)
            self._shunt = max(-limit, min(limit, round(raw)))
        if mode & 0b010:
            limit = 8000 if self._config & BRNG else 4000
            self._bus = max(0, min(limit, round(volts * self._bus_gain / BUS_LSB)))
        self._ready = True

    @property
    def _current_exact(self) -> int:
        return int(self._shunt * self._calibration / 4096)

    @property
    def _power_exact(self) -> int:
        return int(abs(self._current_exact) * self._bus / 5000)

    @property
    def _overflow(self) -> bool:
        return abs(self._current_exact) > 0x7FFF or self._power_exact > 0xFFFF

    def load(self, register: int) -> bytes:
        match register:
            case Register.CONFIG:
                return word(self._config)
            case Register.SHUNT:
                return word(self._shunt)
            case Register.BUS:
                flags = (CNVR if self._ready else 0) | (OVF if self._overflow else 0)
                return word(self._bus << 3 | flags)
            case Register.POWER:
                self._ready = False
                return word(self._power_exact)
            case Register.CURRENT:
                return word(signed(self._current_exact, 16))
            case Register.CALIBRATION:
                return word(self._calibration)
            case _:
                return b"\xff\xff"

    def store(self, register: int, value: int) -> None:
        if register == Register.CONFIG:
            if value & RST:
                self.power_on()
                return
            self._config = value
            self._ready = False
            self._single = True
        elif register == Register.CALIBRATION:
            self._calibration = value & 0xFFFE
