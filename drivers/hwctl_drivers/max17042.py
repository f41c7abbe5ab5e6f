"""MAX17042 family: fuel gauges of one lithium cell that count coulombs, on I2C.

Part        Maxim MAX17042, MAX17047, MAX17050 and MAX17055; in tablets and phones, and on breakouts
Sources     Linux drivers/power/supply/max17042_battery.c and include/linux/power/max17042_battery.h
            (registers, steps, signs, bits), whose decoding of the same registers the kernel lab
            compares; vendors' older max17042_battery.c and max17055 drivers (DevName)
Bus         I2C at 0x36, registers little-endian, 2 bytes wide
Ranges      0..5 V in steps of 78.125 uV; ±51.2 mV at the shunt in steps of 1.5625 uV, which is
            ±5.12 A in steps of 156 uA with 10 mOhm; charge in 1/256 %; -128..127 °C in 1/256 °C
Accuracy    not stated here: the datasheets were not seen
Quirks      - The part counts current into the battery as positive. A rig's supply gives, so forward
              is out of the battery here, and amps are positive while it discharges. `reversed` is
              for boards with the shunt the other way round, and for an input gauge.
            - It knows nothing of the cell until somebody has loaded a model and cleared POR in
              STATUS. Until then, and again after every reset, the charge is None.
            - With both lower bits of MiscCFG set it runs without a shunt: amps and watts are None,
              and the charge is that by voltage (VFSOC).
            - Bst in STATUS says that no battery is there: refused.
            - A thermistor that is missing reads as an end of the range: such degrees are None.
            - Nothing is ever written: most registers take any value and change the estimate.
            - At the same address sits the MAX17040 family, which is another driver's.
"""

from enum import IntEnum, IntFlag
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Amps, Celsius, Ratio, Volts, Watts
from hwctl_drivers._power_supply import gauge

Part = Literal["max17042", "max17047", "max17050", "max17055"]
NAMES: dict[str, tuple[int, ...]] = {
    "max17042": (0x0092,),
    "max17047": (0x00AC,),
    "max17050": (0x00AC,),
    "max17055": (0x4000, 0x4010),
}
"""DevName. Vendors' max17042_battery.c: MAX17042_IC_VERSION, MAX17047_IC_VERSION "same for
max17050"; Huawei's max17055 driver: MAX17055_IC_VERSION_A and _B."""

VCELL_LSB = 78.125e-6
"""Volts per step: 625/8 uV. max17042_battery.c."""
VCELL_MAX = 5.0
"""Volts. Above it no lithium cell is; Linux takes 4.5 V as the most. Untuned."""
SHUNT_LSB = 1.5625e-6
"""Volts per step. max17042_battery.c."""
SOC_LSB = 1 / 256 / 100
"""Ratio per step. max17042_battery.c takes the upper byte as percent."""
TEMP_LSB = 1 / 256
"""Degrees Celsius per step. max17042_battery.c."""
CELSIUS = (-40.0, 125.0)
"""What a battery's thermistor can mean. Untuned."""
OVERSHOOT = 1.1
"""A charge up to this is a full cell that the model did not expect. Untuned."""
VOLTAGE_ONLY = 0b11
"""MiscCFG. max17042_battery.c, max17042_get_default_pdata."""


class Register(IntEnum):
    """Addresses. max17042_battery.h."""

    STATUS = 0x00
    REP_SOC = 0x06
    TEMP = 0x08
    VCELL = 0x09
    CURRENT = 0x0A
    DEV_NAME = 0x21
    MISC_CFG = 0x2B
    VF_SOC = 0xFF


class Status(IntFlag):
    """STATUS. max17042_battery.c."""

    POR = 1 << 1
    BATTERY_ABSENT = 1 << 3


def volts_from(raw: bytes) -> Volts:
    """VCELL, 2 bytes, unsigned."""
    return Volts(int.from_bytes(raw, "little") * VCELL_LSB)


def amps_into_battery_from(raw: bytes, shunt_ohms: float) -> Amps:
    """CURRENT, 2 bytes, two's complement."""
    return Amps(int.from_bytes(raw, "little", signed=True) * SHUNT_LSB / shunt_ohms)


def charge_from(raw: bytes) -> Ratio:
    """REP_SOC or VF_SOC, 2 bytes, unsigned; more than 1 if the part says so."""
    return Ratio(int.from_bytes(raw, "little") * SOC_LSB)


def celsius_from(raw: bytes) -> Celsius:
    """TEMP, 2 bytes, two's complement."""
    return Celsius(int.from_bytes(raw, "little", signed=True) * TEMP_LSB)


class Max17042Options(I2cOptions):
    """What the wiring file says of a MAX17042 or one of its sisters."""

    address: int = Field(default=0x36, ge=0x36, le=0x36)
    part: Part = Field(description="which of the family, as printed on it")
    shunt_ohms: float = Field(default=0.01, gt=0, le=1, description="the shunt's resistance")
    reversed: bool = Field(
        default=False, description="whether current out of the battery reads positive in the part"
    )


class Max17042:
    """One part. ``channel`` is ignored: it has one."""

    def __init__(self, bus: I2cBus, options: Max17042Options) -> None:
        self._bus = bus
        self._options = options
        self._where = f"{options.part.upper()} at 0x{options.address:02x}"

    def probe(self) -> None:
        """Look at DevName; nothing is written."""
        raw = self._get(Register.DEV_NAME)
        self._refuse_flat(raw)
        name = int.from_bytes(raw, "little")
        known = NAMES[self._options.part]
        if name not in known:
            wanted = " or ".join(f"0x{one:04x}" for one in known)
            raise DeviceMismatchError(
                f"calls itself 0x{name:04x}, not {wanted}",
                where=self._where,
                hint="compare `part` and `driver` in the wiring file with the board",
            )

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in at most six transactions.

        ``charge`` is None while the part knows no model, ``amps`` and ``watts`` without a shunt,
        ``celsius`` without a thermistor.

        :raises DeviceDataError: registers of all ones or all zeros, a voltage or charge out of
            range, no battery, or nothing measured yet.
        """
        del channel
        status_raw, misc = self._get(Register.STATUS), self._get(Register.MISC_CFG)
        vcell, temp = self._get(Register.VCELL), self._get(Register.TEMP)
        self._refuse_flat(status_raw + misc + vcell + temp)
        status = int.from_bytes(status_raw, "little")
        if status & Status.BATTERY_ABSENT:
            raise self._error("says that no battery is there", "check the battery's connector")
        volts = volts_from(vcell)
        if not volts:
            raise self._error("has measured nothing yet", "is the battery connected? ask again")
        if volts > VCELL_MAX:
            raise self._error(
                f"reads {volts:.2f} V, more than a lithium cell can have",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        by_voltage = misc[0] & VOLTAGE_ONLY == VOLTAGE_ONLY
        amps = None if by_voltage else self._amps()
        charge = None
        if not status & Status.POR:
            charge = self._charge(Register.VF_SOC if by_voltage else Register.REP_SOC)
        celsius = celsius_from(temp)
        return GaugeSample(
            volts=volts,
            amps=amps,
            watts=None if amps is None else Watts(volts * amps),
            celsius=celsius if CELSIUS[0] <= celsius <= CELSIUS[1] else None,
            charge=charge,
        )

    def _amps(self) -> Amps:
        inwards = amps_into_battery_from(self._get(Register.CURRENT), self._options.shunt_ohms)
        return Amps(inwards if self._options.reversed else -inwards)

    def _charge(self, register: Register) -> Ratio:
        charge = charge_from(self._get(register))
        if charge > OVERSHOOT:
            raise self._error(
                f"says that the battery is {charge:.0%} full",
                "load the cell's model again; a reset of the gauge loses it",
            )
        return Ratio(min(charge, 1.0))

    def _refuse_flat(self, raw: bytes) -> None:
        """No part that works answers like that; a broken or shorted wire does."""
        if not (raw.strip(b"\x00") and raw.strip(b"\xff")):
            raise self._error(
                f"answers all {'ones' if raw[0] else 'zeros'}",
                "check SDA, its pull-up and the gauge's supply, which is the battery",
            )

    def _error(self, what: str, hint: str) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)

    def _get(self, register: Register) -> bytes:
        return self._bus.transfer(self._options.address, bytes([register]), 2)


DRIVER = Driver(
    name="max17042",
    summary="Voltage, current, charge and temperature of one lithium cell, by counting coulombs",
    parts=("MAX17042", "MAX17047", "MAX17050", "MAX17055"),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Max17042Options,
    open=Max17042,
    kernel=gauge(NAMES, signed=True, shunt_ohms=0.01, shunt_property="maxim,rsns-microohm"),
    proof="read side by side with Linux' max17042 driver in the kernel lab, all four parts",
)
