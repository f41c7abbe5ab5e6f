"""Who judges whom: for each chip that hwctl knows, the kernel's driver for it and how to compare.

A chip that hwctl learns needs one entry here, and a line in lab/modules.txt if Debian does not
build its driver. What no driver of this kernel knows stands in ``NOT_JUDGED``, with the reason.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hwctl.model.drivers import Driver
from hwctl_drivers import emc230x, ina219, ina228
from hwctl_emulated.emc230x import FAN_BASE, Emc230x
from hwctl_emulated.i2c import Chip
from hwctl_emulated.ina219 import Ina219

CASES = 30
"""Random ones, besides the corners."""


@dataclass(frozen=True)
class Quantity:
    """One value that both read."""

    file: str
    """Of the kernel, below :attr:`Judged.folder`."""
    scale: float
    """From the kernel's number to hwctl's unit."""
    step: float
    """One unit of the coarser of the two, in hwctl's unit."""
    sign: bool = True
    """Whether the kernel's value has one."""


@dataclass(frozen=True)
class Judged:
    """One chip, read by hwctl's driver and by the kernel's."""

    part: str
    driver: Driver
    options: Mapping[str, Any]
    kernel_module: str
    kernel_name: str
    make: Callable[[], Chip]
    cases: Callable[[Random], Iterator[Any]]
    show: Callable[[Any, Any], None]
    """show(chip, case): let its registers hold that."""
    read: Callable[[Any, Any], Mapping[str, float]]
    """read(device, case): what hwctl reads, by the names of ``quantities``."""
    quantities: Mapping[str, Quantity]
    folder: str = "hwmon/hwmon*"
    attributes: Mapping[str, int] = field(default_factory=dict)
    """What the kernel's driver must be told, as files of ``folder``."""

    @property
    def address(self) -> int:
        return int(self.options["address"])


@dataclass(frozen=True)
class NotJudged:
    part: str
    driver: Driver
    kernel_name: str
    """How the kernel would call it."""
    why: str


# --- INA219 ----------------------------------------------------------------------------------


def _ina219_cases(random: Random) -> Iterator[tuple[int, int]]:
    """(SHUNT, BUS) in steps, from end to end; ±32,000 and 8000 are refused by hwctl as too much."""
    for shunt in (-31_999, -1, 0, 1, 31_999):
        for bus in (0, 1, 7_999):
            yield shunt, bus
    for _ in range(CASES):
        yield random.randint(-31_999, 31_999), random.randint(0, 7_999)


def _ina219(milliohms: int) -> Judged:
    ohms = milliohms / 1000
    amps = 10e-6 / ohms

    def show(chip: Ina219, case: tuple[int, int]) -> None:
        shunt, bus = case
        chip.sense(bus * 4e-3, shunt * amps)

    def read(gauge: ina219.Ina219, _case: object) -> Mapping[str, float]:
        sample = gauge.read()
        assert sample.volts is not None
        assert sample.amps is not None
        assert sample.watts is not None
        return {
            "volts": sample.volts,
            "amps": sample.amps,
            "watts": sample.watts,
            "shunt": sample.amps * ohms,
        }

    return Judged(
        part=f"INA219 with {milliohms} mOhm",
        driver=ina219.DRIVER,
        options={"address": 0x40, "shunt_ohms": ohms, "bus_range": 32},
        kernel_module="ina2xx",
        kernel_name="ina219",
        make=lambda: Ina219(ohms),
        cases=_ina219_cases,
        show=show,
        read=read,
        quantities={
            "volts": Quantity("in1_input", 1e-3, 4e-3),
            "amps": Quantity("curr1_input", 1e-3, max(1e-3, amps)),
            "watts": Quantity("power1_input", 1e-6, 20 * amps, sign=False),
            "shunt": Quantity("in0_input", 1e-3, 1e-3),
        },
        attributes={"shunt_resistor": milliohms * 1000},
    )


# --- EMC2301, 2302, 2303, 2305 ---------------------------------------------------------------

KERNEL_RANGE = 2
"""Linux' emc2305 takes it that RANGE is 1, as after power-up, and multiplies by 2; hwctl sets
RANGE to 0, where the multiplier is 1. So of the same count the kernel makes twice the speed."""
COUNTS = (*range(1, 7865), *range(8175, 8192))
"""In between, 481 to 499 rpm, hwctl says that the fan stands still, and the kernel only below."""


def _emc_cases(fans: int) -> Callable[[Random], Iterator[tuple[int, int, int]]]:
    def cases(random: Random) -> Iterator[tuple[int, int, int]]:
        """(fan, tach count, drive setting)"""
        for fan in range(fans):
            for count, setting in ((COUNTS[0], 255), (7864, 1), (8175, 128), (COUNTS[-1], 0)):
                yield fan, count, setting
        for _ in range(CASES):
            yield random.randrange(fans), random.choice(COUNTS), random.randint(0, 255)

    return cases


def _emc_show(chip: Emc230x, case: tuple[int, int, int]) -> None:
    fan, count, setting = case
    chip.rpm[fan] = emc230x.RPM_FACTOR / count
    chip.start(False)
    chip.write(FAN_BASE + 0x10 * fan)
    chip.write(setting)
    chip.stop()


def _emc_read(fans: emc230x.Emc230x, case: tuple[int, int, int]) -> Mapping[str, float]:
    channel = case[0] + 1
    sample = fans.read(channel)
    assert sample.rpm is not None
    assert sample.duty is not None
    return {f"rpm {channel}": sample.rpm, f"duty {channel}": sample.duty}


def _emc(fans: int) -> Judged:
    quantities = {}
    for channel in range(1, fans + 1):
        quantities[f"rpm {channel}"] = Quantity(f"fan{channel}_input", 1 / KERNEL_RANGE, 1.0)
        quantities[f"duty {channel}"] = Quantity(f"pwm{channel}", 1 / 255, 1 / 255)
    return Judged(
        part=f"EMC230{fans}",
        driver=emc230x.DRIVER,
        options={"address": 0x2F},
        kernel_module="emc2305",
        kernel_name=f"emc230{fans}",
        make=lambda: Emc230x(fans, lambda: 0.0),
        cases=_emc_cases(fans),
        show=_emc_show,
        read=_emc_read,
        quantities=quantities,
    )


JUDGED = (
    # With less than 5 mOhm, Linux 6.1's microwatts would no longer fit into its 32 bits.
    *(_ina219(milliohms) for milliohms in (5, 10, 100)),
    *(_emc(fans) for fans in (1, 2, 3, 5)),
)

NOT_JUDGED = (
    NotJudged(
        "INA228",
        ina228.DRIVER,
        "ina228",
        "Linux 6.1 has no driver for it; its ina238 knows only the INA238, whose registers are "
        "shorter",
    ),
)
