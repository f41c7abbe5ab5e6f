"""MAX17042, 47, 50 and 55: the device side of a fuel gauge with a shunt.

Sources: the register map as Linux has it (include/linux/power/max17042_battery.h,
drivers/power/supply/max17042_battery.c), names of the parts as vendors' older versions of that
driver have them. What registers hold after a reset, besides POR in STATUS, is unverified.

Little-endian words. What is measured or estimated cannot be written; of the rest, every register
keeps what it is given, and reads 0 before.
"""

from enum import IntEnum

from hwctl_emulated.pointer_chip import PointerChip, signed


class Register(IntEnum):
    STATUS = 0x00
    REP_CAP = 0x05
    REP_SOC = 0x06
    TEMP = 0x08
    VCELL = 0x09
    CURRENT = 0x0A
    AVG_CURRENT = 0x0B
    MIX_SOC = 0x0D
    FULL_CAP = 0x10
    DESIGN_CAP = 0x18
    AVG_VCELL = 0x19
    DEV_NAME = 0x21
    MISC_CFG = 0x2B
    VF_OCV = 0xFB
    VF_SOC = 0xFF


POR = 1 << 1
ABSENT = 1 << 3
NO_CURRENT = 0b11
"""The lower bits of MISC_CFG: estimate by voltage alone."""

NAMES = {"max17042": 0x0092, "max17047": 0x00AC, "max17050": 0x00AC, "max17055": 0x4010}
CAPACITY = 2000
"""Steps of 5 uVh over the shunt: 1 Ah with 10 mOhm."""
READ_ONLY = frozenset(
    {
        Register.REP_CAP, Register.REP_SOC, Register.TEMP, Register.VCELL, Register.CURRENT,
        Register.AVG_CURRENT, Register.MIX_SOC, Register.AVG_VCELL, Register.DEV_NAME,
        Register.VF_OCV, Register.VF_SOC,
    }
)  # fmt: skip


class Max17042(PointerChip):
    """One part, by its number ("max17047"), and its shunt.

    :param reversed_shunt: current out of the battery reads positive.
    """

    def __init__(
        self, part: str, shunt_ohms: float = 0.01, *, reversed_shunt: bool = False
    ) -> None:
        super().__init__()
        self._name = NAMES[part]
        self._ohms = -shunt_ohms if reversed_shunt else shunt_ohms
        self.power_on()

    def power_on(self) -> None:
        """As after the battery was connected: POR is set, and nothing is measured."""
        self._words: dict[int, int] = {
            Register.STATUS: POR,
            Register.DEV_NAME: self._name,
            Register.FULL_CAP: CAPACITY,
            Register.DESIGN_CAP: CAPACITY,
            Register.MISC_CFG: 0x0870,
        }

    def remove_battery(self) -> None:
        """The thermistor, which sits in the battery, is no longer felt."""
        self._words[Register.STATUS] |= ABSENT

    def sense(self, volts: float, amps: float, charge: float, celsius: float) -> None:
        """What is true now. ``amps`` out of the battery are positive."""
        volts_raw = max(0, min(0xFFFF, round(volts * 8 / 625e-6)))
        across = 0.0 if self._by_voltage else -amps * self._ohms
        current = signed(across / 1.5625e-6, 16)
        soc = max(0, min(0xFFFF, round(charge * 25_600)))
        self._words |= {
            Register.VCELL: volts_raw,
            Register.AVG_VCELL: volts_raw,
            Register.VF_OCV: volts_raw,
            Register.CURRENT: current,
            Register.AVG_CURRENT: current,
            Register.TEMP: signed(celsius * 256, 16),
            # Without current nothing is counted, and the report stays where it was.
            Register.REP_SOC: self._words.get(Register.REP_SOC, 0) if self._by_voltage else soc,
            Register.MIX_SOC: soc,
            Register.VF_SOC: soc,
            Register.REP_CAP: round(min(charge, 1.0) * self._words[Register.FULL_CAP]),
        }

    @property
    def _by_voltage(self) -> bool:
        return self._words[Register.MISC_CFG] & NO_CURRENT == NO_CURRENT

    def load(self, register: int) -> bytes:
        return (self._words.get(register, 0) & 0xFFFF).to_bytes(2, "little")

    def store(self, register: int, value: int) -> None:
        if register not in READ_ONLY:
            # The base class takes the first byte as the higher one.
            self._words[register] = int.from_bytes(value.to_bytes(2), "little")
