"""MAX17040 to MAX17059: the device side of a fuel gauge without a shunt.

Sources: the register map and the differences between the parts as Linux has them
(drivers/power/supply/max17040_battery.c); the reset that is not acknowledged, VERSION 0x001x and
STATUS as adafruit_max1704x.py has them; CONFIG 0x971C and VERSION 3 of the MAX17043 as SparkFun's
SparkFun_MAX1704x_Fuel_Gauge_Arduino_Library.h has them.

========  ====  ===============================================================
VCELL     0x02  read only; 12 bits left-justified of 1.25 mV, or 16 of 78.125 uV, a cell
SOC       0x04  read only; 1/256 %
MODE      0x06  write only; bit 14 QuickStart
VERSION   0x08  read only
CONFIG    0x0C  RCOMP 15:8, SLEEP 7, ALRT 5, threshold 4:0; in the 40 and 41 RCOMP 15:0
STATUS    0x1A  48 to 59: reset indicator in bit 8
CMD       0xFE  write only; 0x5400 or 0x0054 resets
========  ====  ===============================================================
"""

from enum import IntEnum

from hwctl_emulated.pointer_chip import PointerChip, word


class Register(IntEnum):
    VCELL = 0x02
    SOC = 0x04
    MODE = 0x06
    VERSION = 0x08
    CONFIG = 0x0C
    STATUS = 0x1A
    CMD = 0xFE


PER_CELL = 78.125e-6
SLEEP = 1 << 7
RESET_INDICATOR = 1 << 8
OLD_RESETS = frozenset({0x0054, 0x5400})
"""Linux sends the first, SparkFun's library the second."""
NEW_RESET = 0x5400


class Max17040(PointerChip):
    """One part, by its number ("max17048").

    :param double_soc: its model counts in 1/512 %, as some makers load it.
    """

    def __init__(self, part: str, *, double_soc: bool = False) -> None:
        super().__init__()
        number = int(part.removeprefix("max"))
        self._sleeps = number not in {17040, 17041}
        self._new = number >= 17048
        self._cells = 2 if number in {17041, 17044, 17049, 17059} else 1
        self._percent = 512 if double_soc else 256
        self.power_on()

    def power_on(self) -> None:
        """As after the battery was connected: nothing is measured, nothing estimated."""
        self._config = 0x971C if self._sleeps else 0x9700
        self._status = RESET_INDICATOR
        self._vcell = 0
        self._soc = 0

    def sense(
        self,
        volts: float,
        amps: float = 0.0,
        charge: float | None = None,
        celsius: float | None = None,
    ) -> None:
        """What is true of the whole battery now.

        ``amps`` and ``celsius`` are as with other gauges, but this part has no means to see them.
        Without ``charge`` it has not estimated it yet.
        """
        del amps, celsius
        if self._sleeps and self._config & SLEEP:
            return
        steps = round(volts / self._cells / PER_CELL)
        if not self._new:
            steps = round(volts / self._cells / PER_CELL / 16) << 4
        self._vcell = max(0, min(0xFFFF if self._new else 0xFFF0, steps))
        if charge is not None:
            self._soc = max(0, min(0xFFFF, round(charge * 100 * self._percent)))

    def load(self, register: int) -> bytes:
        match register:
            case Register.VCELL:
                return word(self._vcell)
            case Register.SOC:
                return word(self._soc)
            case Register.VERSION:
                return word(0x0012 if self._new else 0x0003)
            case Register.CONFIG:
                return word(self._config)
            case Register.STATUS if self._new:
                return word(self._status)
            case _:
                return word(0)

    def store(self, register: int, value: int) -> None:
        match register:
            case Register.CONFIG:
                self._config = value
            case Register.STATUS if self._new:
                self._status = value
            case Register.CMD if self._resets(value):
                self.power_on()
            case _:
                pass

    def write(self, byte: int) -> bool:
        resetting = self._pointer == Register.CMD and self._incoming is not None
        before = len(self._incoming or ())
        super().write(byte)
        if not (resetting and before == 1 and self._new):
            return True
        # A part that resets at once is not there any more to acknowledge the last byte.
        return not self._resets(int.from_bytes(bytes(self._incoming or ())))

    def _resets(self, value: int) -> bool:
        return value == NEW_RESET if self._new else value in OLD_RESETS
