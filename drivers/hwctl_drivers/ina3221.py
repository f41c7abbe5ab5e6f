"""INA3221: three 26 V, 13-bit current and voltage monitors in one part on I2C.

Part        Texas Instruments INA3221
Sources     TI SBOS576B, page 1 (ranges, accuracy) and page 27 (SHUNT and BUS, a worked example);
            Linux drivers/hwmon/ina3221.c (registers, CONFIG, CVRF); Zephyr
            drivers/sensor/ti/ina3221/ina3221.h (identification)
Bus         I2C at 0x40..0x43, registers big-endian, 2 bytes wide
Ranges      bus 0..26 V in 8 mV steps; shunt ±163.8 mV in 40 uV steps
Accuracy    0.25 % and 80 uV at the shunt (SBOS576B, page 1), without the shunt's own tolerance:
            with 0.1 ohm, 0.8 mA
Quirks      - The steps are coarse: 0.1 ohm resolve 0.4 mA and carry 1.6 A, 0.01 ohm 4 mA and 16 A.
            - A brown-out brings back the power-on configuration: it is read with each sample; if
              it was lost it is written again and that sample is refused.
            - Until the first conversion is done SHUNT and BUS hold 0. CVRF tells, and reading it
              clears it: it is asked for once after each set-up.
            - A bus near 0 V may read a step or two below 0; that is passed on as it is.
            - The three channels share the set-up, so all three are always measured.
"""

from enum import IntEnum
from typing import Annotated

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.units import Amps, Volts
from hwctl_drivers._hwmon import Monitor, gauge
from hwctl_drivers._ina import FlaggedIna, sample

CHANNELS = 3
SHUNT_LSB = 40e-6
"""Volts per step, bits 15..3. SBOS576B, page 27."""
BUS_LSB = 8e-3
"""Volts per step, bits 15..3. SBOS576B, page 27."""
FULL = 0xFFF
"""Steps at full scale, 0x7FF8 in the register: 163.8 mV, 32.76 V. SBOS576B, page 27."""
BUS_MAX = 26.0
"""Volts that the part may measure, though the register goes further. SBOS576B, page 1."""
BUS_MIN = -0.016
"""Volts: what an offset of the bus input can make of 0 V (unverified)."""
RESERVED = 0b111
"""The low bits of SHUNT and BUS always read 0. SBOS576B, page 27."""
CONFIG = 0x7527
"""Three channels, 16 averages of bus and shunt (1.1 ms each), continuous: new values every
106 ms. Fields: ina3221.c. The power-on value 0x7127 has no averages, so a reset shows."""
CVRF = 1 << 0
"""MASK_ENABLE: all channels are converted. ina3221.c."""
MANUFACTURER = 0x5449
"""ASCII "TI". Zephyr's ina3221.h."""
DIE = 0x3220
"""DIE_ID. Zephyr's ina3221.h."""

Ohms = Annotated[float, Field(gt=0, le=10)]


class Register(IntEnum):
    """Addresses. ina3221.c; the identification: Zephyr's ina3221.h."""

    CONFIG = 0x00
    SHUNT = 0x01
    """Of channel 1; 0x03 and 0x05 of the others."""
    BUS = 0x02
    """Of channel 1; 0x04 and 0x06 of the others."""
    MASK_ENABLE = 0x0F
    MANUFACTURER_ID = 0xFE
    DIE_ID = 0xFF


def shunt_volts_from(raw: bytes) -> Volts:
    """SHUNT, 2 bytes: two's complement in bits 15..3."""
    return Volts((int.from_bytes(raw, signed=True) >> 3) * SHUNT_LSB)


def volts_from(raw: bytes) -> Volts:
    """BUS, 2 bytes: two's complement in bits 15..3."""
    return Volts((int.from_bytes(raw, signed=True) >> 3) * BUS_LSB)


class Ina3221Options(I2cOptions):
    """What the wiring file says of an INA3221."""

    address: int = Field(default=0x40, ge=0x40, le=0x43)
    shunt_ohms: tuple[Ohms, Ohms, Ohms] = Field(
        default=(0.1, 0.1, 0.1), description="the shunts' resistances, of channels 1 to 3"
    )
    reversed: tuple[bool, bool, bool] = Field(
        default=(False, False, False),
        description="whether forward current reads negative, of channels 1 to 3",
    )


class Ina3221(FlaggedIna):
    """One INA3221; channels 1 to 3."""

    def __init__(self, bus: I2cBus, options: Ina3221Options) -> None:
        super().__init__(
            bus,
            options.address,
            "INA3221",
            {Register.CONFIG: CONFIG},
            flag=(Register.MASK_ENABLE, CVRF),
            wait_ms=110,
        )
        self._options = options

    def probe(self) -> None:
        ids = self._get(Register.MANUFACTURER_ID) + self._get(Register.DIE_ID)
        self._refuse_flat(ids)
        if ids != MANUFACTURER.to_bytes(2) + DIE.to_bytes(2):
            raise self._mismatch(
                f"identifies as maker 0x{ids[:2].hex()}, die 0x{ids[2:].hex()}, "
                f"not as 0x{MANUFACTURER:04x}, 0x{DIE:04x}"
            )
        if self._kept() != self._wanted:
            self._set_up()

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in three transactions, the first after a set-up in four.

        :raises DeviceMismatchError: there is no such channel.
        :raises DeviceDataError: registers of all ones or all zeros, out of range, or with bits set
            that are always 0, not ready, or the first sample after a reset.
        """
        if not 1 <= channel <= CHANNELS:
            raise self._mismatch(
                f"has channels 1 to {CHANNELS}, no channel {channel}",
                "correct `channel` in the wiring file",
            )
        offset = 2 * (channel - 1)
        shunt, bus = self._results(Register.SHUNT + offset, Register.BUS + offset)
        return self._sample(channel, shunt, bus)

    def _sample(self, channel: int, shunt: bytes, bus: bytes) -> GaugeSample:
        if (shunt[1] | bus[1]) & RESERVED:
            raise self._error(
                f"answers 0x{shunt.hex()} and 0x{bus.hex()} for channel {channel}, "
                "with bits that are always 0",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        ohms = self._options.shunt_ohms[channel - 1]
        if abs(int.from_bytes(shunt, signed=True) >> 3) >= FULL:
            raise self._error(
                f"reads a current beyond its range on channel {channel}",
                f"{ohms} ohm allow {FULL * SHUNT_LSB / ohms:.3g} A: "
                "check `shunt_ohms`, or fit a smaller shunt",
            )
        volts = volts_from(bus)
        if not BUS_MIN <= volts <= BUS_MAX:
            raise self._error(
                f"reads {volts:.2f} V on channel {channel}, and can measure 0 to {BUS_MAX:.0f} V",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        amps = Amps(shunt_volts_from(shunt) / ohms)
        return sample(volts, amps, backwards=self._options.reversed[channel - 1])


DRIVER = Driver(
    name="ina3221",
    summary="DC voltage, current and power of three feeds, 0..26 V",
    parts=("INA3221",),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Ina3221Options,
    open=Ina3221,
    kernel=gauge(
        Monitor(
            frozenset({"ina3221"}),
            volts=(BUS_MIN, BUS_MAX),
            shunt_full=163_800,
            bus="in{n}_input",
            shunt="in{s}_input",
            amps="curr{n}_input",
            ohms="shunt{n}_resistor",
            channels=(1, 2, 3),
        )
    ),
    channels=CHANNELS,
    first_channel=1,
    proof="TI's worked example (SBOS576B, page 27), and Linux' ina3221 on the same registers",
)
