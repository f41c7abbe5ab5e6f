"""What the kernel shows as files: batteries, fans and hub ports; one line per driver in the table.

All parts of a bus are in one tree, as all drivers of a kernel are.
"""

from collections.abc import Callable
from itertools import count

from hwctl_emulated import hwmon_fan, power_supply, pwm_fan, usb_port
from hwctl_emulated.part import Site
from hwctl_emulated.parts import FanBoard, Felt, Gauge
from hwctl_emulated.workshop import RUN_IN_SETTING, Workshop

HWMON_FANS = range(1, 9)
PWM_OUTPUTS = range(64)
"""What a device may have, as the drivers count them."""


def _power_supply(shop: Workshop, site: Site) -> None:
    battery = power_supply.make(site)

    def feel(channel: int, felt: Felt) -> None:
        del channel
        battery.sense(felt.pack_volts, felt.pack_amps, felt.charge, felt.celsius)

    shop.files(site).parts[site.name] = battery
    shop.parts.gauges[site.name] = Gauge(battery, feel, on_cells=True)


def _hwmon_fan(shop: Workshop, site: Site) -> None:
    channels = shop.fans(site, HWMON_FANS)
    hwmon = _unused(shop, site, "class/hwmon", "hwmon")
    chip = hwmon_fan.make(site, max(channels, default=1), hwmon)
    for fan in channels:
        pwm = f"class/hwmon/{hwmon}/pwm{fan}"
        chip.write(f"{pwm}_enable", str(hwmon_fan.MANUAL))
        chip.write(pwm, str(RUN_IN_SETTING))
    shop.files(site).parts[site.name] = chip
    shop.parts.fans[site.name] = FanBoard(chip, first=1, duty=chip.duty, rpm=chip.rpm)


def _pwm_fan(shop: Workshop, site: Site) -> None:
    channels = shop.fans(site, PWM_OUTPUTS)
    folder = "class/pwm"
    chip = pwm_fan.make(site, max([1, *channels]) + 1, _unused(shop, site, folder, "pwmchip"))
    [name] = chip.names(folder)
    period = round(site.number("period_us", 40.0) * 1000)
    for fan in channels:
        pwm = f"{folder}/{name}/pwm{fan}"
        chip.write(f"{folder}/{name}/export", str(fan))
        chip.write(f"{pwm}/period", str(period))
        chip.write(f"{pwm}/polarity", site.text("polarity", "normal"))
        chip.write(f"{pwm}/duty_cycle", str(period * RUN_IN_SETTING // 255))
        chip.write(f"{pwm}/enable", "1")
    shop.files(site).parts[site.name] = chip
    shop.parts.fans[site.name] = FanBoard(chip, first=0, duty=chip.duty, rpm=None)


def _unused(shop: Workshop, site: Site, folder: str, prefix: str) -> str:
    """The next number, unless another device has it or claims it."""
    there = shop.files(site).names(folder)
    claimed = [entry.options.get("chip") for entry in shop.wiring.device.values()]
    names = (f"{prefix}{number}" for number in count())
    return next(name for name in names if name not in there and name not in claimed)


def _usb_port(shop: Workshop, site: Site) -> None:
    port = usb_port.make(site)
    shop.files(site).parts[site.name] = port
    shop.parts.switches[site.name] = port
    # Linux switches a hub's ports on, and nobody had switched one off.


SYSFS: dict[str, Callable[[Workshop, Site], None]] = {
    "power_supply": _power_supply,
    "hwmon_fan": _hwmon_fan,
    "pwm_fan": _pwm_fan,
    "usb_port": _usb_port,
}
