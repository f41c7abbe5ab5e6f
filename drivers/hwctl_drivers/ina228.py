"""INA228: 85 V, 20-bit power, energy and charge monitor on I2C.

Part        Texas Instruments INA228
Sources     TI INA228-Q1 datasheet SLYS022A, table 8-1 (ranges and steps); TI INA229 datasheet
            SLYS023A, table 8-4 (the same core on SPI: returned values worked out in full);
            Adafruit_CircuitPython_INA228/adafruit_ina228.py (register map, widths, calibration);
            Linux drivers/hwmon/ina238.c (the sister part: addresses, 0xFB6A)
Bus         I2C at 0x40..0x4f, registers big-endian, 2, 3 or 5 bytes wide
Ranges      bus 0..85 V in 195.3125 uV steps; shunt ±163.84 mV; die -40..125 °C
Accuracy    0.05 % of reading without the shunt's own tolerance (unverified)
Quirks      - A brown-out puts SHUNT_CAL back to 0x1000 and ADC_CONFIG to 0xFB68 (SLYS022, section
              7.6.1): CURRENT would be wrong, not 0. Both are read with each sample; if they were
              lost they are written again and that sample is refused.
            - POWER has no sign, so power is worked out from CURRENT and VBUS.
            - ENERGY has no sign either, wraps at 40 bits and starts at 0 after a brown-out.
            - VBUS and CURRENT sit in bits 23..4; bits 3..0 always read 0.
"""

from enum import IntEnum
from typing import Self

from pydantic import Field, model_validator

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.units import Amps, Celsius, Joules, Volts
from hwctl_drivers._ina import Ina, sample

VBUS_LSB = 195.3125e-6
"""Volts per step. SLYS022A, table 8-1."""
VBUS_MAX = 85.0
"""Volts. SLYS022A, table 8-1."""
DIETEMP_LSB = 7.8125e-3
"""Degrees Celsius per step. SLYS022A, table 8-1."""
SHUNT_MAX = 0.16384
"""Volts across the shunt with ADCRANGE 0. SLYS022A, table 8-1."""
SHUNT_CAL_SCALE = 13107.2e6
"""SHUNT_CAL = 13107.2e6 * CURRENT_LSB * R_shunt (ADCRANGE 0). adafruit_ina228.py."""
CURRENT_STEPS = 1 << 19
"""CURRENT_LSB = greatest current / 2^19. SLYS023A, table 8-4."""
ENERGY_SCALE = 16 * 3.2
"""Joules per step = 16 * 3.2 * CURRENT_LSB. SLYS023A, table 8-4."""
MANUFACTURER = 0x5449
"""ASCII "TI". The value is that of the INA226 (TI SBOS547B, table 7-1)."""
DEVICE = 0x228
"""DEVICE_ID register, bits 15..4. adafruit_ina228.py."""
CONFIG = 0x0000
"""ADCRANGE 0, no temperature compensation; leaves the energy counter alone."""
ADC_CONFIG = 0xFB6A
"""Continuous temperature, shunt and bus, 1052 us each, 16 averages: a new value every 50 ms.
ina238.c uses the same word; it differs from the power-on value, so a reset shows."""


class Register(IntEnum):
    """Addresses. adafruit_ina228.py."""

    CONFIG = 0x00
    ADC_CONFIG = 0x01
    SHUNT_CAL = 0x02
    VBUS = 0x05
    """3 bytes, as CURRENT; ENERGY has 5, the others 2."""
    DIETEMP = 0x06
    CURRENT = 0x07
    ENERGY = 0x09
    MANUFACTURER_ID = 0x3E
    DEVICE_ID = 0x3F


def volts_from(raw: bytes) -> Volts:
    """VBUS, 3 bytes: unsigned in bits 23..4."""
    return Volts((int.from_bytes(raw) >> 4) * VBUS_LSB)


def amps_from(raw: bytes, current_lsb: float) -> Amps:
    """CURRENT, 3 bytes: two's complement in bits 23..4."""
    return Amps((int.from_bytes(raw, signed=True) >> 4) * current_lsb)


def celsius_from(raw: bytes) -> Celsius:
    """DIETEMP, 2 bytes, two's complement."""
    return Celsius(int.from_bytes(raw, signed=True) * DIETEMP_LSB)


def joules_from(raw: bytes, current_lsb: float) -> Joules:
    """ENERGY, 5 bytes, unsigned."""
    return Joules(int.from_bytes(raw) * ENERGY_SCALE * current_lsb)


class Ina228Options(I2cOptions):
    """What the wiring file says of an INA228."""

    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohms: float = Field(gt=0, le=1, description="the shunt's resistance")
    max_amps: float = Field(gt=0, le=1000, description="the greatest current to be resolved")
    reversed: bool = Field(default=False, description="whether forward current reads negative")

    @model_validator(mode="after")
    def _within_range(self) -> Self:
        drop = self.max_amps * self.shunt_ohms
        if drop > SHUNT_MAX:
            raise ValueError(
                f"max_amps x shunt_ohms is {drop:.3f} V; the part measures up to {SHUNT_MAX} V"
            )
        return self

    @property
    def shunt_cal(self) -> int:
        """The calibration word."""
        return max(1, round(SHUNT_CAL_SCALE * self.max_amps / CURRENT_STEPS * self.shunt_ohms))

    @property
    def current_lsb(self) -> float:
        """Amperes per step, as the rounded calibration word makes them."""
        return self.shunt_cal / (SHUNT_CAL_SCALE * self.shunt_ohms)


class Ina228(Ina):
    """One INA228. ``channel`` is ignored: the part has one."""

    def __init__(self, bus: I2cBus, options: Ina228Options) -> None:
        super().__init__(
            bus,
            options.address,
            "INA228",
            {Register.ADC_CONFIG: ADC_CONFIG, Register.SHUNT_CAL: options.shunt_cal},
        )
        self._options = options
        self._lsb = options.current_lsb

    def probe(self) -> None:
        ids = self._get(Register.MANUFACTURER_ID) + self._get(Register.DEVICE_ID)
        self._refuse_flat(ids)
        maker, device = int.from_bytes(ids[:2]), int.from_bytes(ids[2:]) >> 4
        if (maker, device) != (MANUFACTURER, DEVICE):
            raise self._mismatch(
                f"identifies as maker 0x{maker:04x}, device 0x{device:03x}, "
                f"not as 0x{MANUFACTURER:04x}, 0x{DEVICE:03x}"
            )
        self._set_up()

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in six transactions.

        :raises DeviceDataError: registers of all ones or all zeros, a voltage out of range, or
            the first sample after a reset.
        """
        del channel
        setup = self._kept()
        self._refuse_flat(setup)
        self._refuse_lost(setup, "calibration")
        vbus, die = self._get(Register.VBUS, 3), self._get(Register.DIETEMP)
        current = self._get(Register.CURRENT, 3)
        self._refuse_flat(vbus + die + current)
        volts = volts_from(vbus)
        if volts > VBUS_MAX:
            raise self._error(
                f"reads {volts:.1f} V, above the {VBUS_MAX:.0f} V that it can measure",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        return sample(
            volts,
            amps_from(current, self._lsb),
            backwards=self._options.reversed,
            celsius=celsius_from(die),
            energy=joules_from(self._get(Register.ENERGY, 5), self._lsb),
        )

    def _set_up(self) -> None:
        # Not read with each sample: this is its power-on value, and no reset would show.
        self._put(Register.CONFIG, CONFIG)
        super()._set_up()


DRIVER = Driver(
    name="ina228",
    summary="DC voltage, current, power and energy, 0..85 V, shunt of your choice",
    parts=("INA228",),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Ina228Options,
    open=Ina228,
    proof="TI's worked example (SLYS023A, table 8-4) played over a scripted bus",
)
