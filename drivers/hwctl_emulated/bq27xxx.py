"""BQ27xxx: the device side of Texas Instruments' fuel gauges of one cell.

Sources: the standard commands of the bq27421/441 and what Control does as SparkFun's
BQ27441_Definitions.h has them; those of the bq27510-G3 as TI's hw_bq27510g3.h has them; where the
others differ, the tables of Linux (drivers/power/supply/bq27xxx_battery.c). Types other than 0x0421
and 0x0520 are unverified, as is what the parts hold before the first measurement: 0.

Little-endian words behind one pointer, which a read advances. A write to Control is a subcommand,
whose answer the next read of Control gives.
"""

from dataclasses import dataclass

from hwctl_emulated.pointer_chip import PointerChip, signed

CONTROL = 0x00

STATUS = 0x0000
TYPE = 0x0001
SET_CFGUPDATE = 0x0013
RESET = 0x0041
SOFT_RESET = 0x0042

DSG = 1 << 0
BAT_DET = 1 << 3
CFGUPMODE = 1 << 4
ITPOR = 1 << 5

SIZE = 0x80


@dataclass(frozen=True)
class _Layout:
    temperature: int
    volts: int
    flags: int
    nominal: int
    full: int
    average: int
    soc: int
    type: int
    in_ram: bool = False


def _flash(soc: int, kind: int) -> _Layout:
    return _Layout(0x06, 0x08, 0x0A, 0x0C, 0x12, 0x14, soc, kind)


_RAM = _Layout(0x02, 0x04, 0x06, 0x08, 0x0E, 0x10, 0x1C, 0x0421, in_ram=True)
LAYOUTS = {
    "bq27421": _RAM,
    "bq27441": _RAM,
    "bq27500": _flash(0x2C, 0x0500),
    "bq27510-g1": _flash(0x2C, 0x0510),
    "bq27510-g2": _flash(0x2C, 0x0510),
    "bq27510-g3": _flash(0x20, 0x0520),
    "bq27520-g1": _flash(0x2C, 0x0520),
    "bq27520-g2": _flash(0x2C, 0x0520),
    "bq27520-g3": _flash(0x2C, 0x0520),
    "bq27520-g4": _flash(0x20, 0x0520),
    "bq27541": _flash(0x2C, 0x0541),
    "bq27542": _flash(0x2C, 0x0542),
    "bq27545": _flash(0x2C, 0x0545),
    "bq27546": _flash(0x2C, 0x0546),
}


class Bq27xxx(PointerChip):
    """One part, by its name ("bq27441", "bq27510-g3"), with a battery of ``capacity_mah``."""

    def __init__(self, part: str, *, capacity_mah: int = 3000) -> None:
        super().__init__()
        self.layout = LAYOUTS[part]
        self._capacity = capacity_mah
        self.battery = True
        """Whether it feels one at BIN."""
        self.power_on()

    def power_on(self) -> None:
        """As after the battery was connected; those with RAM have forgotten what they knew."""
        self._words: dict[int, int] = {}
        self._answer = 0
        self._forgot = self.layout.in_ram
        self._updating = False

    def sense(self, volts: float, amps: float, charge: float, celsius: float) -> None:
        """What is true now. ``amps`` out of the battery are positive."""
        if self._updating:
            return
        at = self.layout
        self._words |= {
            at.volts: max(0, min(0xFFFF, round(volts * 1000))),
            at.average: signed(-amps * 1000, 16) & 0xFFFF,
            at.temperature: max(0, min(0xFFFF, round((celsius + 273.15) * 10))),
            at.soc: max(0, min(0xFFFF, round(charge * 100))),
            at.nominal: max(0, round(charge * self._capacity)),
            at.full: self._capacity,
        }

    @property
    def _flags(self) -> int:
        flags = DSG if self._words.get(self.layout.average, 0) & 0x8000 else 0
        if self.battery:
            flags |= BAT_DET
        if self._forgot:
            flags |= ITPOR
        if self._updating:
            flags |= CFGUPMODE
        return flags

    def load(self, register: int) -> bytes:
        words = self._words | {CONTROL: self._answer, self.layout.flags: self._flags}
        image = bytearray(SIZE)
        for command, value in words.items():
            image[command : command + 2] = value.to_bytes(2, "little")
        return bytes(image[register:])

    def store(self, register: int, value: int) -> None:
        if register != CONTROL:
            return
        # The base class takes the first byte as the higher one.
        subcommand = int.from_bytes(value.to_bytes(2), "little")
        self._answer = {STATUS: 0, TYPE: self.layout.type}.get(subcommand, 0)
        if subcommand == RESET:
            self.power_on()
        elif self.layout.in_ram and subcommand == SET_CFGUPDATE:
            self._updating = True
        elif self.layout.in_ram and subcommand == SOFT_RESET and self._updating:
            self._updating = self._forgot = False
