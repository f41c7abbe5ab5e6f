"""MAX31790: the device side of a PWM controller for six fans.

Source: the registers as Linux 6.1's max31790.c reads them; power-on values, the row in which a
long write stays, and two pulses a turn: QEMU hw/sensor/max31790_fan_ctrl.c and its header;
ramps (their steps, and when there is none): the comments of LowLevelEmbedded's MAX31790.h, which
quote the data sheet; the watchdog: TI FAN31790, SLVSIZ2.

RPM mode's closed loop, spin-up and fault detection are not modelled: in RPM mode the duty stays
what it was.
"""

from collections.abc import Callable
from random import Random

FANS = 6
GLOBAL, FREQUENCY, CONFIG, DYNAMICS = 0x00, 0x01, 0x02, 0x08
FAULT_2, MASK_2, MASK_1, FAILED_FAN = 0x10, 0x12, 0x13, 0x14
TACH, DUTY, TARGET, TACH_TARGET, WINDOW = 0x18, 0x30, 0x40, 0x50, 0x60

STANDBY, RESET = 1 << 7, 1 << 6
EXPIRED = 1 << 0
RPM_MODE, MONITOR, TACH_ENABLE = 1 << 7, 1 << 4, 1 << 3

WATCHDOG_S = (None, 5.0, 10.0, 30.0)
"""By bits 2:1 of GLOBAL. The times are SLVSIZ2's, their order is (unverified)."""
RAMP_S = (0.0, *(2**step / 1024 for step in range(1, 8)))
"""Seconds for each of 511 steps, by bits 4:2 of DYNAMICS: none, 2 ms to 125 ms; that 0 means none
is (unverified)."""
CLOCK_HZ = 8192
TACH_ERROR = 0.01
"""The data sheet's front page."""

_RESET = {GLOBAL: 0x20, FREQUENCY: 0x44, MASK_2: 0x3F, MASK_1: 0x3F, FAILED_FAN: 0x45}
"""The masks are (unverified)."""


class Max31790:
    """One part with six fans wired to it.

    The world sets :attr:`rpm` and asks :meth:`duty`; both count fans from 0.

    :param clock: seconds on the world's clock.
    :param watchdog_scale: how much longer the watchdog waits; the world stretches it when it runs
        faster than life, because a host slowed by real input and output cannot keep up.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rng: Random | None = None,
        *,
        watchdog_scale: float = 1.0,
    ) -> None:
        self.rpm = [0.0] * FANS
        self._clock = clock
        self._scale = watchdog_scale
        self._errors = [1 + (rng.uniform(-1, 1) * TACH_ERROR if rng else 0.0) for _ in range(FANS)]
        self._pointer = 0
        self._first = True
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up; every fan at 25 %."""
        self._registers = dict.fromkeys(range(WINDOW + FANS), 0) | _RESET
        for fan in range(FANS):
            self._registers[DYNAMICS + fan] = 0x4C
            self._set_word(TARGET + 2 * fan, 128 << 7)
            self._set_word(TACH_TARGET + 2 * fan, 0x3D60)
        self._now = [128.0] * FANS
        self._moved_at = self._heard_at = self._clock()
        self._expired = False

    def duty(self, fan: int) -> float:
        """What the part drives, 0..1."""
        self.poll()
        return self._driven(fan) / 511

    def poll(self) -> None:
        """Let the part's own clock catch up: ramps and watchdog."""
        now = self._clock()
        elapsed, self._moved_at = now - self._moved_at, now
        for fan in range(FANS):
            self._move(fan, elapsed)
        period = WATCHDOG_S[self._registers[GLOBAL] >> 1 & 0b11]
        if period is not None and now - self._heard_at >= period * self._scale:
            self._expired = True
            self._registers[GLOBAL] |= EXPIRED

    def _move(self, fan: int, elapsed: float) -> None:
        if self._registers[CONFIG + fan] & RPM_MODE:
            return
        target = float(self._word(TARGET + 2 * fan) >> 7)
        step_s = RAMP_S[self._registers[DYNAMICS + fan] >> 2 & 0b111]
        if not step_s or not target or not self._now[fan]:
            self._now[fan] = target
            return
        steps = elapsed / step_s
        self._now[fan] += max(-steps, min(steps, target - self._now[fan]))

    def _driven(self, fan: int) -> int:
        if self._expired:
            return 511
        off = self._registers[GLOBAL] & STANDBY or self._registers[CONFIG + fan] & MONITOR
        return 0 if off else round(self._now[fan])

    # --- the wires ---------------------------------------------------------------------------

    def start(self, read: bool) -> bool:
        self.poll()
        if not read:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        if self._first:
            self._pointer = byte
            self._first = False
            return True
        self.poll()
        self._store(self._pointer, byte)
        self.poll()
        # A long write goes round within its row of eight.
        self._pointer = self._pointer & ~0b111 | (self._pointer + 1) & 0b111
        return True

    def read(self) -> int:
        value = self._load(self._pointer)
        self._pointer = (self._pointer + 1) & 0xFF
        return value

    def stop(self) -> None:
        """The watchdog hears of a whole transaction, and fans go back to what they were."""
        self._first = True
        self._heard_at = self._clock()
        self._expired = False

    # --- registers ---------------------------------------------------------------------------

    def _word(self, register: int) -> int:
        return self._registers[register] << 8 | self._registers[register + 1]

    def _set_word(self, register: int, value: int) -> None:
        self._registers[register], self._registers[register + 1] = divmod(value, 0x100)

    def _count(self, fan: int) -> int:
        """11 bits: clocks during as many tach periods as DYNAMICS says, two a turn."""
        rpm = self.rpm[fan] * self._errors[fan]
        if rpm < 1 or not self._registers[CONFIG + fan] & (TACH_ENABLE | RPM_MODE):
            return 0x7FF
        periods = min(32, 1 << (self._registers[DYNAMICS + fan] >> 5))
        return min(0x7FF, round(60 * periods * CLOCK_HZ / (2 * rpm)))

    def _load(self, register: int) -> int:
        if TACH <= register < DUTY:
            fan, low = divmod(register - TACH, 2)
            # Inputs 7 to 12 are outputs unless they are made inputs, which is not modelled.
            value = (self._count(fan) if fan < FANS else 0x7FF) << 5
            return value & 0xFF if low else value >> 8
        if DUTY <= register < DUTY + 2 * FANS:
            fan, low = divmod(register - DUTY, 2)
            value = self._driven(fan) << 7
            return value & 0xFF if low else value >> 8
        return self._registers.get(register, 0xFF)

    def _store(self, register: int, value: int) -> None:
        if register == GLOBAL and value & RESET:
            self.power_on()
            return
        if FAULT_2 <= register < MASK_2 or TACH <= register < TARGET:
            return
        words = TARGET <= register < WINDOW
        if words and register % 2:
            value &= 0x80 if register < TACH_TARGET else 0xE0
        if register in self._registers:
            self._registers[register] = value
