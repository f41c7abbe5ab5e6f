"""MAX31790. The PCA9685, which the kernel shows as /sys/class/pwm, is judged by test_lab_pwm.py."""

import time
from collections.abc import Iterator, Mapping
from random import Random

from lab_oracle import Judged, Quantity

from hwctl_drivers import max31790, pca9685
from hwctl_emulated.max31790 import DYNAMICS, FANS, TARGET, Max31790

COUNTS = range(1, 0x7FF)
CACHE_S = 1.1
"""Linux' max31790 looks at the chip once a second, and says what it saw then."""

Case = tuple[tuple[int, int], ...]
"""(tach count, duty of 511) of each fan."""


def _cases(random: Random) -> Iterator[Case]:
    corners = [(COUNTS[0], 511), (COUNTS[-1], 0), (0x7FF, 1), (491, 256), (983, 255), (2, 510)]
    for turn in range(3):
        yield tuple(corners[turn:] + corners[:turn])
    for _ in range(7):
        yield tuple((random.choice(COUNTS), random.randint(0, 511)) for _ in range(FANS))


def _show(chip: Max31790, case: Case) -> None:
    for fan, (count, setting) in enumerate(case):
        chip.rpm[fan] = 0.0 if count == 0x7FF else 60 * 4 * 8192 / (2 * count)
        for register, data in ((DYNAMICS + fan, [0x40]), (TARGET + 2 * fan, divmod(setting, 2))):
            chip.start(False)
            chip.write(register)
            for place, byte in enumerate(data):
                chip.write(byte << 7 if place else byte)
            chip.stop()
    time.sleep(CACHE_S)


def _read(fans: max31790.Max31790, _case: Case) -> Mapping[str, float]:
    seen = {}
    for channel in range(1, FANS + 1):
        sample = fans.read(channel)
        assert sample.rpm is not None
        assert sample.duty is not None
        seen |= {f"rpm {channel}": sample.rpm, f"duty {channel}": sample.duty}
    return seen


def _quantities() -> dict[str, Quantity]:
    quantities = {}
    for channel in range(1, FANS + 1):
        quantities[f"rpm {channel}"] = Quantity(f"fan{channel}_input", 1.0, 1.0)
        quantities[f"duty {channel}"] = Quantity(f"pwm{channel}", 1 / 255, 1 / 255)
    return quantities


JUDGED = (
    Judged(
        part="MAX31790",
        driver=max31790.DRIVER,
        options={"address": 0x20},
        kernel_module="max31790",
        kernel_name="max31790",
        make=lambda: Max31790(lambda: 0.0),
        cases=_cases,
        show=_show,
        read=_read,
        quantities=_quantities(),
    ),
)

ELSEWHERE = {pca9685.DRIVER.name: "test_lab_pwm.py"}
"""Drivers that a test of their own compares with the kernel's."""
