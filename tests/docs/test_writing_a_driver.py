"""The example in docs/writing-a-driver.md is a driver that works."""

import re
import types
from pathlib import Path

import pytest

from hwctl.model.drivers import Driver
from hwctl.model.errors import DeviceDataError, DeviceMismatchError

PAGE = (Path(__file__).resolve().parents[2] / "docs/writing-a-driver.md").read_text()


class Registers:
    """An I2C bus with one chip of 16-bit registers on it."""

    def __init__(self, registers: dict[int, bytes]) -> None:
        self.registers = registers

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x48
        return self.registers[write[0]][:read]


def example() -> Driver:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module = types.ModuleType("mychip")
    exec(compile(code, "docs/writing-a-driver.md", "exec"), module.__dict__)
    driver = module.__dict__["DRIVER"]
    assert isinstance(driver, Driver)
    return driver


def test_the_example_reads() -> None:
    driver = example()
    bus = Registers({0xFE: b"\x54\x49", 0x02: (4000).to_bytes(2)})
    chip = driver.open(bus, driver.options(address=0x48))
    chip.probe()
    assert chip.read().volts == pytest.approx(5.0)


def test_the_example_refuses_what_it_should() -> None:
    driver = example()
    with pytest.raises(DeviceMismatchError):
        driver.open(Registers({0xFE: b"\0\0"}), driver.options(address=0x48)).probe()
    with pytest.raises(DeviceDataError):
        driver.open(Registers({0x02: b"\xff\xff"}), driver.options(address=0x48)).read()
    with pytest.raises(ValueError, match="address"):
        driver.options(address=0x10)


def test_every_file_that_the_page_names_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    for name in re.findall(r"`(hwctl/\S+\.py|drivers/\S+\.py|tests/\S+/)`", PAGE):
        assert (root / name).exists(), name
    for name in re.findall(r"\| `(\w+\.py)` \|", PAGE):
        assert (root / "drivers/hwctl_drivers" / name).exists(), name
