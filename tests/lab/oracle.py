"""How the kernel's driver for a chip and hwctl's are compared.

Each ``judged_*.py`` beside this file holds one family: ``JUDGED``, and ``NOT_JUDGED`` with the
reason for what no driver of this kernel knows. A chip that hwctl learns needs one entry there, and
a line in lab/modules.txt if Debian does not build its driver.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hwctl.model.drivers import Driver
from hwctl_emulated.i2c import Chip

CASES = 30
"""Random ones, besides the corners."""


@dataclass(frozen=True)
class Quantity:
    """One value that both read."""

    file: str
    """Of the kernel, below :attr:`Judged.folder`."""
    scale: float
    """From the kernel's number to hwctl's unit."""
    step: float
    """One unit of the coarser of the two, in hwctl's unit."""
    sign: bool = True
    """Whether the kernel's value has one."""


@dataclass(frozen=True)
class Judged:
    """One chip, read by hwctl's driver and by the kernel's."""

    part: str
    driver: Driver
    options: Mapping[str, Any]
    kernel_module: str
    kernel_name: str
    make: Callable[[], Chip]
    cases: Callable[[Random], Iterator[Any]]
    show: Callable[[Any, Any], None]
    """show(chip, case): let its registers hold that."""
    read: Callable[[Any, Any], Mapping[str, float]]
    """read(device, case): what hwctl reads, by the names of ``quantities``."""
    quantities: Mapping[str, Quantity]
    refresh: Callable[[Any], Callable[[], bool]] | None = None
    """refresh(chip) makes a kernel's driver that caches look again, and gives whether it does."""
    folder: str = "hwmon/hwmon*"
    attributes: Mapping[str, int] = field(default_factory=dict)
    """What the kernel's driver must be told, as files of ``folder``."""

    @property
    def address(self) -> int:
        return int(self.options["address"])


@dataclass(frozen=True)
class NotJudged:
    part: str
    driver: Driver
    kernel_name: str
    """How the kernel would call it."""
    why: str
