"""INA219: 26 V, 12-bit current and voltage monitor on I2C.

Part        Texas Instruments INA219 (INA220 is the same inside)
Sources     TI SBOS448F, pages 25-30 (registers, averaging, flags); Linux drivers/hwmon/ina2xx.c,
            whose decoding of the same registers the tests repeat
Bus         I2C at 0x40..0x4f, registers big-endian, 2 bytes wide
Ranges      bus 0..16 V or 0..26 V in 4 mV steps; shunt ±320 mV in 10 uV steps (PGA /8)
Accuracy    0.5 % (unverified), without the shunt's own tolerance
Quirks      - CURRENT and POWER need a calibration that a brown-out erases: they are not used.
              Current is the shunt's voltage over its resistance, so there is nothing to lose.
            - A brown-out brings back the power-on configuration: it is read with each sample; if
              it was lost it is written again and that sample is refused.
            - There is no identification register. An INA219 is known by keeping what is written.
"""

from enum import IntEnum, IntFlag
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.units import Amps, Volts
from hwctl_drivers._hwmon import Monitor, gauge
from hwctl_drivers._ina import Ina, sample

SHUNT_LSB = 10e-6
"""Volts per step. ina2xx.c, shunt_div 100."""
SHUNT_MAX = 32000
"""Steps at full scale: 320 mV. SBOS448F, table 5."""
BUS_LSB = 4e-3
"""Volts per step, bits 15..3. SBOS448F, page 30."""
CONFIG_BASE = 0x1E67
"""PGA /8 (±320 mV), 16 averages of 12 bits for bus and shunt (8.51 ms each), continuous: a new
pair every 17 ms. SBOS448F, tables 5 to 7. The power-on value 0x399F has no averages."""
CONFIG_32_VOLTS = 1 << 13
"""BRNG. SBOS448F, page 26."""


class Register(IntEnum):
    """Addresses. SBOS448F, table 4."""

    CONFIG = 0x00
    SHUNT = 0x01
    BUS = 0x02


class BusFlag(IntFlag):
    """The low bits of BUS. SBOS448F, page 30."""

    OVERFLOW = 1 << 0
    READY = 1 << 1


def shunt_volts_from(raw: bytes) -> Volts:
    """SHUNT, 2 bytes, two's complement."""
    return Volts(int.from_bytes(raw, signed=True) * SHUNT_LSB)


def volts_from(raw: bytes) -> Volts:
    """BUS, 2 bytes: unsigned in bits 15..3."""
    return Volts((int.from_bytes(raw) >> 3) * BUS_LSB)


class Ina219Options(I2cOptions):
    """What the wiring file says of an INA219."""

    address: int = Field(default=0x40, ge=0x40, le=0x4F)
    shunt_ohms: float = Field(default=0.1, gt=0, le=10, description="the shunt's resistance")
    reversed: bool = Field(default=False, description="whether forward current reads negative")
    bus_range: Literal[16, 32] = Field(
        default=16, description="volts at full scale: 16 for a 5 V or 12 V rail, else 32"
    )

    @property
    def config(self) -> int:
        """The configuration word."""
        return CONFIG_BASE | (CONFIG_32_VOLTS if self.bus_range == 32 else 0)


class Ina219(Ina):
    """One INA219. ``channel`` is ignored: the part has one."""

    def __init__(self, bus: I2cBus, options: Ina219Options) -> None:
        super().__init__(bus, options.address, "INA219", {Register.CONFIG: options.config})
        self._options = options

    def probe(self) -> None:
        found = self._kept()
        self._refuse_flat(found)
        if found != self._wanted:
            self._set_up()
        kept = self._kept()
        if kept != self._wanted:
            raise self._mismatch(
                f"was given configuration 0x{self._wanted.hex()} and keeps 0x{kept.hex()}: "
                "another part"
            )

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in three transactions.

        :raises DeviceDataError: registers of all ones or all zeros, out of range, not ready, or
            the first sample after a reset.
        """
        del channel
        config, shunt = self._kept(), self._get(Register.SHUNT)
        bus = self._get(Register.BUS)
        self._refuse_flat(config + shunt + bus)
        self._refuse_lost(config)
        flags = BusFlag(int.from_bytes(bus) & 0b11)
        if BusFlag.READY not in flags:
            raise self._not_ready(20)
        if BusFlag.OVERFLOW in flags or abs(int.from_bytes(shunt, signed=True)) >= SHUNT_MAX:
            raise self._error(
                "reads a current beyond its range",
                f"{self._options.shunt_ohms} ohm allow {0.32 / self._options.shunt_ohms:.3g} A: "
                "check `shunt_ohms`, or fit a smaller shunt",
            )
        volts = volts_from(bus)
        if volts >= self._options.bus_range:
            raise self._error(f"reads {volts:.2f} V, the end of its range", "set `bus_range = 32`")
        amps = Amps(shunt_volts_from(shunt) / self._options.shunt_ohms)
        return sample(volts, amps, backwards=self._options.reversed)


DRIVER = Driver(
    name="ina219",
    summary="DC voltage, current and power, 0..26 V, on the small blue breakout boards",
    parts=("INA219", "INA220"),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Ina219Options,
    open=Ina219,
    kernel=gauge(Monitor(frozenset({"ina219", "ina220"}), volts=(0.0, 32.0), shunt_full=320)),
    proof="register values that Linux' ina2xx driver decoded the same way",
)
