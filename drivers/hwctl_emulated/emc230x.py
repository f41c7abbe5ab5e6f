"""EMC2301, EMC2302, EMC2303, EMC2305: the device side of a PWM fan controller.

Source: SMSC data sheets EMC2301 and EMC2302 (revision 1.1 and 1.2, pages read at pdf.ic37.com,
elcodis.com and datasheetandpdf.com): register map and defaults pp. 23-25, status bits p. 26,
block read p. 15, watchdog p. 21 (section 4.8), valid tach count p. 36, tach target p. 37; rpm
arithmetic from the kernel's emc2305.c. The closed speed loop (EN_ALGO, bit 7 of
fan configuration 1) is not modelled: the drive stays what it was.

Undefined registers read 00h and ignore writes. A block read goes on to the next register.
"""

from collections.abc import Callable
from random import Random

CONFIG, STATUS, STALL = 0x20, 0x24, 0x25
LOCK, PRODUCT, MAKER, REVISION = 0xEF, 0xFD, 0xFE, 0xFF
FAN_BASE = 0x30
SETTING, FAN_CONFIG, VALID_TACH, TACH_HIGH, TACH_LOW = 0x0, 0x2, 0x9, 0xE, 0xF

WD_EN = 1 << 5
WATCH = 1 << 7

PRODUCTS = {1: 0x37, 2: 0x36, 3: 0x35, 5: 0x34}
"""Fans -> product id."""
WATCHDOG_S = 4.0
"""Section 4.8."""
SPIN_UP_S = 2.0
"""A fan that is driven and still slower than the valid tach count after this has stalled; the
longest spin-up time that can be set (unverified)."""
RPM_FACTOR = 3_932_160
TACH_ERROR = 0.005
"""0.5 % accuracy from 500 to 16,000 rpm: the data sheet's front page."""

_GLOBAL_RESET = {0x20: 0x40, 0x29: 0x00, 0x2A: 0x00, 0x2B: 0x00, 0x2C: 0x00, 0x2D: 0x00, LOCK: 0}
_FAN_RESET = {
    0x0: 0x00,  # setting
    0x1: 0x01,  # PWM divide
    0x2: 0x2B,  # configuration 1
    0x3: 0x28,  # configuration 2
    0x5: 0x2A,  # gain
    0x6: 0x19,  # spin up (unverified)
    0x7: 0x10,  # max step (unverified)
    0x8: 0x66,  # minimum drive
    0x9: 0xF5,  # valid tach count
    0xA: 0x00,  # drive fail band, low and high
    0xB: 0x00,
    0xC: 0xF8,  # tach target, low and high
    0xD: 0xFF,
}
_IDENTITY = {PRODUCT: 0, MAKER: 0x5D, REVISION: 0x80}
_LOCKED_GLOBAL = frozenset({CONFIG, LOCK})
_LOCKED_FAN = frozenset({0x3, 0x5, 0x6, 0x7, 0x8, 0x9, 0xA, 0xB})


class Emc230x:
    """One part with ``fans`` fans wired to it.

    The world sets :attr:`rpm` and asks :meth:`duty`; both count fans from 0.

    :param clock: seconds on the world's clock.
    :param watchdog_s: 4 s; the world stretches it when it runs faster than life, because a host
        slowed by real input and output cannot feed a dog that runs 60 times too fast.
    """

    def __init__(
        self,
        fans: int,
        clock: Callable[[], float],
        rng: Random | None = None,
        *,
        watchdog_s: float = WATCHDOG_S,
    ) -> None:
        self.product_fans = next(size for size in sorted(PRODUCTS) if size >= fans)
        self.rpm = [0.0] * self.product_fans
        self._clock = clock
        self._watchdog_s = watchdog_s
        self._errors = [
            1 + (rng.uniform(-1, 1) * TACH_ERROR if rng else 0.0) for _ in range(self.product_fans)
        ]
        self._pointer = 0
        self._first = True
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up; the power-up watchdog starts."""
        self._registers = dict(_GLOBAL_RESET)
        for fan in range(self.product_fans):
            for offset, value in _FAN_RESET.items():
                self._registers[FAN_BASE + 0x10 * fan + offset] = value
        self._latched_low: int | None = None
        self._watch = False
        self._stalled = 0
        self._waiting = True
        self._active_at = self._clock()
        self._driven_since: list[float | None] = [None] * self.product_fans

    def duty(self, fan: int) -> float:
        """What the part drives, 0..1."""
        self.poll()
        return self._registers[FAN_BASE + 0x10 * fan + SETTING] / 255

    def poll(self) -> None:
        """Let the part's own clock catch up: watchdog and stall detection."""
        now = self._clock()
        config = self._registers[CONFIG]
        if (self._waiting or config & WD_EN) and now - self._active_at >= self._watchdog_s:
            self._watch = True
            self._waiting = False
            self._active_at = now
            for fan in range(self.product_fans):
                self._drive(fan, 0xFF)
        if self._waiting:
            return  # "While the Watchdog timer is active, the device will not check for" stalls.
        for fan, since in enumerate(self._driven_since):
            valid = self._registers[FAN_BASE + 0x10 * fan + VALID_TACH]
            if since is not None and now - since >= SPIN_UP_S and self._count(fan) >> 5 >= valid:
                self._stalled |= 1 << fan

    # --- the wires ---------------------------------------------------------------------------

    def start(self, read: bool) -> bool:
        self.poll()
        if not self._waiting:
            self._active_at = self._clock()
        if not read:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        if self._first:
            self._pointer = byte
            self._first = False
        else:
            self._store(self._pointer, byte)
            self._pointer = (self._pointer + 1) & 0xFF
        return True

    def read(self) -> int:
        value = self._load(self._pointer)
        self._pointer = (self._pointer + 1) & 0xFF
        return value

    def stop(self) -> None:
        self._first = True

    # --- registers ---------------------------------------------------------------------------

    def _count(self, fan: int) -> int:
        """13 bits; the range bits 6:5 of configuration 1 multiply by 1, 2, 4 or 8."""
        rpm = self.rpm[fan] * self._errors[fan]
        if rpm < 1:
            return 0x1FFF
        shift = self._registers[FAN_BASE + 0x10 * fan + FAN_CONFIG] >> 5 & 0b11
        return min(0x1FFF, round((RPM_FACTOR << shift) / rpm))

    def _drive(self, fan: int, value: int) -> None:
        self._registers[FAN_BASE + 0x10 * fan + SETTING] = value
        if value == 0:
            self._driven_since[fan] = None
        elif self._driven_since[fan] is None:
            self._driven_since[fan] = self._clock()

    def _fan_of(self, register: int) -> tuple[int, int] | None:
        fan, offset = divmod(register - FAN_BASE, 0x10)
        return (fan, offset) if 0 <= fan < self.product_fans else None

    def _load(self, register: int) -> int:
        if register == STATUS:
            value = (WATCH if self._watch else 0) | (1 if self._stalled else 0)
            self._watch = False
            return value
        if register == STALL:
            # Cleared by the read, and set again at once if the fan still stands.
            stalled, self._stalled = self._stalled, 0
            self.poll()
            return stalled
        if register in _IDENTITY:
            return PRODUCTS[self.product_fans] if register == PRODUCT else _IDENTITY[register]
        place = self._fan_of(register)
        if place and place[1] == TACH_HIGH:
            count = self._count(place[0])
            # The low byte must belong to the high byte read just before (unverified).
            self._latched_low = count << 3 & 0xF8
            return count >> 5
        if place and place[1] == TACH_LOW:
            low, self._latched_low = self._latched_low, None
            return low if low is not None else self._count(place[0]) << 3 & 0xF8
        return self._registers.get(register, 0)

    def _store(self, register: int, value: int) -> None:
        if register not in self._registers:
            return
        place = self._fan_of(register)
        locked = register in _LOCKED_GLOBAL or (place is not None and place[1] in _LOCKED_FAN)
        if locked and self._registers[LOCK] & 1:
            return
        if place and place[1] == SETTING:
            self._waiting = False
            self._active_at = self._clock()
            self._drive(place[0], value)
            return
        if register == CONFIG:
            value &= 0xE3
        if place and place[1] == 0xC:
            value &= 0xF8
        self._registers[register] = value
