"""From the wiring file to chips on buses: one virtual part for each device that is wired.

A part for a new driver is a module of its own and one line in the table of its bus:
:mod:`.makers_i2c` (gauges, fans), :mod:`.makers_outlets` (outlets on I2C and GPIO),
:mod:`.makers_buses` (serial ports, Modbus, USB HID), :mod:`.makers_sysfs` (files of the kernel) and
:mod:`.makers_net`.
"""

from collections.abc import Callable, Collection

from hwctl.model.errors import ConfigError
from hwctl.model.wiring import Wiring
from hwctl_emulated import makers_buses, makers_i2c, makers_net, makers_outlets, makers_sysfs
from hwctl_emulated.emc230x import WATCHDOG_S
from hwctl_emulated.part import Site
from hwctl_emulated.parts import Parts
from hwctl_emulated.strip import Strip
from hwctl_emulated.wires import Settle
from hwctl_emulated.workshop import Workshop, no_bus

MOST_LEDS = 100_000


def _strip(shop: Workshop, site: Site) -> None:
    bus = shop.parts.spi.get(site.entry.bus or "")
    if bus is None:
        raise no_bus(site, "spi")
    leds = int(site.number("leds", 1))
    if not 1 <= leds <= MOST_LEDS:
        raise ConfigError(
            f"{leds} LEDs cannot be emulated, only 1 to {MOST_LEDS}",
            where=f"device.{site.name}",
            hint="count the LEDs again",
        )
    strip = Strip(leds, str(site.entry.options.get("order", "GRB")))
    bus.listeners.append(strip)
    shop.parts.strips[site.name] = strip


Maker = Callable[[Workshop, Site], None]

MAKERS: dict[str, Maker] = {
    **dict.fromkeys(makers_i2c.GAUGES, makers_i2c.make_gauge),
    **dict.fromkeys(makers_i2c.FANS, makers_i2c.make_fans),
    **dict.fromkeys(makers_outlets.I2C, makers_outlets.make_on_i2c),
    **makers_outlets.GPIO,
    **dict.fromkeys(makers_buses.SERIAL, makers_buses.make_on_serial),
    **dict.fromkeys(makers_buses.MODBUS, makers_buses.make_on_modbus),
    "hid_relay": makers_buses.make_on_hid,
    **makers_sysfs.SYSFS,
    **makers_net.NET,
    "ws281x_spi": _strip,
}
"""Driver -> what makes its part."""


def assemble(
    wiring: Wiring,
    seed: int,
    clock: Callable[[], float],
    *,
    watchdog_s: float = WATCHDOG_S,
    settle: Settle = lambda: None,
    alive: Callable[[str], bool] = lambda _device: True,
) -> Parts:
    """Build what is wired (see :class:`~.workshop.Workshop`).

    :raises ConfigError: naming the device and what is wrong with it.
    """
    shop = Workshop(wiring, seed, clock, watchdog_s, settle, alive)
    for name, entry in wiring.device.items():
        make = MAKERS.get(entry.driver)
        if make is None:
            raise ConfigError(
                f"there is no emulated part for driver {entry.driver!r}",
                where=f"device.{name}",
                hint=f"emulated are {', '.join(sorted(MAKERS))}; run without --emulate for others",
            )
        make(shop, shop.site(name, entry))
    return shop.parts


def check_references(wiring: Wiring, parts: Parts) -> None:
    """:raises ConfigError: the wiring names a part, rail or node that there is not."""
    wanted: list[tuple[str, str, Collection[str]]] = []
    for name, outlet in wiring.outlet.items():
        wanted.append((f"outlet.{name}", outlet.device, parts.switches))
        wanted.append((f"outlet.{name}", outlet.rail, wiring.rail))
        if outlet.node:
            wanted.append((f"outlet.{name}", outlet.node, wiring.node))
    wanted += [(f"rail.{n}", rail.supply, wiring.supply) for n, rail in wiring.rail.items()]
    wanted += [(f"fan.{n}", fan.device, parts.fans) for n, fan in wiring.fan.items()]
    for name, strip in wiring.strip.items():
        wanted.append((f"strip.{name}", strip.device, parts.strips))
        if strip.rail:
            wanted.append((f"strip.{name}", strip.rail, wiring.rail))
    for where, what, there in wanted:
        if what not in there:
            raise ConfigError(
                f"{what!r} is not wired as that",
                where=where,
                hint=f"choose one of {', '.join(sorted(there)) or '(none)'}",
            )
    for name, outlet in wiring.outlet.items():
        try:
            parts.switches[outlet.device].relay(outlet.channel)
        except LookupError as error:
            raise ConfigError(
                f"{outlet.device} has no channel {outlet.channel}",
                where=f"outlet.{name}",
                hint="mend `channel`, or the number of channels that the device has",
            ) from error
