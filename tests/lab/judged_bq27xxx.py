"""The BQ27xxx that hwctl knows, each generation by its own table of Linux.

Linux keeps temperature and charge for 5 s or more. It looks again at once where its parameter
``poll_interval`` is changed, and whoever then asks waits until it has finished.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

from lab_oracle import Judged, Quantity

from hwctl_drivers import bq27xxx
from hwctl_emulated.bq27xxx import CONTROL, SET_CFGUPDATE, SOFT_RESET, Bq27xxx

POLL_INTERVAL = Path("/sys/module/bq27xxx_battery/parameters/poll_interval")
CASES = 6
"""Besides the corners; after each, Linux reads the whole part again."""
GOLDEN = (3300, -450, 66, 2986)
"""What tests/drivers/test_bq27xxx.py takes from here."""

Case = tuple[int, int, int, int]


class Watched(Bq27xxx):
    """Counts how often it was asked for its temperature."""

    asked = 0

    def load(self, register: int) -> bytes:
        if register == self.layout.temperature:
            self.asked += 1
        return super().load(register)


def _cases(random: Random) -> Iterator[Case]:
    """(mV, mA into the battery, %, 0.1 K).

    Up to 6 V and 100 %, and from -40 to 125 °C: beyond, hwctl refuses or does not know.
    """
    yield GOLDEN
    for current in (-0x8000, -1, 0, 1, 0x7FFF):
        yield 1, current, 0, 2332
        yield 6000, -current - 1, 100, 3981
    for _ in range(CASES):
        yield (
            random.randint(1, 6000),
            random.randint(-0x8000, 0x7FFF),
            random.randint(0, 100),
            random.randint(2332, 3981),
        )


def _show(chip: Watched, case: Case) -> None:
    millivolts, inwards, percent, temperature = case
    chip.sense(millivolts / 1000, -inwards / 1000, percent / 100, temperature / 10 - 273.15)


def _refresh(chip: Watched) -> Callable[[], bool]:
    before = chip.asked
    # A value that is the same as before does nothing.
    POLL_INTERVAL.write_text("361" if POLL_INTERVAL.read_text().strip() == "360" else "360")
    # The charge is read after the temperature, and both are given out only with the last of them.
    return lambda: chip.asked > before


def _read(gauge: bq27xxx.Bq27xxx, _case: object) -> Mapping[str, float]:
    sample = gauge.read()
    assert sample.volts is not None
    assert sample.amps is not None
    assert sample.charge is not None
    assert sample.celsius is not None
    return {
        "volts": sample.volts,
        "amps": sample.amps,
        "charge": sample.charge,
        "celsius": sample.celsius,
    }


def _chip(part: bq27xxx.Part) -> Watched:
    """As firmware leaves it: with its battery's settings."""
    chip = Watched(part)
    for subcommand in (SET_CFGUPDATE, SOFT_RESET):
        for byte in (CONTROL, *subcommand.to_bytes(2, "little")):
            chip.write(byte)
        chip.stop()
    return chip


def _judged(part: bq27xxx.Part) -> Judged:
    return Judged(
        part=part,
        driver=bq27xxx.DRIVER,
        options={"address": 0x55, "part": part},
        kernel_module="bq27xxx_battery_i2c",
        kernel_name=part.replace("-", ""),
        make=lambda: _chip(part),
        cases=_cases,
        show=_show,
        read=_read,
        quantities={
            "volts": Quantity("voltage_now", 1e-6, 1e-3),
            # Linux says what goes into the battery, hwctl what comes out.
            "amps": Quantity("current_now", -1e-6, 1e-3),
            "charge": Quantity("capacity", 0.01, 0.01),
            "celsius": Quantity("temp", 0.1, 0.1),
        },
        refresh=_refresh,
        folder="power_supply/*",
    )


JUDGED = tuple(_judged(part) for part in bq27xxx.TABLES)
