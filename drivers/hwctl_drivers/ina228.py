"""INA228: 85 V, 20-bit power, energy and charge monitor on I2C.

Part        Texas Instruments INA228
Datasheet   SLYS021A (register map, section 7.6; calibration, section 8.1.2)
Bus         I2C at 0x40..0x4f (two address pins), registers big-endian, 2, 3 or 5 bytes wide
Ranges      bus 0..85 V in 195.3125 uV steps; shunt ±163.84 mV in 312.5 nV steps (ADCRANGE 0)
Accuracy    ±0.05 % of reading (datasheet's front page), without the shunt's own tolerance
Quirks      - CURRENT and POWER are zero until SHUNT_CAL is written, and after every brown-out:
              SHUNT_CAL is read back with each sample and written again if it was lost.
            - ENERGY wraps at 40 bits (months at a rig's power) and is cleared by a reset.
            - Values of 24-bit registers sit in bits 23..4, except POWER, which uses all 24.
"""

from enum import IntEnum

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Amps, Celsius, Joules, Volts, Watts

VBUS_LSB = 195.3125e-6
"""Volts per step, 20 bits. SLYS021A table 7-11."""
DIETEMP_LSB = 7.8125e-3
"""Degrees Celsius per step, signed 16 bits. Table 7-12."""
SHUNT_CAL_SCALE = 13107.2e6
"""SHUNT_CAL = 13107.2e6 * CURRENT_LSB * R_shunt (ADCRANGE 0). Section 8.1.2, equation 2."""
POWER_SCALE = 3.2
"""Watts per step = 3.2 * CURRENT_LSB. Equation 4."""
ENERGY_SCALE = 16 * 3.2
"""Joules per step = 16 * 3.2 * CURRENT_LSB. Equation 5."""
CURRENT_STEPS = 1 << 19
"""CURRENT_LSB = greatest current / 2^19. Equation 3."""
MANUFACTURER = 0x5449
"""ASCII "TI"."""
DEVICE = 0x228
"""DEVICE_ID register, bits 15..4."""
ADC_CONFIG = 0xFB6A
"""Continuous temperature, shunt and bus (MODE 0xF), 1052 us each (the power-on setting), 16
averages: a new value every 50 ms."""


class Register(IntEnum):
    """Addresses, and the widths that the datasheet's table 7-3 gives them."""

    CONFIG = 0x00
    ADC_CONFIG = 0x01
    SHUNT_CAL = 0x02
    VBUS = 0x05
    DIETEMP = 0x06
    CURRENT = 0x07
    POWER = 0x08
    ENERGY = 0x09
    MANUFACTURER_ID = 0x3E
    DEVICE_ID = 0x3F

    @property
    def width(self) -> int:
        """Bytes."""
        return _WIDTHS.get(self, 2)


_WIDTHS = {Register.VBUS: 3, Register.CURRENT: 3, Register.POWER: 3, Register.ENERGY: 5}


def volts_from(raw: bytes) -> Volts:
    """VBUS, 3 bytes: unsigned in bits 23..4."""
    return Volts((int.from_bytes(raw) >> 4) * VBUS_LSB)


def amps_from(raw: bytes, current_lsb: float) -> Amps:
    """CURRENT, 3 bytes: two's complement in bits 23..4."""
    return Amps((int.from_bytes(raw, signed=True) >> 4) * current_lsb)


def celsius_from(raw: bytes) -> Celsius:
    """DIETEMP, 2 bytes, two's complement."""
    return Celsius(int.from_bytes(raw, signed=True) * DIETEMP_LSB)


class Ina228Options(I2cOptions):
    """What the wiring file says of an INA228."""

    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohms: float = Field(gt=0, le=1, description="the shunt's resistance")
    max_amps: float = Field(gt=0, le=1000, description="the greatest current to be resolved")
    reversed: bool = Field(default=False, description="whether forward current reads negative")

    @property
    def current_lsb(self) -> float:
        """Amperes per step."""
        return self.max_amps / CURRENT_STEPS

    @property
    def shunt_cal(self) -> int:
        """The 15-bit calibration word."""
        return min(0x7FFF, round(SHUNT_CAL_SCALE * self.current_lsb * self.shunt_ohms))


class Ina228:
    """One INA228. ``channel`` is ignored: the part has one."""

    def __init__(self, bus: I2cBus, options: Ina228Options) -> None:
        self._bus = bus
        self._options = options
        self._sign = -1.0 if options.reversed else 1.0

    def probe(self) -> None:
        where = f"INA228 at 0x{self._options.address:02x}"
        maker = int.from_bytes(self._get(Register.MANUFACTURER_ID))
        device = int.from_bytes(self._get(Register.DEVICE_ID)) >> 4
        if (maker, device) != (MANUFACTURER, DEVICE):
            raise DeviceMismatchError(
                f"identifies as maker 0x{maker:04x}, device 0x{device:03x}, "
                f"not as 0x{MANUFACTURER:04x}, 0x{DEVICE:03x}",
                where=where,
                hint="compare `address` and `driver` in the wiring file with the board",
            )
        self._calibrate()

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample. :raises DeviceDataError: the registers read all ones or all zeros."""
        del channel
        if int.from_bytes(self._get(Register.SHUNT_CAL)) != self._options.shunt_cal:
            # A brown-out resets the part; its current reads 0 until it is calibrated again.
            self._calibrate()
            raise DeviceDataError(
                "had lost its calibration, which was written again",
                where=f"INA228 at 0x{self._options.address:02x}",
                hint="a reset of the gauge means that its supply dipped: check its 3.3 V",
            )
        lsb = self._options.current_lsb
        return GaugeSample(
            volts=volts_from(self._get(Register.VBUS)),
            amps=Amps(self._sign * amps_from(self._get(Register.CURRENT), lsb)),
            watts=Watts(int.from_bytes(self._get(Register.POWER)) * POWER_SCALE * lsb),
            celsius=celsius_from(self._get(Register.DIETEMP)),
            energy=Joules(int.from_bytes(self._get(Register.ENERGY)) * ENERGY_SCALE * lsb),
        )

    def _calibrate(self) -> None:
        self._put(Register.ADC_CONFIG, ADC_CONFIG)
        self._put(Register.SHUNT_CAL, self._options.shunt_cal)

    def _get(self, register: Register) -> bytes:
        return self._bus.transfer(self._options.address, bytes([register]), register.width)

    def _put(self, register: Register, value: int) -> None:
        self._bus.transfer(self._options.address, bytes([register, *value.to_bytes(2)]))


DRIVER = Driver(
    name="ina228",
    summary="DC voltage, current, power and energy, 0..85 V, shunt of your choice",
    parts=("INA228",),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Ina228Options,
    open=Ina228,
    proof="worked example of the datasheet's section 8.2.2; emulated registers",
)
