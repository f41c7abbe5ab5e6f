"""INA237 and INA238, in both ranges.

Linux 6.1's ina238 takes shunt and range from the firmware only: here it has 10 mOhm and the wide
range. Where hwctl has set the narrow one, a step is a quarter of what the kernel thinks. It knows
no INA237 by name, but has one driver for the two.
"""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Literal

from lab_oracle import CASES, Judged, Quantity

from hwctl_drivers import ina238
from hwctl_emulated.ina238 import Ina238

OHMS = 0.01
SHUNT, BUS, COLD, HOT = 32_766, 27_200, -320, 1000
"""The greatest steps that hwctl takes: just below full scale, 85 V, -40 and 125 °C."""
COARSE = 4
"""With the kernel's calibration one step of CURRENT is four of VSHUNT."""

Case = tuple[int, int, int]


def _cases(random: Random) -> Iterator[Case]:
    """(VSHUNT, VBUS, DIETEMP) in steps, from end to end."""
    for shunt in (-SHUNT, -COARSE, -1, 0, 1, COARSE, SHUNT // COARSE * COARSE, SHUNT):
        for bus, die in ((0, COLD), (1, -1), (BUS, HOT)):
            yield shunt, bus, die
    for index in range(CASES):
        shunt = random.randint(-SHUNT, SHUNT)
        # Every other one without a remainder, so that POWER can be compared to its own step.
        shunt = shunt // COARSE * COARSE if index % 2 else shunt
        yield shunt, random.randint(0, BUS), random.randint(COLD, HOT)


def _read(gauge: ina238.Ina238, case: Case) -> Mapping[str, float]:
    sample = gauge.read()
    assert sample.volts is not None
    assert sample.amps is not None
    assert sample.watts is not None
    assert sample.celsius is not None
    values = {
        "volts": sample.volts,
        "amps": sample.amps,
        "shunt": sample.amps * OHMS,
        "die": sample.celsius,
    }
    # The kernel's POWER is made of CURRENT, whose remainder is lost.
    return values if case[0] % COARSE else {**values, "watts": sample.watts}


def _ina238(part: Literal["INA237", "INA238"], *, narrow: bool) -> Judged:
    share = 0.25 if narrow else 1.0
    step = 5e-6 * share / OHMS

    def show(chip: Ina238, case: Case) -> None:
        shunt, bus, die = case
        chip.sense(bus * 3.125e-3, shunt * step, die * 0.125)

    return Judged(
        part=f"{part} with {41 if narrow else 164} mV",
        driver=ina238.DRIVER,
        options={
            "address": 0x42,
            "part": part,
            "shunt_ohms": OHMS,
            "max_amps": 4.0 if narrow else 16.0,
        },
        kernel_module="ina238",
        kernel_name="ina238",
        make=lambda: Ina238(OHMS, part=part),
        cases=_cases,
        show=show,
        read=_read,
        quantities={
            "volts": Quantity("in1_input", 1e-3, 3.125e-3),
            "amps": Quantity("curr1_input", 1e-3 * share, COARSE * step),
            "watts": Quantity("power1_input", 1e-6 * share, 0.2 * COARSE * step, sign=False),
            "shunt": Quantity("in0_input", 1e-3 * share, 1e-3 * share),
            "die": Quantity("temp1_input", 1e-3, 0.125),
        },
    )


JUDGED = (
    _ina238("INA238", narrow=False),
    _ina238("INA238", narrow=True),
    _ina238("INA237", narrow=False),
)
