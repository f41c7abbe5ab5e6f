"""Gauges and fan controllers on I2C: one line per driver in the tables at the ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
from hwctl_emulated.parts import FanBoard, Felt, Gauge, PoweredChip
from hwctl_emulated.pca9685 import CHANNELS as PCA9685_CHANNELS
from hwctl_emulated.pca9685 import Pca9685
from hwctl_emulated.workshop import RUN_IN_SETTING, Workshop

T = TypeVar("T", Gauge, FanBoard)


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """A part that is to be placed."""

    address: int
    """If the wiring names none."""
    chip: PoweredChip
    what: T
    left: tuple[bytes, ...] = ()
    """What somebody had written to it before the world began: transfers."""


def _placed(shop: Workshop, site: Site, made: Made[T]) -> T:
    bus, address = shop.place(site, made.chip, made.address)
    for data in made.left:
        bus.transact([(address, data)])
    return made.what


# --- gauges ---------------------------------------------------------------------------------------


def _monitor(part: Callable[..., Any]) -> Callable[[Site], Made[Gauge]]:
    """INA219 and INA226: volts and amps, and nothing else."""

    def make(site: Site) -> Made[Gauge]:
        chip = part(_ohms(site), site.rng, reversed_shunt=_reversed(site))
        return Made(
            0x40, chip, Gauge(chip, lambda _channel, felt: chip.sense(felt.volts, felt.amps))
        )

    return make


def _ina228(site: Site) -> Made[Gauge]:
    chip = Ina228(_ohms(site), site.rng, reversed_shunt=_reversed(site))

    def feel(channel: int, felt: Felt) -> None:
        del channel
        chip.sense(felt.volts, felt.amps, felt.seconds, felt.celsius)

    return Made(0x40, chip, Gauge(chip, feel))


def _ina238(site: Site) -> Made[Gauge]:
    part: Any = site.text("part", "INA238")
    chip = Ina238(_ohms(site), site.rng, reversed_shunt=_reversed(site), part=part)

    def feel(channel: int, felt: Felt) -> None:
        del channel
        chip.sense(felt.volts, felt.amps, felt.celsius)

    return Made(0x40, chip, Gauge(chip, feel))


def _ina3221(site: Site) -> Made[Gauge]:
    options = site.entry.options
    chip = Ina3221(
        _three(site, options.get("shunt_ohms", (0.1, 0.1, 0.1))),
        site.rng,
        reversed_shunts=_three(site, options.get("reversed", (False, False, False))),
    )

    def feel(channel: int, felt: Felt) -> None:
        chip.sense(felt.volts, felt.amps, channel)

    return Made(0x40, chip, Gauge(chip, feel, channels=(1, 2, 3)))


def _max17040(site: Site) -> Made[Gauge]:
    name = site.text("part", "max17048")
    chip = Max17040(name, double_soc=site.flag("double_soc", default=False))
    cells = 2 if name in {"max17041", "max17044", "max17049", "max17059"} else 1

    def feel(channel: int, felt: Felt) -> None:
        del channel
        chip.sense(cells * felt.cell_volts, charge=felt.charge)

    return Made(0x36, chip, Gauge(chip, feel, on_cells=True))


def _max17042(site: Site) -> Made[Gauge]:
    chip = Max17042(
        site.text("part", "max17047"),
        site.number("shunt_ohms", 0.01),
        reversed_shunt=_reversed(site),
    )
    # Somebody had loaded its model and cleared POR; nothing else is remembered.
    return Made(0x36, chip, _on_cells(chip, 1), (b"\x00\x00\x00",))


def _bq27xxx(site: Site) -> Made[Gauge]:
    chip = Bq27xxx(site.text("part", "bq27441"))
    # Somebody had set it up: SET_CFGUPDATE, then SOFT_RESET.
    left = (b"\x00\x13\x00", b"\x00\x42\x00")
    return Made(0x55, chip, _on_cells(chip, -1 if _reversed(site) else 1), left)


def _on_cells(chip: Max17042 | Bq27xxx, sign: int) -> Gauge:
    def feel(channel: int, felt: Felt) -> None:
        del channel
        chip.sense(felt.cell_volts, sign * felt.cell_amps, felt.charge, felt.celsius)

    return Gauge(chip, feel, on_cells=True)


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


GAUGES: dict[str, Callable[[Site], Made[Gauge]]] = {
    "ina219": _monitor(Ina219),
    "ina226": _monitor(Ina226),
    "ina228": _ina228,
    "ina238": _ina238,
    "ina3221": _ina3221,
    "max17040": _max17040,
    "max17042": _max17042,
    "bq27xxx": _bq27xxx,
}


def make_gauge(shop: Workshop, site: Site) -> None:
    shop.parts.gauges[site.name] = _placed(shop, site, GAUGES[site.entry.driver](site))


# --- fans -----------------------------------------------------------------------------------------


def _emc230x(shop: Workshop, site: Site) -> Made[FanBoard]:
    channels = shop.fans(site, range(1, 6))
    chip = Emc230x(max(channels, default=1), site.clock, site.rng, watchdog_s=shop.watchdog_s)
    return Made(
        0x2F,
        chip,
        FanBoard(chip, first=1, duty=chip.duty, rpm=chip.rpm),
        tuple(bytes([FAN_BASE + 0x10 * (fan - 1), RUN_IN_SETTING]) for fan in channels),
    )


def _max31790(shop: Workshop, site: Site) -> Made[FanBoard]:
    channels = shop.fans(site, range(1, MAX31790_FANS + 1))
    chip = Max31790(site.clock, site.rng, watchdog_scale=shop.watchdog_s / WATCHDOG_S)
    # The target duty of each fan has 9 bits, in the upper bits of two registers from 0x40 on.
    setting = (RUN_IN_SETTING << 8).to_bytes(2)
    return Made(
        0x20,
        chip,
        FanBoard(chip, first=1, duty=chip.duty, rpm=chip.rpm),
        tuple(bytes([0x40 + 2 * (fan - 1)]) + setting for fan in channels),
    )


def _pca9685(shop: Workshop, site: Site) -> Made[FanBoard]:
    channels = shop.fans(site, range(PCA9685_CHANNELS))
    chip = Pca9685()
    inverted = site.flag("inverted", default=False)

    def duty(fan: int) -> float:
        return 1 - chip.duty(fan) if inverted else chip.duty(fan)

    # ON at 0, OFF at half of 4096 steps: half the time high, whichever way round it is wired.
    half = b"\x00\x00" + (2048).to_bytes(2, "little")
    awake = (b"\x00\x20",) if channels else ()
    return Made(
        0x40,
        chip,
        FanBoard(chip, first=0, duty=duty, rpm=None),
        awake + tuple(bytes([0x06 + 4 * fan]) + half for fan in channels),
    )


FANS: dict[str, Callable[[Workshop, Site], Made[FanBoard]]] = {
    "emc230x": _emc230x,
    "max31790": _max31790,
    "pca9685": _pca9685,
}


def make_fans(shop: Workshop, site: Site) -> None:
    shop.parts.fans[site.name] = _placed(shop, site, FANS[site.entry.driver](shop, site))
