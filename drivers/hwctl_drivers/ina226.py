"""INA226: 36 V, 16-bit current and voltage monitor on I2C.

Part        Texas Instruments INA226
Sources     TI SBOS547B, table 7-1 (registers, power-on values, identification) and electrical
            characteristics (ranges, steps, accuracy); TI SBOS547, page 16 (a worked example);
            Linux drivers/iio/adc/ina2xx-adc.c (CVRF) and drivers/hwmon/ina2xx.c (configuration)
Bus         I2C at 0x40..0x4f, registers big-endian, 2 bytes wide
Ranges      bus 0..36 V in 1.25 mV steps; shunt ±81.92 mV in 2.5 uV steps
Accuracy    0.1 % and 10 uV at the shunt (SBOS547B), without the shunt's own tolerance
Quirks      - CURRENT and POWER need a calibration that a brown-out erases: they are not used.
              Current is the shunt's voltage over its resistance, so there is nothing to lose.
            - A brown-out brings back the power-on configuration: it is read with each sample; if
              it was lost it is written again and that sample is refused.
            - Until the first conversion is done SHUNT and BUS hold 0. CVRF tells, and reading it
              clears it: it is asked for once after each set-up.
            - An INA226 is no INA219: other steps, and the low bits of BUS are no flags.
"""

from enum import IntEnum

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.units import Amps, Volts
from hwctl_drivers._hwmon import Monitor, gauge
from hwctl_drivers._ina import FlaggedIna, sample

SHUNT_LSB = 2.5e-6
"""Volts per step. SBOS547B, electrical characteristics."""
SHUNT_FULL = 0x7FFF
"""Steps at full scale: 81.9175 mV. SBOS547B, electrical characteristics."""
BUS_LSB = 1.25e-3
"""Volts per step. SBOS547B, electrical characteristics."""
BUS_MAX = 36.0
"""Volts that the part may measure, though the register goes on to 40.96 V. SBOS547, page 3."""
CONFIG = 0x4527
"""16 averages of bus and shunt (1.1 ms each), continuous: a new pair every 35 ms. ina2xx.c uses
the same word; it differs from the power-on value 0x4127, so a reset shows."""
CVRF = 1 << 3
"""MASK_ENABLE: a conversion is done. ina2xx-adc.c."""
MANUFACTURER = 0x5449
"""ASCII "TI". SBOS547B, table 7-1."""
DIE = 0x226
"""DIE_ID without bits 3..0, a revision (unverified); 0x2260 in SBOS547B, table 7-1."""


class Register(IntEnum):
    """Addresses. SBOS547B, table 7-1."""

    CONFIG = 0x00
    SHUNT = 0x01
    BUS = 0x02
    MASK_ENABLE = 0x06
    MANUFACTURER_ID = 0xFE
    DIE_ID = 0xFF


def shunt_volts_from(raw: bytes) -> Volts:
    """SHUNT, 2 bytes, two's complement."""
    return Volts(int.from_bytes(raw, signed=True) * SHUNT_LSB)


def volts_from(raw: bytes) -> Volts:
    """BUS, 2 bytes, unsigned."""
    return Volts(int.from_bytes(raw) * BUS_LSB)


class Ina226Options(I2cOptions):
    """What the wiring file says of an INA226."""

    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohms: float = Field(default=0.1, gt=0, le=10, description="the shunt's resistance")
    reversed: bool = Field(default=False, description="whether forward current reads negative")


class Ina226(FlaggedIna):
    """One INA226. ``channel`` is ignored: the part has one."""

    def __init__(self, bus: I2cBus, options: Ina226Options) -> None:
        super().__init__(
            bus,
            options.address,
            "INA226",
            {Register.CONFIG: CONFIG},
            flag=(Register.MASK_ENABLE, CVRF),
            wait_ms=40,
        )
        self._options = options

    def probe(self) -> None:
        ids = self._get(Register.MANUFACTURER_ID) + self._get(Register.DIE_ID)
        self._refuse_flat(ids)
        maker, die = int.from_bytes(ids[:2]), int.from_bytes(ids[2:]) >> 4
        if (maker, die) != (MANUFACTURER, DIE):
            raise self._mismatch(
                f"identifies as maker 0x{maker:04x}, die 0x{die:03x}, "
                f"not as 0x{MANUFACTURER:04x}, 0x{DIE:03x}"
            )
        if self._kept() != self._wanted:
            self._set_up()

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in three transactions, the first after a set-up in four.

        :raises DeviceDataError: registers of all ones or all zeros, out of range, not ready, or
            the first sample after a reset.
        """
        del channel
        shunt, bus = self._results(Register.SHUNT, Register.BUS)
        if abs(int.from_bytes(shunt, signed=True)) >= SHUNT_FULL:
            raise self._error(
                "reads a current beyond its range",
                f"{self._options.shunt_ohms} ohm allow "
                f"{SHUNT_FULL * SHUNT_LSB / self._options.shunt_ohms:.3g} A: "
                "check `shunt_ohms`, or fit a smaller shunt",
            )
        volts = volts_from(bus)
        if volts > BUS_MAX:
            raise self._error(
                f"reads {volts:.3f} V, above the {BUS_MAX:.0f} V that it can measure",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        amps = Amps(shunt_volts_from(shunt) / self._options.shunt_ohms)
        return sample(volts, amps, backwards=self._options.reversed)


DRIVER = Driver(
    name="ina226",
    summary="DC voltage, current and power, 0..36 V, shunt of your choice",
    parts=("INA226",),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Ina226Options,
    open=Ina226,
    kernel=gauge(Monitor(frozenset({"ina226"}), volts=(0.0, BUS_MAX), shunt_full=82)),
    proof="TI's worked example (SBOS547, page 16), and Linux' ina2xx on the same registers",
)
