"""INA226."""

from collections.abc import Iterator, Mapping
from random import Random

from lab_oracle import CASES, Judged, Quantity

from hwctl_drivers import ina226
from hwctl_emulated.ina226 import Ina226

SHUNT, BUS = 32_766, 28_800
"""The greatest steps that hwctl takes: just below full scale, and 36 V."""


def _cases(random: Random) -> Iterator[tuple[int, int]]:
    """(SHUNT, BUS) in steps, from end to end."""
    for shunt in (-SHUNT, -1, 0, 1, SHUNT):
        for bus in (0, 1, BUS):
            yield shunt, bus
    for _ in range(CASES):
        yield random.randint(-SHUNT, SHUNT), random.randint(0, BUS)


def _ina226(milliohms: int) -> Judged:
    ohms = milliohms / 1000
    amps = 2.5e-6 / ohms

    def show(chip: Ina226, case: tuple[int, int]) -> None:
        shunt, bus = case
        chip.sense(bus * 1.25e-3, shunt * amps)

    def read(gauge: ina226.Ina226, _case: object) -> Mapping[str, float]:
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
        part=f"INA226 with {milliohms} mOhm",
        driver=ina226.DRIVER,
        options={"address": 0x41, "shunt_ohms": ohms},
        kernel_module="ina2xx",
        kernel_name="ina226",
        make=lambda: Ina226(ohms),
        cases=_cases,
        show=show,
        read=read,
        quantities={
            "volts": Quantity("in1_input", 1e-3, 1.25e-3),
            "amps": Quantity("curr1_input", 1e-3, max(1e-3, amps)),
            "watts": Quantity("power1_input", 1e-6, 25 * amps, sign=False),
            "shunt": Quantity("in0_input", 1e-3, 1e-3),
        },
        attributes={"shunt_resistor": milliohms * 1000},
    )


# Linux 6.1 rounds a step of current to whole microamperes: these shunts leave it nothing to round.
JUDGED = tuple(_ina226(milliohms) for milliohms in (2, 10, 100))
