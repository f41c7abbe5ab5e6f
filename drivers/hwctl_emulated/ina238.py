"""INA237 and INA238: the device side of an 85 V power monitor.

Source: TI SLYS026A, table 7-3 (registers and their widths) and electrical characteristics (ranges,
steps, errors); TI SLYS025B, section on current calculation (SHUNT_CAL, four times as much in the
narrow range; a value of zero makes CURRENT zero); the kernel's drivers/hwmon/ina238.c (ADCRANGE,
DIETEMP in bits 15:4). Reset values, the bits of DIAG_ALRT and the clearing of CNVRF by reading are
from memory (unverified). The alert pin and the limits are not there.

CURRENT follows from SHUNT_CAL = 819.2e6 * CURRENT_LSB * R, and POWER from 0.2 * CURRENT_LSB a step
(INA237-Q1, table 8-4). In the narrow range SHUNT_CAL is four times as much and a step of VSHUNT a
quarter, so that CURRENT is VSHUNT * 4096 / SHUNT_CAL in both.
"""

from enum import IntEnum
from random import Random
from typing import Literal

from hwctl_emulated.pointer_chip import PointerChip, signed, word


class Register(IntEnum):
    CONFIG = 0x00
    ADC_CONFIG = 0x01
    SHUNT_CAL = 0x02
    VSHUNT = 0x04
    VBUS = 0x05
    DIETEMP = 0x06
    CURRENT = 0x07
    POWER = 0x08
    DIAG_ALRT = 0x0B
    SOVL = 0x0C
    SUVL = 0x0D
    BOVL = 0x0E
    BUVL = 0x0F
    TEMP_LIMIT = 0x10
    PWR_LIMIT = 0x11
    MANUFACTURER_ID = 0x3E
    DEVICE_ID = 0x3F


RESET: dict[int, int] = {
    Register.CONFIG: 0x0000,
    Register.ADC_CONFIG: 0xFB68,
    Register.SHUNT_CAL: 0x1000,
    Register.DIAG_ALRT: 0x0001,
    Register.SOVL: 0x7FFF,
    Register.SUVL: 0x8000,
    Register.BOVL: 0x7FFF,
    Register.BUVL: 0x0000,
    Register.TEMP_LIMIT: 0x7FFF,
    Register.PWR_LIMIT: 0xFFFF,
}
RST = 1 << 15
ADCRANGE = 1 << 4
CNVRF = 1 << 1
MATHOF = 1 << 9
DIAG_WRITABLE = 0xF000
MEMSTAT = 1 << 0
"""Set as long as the part's own memory is sound."""

VSHUNT_LSB = (5e-6, 1.25e-6)
"""Volts per step at ADCRANGE 0 and 1."""
VBUS_LSB = 3.125e-3
DIETEMP_LSB = 0.125

GAIN = 0.001
"""Error of both gains, at most."""
OFFSET = 5e-6
"""Volts at the shunt, at most."""
BUS_OFFSET = 5e-3
"""Volts at the bus, at most."""


class Ina238(PointerChip):
    """One part and its shunt. Without ``rng`` it measures without error.

    :param reversed_shunt: forward current reads negative, as when IN+ and IN- are swapped.
    :param part: the INA237 has no DEVICE_ID; what stands there instead is unverified.
    """

    def __init__(
        self,
        shunt_ohms: float,
        rng: Random | None = None,
        *,
        reversed_shunt: bool = False,
        part: Literal["INA237", "INA238"] = "INA238",
    ) -> None:
        super().__init__()
        self._ohms = -shunt_ohms if reversed_shunt else shunt_ohms
        self._rng = rng
        self._part = part
        # Half of the greatest error: a part picked from the middle of the bag.
        self._shunt_gain = 1 + (rng.uniform(-0.5, 0.5) * GAIN if rng else 0.0)
        self._bus_gain = 1 + (rng.uniform(-0.5, 0.5) * GAIN if rng else 0.0)
        self._offset = rng.uniform(-0.5, 0.5) * OFFSET if rng else 0.0
        self._bus_offset = rng.uniform(-0.5, 0.5) * BUS_OFFSET if rng else 0.0
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up."""
        self._registers = dict(RESET)
        self._vshunt = self._vbus = self._dietemp = 0
        self._ready = False
        self._single = False

    def sense(self, volts: float, amps: float, celsius: float = 25.0) -> None:
        """One conversion of what is on the pins, and of the die's temperature."""
        mode = self._registers[Register.ADC_CONFIG] >> 12
        inputs = mode & 0b111
        if not inputs or (mode < 8 and not self._single):
            return
        self._single = False
        if inputs & 0b001:
            sensed = volts * self._bus_gain + self._bus_offset
            self._vbus = max(0, signed(sensed / VBUS_LSB, 16))
        if inputs & 0b010:
            noise = self._rng.gauss(0, OFFSET / 8) if self._rng else 0.0
            sensed = amps * self._ohms * self._shunt_gain + self._offset + noise
            narrow = bool(self._registers[Register.CONFIG] & ADCRANGE)
            self._vshunt = signed(sensed / VSHUNT_LSB[narrow], 16)
        if inputs & 0b100:
            self._dietemp = signed(celsius / DIETEMP_LSB, 12)
        self._ready = True

    @property
    def _current_exact(self) -> int:
        cal = self._registers[Register.SHUNT_CAL]
        return int(self._vshunt * 4096 / cal) if cal else 0

    @property
    def _power_exact(self) -> int:
        return int(abs(signed(self._current_exact, 16)) * self._vbus * VBUS_LSB / 0.2)

    @property
    def _flags(self) -> int:
        over = not -0x8000 <= self._current_exact <= 0x7FFF or self._power_exact > 0xFFFFFF
        return MEMSTAT | (CNVRF if self._ready else 0) | (MATHOF if over else 0)

    def load(self, register: int) -> bytes:
        match register:
            case Register.VSHUNT:
                return word(self._vshunt)
            case Register.VBUS:
                return word(self._vbus)
            case Register.DIETEMP:
                return word(self._dietemp << 4)
            case Register.CURRENT:
                return word(signed(self._current_exact, 16))
            case Register.POWER:
                return word(min(self._power_exact, 0xFFFFFF), 3)
            case Register.DIAG_ALRT:
                flags = self._flags
                self._ready = False
                return word(self._registers[register] & DIAG_WRITABLE | flags)
            case Register.MANUFACTURER_ID:
                return word(0x5449)
            case Register.DEVICE_ID if self._part == "INA238":
                return word(0x2381)
            case _:
                return word(self._registers.get(register, 0xFFFF))

    def store(self, register: int, value: int) -> None:
        if register == Register.CONFIG:
            if value & RST:
                self.power_on()
                return
            value &= 0x3FF0
        if register == Register.ADC_CONFIG:
            self._single = True
            self._ready = False
        if register == Register.SHUNT_CAL:
            value &= 0x7FFF
        if register in self._registers:
            self._registers[register] = value
