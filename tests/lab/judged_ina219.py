"""INA219, and the INA228, which this kernel does not know."""

from collections.abc import Iterator, Mapping
from random import Random

from lab_oracle import CASES, Judged, NotJudged, Quantity

from hwctl_drivers import ina219, ina228
from hwctl_emulated.ina219 import Ina219


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


# With less than 5 mOhm, Linux 6.1's microwatts would no longer fit into its 32 bits.
JUDGED = tuple(_ina219(milliohms) for milliohms in (5, 10, 100))

NOT_JUDGED = (
    NotJudged(
        "INA228",
        ina228.DRIVER,
        "ina228",
        "Linux 6.1 has no driver for it; its ina238 knows only the INA238, whose registers are "
        "shorter",
    ),
)
