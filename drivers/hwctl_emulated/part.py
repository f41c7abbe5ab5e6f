"""What an emulated part is to the world: how its bus reaches it, and what it does to the feeds.

Each part's module has ``make(site) -> part``. A part asks ``site.clock`` for the time and sleeps
nowhere: what it does by itself after a while has happened when it is looked at then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

from hwctl.model.errors import ConfigError
from hwctl.model.wiring import DeviceEntry


class Switch(Protocol):
    """Anything that switches feeds."""

    def relay(self, channel: int) -> bool:
        """Whether the feed of that channel (as the wiring counts) is on now."""
        ...

    def power_on(self) -> None:
        """As after its own power came back."""
        ...


class SerialPart(Protocol):
    def received(self, data: bytes) -> bytes:
        """Bytes from the host; what it answers. Frames may come in pieces, or two at once."""
        ...


class HidPart(Protocol):
    def get_feature(self, report: int, length: int) -> bytes:
        """:raises OSError: as the kernel would."""
        ...

    def set_feature(self, report: int, data: bytes) -> None: ...

    def write(self, report: int, data: bytes) -> None: ...


class HttpPart(Protocol):
    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. ``path`` is with the query; ``headers`` by lower-case name."""
        ...


class LinePart(Protocol):
    """A line protocol over TCP. One conversation at a time."""

    def line(self, text: str) -> str: ...


class SnmpPart(Protocol):
    """INTEGER objects of one agent."""

    def get(self, oid: str) -> int | None:
        """``None``: no such object."""
        ...

    def set(self, oid: str, value: int) -> bool:
        """Whether it was taken."""
        ...


class DatagramPart(Protocol):
    def datagram(self, data: bytes) -> None: ...


class FilesPart(Protocol):
    """Files of the kernel. Paths are below the bus's folder.

    All raise OSError as the kernel would.
    """

    def read(self, path: str) -> str: ...

    def write(self, path: str, text: str) -> None: ...

    def names(self, path: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where a part is built in: its table in the wiring file, and the world around it."""

    name: str
    entry: DeviceEntry
    clock: Callable[[], float]
    """Seconds of the world."""
    rng: Random

    def number(self, key: str, default: float) -> float:
        value = self.entry.options.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.entry.options.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def text(self, key: str, default: str) -> str:
        value = self.entry.options.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def _wrong(self, key: str, wanted: str) -> ConfigError:
        return ConfigError(
            f"{key} must be {wanted}",
            where=f"device.{self.name}",
            hint="`hwctl check` names the line",
        )
