"""Fans that a hwmon driver of the kernel drives: a board's own headers, or a controller's.

Part        any chip whose kernel driver shows pwmN: those of mainboards (nct6775, it87, f71882fg),
            controllers (emc2305, max31790), the fan header of some boards (pwmfan)
Sources     Linux 6.1 Documentation/hwmon/sysfs-interface.rst (names, units, pwmN_enable) and
            drivers/hwmon/emc2305.c, max31790.c (steps, one setting for all)
Bus         sysfs, with /sys as its folder
Ranges      duty 0..255 of 255; speed as the chip counts it
Accuracy    that of the chip
Quirks      - A chip is found by what its driver calls it (`cat /sys/class/hwmon/*/name`), because
              the numbers of hwmon folders change from boot to boot. Two of one name are told apart
              by ``device``.
            - Probing changes nothing. With the first order ``pwmN_enable`` becomes 1 (manual), and
              it stays so when hwctl ends: the board's own control is then out of the loop.
            - There is no watchdog: a fan keeps the speed it was driven at last, whatever becomes of
              the head. At an orderly stop that is a safe one.
            - Some drivers have coarse steps, or a lower limit set by the kernel's thermal control.
              What is read back is what is reported; a fan that stays more than a tenth slower than
              it was driven is an error. Some chips ramp, and take a while to get there.
            - Linux' emc2305 has ten steps and one setting for all fans: the fan that needs most
              decides for all.
            - The files belong to root; hwctl's udev rules give them to the service.
"""

from collections.abc import Sequence

from pydantic import Field

from hwctl.model.drivers import Driver, Options, SysfsBus
from hwctl.model.errors import DeviceMismatchError, DeviceNotFoundError, HwctlError
from hwctl_drivers._hwmon import EMC2305_STEPS, HwmonFans

FOLDER = "class/hwmon"
COMMON = {"emc2305": EMC2305_STEPS}
"""Drivers with one setting for all fans, and how many steps it has."""


class HwmonFanOptions(Options):
    """What the wiring file says of a chip; its fans are the channels, as the kernel counts them."""

    chip: str = Field(
        pattern=r"^[^\s/*-]+$",
        description='what the chip is called: `cat /sys/class/hwmon/*/name`, e.g. "nct6775"',
    )
    device: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        description='which of several of that name: where it hangs, e.g. "1-002e" for I2C bus 1, '
        'address 0x2e; "nct6775.656"',
    )

    def claims(self) -> Sequence[str]:
        return (f"hwmon {self.chip} {self.device or ''}".rstrip(),)


class HwmonFan(HwmonFans):
    """One chip's fans; channels as the kernel numbers them, from 1."""

    def __init__(self, bus: SysfsBus, options: HwmonFanOptions) -> None:
        where = f"hwmon {options.chip}"
        super().__init__(bus, where, self._chip, steps=COMMON.get(options.chip))
        self._options = options

    def _chip(self) -> str:
        """The folder of the only chip that fits."""
        named, fitting = [], []
        for entry in self._bus.names(FOLDER):
            folder = f"{FOLDER}/{entry}"
            try:
                name = self._bus.read(f"{folder}/name")
            except HwctlError:
                continue  # just leaving
            named.append(name)
            if name == self._options.chip and self._fits(folder):
                fitting.append(folder)
        if not fitting:
            raise DeviceNotFoundError(
                f"no chip is called so here, only {', '.join(sorted(named)) or 'none at all'}",
                where=self._where,
                hint="`cat /sys/class/hwmon/*/name` lists them; is its kernel driver loaded?",
            )
        if len(fitting) > 1:
            raise DeviceMismatchError(
                f"{len(fitting)} chips are called so",
                where=self._where,
                hint="say which by `device`: `ls -l /sys/class/hwmon/*/device` shows where they "
                "hang",
            )
        return fitting[0]

    def _fits(self, folder: str) -> bool:
        device = self._options.device
        # The folder of the device that it belongs to is its bus's entry of that name.
        return device is None or any(
            entry == folder.rpartition("/")[2]
            for bus in ("i2c", "platform", "spi", "hid", "usb", "pci")
            for entry in self._bus.names(f"bus/{bus}/devices/{device}/hwmon")
        )


DRIVER = Driver(
    name="hwmon_fan",
    summary="Fans that a kernel driver drives: a board's own headers, or a controller's",
    parts=("chips in /sys/class/hwmon with pwm files",),
    bus="sysfs",
    roles=frozenset({"fan"}),
    options=HwmonFanOptions,
    open=HwmonFan,
    channels=8,
    first_channel=1,
    proof="Linux' emc2305 on the emulated chip in the kernel lab, both ways",
)
