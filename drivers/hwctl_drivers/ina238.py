"""INA237 and INA238: 85 V, 16-bit power monitors on I2C, with a thermometer.

Part        Texas Instruments INA237, INA238 (the INA238 is the more accurate one)
Sources     TI SLYS026A (INA238-Q1), table 7-3 (registers) and electrical characteristics (ranges,
            steps); TI INA237-Q1 datasheet, table 8-4 (returned values worked out); Linux
            drivers/hwmon/ina238.c (ADCRANGE, 0xFB6A, DIETEMP in bits 15..4)
Bus         I2C at 0x40..0x4f, registers big-endian, 2 bytes wide
Ranges      bus 0..85 V in 3.125 mV steps; shunt ±163.84 mV in 5 uV steps, or ±40.96 mV in 1.25 uV
            steps, whichever is the finer that `max_amps` allows; die -40..125 °C
Accuracy    INA238: 0.1 % and 5 uV at the shunt (SLYS026A), without the shunt's own tolerance
Quirks      - CURRENT and POWER need a calibration that a brown-out loses: they are not used.
              Current is the shunt's voltage over its resistance; VSHUNT resolves as finely.
            - A brown-out brings back the power-on configuration, and with it the wide range: both
              words are read with each sample; if they were lost they are written again and that
              sample is refused.
            - Until the first conversion is done all results are 0. CNVRF tells, and reading it
              may clear it: it is asked for once after each set-up.
            - The INA237 has no DEVICE_ID (ina238.c), so it is known by its maker only.
"""

from enum import IntEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceMismatchError
from hwctl.model.units import Amps, Celsius, Volts
from hwctl_drivers._hwmon import Monitor, gauge
from hwctl_drivers._ina import FlaggedIna, sample

SHUNT_LSB = {False: 5e-6, True: 1.25e-6}
"""Volts per step, in the wide and in the fine range. SLYS026A, electrical characteristics."""
SHUNT_MAX = {False: 0.16384, True: 0.04096}
"""Volts at full scale. SLYS026A, electrical characteristics."""
SHUNT_FULL = 0x7FFF
"""Steps at full scale. A signed 16-bit register."""
VBUS_LSB = 3.125e-3
"""Volts per step. SLYS026A, electrical characteristics."""
VBUS_MAX = 85.0
"""Volts. SLYS026A, electrical characteristics."""
DIETEMP_LSB = 0.125
"""Degrees Celsius per step, bits 15..4. INA237-Q1, table 8-4; ina238.c."""
CELSIUS = (-40.0, 125.0)
"""Between these the part is specified (SLYS026A); beyond, its temperature is not passed on."""
ADCRANGE = 1 << 4
"""CONFIG: the fine range. ina238.c."""
ADC_CONFIG = 0xFB6A
"""Continuous temperature, shunt and bus, 1052 us each, 16 averages: a new value every 50 ms.
ina238.c uses the same word. The power-on value 0xFB68 (unverified) has no averages."""
CNVRF = 1 << 1
"""DIAG_ALRT: a conversion is done (unverified)."""
MANUFACTURER = 0x5449
"""ASCII "TI". The value is that of the INA226 (TI SBOS547B, table 7-1)."""
DEVICE = 0x238
"""DEVICE_ID of the INA238, bits 15..4 (unverified)."""
COMPARE = "compare `address`, `driver` and `part` in the wiring file with the board"


class Register(IntEnum):
    """Addresses. SLYS026A, table 7-3."""

    CONFIG = 0x00
    ADC_CONFIG = 0x01
    VSHUNT = 0x04
    VBUS = 0x05
    DIETEMP = 0x06
    DIAG_ALRT = 0x0B
    MANUFACTURER_ID = 0x3E
    DEVICE_ID = 0x3F


def shunt_volts_from(raw: bytes, *, fine: bool) -> Volts:
    """VSHUNT, 2 bytes, two's complement."""
    return Volts(int.from_bytes(raw, signed=True) * SHUNT_LSB[fine])


def volts_from(raw: bytes) -> Volts:
    """VBUS, 2 bytes, two's complement; a working part shows nothing below 0."""
    return Volts(int.from_bytes(raw, signed=True) * VBUS_LSB)


def celsius_from(raw: bytes) -> Celsius:
    """DIETEMP, 2 bytes: two's complement in bits 15..4."""
    return Celsius((int.from_bytes(raw, signed=True) >> 4) * DIETEMP_LSB)


class Ina238Options(I2cOptions):
    """What the wiring file says of an INA237 or INA238."""

    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    part: Literal["INA237", "INA238"] = Field(default="INA238", description="what is on the board")
    shunt_ohms: float = Field(gt=0, le=1, description="the shunt's resistance")
    max_amps: float = Field(gt=0, le=1000, description="the greatest current to be measured")
    reversed: bool = Field(default=False, description="whether forward current reads negative")

    @model_validator(mode="after")
    def _within_range(self) -> Self:
        drop = self.max_amps * self.shunt_ohms
        if drop > SHUNT_MAX[False]:
            raise ValueError(
                f"max_amps x shunt_ohms is {drop:.3f} V; the part measures up to "
                f"{SHUNT_MAX[False]} V"
            )
        return self

    @property
    def fine(self) -> bool:
        """Whether the finer of the two ranges will do."""
        return self.max_amps * self.shunt_ohms < SHUNT_MAX[True]


class Ina238(FlaggedIna):
    """One INA237 or INA238. ``channel`` is ignored: the part has one."""

    def __init__(self, bus: I2cBus, options: Ina238Options) -> None:
        super().__init__(
            bus,
            options.address,
            options.part,
            {Register.CONFIG: ADCRANGE if options.fine else 0, Register.ADC_CONFIG: ADC_CONFIG},
            flag=(Register.DIAG_ALRT, CNVRF),
            wait_ms=60,
        )
        self._options = options

    def probe(self) -> None:
        maker = self._get(Register.MANUFACTURER_ID)
        self._refuse_flat(maker)
        if int.from_bytes(maker) != MANUFACTURER:
            raise self._mismatch(f"is of maker 0x{maker.hex()}, not 0x{MANUFACTURER:04x}")
        if self._options.part == "INA238":
            device = int.from_bytes(self._get(Register.DEVICE_ID)) >> 4
            if device != DEVICE:
                raise self._mismatch(f"identifies as device 0x{device:03x}, not 0x{DEVICE:03x}")
        if self._kept() != self._wanted:
            self._set_up()
            if (kept := self._kept()) != self._wanted:
                raise self._mismatch(
                    f"was given configuration 0x{self._wanted.hex()} and keeps 0x{kept.hex()}"
                )

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in five transactions, the first after a set-up in six.

        ``celsius`` is ``None`` where the die is outside the range that the part is specified for.

        :raises DeviceDataError: registers of all ones or all zeros, out of range, not ready, or
            the first sample after a reset.
        """
        del channel
        shunt, bus, die = self._results(Register.VSHUNT, Register.VBUS, Register.DIETEMP)
        if abs(int.from_bytes(shunt, signed=True)) >= SHUNT_FULL:
            raise self._error(
                "reads a current beyond its range",
                f"it is set for {self._options.max_amps:g} A: check `shunt_ohms`, or raise "
                "`max_amps`",
            )
        volts = volts_from(bus)
        if not 0 <= volts <= VBUS_MAX:
            raise self._error(
                f"reads {volts:.1f} V, and can measure 0 to {VBUS_MAX:.0f} V",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        drop = shunt_volts_from(shunt, fine=self._options.fine)
        celsius = celsius_from(die)
        return sample(
            volts,
            Amps(drop / self._options.shunt_ohms),
            backwards=self._options.reversed,
            celsius=celsius if CELSIUS[0] <= celsius <= CELSIUS[1] else None,
        )

    def _mismatch(self, what: str, hint: str = COMPARE) -> DeviceMismatchError:
        return super()._mismatch(what, hint)


DRIVER = Driver(
    name="ina238",
    summary="DC voltage, current, power and die temperature, 0..85 V, shunt of your choice",
    parts=("INA237", "INA238"),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Ina238Options,
    open=Ina238,
    kernel=gauge(
        Monitor(
            frozenset({"ina237", "ina238"}),
            volts=(0.0, VBUS_MAX),
            shunt_full=163,
            default_ohms=0.01,
            celsius="temp1_input",
        )
    ),
    proof="TI's worked example (INA237-Q1, table 8-4), and Linux' ina238 on the same registers",
)
