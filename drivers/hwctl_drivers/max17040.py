"""MAX17040 family: fuel gauges of one or two lithium cells by voltage alone, on I2C.

Part        Maxim MAX17040, 43, 48, 58 (one cell) and MAX17041, 44, 49, 59 (two in series); on the
            Geekworm and SupTronics UPS boards, and on breakouts
Sources     Linux drivers/power/supply/max17040_battery.c (registers, steps, differences between
            the parts), whose decoding of the same registers the kernel lab compares;
            adafruit_max1704x.py (VERSION, sleep, reset);
            SparkFun_MAX1704x_Fuel_Gauge_Arduino_Library.h (CONFIG, range)
Bus         I2C at 0x36, registers big-endian, 2 bytes wide
Ranges      0..5 V a cell in steps of 1.25 mV (40, 43), 2.5 mV (41, 44), 78.125 uV (48, 58) or
            156.25 uV (49, 59); charge in 1/256 %
Accuracy    volts ±7.5 mV a cell for the 48 (unverified); none is stated for the charge, which is a
            model of a cell that need not be yours
Quirks      - There is no shunt: amps and watts are None.
            - A reset and a QuickStart seed the charge anew from the voltage, which under load is
              too low. Nothing is ever written here.
            - After a reset the charge reads 0 until the first estimate. Exactly 0 at more than
              3.3 V a cell is that, not an empty cell: the charge is None.
            - A part that sleeps keeps its last values: refused. The 40 and 41 have no such bit.
            - Some boards' models count in 1/512 % (`maxim,double-soc` in device trees).
            - The 48 to 59 say 0x001x in VERSION, the 40 to 44 do not. Within either, nothing tells
              one cell from two: `part` decides.
            - At the same address sits the MAX17042 family, which is another driver's.
"""

from enum import IntEnum
from typing import Literal, get_args

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Ratio, Volts
from hwctl_drivers._power_supply import gauge

Part = Literal[
    "max17040", "max17041", "max17043", "max17044", "max17048", "max17049", "max17058", "max17059"
]
TWO_CELLS = frozenset({"max17041", "max17044", "max17049", "max17059"})
"""Their steps are twice as large. max17040_battery.c, max17040_family."""
SIXTEEN_BITS = frozenset({"max17048", "max17049", "max17058", "max17059"})
"""The others use bits 15..4 of VCELL only. max17040_battery.c, vcell_shift."""
SLEEPLESS = frozenset({"max17040", "max17041"})
"""All 16 bits of their CONFIG are the model's. max17040_battery.c, rcomp_bytes."""

CELL_LSB = 78.125e-6
"""Volts a cell per step of 16 bits: 625/8 uV, and 1250 uV / 16. max17040_battery.c."""
CELL_MAX = 5.0
"""Volts a cell. SparkFun's header: "between 0-5V"."""
NOT_EMPTY = 3.3
"""Volts a cell above which a charge of exactly 0 is not believed. Untuned."""
SOC_LSB = 1 / 256 / 100
"""Ratio per step. max17040_battery.c takes the upper byte as percent."""
OVERSHOOT = 1.1
"""A charge up to this is a full cell that the model did not expect. Untuned."""
SLEEP = 1 << 7
"""CONFIG. SparkFun's header, MAX17043_CONFIG_SLEEP."""
VERSION = 0x0010
"""Bits 15..4 of the 48 to 59's VERSION. adafruit_max1704x.py."""


class Register(IntEnum):
    """Addresses. max17040_battery.c."""

    VCELL = 0x02
    SOC = 0x04
    VERSION = 0x08
    CONFIG = 0x0C


def volts_from(raw: bytes, part: Part) -> Volts:
    """VCELL, 2 bytes, unsigned; the whole battery's, of one cell or two."""
    value = int.from_bytes(raw)
    if part not in SIXTEEN_BITS:
        value &= 0xFFF0
    return Volts(value * CELL_LSB * (2 if part in TWO_CELLS else 1))


def charge_from(raw: bytes, *, double: bool = False) -> Ratio:
    """SOC, 2 bytes, unsigned; more than 1 if the part says so."""
    return Ratio(int.from_bytes(raw) * SOC_LSB / (2 if double else 1))


class Max17040Options(I2cOptions):
    """What the wiring file says of a MAX17040 or one of its sisters."""

    address: int = Field(default=0x36, ge=0x36, le=0x36)
    part: Part = Field(description="which of the family, as printed on it")
    double_soc: bool = Field(
        default=False, description="whether the board's model counts charge in 1/512 %"
    )


class Max17040:
    """One part. ``channel`` is ignored: it has one."""

    def __init__(self, bus: I2cBus, options: Max17040Options) -> None:
        self._bus = bus
        self._options = options
        self._where = f"{options.part.upper()} at 0x{options.address:02x}"
        self._cells = 2 if options.part in TWO_CELLS else 1

    def probe(self) -> None:
        """Look at VERSION; nothing is written."""
        raw = self._get(Register.VERSION)
        self._refuse_flat(raw)
        version = int.from_bytes(raw)
        newer = version & 0xFFF0 == VERSION
        if newer != (self._options.part in SIXTEEN_BITS):
            raise DeviceMismatchError(
                f"has version 0x{version:04x}, as "
                + ("only the MAX17048 to 17059 have" if newer else "no MAX17048 to 17059 has"),
                where=self._where,
                hint="compare `part` and `driver` in the wiring file with the board",
            )

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in three transactions. ``charge`` is None until the part has estimated it.

        :raises DeviceDataError: registers of all ones or all zeros, a voltage or charge out of
            range, nothing measured yet, or a part that sleeps.
        """
        del channel
        config, vcell = self._get(Register.CONFIG), self._get(Register.VCELL)
        soc = self._get(Register.SOC)
        self._refuse_flat(config + vcell + soc)
        if self._options.part not in SLEEPLESS and config[1] & SLEEP:
            raise self._error(
                "sleeps, and what it reads is old",
                "clear SLEEP in its CONFIG, with the program that has set it",
            )
        volts = volts_from(vcell, self._options.part)
        if not volts:
            raise self._error("has measured nothing yet", "is the battery connected? ask again")
        if volts > CELL_MAX * self._cells:
            raise self._error(
                f"reads {volts:.2f} V, more than {self._cells} cell(s) can have",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        return GaugeSample(volts=volts, charge=self._charge(soc, volts))

    def _charge(self, soc: bytes, volts: Volts) -> Ratio | None:
        charge = charge_from(soc, double=self._options.double_soc)
        if not charge and volts > NOT_EMPTY * self._cells:
            return None
        if charge > OVERSHOOT:
            raise self._error(
                f"says that the battery is {charge:.0%} full",
                "set `double_soc = true` if the board's model counts in 1/512 %",
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
    name="max17040",
    summary="Voltage and charge of one or two lithium cells, by the cell's voltage",
    parts=(
        "MAX17040", "MAX17041", "MAX17043", "MAX17044",
        "MAX17048", "MAX17049", "MAX17058", "MAX17059",
    ),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Max17040Options,
    open=Max17040,
    kernel=gauge(get_args(Part)),
    proof="read side by side with Linux' max17040 driver in the kernel lab, all eight parts",
)  # fmt: skip
