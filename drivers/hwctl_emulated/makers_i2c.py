"""Gauges and fan controllers on I2C: one line per driver in the tables at the ends."""

from collections.abc import Callable
from typing import Any

from hwctl.model.errors import ConfigError
from hwctl_emulated.bq27xxx import Bq27xxx
from hwctl_emulated.emc230x import FAN_BASE, WATCHDOG_S, Emc230x
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.ina226 import Ina226
from hwctl_emulated.ina228 import Ina228
from hwctl_emulated.ina238 import Ina238
from hwctl_emulated.ina3221 import Ina3221
from hwctl_emulated.max17040 import Max17040
from hwctl_emulated.max17042 import Max17042
from hwctl_emulated.max31790 import FANS as MAX31790_FANS
from hwctl_emulated.max31790 import Max31790
from hwctl_emulated.part import Site
from hwctl_emulated.parts import FanBoard, Felt, Gauge
from hwctl_emulated.pca9685 import CHANNELS as PCA9685_CHANNELS
from hwctl_emulated.pca9685 import Pca9685
from hwctl_emulated.workshop import Workshop

RUN_IN_SETTING = 0x80
"""Of 255: what the last hwctl had left in the fan controllers."""


# --- gauges ---------------------------------------------------------------------------------------


def _monitor(part: Callable[..., Any]) -> Callable[[Site], Gauge]:
    """INA219 and INA226: volts and amps, and nothing else."""

    def make(site: Site) -> Gauge:
        chip = part(_ohms(site), site.rng, reversed_shunt=_reversed(site))
        return Gauge(chip, lambda _channel, felt: chip.sense(felt.volts, felt.amps))

    return make


def _ina228(site: Site) -> Gauge:
    chip = Ina228(_ohms(site), site.rng, reversed_shunt=_reversed(site))
    return Gauge(
        chip, lambda _channel, felt: chip.sense(felt.volts, felt.amps, felt.seconds, felt.celsius)
    )


def _ina238(site: Site) -> Gauge:
    part: Any = site.text("part", "INA238")
    chip = Ina238(_ohms(site), site.rng, reversed_shunt=_reversed(site), part=part)
    return Gauge(chip, lambda _channel, felt: chip.sense(felt.volts, felt.amps, felt.celsius))


def _ina3221(site: Site) -> Gauge:
    options = site.entry.options
    chip = Ina3221(
        _three(site, options.get("shunt_ohms", (0.1, 0.1, 0.1))),
        site.rng,
        reversed_shunts=_three(site, options.get("reversed", (False, False, False))),
    )
    return Gauge(
        chip, lambda channel, felt: chip.sense(felt.volts, felt.amps, channel), channels=(1, 2, 3)
    )


def _max17040(site: Site) -> Gauge:
    name = site.text("part", "max17048")
    chip = Max17040(name, double_soc=site.flag("double_soc", default=False))
    cells = 2 if name in {"max17041", "max17044", "max17049", "max17059"} else 1
    return Gauge(
        chip,
        lambda _channel, felt: chip.sense(cells * felt.cell_volts, charge=felt.charge),
        on_cells=True,
    )


def _max17042(site: Site) -> Gauge:
    chip = Max17042(
        site.text("part", "max17047"),
        site.number("shunt_ohms", 0.01),
        reversed_shunt=_reversed(site),
    )
    # Somebody had loaded its model and cleared POR; nothing else is remembered.
    return Gauge(chip, _on_cells(chip, 1), on_cells=True, left=(b"\x00\x00\x00",))


def _bq27xxx(site: Site) -> Gauge:
    chip = Bq27xxx(site.text("part", "bq27441"))
    # Somebody had set it up: SET_CFGUPDATE, then SOFT_RESET.
    left = (b"\x00\x13\x00", b"\x00\x42\x00")
    return Gauge(chip, _on_cells(chip, -1 if _reversed(site) else 1), on_cells=True, left=left)


def _on_cells(chip: Max17042 | Bq27xxx, sign: int) -> Callable[[int, Felt], None]:
    def feel(channel: int, felt: Felt) -> None:
        del channel
        chip.sense(felt.cell_volts, sign * felt.cell_amps, felt.charge, felt.celsius)

    return feel


def _ohms(site: Site) -> float:
    return site.number("shunt_ohms", 0.1)


def _reversed(site: Site) -> bool:
    return site.flag("reversed", default=False)


def _three(site: Site, values: Any) -> list[Any]:  # noqa: ANN401 - from the wiring file
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ConfigError(
            "an INA3221 has three shunts", where=f"device.{site.name}",
            hint="give three values, of channels 1 to 3",
        )  # fmt: skip
    return list(values)


GAUGES: dict[str, tuple[int, Callable[[Site], Gauge]]] = {
    "ina219": (0x40, _monitor(Ina219)),
    "ina226": (0x40, _monitor(Ina226)),
    "ina228": (0x40, _ina228),
    "ina238": (0x40, _ina238),
    "ina3221": (0x40, _ina3221),
    "max17040": (0x36, _max17040),
    "max17042": (0x36, _max17042),
    "bq27xxx": (0x55, _bq27xxx),
}
"""Driver -> (address if the wiring names none, maker)."""


# --- fans -----------------------------------------------------------------------------------------


def _emc230x(shop: Workshop, site: Site) -> tuple[int, FanBoard]:
    channels = _channels(shop, site, range(1, 6), "an EMC230x has fan channels 1 to 5")
    chip = Emc230x(max(channels, default=1), site.clock, site.rng, watchdog_s=shop.watchdog_s)
    # The EMC2301 has one address; the EMC2302-1 and its like sit at 0x2E.
    address = 0x2F if chip.product_fans == 1 else 0x2E
    return address, FanBoard(
        chip,
        first=1,
        duty=chip.duty,
        rpm=chip.rpm,
        left=lambda fan: [bytes([FAN_BASE + 0x10 * fan, RUN_IN_SETTING])],
    )


def _max31790(shop: Workshop, site: Site) -> tuple[int, FanBoard]:
    _channels(shop, site, range(1, MAX31790_FANS + 1), "a MAX31790 has fan channels 1 to 6")
    chip = Max31790(site.clock, site.rng, watchdog_scale=shop.watchdog_s / WATCHDOG_S)
    # The target duty of each fan has 9 bits, in the upper bits of two registers from 0x40 on.
    setting = (RUN_IN_SETTING << 8).to_bytes(2)
    return 0x20, FanBoard(
        chip,
        first=1,
        duty=chip.duty,
        rpm=chip.rpm,
        left=lambda fan: [bytes([0x40 + 2 * fan]) + setting],
    )


def _pca9685(shop: Workshop, site: Site) -> tuple[int, FanBoard]:
    _channels(shop, site, range(PCA9685_CHANNELS), "a PCA9685 has channels 0 to 15")
    chip = Pca9685()
    inverted = site.flag("inverted", default=False)
    # ON at 0, OFF at half of 4096 steps: half the time high, whichever way round it is wired.
    half = b"\x00\x00" + (2048).to_bytes(2, "little")
    return 0x40, FanBoard(
        chip,
        first=0,
        duty=lambda fan: 1 - chip.duty(fan) if inverted else chip.duty(fan),
        rpm=None,
        left=lambda fan: [b"\x00\x20", bytes([0x06 + 4 * fan]) + half],  # awake
    )


def _channels(shop: Workshop, site: Site, there: range, what: str) -> list[int]:
    """The fans that are wired to it. :raises ConfigError: it has no such channel."""
    channels = [fan.channel for fan in shop.wiring.fan.values() if fan.device == site.name]
    if any(channel not in there for channel in channels):
        raise ConfigError(
            what, where=f"device.{site.name}", hint="correct the `channel` of the fans on it"
        )
    return channels


FANS: dict[str, Callable[[Workshop, Site], tuple[int, FanBoard]]] = {
    "emc230x": _emc230x,
    "max31790": _max31790,
    "pca9685": _pca9685,
}
"""Driver -> maker, which also says the address if the wiring names none."""


def make_gauge(shop: Workshop, site: Site) -> None:
    default, make = GAUGES[site.entry.driver]
    gauge = make(site)
    bus, address = shop.place(site, gauge.chip, default)
    for data in gauge.left:
        bus.transact([(address, data)])
    shop.parts.gauges[site.name] = gauge


def make_fans(shop: Workshop, site: Site) -> None:
    default, board = FANS[site.entry.driver](shop, site)
    bus, address = shop.place(site, board.chip, default)
    for fan in shop.wiring.fan.values():
        if fan.device == site.name:
            for data in board.left(fan.channel - board.first):
                bus.transact([(address, data)])
    shop.parts.fans[site.name] = board
