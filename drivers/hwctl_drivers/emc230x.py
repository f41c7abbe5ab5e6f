"""EMC2301, EMC2302, EMC2303, EMC2305: controllers for one to five 4-pin fans on I2C.

Part        SMSC, now Microchip EMC2301/2/3/5
Sources     SMSC EMC2302 data sheet 1.2: page 21 (watchdog), 29 to 33 (drive, modes), 36, 38 (tach);
            SMSC EMC2301 1.1: pages 23 and 26 (defaults, status); SMSC EMC2303: page 33 (ranges);
            SMSC EMC2305 1.1: pages 36 and 47; Linux drivers/hwmon/emc2305.c (ids, RPM factor)
Bus         I2C at 0x2c..0x2f, 0x4c, 0x4d (EMC2301 and EMC2302 have fixed ones); one-byte registers
Ranges      drive 0..255 of 255; speed 500..16,000 rpm of fans with two poles (5 edges a turn)
Accuracy    1 % of the speed, with the chip's own clock (EMC2305 data sheet, front page)
Quirks      - The watchdog is the failsafe that needs no software: once it is enabled (WD_EN), four
              seconds without bus traffic put every fan to full drive, where it stays until it is
              driven again. Drive or read each second; whether reads alone keep it quiet is
              (unverified). ``read`` then reports a duty of 1 until that fan is driven again, so
              whoever compares it with what was asked drives it again.
            - A brown-out stops the fans and forgets WD_EN: ``read`` looks at WD_EN each time; if it
              was lost, all is set up again and no fan is left slower than it was last driven.
            - With the power-on range a fan that stands still reads about 960 rpm. The widest range
              (500 rpm) is used instead, and what is slower than 500 rpm counts as 0.
            - Reading the tach's high byte freezes its low byte: the order matters.
"""

from enum import IntEnum
from math import ceil
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, FanSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Ratio, Rpm
from hwctl_drivers._hwmon import EMC2305_STEPS, fans

MAKER = 0x5D
"""EMC2302 data sheet, table 5.1."""
FANS = {0x37: 1, 0x36: 2, 0x35: 3, 0x34: 5}
"""Product id to number of fans. emc2305.c."""
WD_EN = 1 << 5
"""CONFIG: watchdog in continuous operation. EMC2302 data sheet, table 5.2."""
CONFIG_ZEROS = 0b0001_1100
"""CONFIG: bits that always read 0. EMC2302 data sheet, table 5.2."""
WATCH = 1 << 7
"""STATUS: the watchdog has expired; cleared by reading. EMC2301 data sheet, section 5.3.1."""
PWM_26_KHZ = 0x00
"""Base frequency of all fans of the register. EMC2302 data sheet, table 5.7."""
CONFIG_1_MASK = 0b1111_1000
"""EN_ALGO, RANGE, EDGES. EMC2303 data sheet, table 5.10."""
CONFIG_1_DIRECT = 0b0000_1000
"""EN_ALGO 0 (direct drive), RANGE 0 (500 rpm, multiplier 1), EDGES 1 (5 edges, two poles)."""
EN_RRC = 1 << 6
"""CONFIG_2: ramps in direct drive. EMC2302 data sheet, page 32."""
RPM_FACTOR = 3_932_160
"""RPM = 3,932,160 * multiplier / count. EMC2301 data sheet, equation 3."""
RPM_MIN = 500
"""The slowest speed told apart from standstill in RANGE 0. EMC2303 data sheet, table 5.11."""


class Register(IntEnum):
    """Addresses; from SETTING to TACH_LOW those of fan 1, each further fan 0x10 higher."""

    CONFIG = 0x20
    STATUS = 0x24
    PWM_BASE_45 = 0x2C
    PWM_BASE_123 = 0x2D
    SETTING = 0x30
    DIVIDE = 0x31
    CONFIG_1 = 0x32
    CONFIG_2 = 0x33
    MIN_DRIVE = 0x38
    TACH_HIGH = 0x3E
    TACH_LOW = 0x3F
    PRODUCT_ID = 0xFD
    MAKER_ID = 0xFE


def setting_from(duty: float) -> int:
    """The SETTING for a duty, rounded up: rather too much air than too little."""
    return ceil(duty * 255 - 1e-6)


def rpm_from(count: int) -> Rpm:
    """The speed from the 13-bit tach count, in RANGE 0; 0 for a fan that stands still."""
    rpm = RPM_FACTOR / count
    return Rpm(rpm if rpm >= RPM_MIN else 0.0)


class Emc230xOptions(I2cOptions):
    """What the wiring file says of an EMC230x."""

    address: Literal[0x2C, 0x2D, 0x2E, 0x2F, 0x4C, 0x4D] = Field(
        default=0x2F, description="EMC2301: 0x2f; EMC2302: 0x2e or 0x2f; else by a resistor"
    )


class Emc230x:
    """One controller; channels 1 to 5, as many as the part has."""

    def __init__(self, bus: I2cBus, options: Emc230xOptions) -> None:
        self._bus = bus
        self._address = options.address
        self._where = f"EMC230x at 0x{options.address:02x}"
        self._fans = 0
        self._asked: dict[int, int] = {}
        """SETTING as last driven."""
        self._expired: set[int] = set()
        """Channels that the watchdog drives."""

    def probe(self) -> None:
        maker, product = self._get(Register.MAKER_ID), self._get(Register.PRODUCT_ID)
        if maker == product and maker in {0x00, 0xFF}:
            raise self._error(f"answers all {'ones' if maker else 'zeros'}")
        if maker != MAKER or product not in FANS:
            raise DeviceMismatchError(
                f"identifies as maker 0x{maker:02x}, product 0x{product:02x}, "
                f"not as 0x{MAKER:02x}, 0x34..0x37",
                where=self._where,
                hint="compare `address` and `driver` in the wiring file with the board",
            )
        self._fans = FANS[product]
        self._set_up()
        self._get(Register.STATUS)  # an expiry of before is no news

    def drive(self, channel: int, duty: Ratio) -> None:
        """Drive a fan. :raises DeviceDataError: the register does not keep what was written."""
        self._check(channel)
        if not 0 <= duty <= 1:
            raise self._error(f"cannot drive a fan at {duty}", "a duty is a ratio of 0..1")
        setting = setting_from(duty)
        self._asked[channel] = setting
        self._put(Register.SETTING, setting, channel)
        kept = self._get(Register.SETTING, channel)
        if kept != setting:
            raise self._error(f"was told to drive fan {channel} at {setting}/255 and keeps {kept}")
        self._expired.discard(channel)

    def read(self, channel: int = 0) -> FanSample:
        """Speed and duty, in five transactions.

        :raises DeviceDataError: registers of all ones or all zeros, or the first sample after a
            reset.
        """
        self._check(channel)
        config = self._get(Register.CONFIG)
        if config & CONFIG_ZEROS:
            raise self._error(f"answers 0x{config:02x}, which no configuration can be")
        if not config & WD_EN:
            self._set_up()
            raise self._error("was reset; it was set up and its fans were driven again")
        if self._get(Register.STATUS) & WATCH:
            self._expired.update(range(1, self._fans + 1))
        setting = self._get(Register.SETTING, channel)
        high = self._get(Register.TACH_HIGH, channel)
        count = (high << 8 | self._get(Register.TACH_LOW, channel)) >> 3
        if not count:
            raise self._error(f"reads a tach count of 0 for fan {channel}")
        return FanSample(
            rpm=rpm_from(count), duty=Ratio(1.0 if channel in self._expired else setting / 255)
        )

    def _set_up(self) -> None:
        """In an order in which no fan ever slows down: the failsafe first."""
        self._update(Register.CONFIG, WD_EN, WD_EN)
        if not self._get(Register.CONFIG) & WD_EN:
            raise self._error(
                "does not keep its configuration",
                "if its registers were locked by software, take its power away for a moment",
            )
        for fan in range(1, self._fans + 1):
            least = max(self._get(Register.SETTING, fan), self._asked.get(fan, 0))
            self._update(Register.CONFIG_1, CONFIG_1_MASK, CONFIG_1_DIRECT, fan)
            self._update(Register.CONFIG_2, EN_RRC, 0, fan)
            self._update(Register.DIVIDE, 0xFF, 1, fan)
            self._update(Register.MIN_DRIVE, 0xFF, 0, fan)
            if self._get(Register.SETTING, fan) < least:
                self._put(Register.SETTING, least, fan)
        self._update(Register.PWM_BASE_123, 0xFF, PWM_26_KHZ)
        if self._fans > 3:
            self._update(Register.PWM_BASE_45, 0xFF, PWM_26_KHZ)

    def _check(self, channel: int) -> None:
        if not self._fans:
            self.probe()
        if not 1 <= channel <= self._fans:
            raise DeviceMismatchError(
                f"has fans 1 to {self._fans}, no fan {channel}",
                where=self._where,
                hint="correct `channel` of that fan in the wiring file",
            )

    def _error(
        self, what: str, hint: str = "check SDA, its pull-up and the 3.3 V"
    ) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)

    def _update(self, register: Register, mask: int, value: int, fan: int = 1) -> None:
        """Change the bits of ``mask``, and write only if that changes anything."""
        old = self._get(register, fan)
        new = old & ~mask & 0xFF | value
        if new != old:
            self._put(register, new, fan)

    def _get(self, register: Register, fan: int = 1) -> int:
        return self._bus.transfer(self._address, bytes([register + 0x10 * (fan - 1)]), 1)[0]

    def _put(self, register: Register, value: int, fan: int = 1) -> None:
        self._bus.transfer(self._address, bytes([register + 0x10 * (fan - 1), value]))


def full(_options: Emc230xOptions, channel: int) -> bytes:
    """What drives a fan at full, whatever drove it before."""
    return bytes([Register.SETTING + 0x10 * (channel - 1), 0xFF])


DRIVER = Driver(
    name="emc230x",
    summary="PWM and tachometer of one to five 4-pin fans, with a watchdog in hardware",
    parts=("EMC2301", "EMC2302", "EMC2303", "EMC2305"),
    bus="i2c",
    roles=frozenset({"fan"}),
    options=Emc230xOptions,
    open=Emc230x,
    kernel=fans(("emc2301", "emc2302", "emc2303", "emc2305"), rpm_min=1000, steps=EMC2305_STEPS),
    proof="data sheet values played over a scripted bus; Linux' emc2305 on the same tach count",
    channels=5,
    first_channel=1,
    full=full,
)
