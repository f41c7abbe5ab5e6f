"""MAX31790: controller for six fans on I2C, each with PWM and tachometer.

Part        Maxim, now Analog Devices MAX31790
Sources     Linux 6.1 drivers/hwmon/max31790.c (register map, speeds, standstill); Zephyr
            include/zephyr/drivers/mfd/max31790.h and drivers/pwm/pwm_max31790.c (fields, base
            frequencies, 511 as the most); QEMU include/hw/sensor/max31790_fan_ctrl.h (power-on
            values, two pulses a turn); TI FAN31790 data sheet SLVSIZ2, the section on its
            watchdog (the same part from TI; bits 2:1, 5, 10 or 30 s, what it does when it expires);
            the MAX31790's own data sheet: first page only
Bus         I2C at 0x20..0x2f by two address pins (range unverified); words are big-endian
Ranges      duty 0..511 of 511; speed from 480 rpm on (two pulses a turn, four of them counted)
Accuracy    1 % of the speed (data sheet, front page)
Quirks      - The watchdog is the failsafe that needs no software: 10 s without bus traffic put
              every fan at full, and traffic puts it back (FAN31790). ``read`` reports what the
              part really drives, so the full duty shows for a moment.
            - The base frequency after power-up is 125 Hz, which 4-pin fans are not made for. It is
              set when a fan is first driven, for the three fans (1 to 3, 4 to 6) that share it.
            - A duty is ramped unless the part is told otherwise; the fastest rate is chosen.
            - In RPM mode the part drives by its own loop. The first ``drive`` ends that.
            - Standby stops all six fans; the first ``drive`` of any ends it.
            - No register says which part it is. Bits that are always 0 are looked at instead.
"""

from enum import IntEnum
from math import ceil
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, FanSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Ratio, Rpm
from hwctl_drivers._hwmon import fans

FANS = 6
STANDBY = 1 << 7
"""GLOBAL. Zephyr's max31790.h."""
WATCHDOG = 0b11 << 1
"""GLOBAL: 0 is off, then 5, 10 and 30 s (the order is unverified). SLVSIZ2."""
WATCHDOG_10_S = 0b10 << 1
RPM_MODE = 1 << 7
MONITOR = 1 << 4
"""CONFIG: the output is off. Linux' max31790.c calls that pwm_enable 0."""
TACH_ENABLE = 1 << 3
CONFIG_MASK = 0b1001_1111
"""All of CONFIG but what a fan does when it starts, which stays as found."""
CONFIG_PWM = TACH_ENABLE
"""PWM mode, the output on, pulses (no locked-rotor signal) on the tach input."""
RANGE_4 = 0b010 << 5
"""DYNAMICS: four tach periods are counted, and the fastest rate of change (rate 0)."""
DYNAMICS_MASK = 0b1111_1110
PERIODS = (1, 2, 4, 8, 16, 32, 32, 32)
"""Counted tach periods by the upper three bits of DYNAMICS. max31790.c, tach_period."""
FREQUENCIES = {25: 0, 30: 1, 35: 2, 100: 3, 125: 4, 1250: 6, 1470: 7, 5000: 9, 25_000: 11}
"""Hz to FREQUENCY's four bits. Zephyr's pwm_max31790.c."""
FULL = 0x1FF
STANDSTILL = 0x7FF
"""Count of a fan that stands still, or is too slow. max31790.c, FAN_COUNT_REG_MAX."""
CLOCK_HZ = 8192
PULSES = 2


class Register(IntEnum):
    """Addresses, those of a fan being of fan 1; a further fan is 1 higher, words 2."""

    GLOBAL = 0x00
    FREQUENCY = 0x01
    CONFIG = 0x02
    DYNAMICS = 0x08
    TACH = 0x18
    DUTY = 0x30
    TARGET = 0x40
    """The kernel calls it PWMOUT."""


def setting_from(duty: float) -> int:
    """The 9-bit setting for a duty, rounded up: rather too much air than too little."""
    return ceil(duty * FULL - 1e-6)


def word_from(setting: int) -> bytes:
    """DUTY and TARGET hold a setting in their upper nine bits."""
    return (setting << 7).to_bytes(2)


def setting_of(word: bytes) -> int:
    return int.from_bytes(word) >> 7


def rpm_from(word: bytes, dynamics: int) -> Rpm:
    """The speed from TACH, whose upper 11 bits count clocks; 0 for a fan that stands still."""
    count = int.from_bytes(word) >> 5
    if count == STANDSTILL:
        return Rpm(0.0)
    return Rpm(60 * PERIODS[dynamics >> 5] * CLOCK_HZ / (PULSES * count))


class Max31790Options(I2cOptions):
    """What the wiring file says of a MAX31790."""

    address: int = Field(default=0x20, ge=0x20, le=0x2F)
    pwm_hz: Literal[25, 30, 35, 100, 125, 1250, 1470, 5000, 25_000] = Field(
        default=25_000,
        description="base frequency of all six outputs: 25000 for 4-pin fans, low for transistors "
        "in the fans' supply",
    )


class Max31790:
    """One controller; channels 1 to 6."""

    def __init__(self, bus: I2cBus, options: Max31790Options) -> None:
        self._bus = bus
        self._address = options.address
        self._frequency = FREQUENCIES[options.pwm_hz] * 0x11
        self._where = f"MAX31790 at 0x{options.address:02x}"
        self._asked: dict[int, int] = {}
        """Settings as last driven."""

    def probe(self) -> None:
        """Look for the part, switch its watchdog and its tach inputs on; no duty changes."""
        control = self._get(Register.GLOBAL)
        tachs = [self._word(Register.TACH, fan) for fan in range(1, FANS + 1)]
        for stuck, name in ((0x00, "zeros"), (0xFF, "ones")):
            if {control, *b"".join(tachs)} == {stuck}:
                raise self._error(f"answers all {name}")
        if any(word[1] & 0x1F for word in tachs):
            raise DeviceMismatchError(
                "has set bits where a MAX31790's tach counts have none",
                where=self._where,
                hint="compare `address` and `driver` in the wiring file with the board",
            )
        self._set_up()

    def drive(self, channel: int, duty: Ratio) -> None:
        """Drive a fan. :raises DeviceDataError: the register does not keep what was written."""
        self._check(channel)
        if not 0 <= duty <= 1:
            raise self._error(f"cannot drive a fan at {duty}", "a duty is a ratio of 0..1")
        setting = setting_from(duty)
        self._asked[channel] = setting
        self._put(Register.TARGET, channel, word_from(setting))
        self._take_over(channel)
        kept = setting_of(self._word(Register.TARGET, channel))
        if kept != setting:
            raise self._error(f"was told to drive fan {channel} at {setting}/511 and keeps {kept}")

    def read(self, channel: int = 0) -> FanSample:
        """Speed and duty, in five transactions.

        :raises DeviceDataError: registers of all ones or all zeros, or the first sample after a
            reset.
        """
        self._check(channel)
        control, config = self._get(Register.GLOBAL), self._get(Register.CONFIG, channel)
        if control & WATCHDOG != WATCHDOG_10_S or not config & TACH_ENABLE:
            self._set_up()
            raise self._error("was reset; it was set up and its fans were driven again")
        dynamics = self._get(Register.DYNAMICS, channel)
        tach, duty = self._word(Register.TACH, channel), self._word(Register.DUTY, channel)
        if tach[1] & 0x1F or not any(tach):
            raise self._error(f"reads a tach count of 0x{tach.hex()} for fan {channel}")
        return FanSample(rpm=rpm_from(tach, dynamics), duty=Ratio(setting_of(duty) / FULL))

    def _set_up(self) -> None:
        """What no fan feels, and then, after a reset, what was driven before."""
        self._update(Register.GLOBAL, 1, WATCHDOG, WATCHDOG_10_S)
        if self._get(Register.GLOBAL) & WATCHDOG != WATCHDOG_10_S:
            raise self._error("does not keep its configuration")
        for fan in range(1, FANS + 1):
            self._update(Register.CONFIG, fan, TACH_ENABLE, TACH_ENABLE)
        for fan, setting in self._asked.items():
            if setting_of(self._word(Register.TARGET, fan)) < setting:
                self._put(Register.TARGET, fan, word_from(setting))
            self._take_over(fan)

    def _take_over(self, fan: int) -> None:
        """Make the fan follow TARGET, which already holds what it is to be driven at."""
        self._update(Register.FREQUENCY, 1, 0x0F if fan <= 3 else 0xF0, self._frequency)
        self._update(Register.CONFIG, fan, CONFIG_MASK, CONFIG_PWM)
        self._update(Register.DYNAMICS, fan, DYNAMICS_MASK, RANGE_4)
        self._update(Register.GLOBAL, 1, STANDBY, 0)

    def _check(self, channel: int) -> None:
        if not 1 <= channel <= FANS:
            raise DeviceMismatchError(
                f"has fans 1 to {FANS}, no fan {channel}",
                where=self._where,
                hint="correct `channel` of that fan in the wiring file",
            )

    def _error(
        self, what: str, hint: str = "check SDA, its pull-up and the 3.3 V"
    ) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)

    def _update(self, register: Register, fan: int, mask: int, value: int) -> None:
        """Change the bits of ``mask``, and write only if that changes anything."""
        old = self._get(register, fan)
        new = old & ~mask & 0xFF | value & mask
        if new != old:
            self._bus.transfer(self._address, bytes([register + fan - 1, new]))

    def _get(self, register: Register, fan: int = 1) -> int:
        return self._bus.transfer(self._address, bytes([register + fan - 1]), 1)[0]

    def _word(self, register: Register, fan: int) -> bytes:
        return self._bus.transfer(self._address, bytes([register + 2 * (fan - 1)]), 2)

    def _put(self, register: Register, fan: int, word: bytes) -> None:
        self._bus.transfer(self._address, bytes([register + 2 * (fan - 1), *word]))


def full(_options: Max31790Options, channel: int) -> bytes:
    """What drives a fan at full that hwctl has driven before, so that it is in PWM mode."""
    return bytes([Register.TARGET + 2 * (channel - 1), *word_from(FULL)])


DRIVER = Driver(
    name="max31790",
    summary="PWM and tachometer of six 4-pin fans, with a watchdog in hardware",
    parts=("MAX31790",),
    bus="i2c",
    roles=frozenset({"fan"}),
    options=Max31790Options,
    open=Max31790,
    kernel=fans(("max31790",)),
    proof="Linux' max31790 on the same registers, both ways; published power-on values",
    channels=FANS,
    first_channel=1,
    full=full,
)
