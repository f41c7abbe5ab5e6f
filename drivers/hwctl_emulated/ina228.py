"""INA228: the device side of an 85 V power, energy and charge monitor.

Source: the register map as other drivers have it
(adafruit_ina228.py, kernel drivers/hwmon/ina238.c) and
TI's document viewer, INA229-Q1 SLYS023 section 8.1.2, for the arithmetic and "If the value loaded
into the SHUNT_CAL register is zero, the current value reported ... is also zero". Reset values,
offsets and the clearing of flags by reading are from memory of SLYS021 (unverified), but for
SHUNT_CAL = 0x1000, which a public driver gives as the default: an uncalibrated part shows a wrong
current, not none.
"""

from enum import IntEnum
from random import Random

from hwctl_emulated.pointer_chip import PointerChip, signed, word


class Register(IntEnum):
    CONFIG = 0x00
    ADC_CONFIG = 0x01
    SHUNT_CAL = 0x02
    SHUNT_TEMPCO = 0x03
    VSHUNT = 0x04
    VBUS = 0x05
    DIETEMP = 0x06
    CURRENT = 0x07
    POWER = 0x08
    ENERGY = 0x09
    CHARGE = 0x0A
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
    Register.SHUNT_TEMPCO: 0x0000,
    Register.SOVL: 0x7FFF,
    Register.SUVL: 0x8000,
    Register.BOVL: 0x7FFF,
    Register.BUVL: 0x0000,
    Register.TEMP_LIMIT: 0x7FFF,
    Register.PWR_LIMIT: 0xFFFF,
}
RST = 1 << 15
RSTACC = 1 << 14
ADCRANGE = 1 << 4

MEMSTAT, CNVRF, POL, BUSUL, BUSOL, SHNTUL, SHNTOL, TMPOL = (1 << bit for bit in range(8))
MATHOF, CHARGEOF, ENERGYOF = 1 << 9, 1 << 10, 1 << 11

VBUS_LSB = 195.3125e-6
VSHUNT_LSB = (312.5e-9, 78.125e-9)
"""Volts per step at ADCRANGE 0 and 1."""
DIETEMP_LSB = 7.8125e-3
CAL_SCALE = 13107.2e6
CONVERSION_S = (50e-6, 84e-6, 150e-6, 280e-6, 540e-6, 1052e-6, 2074e-6, 4120e-6)
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)

GAIN = 0.0005
"""Error of both gains, at most: the datasheet's front page."""
OFFSET = 1e-6
"""Volts at the shunt, at most (unverified)."""
_TOP = 1 << 40


class Ina228(PointerChip):
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
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up."""
        self._registers = dict(RESET)
        self._vshunt = self._vbus = self._dietemp = 0
        self._energy = self._charge = 0.0
        self._flags = MEMSTAT
        self._elapsed = 0.0
        self._single = False

    def sense(self, volts: float, amps: float, seconds: float, celsius: float = 25.0) -> None:
        """What was on the pins for the last ``seconds``; converted when a conversion is due."""
        adc = self._registers[Register.ADC_CONFIG]
        mode = adc >> 12
        channels = mode & 0b111
        if not channels or (mode < 8 and not self._single):
            return
        self._elapsed += seconds
        if self._elapsed < self._cycle(adc):
            return
        if channels & 0b001:
            self._vbus = max(0, signed(volts * self._bus_gain / VBUS_LSB, 20))
        if channels & 0b010:
            noise = self._rng.gauss(0, OFFSET / 4) if self._rng else 0.0
            sensed = amps * self._ohms * self._shunt_gain + self._offset + noise
            self._vshunt = signed(sensed / VSHUNT_LSB[self._range], 20)
        if channels & 0b100:
            self._dietemp = signed(celsius / DIETEMP_LSB, 16)
        if mode >= 8:
            self._accumulate(self._elapsed)
        self._elapsed = 0.0
        self._single = False
        self._compare()

    @property
    def _range(self) -> int:
        return 1 if self._registers[Register.CONFIG] & ADCRANGE else 0

    @staticmethod
    def _cycle(adc: int) -> float:
        channels = adc >> 12 & 0b111
        times = (
            CONVERSION_S[adc >> shift & 0b111] if channels & bit else 0.0
            for bit, shift in ((0b001, 9), (0b010, 6), (0b100, 3))
        )
        return sum(times) * AVERAGES[adc & 0b111]

    @property
    def _current_exact(self) -> int:
        cal = self._registers[Register.SHUNT_CAL] & 0x7FFF
        if not cal:
            return 0
        scale = CAL_SCALE * (4 if self._range else 1)
        return int(self._vshunt * VSHUNT_LSB[self._range] * scale / cal)

    @property
    def _power_exact(self) -> int:
        return int(abs(signed(self._current_exact, 20)) * self._vbus * VBUS_LSB / 3.2)

    def _accumulate(self, seconds: float) -> None:
        self._energy += min(self._power_exact, 0xFFFFFF) * seconds / 16
        self._charge += signed(self._current_exact, 20) * seconds
        if self._energy >= _TOP:
            self._energy -= _TOP
            self._flags |= ENERGYOF
        if not -_TOP / 2 <= self._charge < _TOP / 2:
            self._charge -= _TOP if self._charge > 0 else -_TOP
            self._flags |= CHARGEOF

    def _compare(self) -> None:
        """Set the flags that this conversion earned; without latching they follow the value."""
        limits = {name: self._registers[name] for name in (0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11)}
        shunt_limit = 5e-6 / (4 if self._range else 1)
        shunt = self._vshunt * VSHUNT_LSB[self._range] / shunt_limit
        bus = self._vbus * VBUS_LSB / 3.125e-3
        earned = (
            (SHNTOL, shunt > _s16(limits[Register.SOVL])),
            (SHNTUL, shunt < _s16(limits[Register.SUVL])),
            (BUSOL, bus > limits[Register.BOVL]),
            (BUSUL, bus < limits[Register.BUVL]),
            (TMPOL, self._dietemp > _s16(limits[Register.TEMP_LIMIT])),
            (POL, self._power_exact > limits[Register.PWR_LIMIT] << 8),
            (MATHOF, abs(self._current_exact) >= 1 << 19 or self._power_exact > 0xFFFFFF),
        )
        for flag, is_set in earned:
            self._flags = self._flags | flag if is_set else self._flags & ~flag
        self._flags |= CNVRF

    def load(self, register: int) -> bytes:
        match register:
            case Register.VSHUNT:
                return word(self._vshunt << 4, 3)
            case Register.VBUS:
                return word(self._vbus << 4, 3)
            case Register.DIETEMP:
                return word(self._dietemp)
            case Register.CURRENT:
                return word(signed(self._current_exact, 20) << 4, 3)
            case Register.POWER:
                return word(min(self._power_exact, 0xFFFFFF), 3)
            case Register.ENERGY:
                self._flags &= ~ENERGYOF
                return word(int(self._energy), 5)
            case Register.CHARGE:
                self._flags &= ~CHARGEOF
                return word(int(self._charge), 5)
            case Register.DIAG_ALRT:
                flags = self._flags
                self._flags &= ~CNVRF
                return word(flags)
            case Register.MANUFACTURER_ID:
                return word(0x5449)
            case Register.DEVICE_ID:
                return word(0x2281)
            case _:
                return word(self._registers.get(register, 0))

    def store(self, register: int, value: int) -> None:
        if register == Register.CONFIG:
            if value & RST:
                self.power_on()
                return
            if value & RSTACC:
                self._energy = self._charge = 0.0
            value &= ~(RST | RSTACC)
        if register == Register.ADC_CONFIG:
            self._elapsed = 0.0
            self._single = True
            self._flags &= ~CNVRF
        if register == Register.SHUNT_CAL:
            value &= 0x7FFF
        if register in self._registers:
            self._registers[register] = value


def _s16(value: int) -> int:
    return value - 0x10000 if value & 0x8000 else value
