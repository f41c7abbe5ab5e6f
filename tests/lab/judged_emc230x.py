"""EMC2301, 2302, 2303 and 2305."""

from collections.abc import Callable, Iterator, Mapping
from random import Random

from lab_oracle import CASES, Judged, Quantity

from hwctl_drivers import emc230x
from hwctl_emulated.emc230x import FAN_BASE, Emc230x

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


JUDGED = tuple(_emc(fans) for fans in (1, 2, 3, 5))
