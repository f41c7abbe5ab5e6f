"""INA3221: the device side of a three-channel 26 V current monitor.

Source: TI SBOS576B, page 1 (errors) and page 27 (SHUNT and BUS); TI SBOS576A, page 22 (modes); TI
SBOS776C, register PVL (0x2328); the kernel's drivers/hwmon/ina3221.c (registers, CONFIG, SCC,
CVRF, the sum in bits 15:1). The other limits' power-on values and when CVRF is cleared are from
memory (unverified). Limits are kept and compared with nothing; the alert pins are not there.

============  ==========  ==================================================================
CONFIG        0x00        RST 15, channels 1 to 3 in 14:12, AVG 11:9, MODE 2:0; 0x7127
SHUNT         1, 3, 5     signed in 15:3, 40 uV
BUS           2, 4, 6     signed in 15:3, 8 mV
SUM           0x0D        signed in 15:1, 40 uV: the shunts of the channels named in SCC
MASK_ENABLE   0x0F        SCC 14:12, CVRF 0
============  ==========  ==================================================================
"""

from collections.abc import Sequence
from enum import IntEnum
from random import Random

from hwctl_emulated.pointer_chip import PointerChip, signed, word

CHANNELS = (1, 2, 3)


class Register(IntEnum):
    CONFIG = 0x00
    SHUNT_1 = 0x01
    BUS_3 = 0x06
    CRITICAL_1 = 0x07
    WARNING_1 = 0x08
    CRITICAL_2 = 0x09
    WARNING_2 = 0x0A
    CRITICAL_3 = 0x0B
    WARNING_3 = 0x0C
    SUM = 0x0D
    SUM_LIMIT = 0x0E
    MASK_ENABLE = 0x0F
    VALID_UPPER = 0x10
    VALID_LOWER = 0x11
    MANUFACTURER_ID = 0xFE
    DIE_ID = 0xFF


RESET: dict[int, int] = {
    Register.CONFIG: 0x7127,
    **dict.fromkeys(range(Register.CRITICAL_1, Register.WARNING_3 + 1), 0x7FF8),
    Register.SUM_LIMIT: 0x7FFE,
    Register.MASK_ENABLE: 0x0002,
    Register.VALID_UPPER: 0x2710,
    Register.VALID_LOWER: 0x2328,
}
RST = 1 << 15
CVRF = 1 << 0
MASK_WRITABLE = 0x7C00
TCF = 1 << 1
"""MASK_ENABLE: the timing-control alert's flag, which is set where there is no alert."""

SHUNT_LSB = 40e-6
BUS_LSB = 8e-3
OFFSET = 80e-6
"""Volts at a shunt, at most."""
BUS_OFFSET = 16e-3
"""Volts at a bus input, at most (unverified)."""
GAIN = 0.0025
"""Error of the gains, at most."""


class _Channel:
    """One channel's inputs, and what was last converted from them."""

    def __init__(self, ohms: float, rng: Random | None) -> None:
        self._ohms = ohms
        self._rng = rng
        # Half of the greatest error: a part picked from the middle of the bag.
        self._gain = 1 + (rng.uniform(-0.5, 0.5) * GAIN if rng else 0.0)
        self._bus_gain = 1 + (rng.uniform(-0.5, 0.5) * GAIN if rng else 0.0)
        self._offset = rng.uniform(-0.5, 0.5) * OFFSET if rng else 0.0
        self._bus_offset = rng.uniform(-0.5, 0.5) * BUS_OFFSET if rng else 0.0
        self.clear()

    def clear(self) -> None:
        self.shunt = self.bus = 0

    def convert(self, volts: float, amps: float, mode: int) -> None:
        if mode & 0b001:
            noise = self._rng.gauss(0, OFFSET / 8) if self._rng else 0.0
            sensed = amps * self._ohms * self._gain + self._offset + noise
            self.shunt = signed(sensed / SHUNT_LSB, 13)
        if mode & 0b010:
            self.bus = signed((volts * self._bus_gain + self._bus_offset) / BUS_LSB, 13)


class Ina3221(PointerChip):
    """One part and its three shunts. Without ``rng`` it measures without error.

    :param shunt_ohms: of channels 1 to 3.
    :param reversed_shunts: of channels 1 to 3: forward current reads negative.
    """

    def __init__(
        self,
        shunt_ohms: Sequence[float],
        rng: Random | None = None,
        *,
        reversed_shunts: Sequence[bool] = (False, False, False),
    ) -> None:
        super().__init__()
        self._channels = {
            channel: _Channel(-ohms if flip else ohms, rng)
            for channel, ohms, flip in zip(CHANNELS, shunt_ohms, reversed_shunts, strict=True)
        }
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up."""
        self._registers = dict(RESET)
        for channel in self._channels.values():
            channel.clear()
        self._ready = False
        self._single = False
        self._due = self._enabled

    @property
    def _enabled(self) -> frozenset[int]:
        config = self._registers[Register.CONFIG]
        return frozenset(channel for channel in CHANNELS if config & 1 << (15 - channel))

    def sense(self, volts: float, amps: float, channel: int) -> None:
        """One conversion of what is on the pins of ``channel``, 1 to 3, now.

        CVRF rises when all channels that are enabled have had theirs.
        """
        mode = self._registers[Register.CONFIG] & 0b111
        if mode in (0b000, 0b100) or channel not in self._enabled:
            return
        if mode < 0b100 and not (self._single and channel in self._due):
            return
        self._channels[channel].convert(volts, amps, mode)
        self._due -= {channel}
        if not self._due:
            self._ready = True
            self._single = False
            self._due = self._enabled

    @property
    def _sum(self) -> int:
        mask = self._registers[Register.MASK_ENABLE]
        return sum(
            part.shunt for channel, part in self._channels.items() if mask & 1 << (15 - channel)
        )

    def load(self, register: int) -> bytes:
        if Register.SHUNT_1 <= register <= Register.BUS_3:
            part = self._channels[(register + 1) // 2]
            return word((part.shunt if register % 2 else part.bus) << 3)
        match register:
            case Register.SUM:
                return word(signed(self._sum, 15) << 1)
            case Register.MASK_ENABLE:
                ready, self._ready = self._ready, False
                return word(self._registers[register] | (CVRF if ready else 0))
            case Register.MANUFACTURER_ID:
                return word(0x5449)
            case Register.DIE_ID:
                return word(0x3220)
            case _:
                return word(self._registers.get(register, 0xFFFF))

    def store(self, register: int, value: int) -> None:
        if register == Register.CONFIG:
            if value & RST:
                self.power_on()
                return
            self._registers[register] = value
            self._single = True
            self._due = self._enabled
            if value & 0b011:
                self._ready = False
        elif register == Register.MASK_ENABLE:
            self._registers[register] = value & MASK_WRITABLE | TCF
        elif register in self._registers:
            self._registers[register] = value
