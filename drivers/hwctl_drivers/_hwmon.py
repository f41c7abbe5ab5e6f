"""Gauges and fans of the kernel's hwmon drivers, for parts that these have taken, and for others.

Sources     Linux 6.1 Documentation/hwmon/sysfs-interface.rst (names and units of the files);
            drivers/hwmon/ina2xx.c, ina238.c, ina3221.c, emc2305.c and max31790.c (what each shows)
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from hwctl.model.drivers import FanSample, GaugeSample, SysfsBus
from hwctl.model.errors import (
    DeviceDataError,
    DeviceError,
    DeviceMismatchError,
    DeviceNotFoundError,
)
from hwctl.model.units import Amps, Celsius, Ratio, Rpm, Volts, Watts

MILLI = 1e-3
"""Volts, amperes or degrees per unit of in*_input, curr*_input and temp*_input."""
MICRO = 1e-6
"""Ohms per unit of shunt_resistor."""
PWM_FULL = 255
COARSE = 26
"""A driver may have steps as large as a tenth."""
EMC2305_STEPS = 10
"""Linux 6.1's emc2305.c: EMC2305_FAN_MAX_STATE, and one cooling device for all fans."""
MANUAL = "1"
"""Of pwm*_enable: as pwm* says, not as the chip thinks best."""


def number_in(bus: SysfsBus, path: str, where: str) -> int:
    """A file of one decimal number.

    :raises DeviceDataError: it holds something else. Otherwise as :meth:`SysfsBus.read`.
    """
    text = bus.read(path)
    try:
        return int(text)
    except ValueError as error:
        raise DeviceDataError(
            f"{path} says {text[:40]!r}, which is no number",
            where=where,
            hint="`dmesg` tells what its kernel driver complains of",
        ) from error


def check_name(bus: SysfsBus, known: Iterable[str], where: str) -> None:
    """Whether the kernel takes the part for what the wiring says.

    :raises DeviceMismatchError: it does not.
    """
    # A device that ACPI names is called MAX17047:00.
    found = bus.read("name").lower().partition(":")[0]
    known = sorted(known)
    if found not in known:
        raise DeviceMismatchError(
            f"is {found!r} for the kernel, not {' or '.join(known)}",
            where=where,
            hint="compare `driver` and `part` in the wiring file with the board and its overlay",
        )


def hwmon_of(bus: SysfsBus, where: str) -> str:
    """The folder of the part's hwmon device, below its own."""
    found = [name for name in bus.names("hwmon") if name.startswith("hwmon")]
    if not found:
        raise DeviceNotFoundError(
            "has a kernel driver that shows no hwmon device",
            where=where,
            hint="`dmesg` tells why; is it the driver for this part?",
        )
    return f"hwmon/{found[0]}"


@dataclass(frozen=True, slots=True)
class Monitor:
    """What the kernel's driver for a power monitor shows.

    In the names of files ``{n}`` stands for the channel, and ``{s}`` for the channel and 3.
    """

    names: frozenset[str]
    """What the kernel may call the part."""
    volts: tuple[float, float]
    """What it can measure."""
    shunt_full: int
    """In :attr:`shunt`'s units: from here on the current is beyond its range."""
    bus: str = "in1_input"
    shunt: str = "in0_input"
    amps: str = "curr1_input"
    ohms: str = "shunt_resistor"
    """What the kernel takes the shunt for, in millionths of an ohm."""
    default_ohms: float | None = None
    """... where the driver does not show that and the firmware says nothing."""
    firmware: str = "of_node/shunt-resistor"
    celsius: str | None = None
    channels: tuple[int, ...] = ()
    """Those there are, if there is more than one."""


class HwmonGauge:
    """A power monitor. What the kernel calls a current is one only if it knows the shunt: it is
    scaled from the shunt that the kernel takes it for to the wiring's."""

    def __init__(self, bus: SysfsBus, options: Any, monitor: Monitor) -> None:  # noqa: ANN401
        self._bus = bus
        self._options = options
        self._monitor = monitor
        self._where = f"0x{options.address:02x}, through the kernel"
        self._hwmon = ""

    def probe(self) -> None:
        check_name(self._bus, self._monitor.names, self._where)
        self._hwmon = hwmon_of(self._bus, self._where)

    def read(self, channel: int = 0) -> GaugeSample:
        """:raises DeviceDataError: out of range.

        :raises DeviceMismatchError: there is no such channel.
        """
        monitor = self._monitor
        if monitor.channels and channel not in monitor.channels:
            raise DeviceMismatchError(
                f"has no channel {channel}",
                where=self._where,
                hint="correct `channel` in the wiring file",
            )
        ohms, backwards = self._options.shunt_ohms, self._options.reversed
        if monitor.channels:
            at = monitor.channels.index(channel)
            ohms, backwards = ohms[at], backwards[at]
        if abs(self._get(monitor.shunt, channel)) >= monitor.shunt_full:
            raise self._error("reads a current beyond its range", "fit a smaller shunt")
        volts = Volts(self._get(monitor.bus, channel) * MILLI)
        if not monitor.volts[0] <= volts <= monitor.volts[1]:
            low, high = monitor.volts
            raise self._error(
                f"reads {volts:.2f} V, and can measure {low:g} to {high:g} V",
                "check SDA, its pull-up and the ground between head and gauge",
            )
        scale = self._kernel_ohms(channel, ohms) / ohms
        amps = Amps((-1 if backwards else 1) * self._get(monitor.amps, channel) * MILLI * scale)
        celsius = None
        if monitor.celsius is not None:
            celsius = Celsius(self._get(monitor.celsius, channel) * MILLI)
        return GaugeSample(volts=volts, amps=amps, watts=Watts(volts * amps), celsius=celsius)

    def _kernel_ohms(self, channel: int, ohms: float) -> float:
        if self._monitor.default_ohms is None:
            kernels = self._get(self._monitor.ohms, channel) * MICRO
            if kernels <= 0:
                raise self._error("has no shunt, for the kernel", "set its shunt_resistor")
            return kernels
        folder, _, name = self._monitor.firmware.rpartition("/")
        # What the firmware says is meant for this board, as what the wiring says.
        return ohms if name in self._bus.names(folder) else self._monitor.default_ohms

    def _get(self, file: str, channel: int) -> int:
        return number_in(
            self._bus, f"{self._hwmon}/{file.format(n=channel, s=channel + 3)}", self._where
        )

    def _error(self, what: str, hint: str) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)


class HwmonFans:
    """A fan controller: pwmN and fanN_input.

    :param hwmon: gives the folder of the files, and raises what ``probe`` is to raise.
    :param rpm_min: below it the chip cannot tell a speed from standstill.
    :param steps: of a driver that has one setting for all fans, in so few steps.
    """

    def __init__(
        self,
        bus: SysfsBus,
        where: str,
        hwmon: Callable[[], str],
        rpm_min: float = 0.0,
        steps: int | None = None,
    ) -> None:
        self._bus = bus
        self._where = where
        self._find = hwmon
        self._rpm_min = rpm_min
        self._steps = steps
        self._folder = ""
        self._asked: dict[int, int] = {}
        """Settings as last driven."""
        self._slow: dict[int, int] = {}
        """What was seen of fans that are slower than they were driven."""

    def probe(self) -> None:
        """Look for the files; nothing is written."""
        self._folder = self._find()
        if not any(name.startswith("pwm") for name in self._bus.names(self._folder)):
            raise DeviceMismatchError(
                f"has no pwm files in {self._folder}",
                where=self._where,
                hint="is it a fan controller, and does its kernel driver drive fans?",
            )

    def drive(self, channel: int, duty: Ratio) -> None:
        """Drive a fan, from the first time on as this says and not as the chip thinks best. Chips
        may take a while to get there; :meth:`read` looks whether they do.

        :raises DeviceDataError: no such duty.
        """
        if not 0 <= duty <= 1:
            raise DeviceDataError(
                f"cannot drive a fan at {duty}",
                where=self._where,
                hint="a duty is a ratio of 0..1",
            )
        self._check(channel)
        # Rounded up: rather too much air than too little.
        wanted = ceil(duty * PWM_FULL - 1e-6)
        fresh = channel not in self._asked
        self._asked[channel] = wanted
        self._slow.pop(channel, None)
        if self._steps is not None:
            # The fan that needs most decides.
            step = ceil(max(self._asked.values()) * self._steps / PWM_FULL)
            wanted = ceil(step * PWM_FULL / self._steps)
        if fresh:
            self._take_over(channel, wanted)
        self._put(channel, wanted)

    def read(self, channel: int = 0) -> FanSample:
        """``rpm`` is None where there is no tachometer.

        :raises DeviceDataError: it stays slower than it was driven.
        """
        self._check(channel)
        rpm = None
        if f"fan{channel}_input" in self._bus.names(self._folder):
            turns = number_in(self._bus, f"{self._folder}/fan{channel}_input", self._where)
            rpm = Rpm(float(turns) if turns >= self._rpm_min else 0.0)
        setting = self._setting(channel)
        asked = self._asked.get(channel, 0)
        if setting >= asked - COARSE:
            self._slow.pop(channel, None)
        elif self._slow.get(channel) == setting:
            raise DeviceDataError(
                f"was told to drive fan {channel} at {asked}/{PWM_FULL} and keeps {setting}",
                where=self._where,
                hint="does another program, or the kernel's thermal control, drive it as well?",
            )
        else:
            self._slow[channel] = setting  # it may be on its way
        return FanSample(rpm=rpm, duty=Ratio(setting / PWM_FULL))

    def _take_over(self, channel: int, wanted: int) -> None:
        path = f"{self._folder}/pwm{channel}_enable"
        if path.rpartition("/")[2] not in self._bus.names(self._folder):
            return
        if self._bus.read(path) != MANUAL:
            # The speed first where the kernel takes it: manual begins with what was written.
            with suppress(DeviceError):  # some take a speed only in manual mode
                self._put(channel, wanted)
            self._bus.write(path, MANUAL)

    def _setting(self, channel: int) -> int:
        value = number_in(self._bus, f"{self._folder}/pwm{channel}", self._where)
        if not 0 <= value <= PWM_FULL:
            raise DeviceDataError(
                f"says that fan {channel} is driven at {value} of {PWM_FULL}", where=self._where,
                hint="`dmesg` tells what its kernel driver complains of",
            )  # fmt: skip
        return value

    def _put(self, channel: int, value: int) -> None:
        self._bus.write(f"{self._folder}/pwm{channel}", str(value))

    def _check(self, channel: int) -> None:
        if not self._folder:
            self.probe()
        there = self._bus.names(self._folder)
        if not there:
            raise DeviceNotFoundError(
                f"{self._folder} is gone",
                where=self._where,
                hint="was its kernel driver unloaded? it is looked for again by itself",
            )
        if f"pwm{channel}" not in there:
            raise DeviceMismatchError(
                f"has no pwm{channel} in {self._folder}",
                where=self._where,
                hint="correct `channel` of that fan in the wiring file",
            )


def gauge(monitor: Monitor) -> Callable[[SysfsBus, Any], HwmonGauge]:
    """What a driver gives as ``kernel``."""
    return lambda bus, options: HwmonGauge(bus, options, monitor)


def fans(
    names: Iterable[str], rpm_min: float = 0.0, steps: int | None = None
) -> Callable[[SysfsBus, Any], HwmonFans]:
    """What a driver gives as ``kernel``. ``names``: what the kernel may call the part."""
    known = frozenset(names)

    def made(bus: SysfsBus, options: Any) -> HwmonFans:  # noqa: ANN401 - any I2C options
        where = f"0x{options.address:02x}, through the kernel"

        def hwmon() -> str:
            check_name(bus, known, where)
            return hwmon_of(bus, where)

        return HwmonFans(bus, where, hwmon, rpm_min, steps)

    return made
