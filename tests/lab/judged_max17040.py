"""MAX17040, 41, 43, 44, 48, 49, 58 and 59. Linux reads them anew each time it is asked."""

from collections.abc import Iterator, Mapping
from functools import partial
from random import Random

from lab_oracle import CASES, Judged, Quantity

from hwctl_drivers import max17040
from hwctl_emulated.max17040 import Max17040

GOLDEN = ((0xC350, 0x5F80), (0xA000, 0x0A40))
"""What tests/drivers/test_max17040.py takes from here."""


def _cases(random: Random) -> Iterator[tuple[int, int]]:
    """(VCELL, SOC) in steps of 78.125 uV and 1/256 %.

    From the first step to 5 V and 100 %, where hwctl refuses more; no charge at all only where
    hwctl believes that.
    """
    yield from GOLDEN
    yield from ((16, 0), (0x7FF0, 0), (0x7FFF, 255), (0x8000, 256), (64_000, 1), (64_000, 25_600))
    for _ in range(CASES):
        yield random.randint(16, 64_000), random.randint(1, 25_600)


def _show(chip: Max17040, case: tuple[int, int], *, cells: int) -> None:
    vcell, soc = case
    chip.sense(vcell * 78.125e-6 * cells, charge=soc / 25_600)


def _read(gauge: max17040.Max17040, _case: object) -> Mapping[str, float]:
    sample = gauge.read()
    assert sample.volts is not None
    assert sample.charge is not None
    return {"volts": sample.volts, "charge": sample.charge}


def _judged(part: max17040.Part) -> Judged:
    cells = 2 if part in max17040.TWO_CELLS else 1
    fine = part in max17040.SIXTEEN_BITS
    return Judged(
        part=part.upper(),
        driver=max17040.DRIVER,
        options={"address": 0x36, "part": part},
        kernel_module="max17040_battery",
        kernel_name=part,
        make=lambda: Max17040(part),
        cases=_cases,
        show=partial(_show, cells=cells),
        read=_read,
        quantities={
            "volts": Quantity("voltage_now", 1e-6, (78.125e-6 if fine else 1.25e-3) * cells),
            "charge": Quantity("capacity", 0.01, 0.01),
        },
        folder="power_supply/*",
    )


JUDGED = (
    _judged("max17040"),
    _judged("max17041"),
    _judged("max17043"),
    _judged("max17044"),
    _judged("max17048"),
    _judged("max17049"),
    _judged("max17058"),
    _judged("max17059"),
)
