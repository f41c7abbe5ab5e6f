"""A rig's files on their way to a checked rig: what of them is right, and where it stands."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hwctl.config.board import BoardPins
from hwctl.config.source import Source
from hwctl.model.drivers import Driver, Options
from hwctl.model.settings import Settings
from hwctl.model.wiring import Wiring


class Use(NamedTuple):
    """A driver, and what the files say to it."""

    driver: Driver
    options: Options

    def says(self, what: Literal["reads_back", "cycles", "asks"]) -> bool:
        """A property of the driver that may depend on its options."""
        value: bool | Callable[[Any], bool] = getattr(self.driver, what)
        return value if isinstance(value, bool) else value(self.options)

    @property
    def channels(self) -> range:
        """The channels that there are."""
        count = self.driver.channels
        number = count if isinstance(count, int) else count(self.options)
        return range(self.driver.first_channel, self.driver.first_channel + number)


class HostUse(NamedTuple):
    """How a node is asked about its load, and told to halt; ``None`` where it is not."""

    load: Use | None
    control: Use | None


@dataclass(frozen=True, slots=True)
class WiringDraft:
    """The wiring file. Entries that are wrong in themselves are left out of ``wiring``, but stay
    in ``source.values``, so that a reference to one of them is not a second fault."""

    source: Source
    wiring: Wiring
    drivers: Mapping[str, Driver]
    """By device; a driver that cannot be found or loaded is missing."""
    devices: Mapping[str, Use]
    """By device; one whose options are wrong is missing."""
    pins: BoardPins | None
    """``None`` if the table [board] is wrong."""

    def declared(self, table: str) -> Collection[str]:
        """The ids in a table, right or wrong."""
        found = self.source.values.get(table, {})
        return list(found) if isinstance(found, dict) else []


@dataclass(frozen=True, slots=True)
class SettingsDraft:
    """The settings file, with tables that are wrong in themselves replaced by their defaults."""

    source: Source
    settings: Settings
    hosts: Mapping[str, HostUse]
    """By node."""
