"""A 4-pin fan on a PWM output of the head: /sys/class/pwm, with no chip in between.

Part        any output that the kernel shows as a PWM: a Raspberry Pi's hardware PWM
            (dtoverlay=pwm), a SoC's own, a PCA9685 with the kernel's driver
Sources     Linux 6.1 Documentation/ABI/testing/sysfs-class-pwm and drivers/pwm/sysfs.c (files,
            nanoseconds, what is refused); Intel, "4-Wire Pulse Width Modulation (PWM) Controlled
            Fans", revision 1.3, section 2.1.4 (25 kHz, 21 to 28; unverified)
Bus         sysfs, with /sys as its folder
Ranges      duty 0..1 in steps of the hardware's
Accuracy    that of the head's oscillator
Quirks      - There is no tachometer here: rpm is None, and a fan that stands still is not noticed.
            - The number of a chip changes with the order in which drivers come up: name the device
              that it belongs to instead (`ls -l /sys/class/pwm` shows it).
            - Probing changes nothing. With the first order the channel is exported and set up; it
              stays so when hwctl ends, and the fan keeps the duty it was driven at last.
            - A channel that another kernel driver uses (a backlight, pwm-fan) cannot be exported:
              refused as busy.
            - The fan's input has a pull-up: it turns at full while the output is not driven. Some
              outputs fall to 0 when the head halts, which stops a fan that knows 0.
            - Chips with one frequency for all channels (PCA9685: 1526 Hz at the most) refuse
              another period: ``period_us`` is what the chip can do.
            - The files belong to root; hwctl's udev rules give them to the service, those of an
              output a moment after it was exported: the very first order may come too early, fails,
              and is repeated.
"""

from collections.abc import Sequence
from math import ceil
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, FanSample, Options, SysfsBus
from hwctl.model.errors import (
    DeviceBusyError,
    DeviceDataError,
    DeviceError,
    DeviceMismatchError,
    DeviceNotFoundError,
)
from hwctl.model.units import Ratio
from hwctl_drivers._hwmon import number_in

FOLDER = "class/pwm"
BUSES = ("platform", "i2c", "pci", "usb")
"""Where devices with PWM outputs hang."""


class PwmFanOptions(Options):
    """What the wiring file says of the output's chip; the output is the fan's channel."""

    chip: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description='the device that it belongs to ("fe20c000.pwm", "1-0040"), or "pwmchip0"',
    )
    period_us: float = Field(
        default=40.0, gt=0, le=1_000_000, description="40 is 25 kHz, which 4-pin fans want"
    )
    polarity: Literal["normal", "inversed"] = Field(
        default="normal",
        description="inversed: behind a transistor that turns the signal round",
    )

    def claims(self) -> Sequence[str]:
        return (f"pwm {self.chip}",)


class PwmFan:
    """The outputs of one chip; channels as the kernel counts them, from 0."""

    def __init__(self, bus: SysfsBus, options: PwmFanOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"pwm {options.chip}"
        self._period = round(options.period_us * 1000)
        self._ready: set[int] = set()
        """Channels that were set up."""

    def probe(self) -> None:
        """Look for the chip; nothing is written."""
        self._count(self._chip())

    def drive(self, channel: int, duty: Ratio) -> None:
        """Drive a fan.

        :raises DeviceBusyError: the kernel has given that output to somebody else.
        :raises DeviceDataError: the kernel does not keep what was written.
        """
        if not 0 <= duty <= 1:
            raise DeviceDataError(
                f"cannot drive a fan at {duty}",
                where=self._where,
                hint="a duty is a ratio of 0..1",
            )
        pwm = self._output(channel)
        if pwm.rpartition("/")[2] not in self._bus.names(self._chip()):
            self._ready.discard(channel)
            self._export(channel)
        if channel not in self._ready:
            self._set_up(pwm)
            self._ready.add(channel)
        # Rounded up: rather too much air than too little.
        wanted = ceil(duty * self._period - 1e-6)
        self._bus.write(f"{pwm}/duty_cycle", str(wanted))
        self._bus.write(f"{pwm}/enable", "1")
        kept = number_in(self._bus, f"{pwm}/duty_cycle", self._where)
        if abs(kept - wanted) > self._period / 100:
            raise DeviceDataError(
                f"was told {wanted} ns of {self._period} for output {channel} and keeps {kept}",
                where=self._where,
                hint="does another program drive it as well?",
            )

    def read(self, channel: int = 0) -> FanSample:
        """The duty, and no speed. ``duty`` is None while nobody has exported the output, or it is
        not enabled."""
        pwm = self._output(channel)
        if pwm.rpartition("/")[2] not in self._bus.names(self._chip()):
            return FanSample(rpm=None, duty=None)
        if self._bus.read(f"{pwm}/enable") != "1":
            return FanSample(rpm=None, duty=None)
        period = number_in(self._bus, f"{pwm}/period", self._where)
        high = number_in(self._bus, f"{pwm}/duty_cycle", self._where)
        if not 0 <= high <= period or not period:
            raise DeviceDataError(
                f"says {high} ns of {period} for output {channel}",
                where=self._where,
                hint="`dmesg` tells what its kernel driver complains of",
            )
        return FanSample(rpm=None, duty=Ratio(high / period))

    def _set_up(self, pwm: str) -> None:
        """What a fan does not feel if it was set up before. The period first: without one the
        kernel refuses everything else."""
        if number_in(self._bus, f"{pwm}/period", self._where) != self._period:
            self._set_period(pwm)
        if self._bus.read(f"{pwm}/polarity") != self._options.polarity:
            # Refused while it is enabled, and by some chips altogether.
            if self._bus.read(f"{pwm}/enable") != "0":
                self._bus.write(f"{pwm}/enable", "0")
            self._bus.write(f"{pwm}/polarity", self._options.polarity)

    def _set_period(self, pwm: str) -> None:
        # A period shorter than the duty is refused, so the duty goes first if it has to.
        if number_in(self._bus, f"{pwm}/duty_cycle", self._where) > self._period:
            self._bus.write(f"{pwm}/duty_cycle", str(self._period))
        try:
            self._bus.write(f"{pwm}/period", str(self._period))
        except DeviceNotFoundError:
            raise
        except DeviceError as error:
            raise DeviceMismatchError(
                f"cannot have a period of {self._options.period_us:g} us",
                where=self._where,
                hint="set `period_us` to what the chip can do",
            ) from error

    def _export(self, channel: int) -> None:
        try:
            self._bus.write(f"{self._chip()}/export", str(channel))
        except DeviceNotFoundError:
            raise
        except DeviceError as error:
            raise DeviceBusyError(
                f"output {channel} is not to be had",
                where=self._where,
                hint="another kernel driver uses it: `sudo cat /sys/kernel/debug/pwm` names it",
            ) from error

    def _output(self, channel: int) -> str:
        chip = self._chip()
        count = self._count(chip)
        if not 0 <= channel < count:
            raise DeviceMismatchError(
                f"has outputs 0 to {count - 1}, no output {channel}",
                where=self._where,
                hint="correct `channel` of that fan in the wiring file",
            )
        return f"{chip}/pwm{channel}"

    def _count(self, chip: str) -> int:
        return number_in(self._bus, f"{chip}/npwm", self._where)

    def _chip(self) -> str:
        """Its folder. Looked for each time: it may be another after its driver was loaded anew."""
        wanted = self._options.chip
        chips = self._bus.names(FOLDER)
        if wanted in chips:
            return f"{FOLDER}/{wanted}"
        for bus in BUSES:
            for name in self._bus.names(f"bus/{bus}/devices/{wanted}/pwm"):
                if name in chips:
                    return f"{FOLDER}/{name}"
        raise DeviceNotFoundError(
            f"the kernel has no such PWM, only {', '.join(chips) or 'none at all'}",
            where=self._where,
            hint="`ls -l /sys/class/pwm` lists them; on a Raspberry Pi it takes dtoverlay=pwm",
        )


DRIVER = Driver(
    name="pwm_fan",
    summary="A 4-pin fan on a PWM output of the head itself",
    parts=("outputs in /sys/class/pwm",),
    bus="sysfs",
    roles=frozenset({"fan"}),
    options=PwmFanOptions,
    open=PwmFan,
    channels=64,
    proof="Linux' pwm-pca9685 on the emulated chip in the kernel lab",
)
