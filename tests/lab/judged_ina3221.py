"""INA3221."""

from collections.abc import Iterator, Mapping
from random import Random

from lab_oracle import CASES, Judged, Quantity

from hwctl_drivers import ina3221
from hwctl_emulated.ina3221 import CVRF, Ina3221, Register

MILLIOHMS = (100, 10, 2)
SHUNT, LOW, HIGH = 4094, -2, 3250
"""The greatest steps that hwctl takes: just below full scale, -16 mV and 26 V."""

Case = tuple[int, int, int]


class Converting(Ina3221):
    """Goes on converting what is on its pins: by the time that somebody asks, it has again.

    The kernel's driver reads nothing before it has seen CVRF, and seeing it clears it.
    """

    def load(self, register: int) -> bytes:
        answer = super().load(register)
        return bytes([answer[0], answer[1] | CVRF]) if register == Register.MASK_ENABLE else answer


def _cases(random: Random) -> Iterator[Case]:
    """(channel, SHUNT, BUS) in steps, from end to end."""
    for channel in (1, 2, 3):
        for shunt, bus in ((-SHUNT, HIGH), (-1, LOW), (0, 0), (1, 1), (SHUNT, HIGH), (SHUNT, LOW)):
            yield channel, shunt, bus
    for _ in range(CASES):
        yield random.randint(1, 3), random.randint(-SHUNT, SHUNT), random.randint(LOW, HIGH)


def _show(chip: Ina3221, case: Case) -> None:
    channel, shunt, bus = case
    chip.sense(bus * 8e-3, shunt * 40e-3 / MILLIOHMS[channel - 1], channel)


def _read(gauge: ina3221.Ina3221, case: Case) -> Mapping[str, float]:
    channel = case[0]
    sample = gauge.read(channel)
    assert sample.volts is not None
    assert sample.amps is not None
    return {
        f"volts {channel}": sample.volts,
        f"amps {channel}": sample.amps,
        f"shunt {channel}": sample.amps * MILLIOHMS[channel - 1] / 1000,
    }


def _quantities() -> dict[str, Quantity]:
    quantities = {}
    for channel, milliohms in enumerate(MILLIOHMS, 1):
        step = 40e-3 / milliohms
        quantities[f"volts {channel}"] = Quantity(f"in{channel}_input", 1e-3, 8e-3)
        quantities[f"amps {channel}"] = Quantity(f"curr{channel}_input", 1e-3, max(1e-3, step))
        # The kernel's driver gives these in microvolts, whatever hwmon says of in*_input.
        quantities[f"shunt {channel}"] = Quantity(f"in{channel + 3}_input", 1e-6, 40e-6)
    return quantities


JUDGED = (
    Judged(
        part="INA3221",
        driver=ina3221.DRIVER,
        options={"address": 0x43, "shunt_ohms": [milliohms / 1000 for milliohms in MILLIOHMS]},
        kernel_module="ina3221",
        kernel_name="ina3221",
        make=lambda: Converting([milliohms / 1000 for milliohms in MILLIOHMS]),
        cases=_cases,
        show=_show,
        read=_read,
        quantities=_quantities(),
        attributes={
            f"shunt{channel}_resistor": milliohms * 1000
            for channel, milliohms in enumerate(MILLIOHMS, 1)
        },
    ),
)
