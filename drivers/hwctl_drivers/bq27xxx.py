"""BQ27xxx: fuel gauges of one lithium cell that count coulombs, on I2C.

Part        Texas Instruments bq27421-G1, bq27441-G1; bq27500, bq27510-G1 to -G3, bq27520-G1 to -G4,
            bq27541, bq27542, bq27545, bq27546 (all with Impedance Track)
Sources     Linux drivers/power/supply/bq27xxx_battery.c (a register table per part, steps, signs,
            flags), whose decoding of the same registers the kernel lab compares; SparkFun's
            BQ27441_Definitions.h (Control, DEVICE_TYPE, ITPOR, BAT_DET); TI's hw_bq27510g3.h of the
            Tiva firmware package (DEVICE_TYPE); TI E2E thread 1243503 (what ITPOR means)
Bus         I2C at 0x55, commands little-endian, 2 bytes wide
Ranges      0..6 V in 1 mV; ±32.767 A in 1 mA, an average; charge in 1 %; temperature in 0.1 K
Accuracy    none stated on the pages that were seen
Quirks      - The part counts current into the battery as positive. A rig's supply gives, so forward
              is out of the battery here, and amps are positive while it discharges. `reversed` is
              for an input gauge, and for packs that negate the current.
            - Generations of one part differ in where the charge stands, and nothing in the part
              tells them apart: `part` must say the generation (-g1 to -g4).
            - bq27421 and bq27441 keep their settings in RAM. ITPOR says that they are lost and
              nobody has brought them again: the charge is then of some other battery, and None.
              While they are being set (CFGUPMODE) the part does not gauge: refused.
            - Where BAT_DET is known, a battery that is not detected is refused.
            - Probing writes the subcommand DEVICE_TYPE to Control, which is how one asks; it
              changes nothing. A bq275xx only has to be some bq275xx: for the bq27510-G3, TI's
              header has 0x0520.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, GaugeSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Amps, Celsius, Ratio, Volts, Watts
from hwctl_drivers._power_supply import gauge

Part = Literal[
    "bq27421", "bq27441",
    "bq27500",
    "bq27510-g1", "bq27510-g2", "bq27510-g3",
    "bq27520-g1", "bq27520-g2", "bq27520-g3", "bq27520-g4",
    "bq27541", "bq27542", "bq27545", "bq27546",
]  # fmt: skip

CONTROL = 0x00
DEVICE_TYPE = 0x0001
"""A subcommand of Control. BQ27441_Definitions.h."""
MILLI = 1e-3
"""Volts or amperes per step. bq27xxx_battery.c."""
PERCENT = 0.01
TENTH_KELVIN = 0.1
"""bq27xxx_battery.c, bq27xxx_battery_read_temperature."""
ZERO_CELSIUS = 273.15
"""Kelvin."""
VOLTS_MAX = 6.0
"""Of Voltage(). TI's manuals (unverified)."""
CELSIUS = (-40.0, 125.0)
"""What a battery's temperature can be read as. Untuned."""


class Flag(IntFlag):
    """Flags(). BQ27441_Definitions.h."""

    BAT_DET = 1 << 3
    CFGUPMODE = 1 << 4
    ITPOR = 1 << 5


@dataclass(frozen=True, slots=True)
class Table:
    """Where a part keeps what, and how it is known. bq27xxx_battery.c."""

    temperature: int
    voltage: int
    flags: int
    current: int
    charge: int
    types: range
    """What DEVICE_TYPE may answer."""
    in_ram: bool = False
    """Whether ITPOR and CFGUPMODE are among its flags."""
    detects: bool = False
    """Whether BAT_DET is."""


_RAM = Table(0x02, 0x04, 0x06, 0x10, 0x1C, range(0x0421, 0x0422), in_ram=True, detects=True)
_FLASH = Table(0x06, 0x08, 0x0A, 0x14, 0x2C, range(0x0500, 0x0600))
_DETECTING = Table(0x06, 0x08, 0x0A, 0x14, 0x2C, range(0x0500, 0x0600), detects=True)
_LATER = Table(0x06, 0x08, 0x0A, 0x14, 0x20, range(0x0500, 0x0600), detects=True)

TABLES: dict[Part, Table] = {
    "bq27421": _RAM,
    "bq27441": _RAM,
    "bq27500": _FLASH,
    "bq27510-g1": _DETECTING,
    "bq27510-g2": _DETECTING,
    "bq27510-g3": _LATER,
    "bq27520-g1": _DETECTING,
    "bq27520-g2": _DETECTING,
    "bq27520-g3": _DETECTING,
    "bq27520-g4": _LATER,
    "bq27541": _FLASH,
    "bq27542": _FLASH,
    "bq27545": _FLASH,
    "bq27546": _FLASH,
}
"""BAT_DET of the bq27520: vendors' kernel drivers (BQ27520_FLAG_BAT_DET); of the bq27510-G3:
BQ27510G3.h of uKOS-X. Of the bq27500 and bq2754x no source was found."""


def volts_from(raw: bytes) -> Volts:
    """Voltage(), 2 bytes, unsigned."""
    return Volts(int.from_bytes(raw, "little") * MILLI)


def amps_into_battery_from(raw: bytes) -> Amps:
    """AverageCurrent(), 2 bytes, two's complement."""
    return Amps(int.from_bytes(raw, "little", signed=True) * MILLI)


def charge_from(raw: bytes) -> Ratio:
    """StateOfCharge(), 2 bytes, unsigned; more than 1 if the part says so."""
    return Ratio(int.from_bytes(raw, "little") * PERCENT)


def celsius_from(raw: bytes) -> Celsius:
    """Temperature(), 2 bytes, unsigned, from absolute zero."""
    return Celsius(int.from_bytes(raw, "little") * TENTH_KELVIN - ZERO_CELSIUS)


class Bq27xxxOptions(I2cOptions):
    """What the wiring file says of a bq27xxx."""

    address: int = Field(default=0x55, ge=0x55, le=0x55)
    part: Part = Field(description="which of the family, with its generation where there are some")
    reversed: bool = Field(
        default=False, description="whether current out of the battery reads positive in the part"
    )


class Bq27xxx:
    """One part. ``channel`` is ignored: it has one."""

    def __init__(self, bus: I2cBus, options: Bq27xxxOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"{options.part} at 0x{options.address:02x}"
        self._table = TABLES[options.part]

    def probe(self) -> None:
        """Ask for the type."""
        ask = bytes([CONTROL]) + DEVICE_TYPE.to_bytes(2, "little")
        self._bus.transfer(self._options.address, ask)
        raw = self._get(CONTROL)
        self._refuse_flat(raw)
        found = int.from_bytes(raw, "little")
        if found not in self._table.types:
            raise DeviceMismatchError(
                f"is of type 0x{found:04x}, which is no {self._options.part}",
                where=self._where,
                hint="compare `part` and `driver` in the wiring file with the board",
            )

    def read(self, channel: int = 0) -> GaugeSample:
        """One sample, in five transactions.

        ``charge`` is None while the part does not know its battery, ``celsius`` where no battery
        can be so cold or hot.

        :raises DeviceDataError: registers of all ones or all zeros, a voltage or charge out of
            range, no battery, or a part that is being set up.
        """
        del channel
        table = self._table
        flags_raw, voltage = self._get(table.flags), self._get(table.voltage)
        current, temperature = self._get(table.current), self._get(table.temperature)
        soc = self._get(table.charge)
        self._refuse_flat(flags_raw + voltage + current + temperature + soc)
        flags = int.from_bytes(flags_raw, "little")
        self._refuse_idle(flags)
        volts = volts_from(voltage)
        if not 0 < volts <= VOLTS_MAX:
            raise self._error(
                f"reads {volts:.3f} V, which no connected cell has",
                "check the battery's connector, SDA and its pull-up",
            )
        charge = charge_from(soc)
        if charge > 1:
            raise self._error(
                f"says that the battery is {charge:.0%} full",
                "compare `part` with what is printed on it: generations differ",
            )
        inwards = amps_into_battery_from(current)
        amps = Amps(inwards if self._options.reversed else -inwards)
        celsius = celsius_from(temperature)
        forgot = table.in_ram and flags & Flag.ITPOR
        return GaugeSample(
            volts=volts,
            amps=amps,
            watts=Watts(volts * amps),
            celsius=celsius if CELSIUS[0] <= celsius <= CELSIUS[1] else None,
            charge=None if forgot else charge,
        )

    def _refuse_idle(self, flags: int) -> None:
        """What it reads while it does not gauge is old."""
        if self._table.in_ram and flags & Flag.CFGUPMODE:
            raise self._error(
                "is being set up and does not gauge", "end it with SOFT_RESET, or ask again"
            )
        if self._table.detects and not flags & Flag.BAT_DET:
            raise self._error("detects no battery", "check the battery's connector and pin BIN")

    def _refuse_flat(self, raw: bytes) -> None:
        """No part that works answers like that; a broken or shorted wire does."""
        if not (raw.strip(b"\x00") and raw.strip(b"\xff")):
            raise self._error(
                f"answers all {'ones' if raw[0] else 'zeros'}",
                "check SDA, its pull-up and the gauge's supply, which is the battery",
            )

    def _error(self, what: str, hint: str) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)

    def _get(self, command: int) -> bytes:
        return self._bus.transfer(self._options.address, bytes([command]), 2)


DRIVER = Driver(
    name="bq27xxx",
    summary="Voltage, current, charge and temperature of one lithium cell, by counting coulombs",
    parts=(
        "bq27421-G1", "bq27441-G1", "bq27500", "bq27510-G1", "bq27510-G2", "bq27510-G3",
        "bq27520-G1", "bq27520-G2", "bq27520-G3", "bq27520-G4",
        "bq27541", "bq27542", "bq27545", "bq27546",
    ),
    bus="i2c",
    roles=frozenset({"gauge"}),
    options=Bq27xxxOptions,
    open=Bq27xxx,
    kernel=gauge([part.replace("-", "") for part in TABLES], signed=True),
    proof="read side by side with Linux' bq27xxx driver in the kernel lab, all fourteen parts",
)  # fmt: skip
