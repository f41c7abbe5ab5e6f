"""MAX17042, 47, 50 and 55, and one without a shunt. Linux reads them anew each time it is asked."""

from collections.abc import Iterator, Mapping
from random import Random

from lab_oracle import CASES, Judged, Quantity

from hwctl_drivers import max17042
from hwctl_emulated.max17042 import Max17042

GOLDEN = (0xC350, -0x1000, 0x5A00, 0x1980)
"""What tests/drivers/test_max17042.py takes from here."""

Case = tuple[int, int, int, int]


def _cases(random: Random) -> Iterator[Case]:
    """(VCELL, CURRENT, RepSOC, TEMP) in steps.

    Up to 5 V and 100 %, and from -40 to 125 °C: beyond, hwctl refuses or does not know.
    """
    yield GOLDEN
    for current in (-0x8000, -1, 0, 1, 0x7FFF):
        yield 1, current, 0, -40 * 256
        yield 64_000, current, 25_600, 125 * 256
    for temp in (-257, -256, -255, -1, 0, 1, 255, 256):
        yield 0x8000, 1, 255, temp
    for _ in range(CASES):
        yield (
            random.randint(1, 64_000),
            random.randint(-0x8000, 0x7FFF),
            random.randint(0, 25_600),
            random.randint(-40 * 256, 125 * 256),
        )


def _show(chip: Max17042, case: Case) -> None:
    vcell, current, soc, temp = case
    out_of_the_battery = -current * 156.25e-6
    chip.sense(vcell * 78.125e-6, out_of_the_battery, soc / 25_600, temp / 256)


def _read(gauge: max17042.Max17042, _case: object) -> Mapping[str, float]:
    sample = gauge.read()
    assert sample.volts is not None
    assert sample.charge is not None
    assert sample.celsius is not None
    values = {"volts": sample.volts, "charge": sample.charge, "celsius": sample.celsius}
    return values if sample.amps is None else {**values, "amps": sample.amps}


def _chip(part: max17042.Part, registers: Mapping[int, int]) -> Max17042:
    """As firmware leaves it: with a model, and POR cleared."""
    chip = Max17042(part)
    for register, value in {0x00: 0x0000, **registers}.items():
        for byte in (register, *value.to_bytes(2, "little")):
            chip.write(byte)
        chip.stop()
    return chip


QUANTITIES = {
    "volts": Quantity("voltage_now", 1e-6, 78.125e-6),
    "charge": Quantity("capacity", 0.01, 0.01),
    "celsius": Quantity("temp", 0.1, 0.1),
}
# Linux says what goes into the battery, hwctl what comes out.
AMPS = {"amps": Quantity("current_now", -1e-6, 156.25e-6)}


def _judged(part: max17042.Part, *, shunt: bool = True) -> Judged:
    registers = {} if shunt else {0x2B: max17042.VOLTAGE_ONLY}
    return Judged(
        part=part.upper() + ("" if shunt else " without a shunt"),
        driver=max17042.DRIVER,
        options={"address": 0x36, "part": part, "shunt_ohms": 0.01},
        kernel_module="max17042_battery",
        kernel_name=part,
        make=lambda: _chip(part, registers),
        cases=_cases,
        show=_show,
        read=_read,
        quantities=QUANTITIES | (AMPS if shunt else {}),
        folder="power_supply/*",
    )


JUDGED = (
    _judged("max17042"),
    _judged("max17047"),
    _judged("max17047", shunt=False),
    _judged("max17050"),
    _judged("max17055"),
)
