"""PCA9685: 16 channels of 12-bit PWM on I2C, for fans without a tachometer.

Part        NXP PCA9685, and the boards with it (Adafruit 815 and its copies)
Sources     Linux 6.1 drivers/pwm/pwm-pca9685.c (registers, prescaler, order of full on and full
            off); NXP PCA9685 data sheet, revision 3 page 12 and revision 2 pages 21 and 23 (bits
            that cannot be written, ALL_LED reads zero, PRE_SCALE is blocked while awake)
Bus         I2C at 0x40..0x77 but 0x70, to which all parts answer after power-up until probed
Ranges      24 to 1526 Hz, one for all 16 channels; duty 0..4096 of 4096
Accuracy    the frequency a few percent, by the part's own oscillator (unverified)
Quirks      - 25 kHz, which 4-pin fans are made for, cannot be reached. Many follow 1526 Hz all the
              same, some hum or stand at full; a MOSFET in the fan's supply does with 100 Hz.
            - No tachometer: a fan that stands still is not seen.
            - No watchdog: fans keep their duty when the head dies. The service manager drives them
              full when hwctl ends, while the part still has its configuration.
            - After power-up all outputs are low: fans stop, unless a transistor inverts
              (``inverted``), with which they run at full until driven. Prefer that.
            - Asleep, as after power-up, no output is driven. The first ``drive`` wakes the part; to
              set its frequency it has to sleep for a moment, so it does both only then.
            - MODE2 (inversion by the part, open drain) is left as it is found.
            - No register says which part it is. Bits that are always 0 are looked at instead.
"""

from enum import IntEnum
from math import ceil

from pydantic import Field

from hwctl.model.drivers import Driver, FanSample, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Ratio

CHANNELS = 16
STEPS = 4096
RESTART = 1 << 7
"""MODE1: reads 1 if outputs were cut off by sleep; written 1, they go on (data sheet 7.3.1.1,
unverified)."""
AUTO_INCREMENT = 1 << 5
SLEEP = 1 << 4
OTHER_ADDRESSES = 0b1111
"""MODE1: answers to three sub-addresses and to 0x70."""
INVERT = 1 << 4
"""MODE2."""
HIGH_ZERO = 0b1110_0000
"""MODE2 and each channel's high bytes: bits that read 0. Data sheet, table 7."""
FULL = 1 << 4
"""In ON's high byte: always on. In OFF's high byte: always off, and that wins. Page 23."""
OSCILLATOR_HZ = 25_000_000
PRESCALE_LEAST = 3
"""pwm-pca9685.c: "max. frequency of 1526 Hz"; the part takes no less."""


class Register(IntEnum):
    """Addresses; LED is channel 0's first of four, each further channel 4 higher."""

    MODE1 = 0x00
    MODE2 = 0x01
    LED = 0x06
    ALL_LED = 0xFA
    PRESCALE = 0xFE


def prescale_from(hz: float) -> int:
    """PRESCALE for a frequency, as near as it gets."""
    return max(PRESCALE_LEAST, min(0xFF, round(OSCILLATOR_HZ / (STEPS * hz)) - 1))


def steps_from(duty: float) -> int:
    """Steps of 4096 for a duty, rounded up: rather too much air than too little."""
    return ceil(duty * STEPS - 1e-6)


def led_from(steps: int) -> bytes:
    """The four bytes of a channel (ON low and high, OFF low and high) that is high that long."""
    if steps == 0:
        return bytes([0, 0, 0, FULL])
    if steps == STEPS:
        return bytes([0, FULL, 0, 0])
    return bytes([0, 0, *steps.to_bytes(2, "little")])


def steps_of(led: bytes) -> int:
    """The reverse, whatever the phase. ON and OFF alike count as never (NXP's forum: measured)."""
    if led[3] & FULL:
        return 0
    if led[1] & FULL:
        return STEPS
    on, off = int.from_bytes(led[:2], "little"), int.from_bytes(led[2:], "little")
    return (off - on) % STEPS


class Pca9685Options(I2cOptions):
    """What the wiring file says of a PCA9685."""

    address: int = Field(default=0x40, ge=0x40, le=0x77)
    hz: float = Field(default=1526, ge=24, le=1526, description="base frequency of all channels")
    inverted: bool = Field(
        default=False,
        description="whether each output drives a transistor that pulls the fan's PWM wire low",
    )


class Pca9685:
    """One part; channels 0 to 15."""

    def __init__(self, bus: I2cBus, options: Pca9685Options) -> None:
        self._bus = bus
        self._options = options
        self._where = f"PCA9685 at 0x{options.address:02x}"
        self._asked: dict[int, int] = {}
        """Steps as last driven."""

    def probe(self) -> None:
        """Look for the part, and let it take four bytes at once; no output changes."""
        modes = self._get(Register.MODE1), self._get(Register.MODE2)
        prescale = self._get(Register.PRESCALE)
        for stuck, name in ((0x00, "zeros"), (0xFF, "ones")):
            if {*modes, prescale} == {stuck}:
                raise self._error(f"answers all {name}")
        zeros = [
            modes[1] & HIGH_ZERO,
            *(self._get(Register.ALL_LED + byte) for byte in range(4)),
            *(self._get(Register.LED + 4 * n + 3) & HIGH_ZERO for n in range(CHANNELS)),
        ]
        if any(zeros) or prescale < PRESCALE_LEAST:
            raise DeviceMismatchError(
                "has set bits where a PCA9685 has none",
                where=self._where,
                hint="compare `address` and `driver` in the wiring file with the board",
            )
        self._set_up(*self._asked)

    def drive(self, channel: int, duty: Ratio) -> None:
        """Drive a fan. :raises DeviceDataError: the registers do not keep what was written."""
        self._check(channel)
        if not 0 <= duty <= 1:
            raise self._error(f"cannot drive a fan at {duty}", "a duty is a ratio of 0..1")
        self._asked[channel] = steps_from(duty)
        self._set_up(channel)
        kept, wanted = self._led(channel), self._wanted(channel)
        if kept != wanted:
            raise self._error(
                f"was told to drive channel {channel} with {wanted.hex()} and keeps {kept.hex()}"
            )

    def read(self, channel: int = 0) -> FanSample:
        """The duty, in three transactions.

        :raises DeviceDataError: bits that cannot be set, or the first sample after a reset.
        """
        self._check(channel)
        mode = self._get(Register.MODE1)
        asleep = bool(mode & SLEEP)
        if not mode & AUTO_INCREMENT or (asleep and self._asked):
            self._set_up(*self._asked)
            raise self._error("was reset; it was set up and its fans were driven again")
        led = self._led(channel)
        if (led[1] | led[3]) & HIGH_ZERO:
            raise self._error(f"answers {led.hex()} for channel {channel}, which cannot be")
        steps = 0 if asleep else steps_of(led)
        duty = (STEPS - steps if self._inverted() else steps) / STEPS
        return FanSample(rpm=None, duty=Ratio(duty))

    def _set_up(self, *channels: int) -> None:
        """As :meth:`probe` says, and for channels that were driven, all that driving takes."""
        mode = self._get(Register.MODE1)
        if not channels:
            wanted = mode & SLEEP | AUTO_INCREMENT
            if mode & ~RESTART != wanted:
                self._put(Register.MODE1, wanted)
            return
        prescale = prescale_from(self._options.hz)
        if self._get(Register.PRESCALE) != prescale:
            self._put(Register.MODE1, AUTO_INCREMENT | SLEEP)
            self._put(Register.PRESCALE, prescale)
            mode = RESTART | SLEEP
        if mode & ~RESTART != AUTO_INCREMENT:
            self._put(Register.MODE1, AUTO_INCREMENT)
        if mode & RESTART:
            self._put(Register.MODE1, AUTO_INCREMENT | RESTART)
        for channel in channels:
            self._put(Register.LED + 4 * channel, *self._wanted(channel))

    def _wanted(self, channel: int) -> bytes:
        steps = self._asked[channel]
        return led_from(STEPS - steps if self._inverted() else steps)

    def _inverted(self) -> bool:
        """By the transistor or by the part, but not by both."""
        return self._options.inverted != bool(self._get(Register.MODE2) & INVERT)

    def _check(self, channel: int) -> None:
        if not 0 <= channel < CHANNELS:
            raise DeviceMismatchError(
                f"has channels 0 to {CHANNELS - 1}, no channel {channel}",
                where=self._where,
                hint="correct `channel` of that fan in the wiring file",
            )

    def _error(
        self, what: str, hint: str = "check SDA, its pull-up and the 3.3 V"
    ) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)

    def _led(self, channel: int) -> bytes:
        register = Register.LED + 4 * channel
        return self._bus.transfer(self._options.address, bytes([register]), 4)

    def _get(self, register: int) -> int:
        return self._bus.transfer(self._options.address, bytes([register]), 1)[0]

    def _put(self, register: int, *values: int) -> None:
        self._bus.transfer(self._options.address, bytes([register, *values]))


def full(options: Pca9685Options, channel: int) -> bytes:
    """What drives a fan at full on a part that hwctl has probed and whose MODE2 inverts nothing."""
    return bytes([Register.LED + 4 * channel, *led_from(0 if options.inverted else STEPS)])


DRIVER = Driver(
    name="pca9685",
    summary="PWM of 16 fans or transistors up to 1526 Hz, without tachometers",
    parts=("PCA9685",),
    bus="i2c",
    roles=frozenset({"fan"}),
    options=Pca9685Options,
    open=Pca9685,
    proof="Linux' pwm-pca9685 on the same registers, both ways; NXP's power-on values",
    channels=CHANNELS,
    full=full,
)
