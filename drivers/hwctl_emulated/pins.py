"""A gpiozero pin factory over lines that live elsewhere: in this process or behind a socket.

Pin names, headers and reservations are gpiozero's own, for the board that the wiring names.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from gpiozero.exc import PinInvalidFunction, PinInvalidPull, PinPWMUnsupported, PinSetInput
from gpiozero.pins.pi import PiBoardInfo, PiFactory, PiPin

from hwctl.model.errors import ConfigError
from hwctl_emulated.gpio import Function, Pull, Watcher

_PROCESSORS = {
    "2b": (0x04, 1),
    "3b": (0x08, 2),
    "zero": (0x09, 0),
    "zerow": (0x0C, 0),
    "3b+": (0x0D, 2),
    "3a+": (0x0E, 2),
    "4b": (0x11, 3),
    "zero2w": (0x12, 2),
    "400": (0x13, 3),
    "cm4": (0x14, 3),
    "5b": (0x17, 4),
    "cm5": (0x18, 4),
    "500": (0x19, 4),
}
"""Model -> (type, processor) of a new-style revision code (gpiozero/pins/pi.py)."""
_FUNCTIONS: dict[str, Function] = {"input": "input", "output": "output"}
_PULLS: dict[str, Pull] = {"up": "up", "down": "down", "floating": "floating"}
_ALIASES = {"4": "4b", "5": "5b", "3": "3b", "2": "2b"}


def board_revision(model: str, revision: int | None = None) -> int:
    """The revision code that gpiozero looks pins up by.

    :param model: ``Raspberry Pi 4B``, ``Raspberry Pi Zero 2 W``, ``Raspberry Pi 4 Model B``.
    :raises ConfigError: a board whose header gpiozero does not know.
    """
    if revision is not None:
        return revision
    name = model.lower().replace("raspberry pi", "").replace("model", "").replace(" ", "")
    name = _ALIASES.get(name, name)
    if name not in _PROCESSORS:
        raise ConfigError(
            f"no pin names are known for {model!r}",
            where="board.model",
            hint="name a Raspberry Pi (2B, 3B, 3B+, 4B, 5, Zero 2 W, CM4, ...) or give its "
            "`revision` code, as `cat /proc/cpuinfo` shows it",
        )
    kind, processor = _PROCESSORS[name]
    return 0x800000 | 2 << 20 | processor << 12 | kind << 4


def line_of(pin: str, revision: int) -> int | None:
    """The GPIO number of "J8:11", "GPIO17", "BOARD11" ...; ``None`` if there is none."""
    for _header, info in PiBoardInfo.from_revision(revision).find_pin(pin):
        if "gpio" in info.interfaces:
            return int(info.name.removeprefix("GPIO"))
    return None


class Lines(Protocol):
    """What the factory needs of :class:`hwctl_emulated.gpio.GpioLines` or of its far end."""

    def level(self, number: int) -> bool: ...

    def function(self, number: int) -> Function: ...

    def set_function(self, number: int, function: Function) -> None: ...

    def drive(self, number: int, level: bool) -> None: ...

    def pull(self, number: int) -> Pull: ...

    def set_pull(self, number: int, pull: Pull) -> None: ...

    def watch(self, number: int, watcher: Watcher) -> Callable[[], None]: ...


class EmulatedPin(PiPin):  # type: ignore[misc]  # gpiozero has no type hints
    """One line. Becoming an output keeps the level, closing keeps everything.

    That is what the kernel's GPIO interface (uAPI v2) does for a line that is requested "as is"
    or as an output with its present value.
    """

    def __init__(self, factory: "EmulatedFactory", info: Any) -> None:  # noqa: ANN401
        super().__init__(factory, info)
        self._lines = factory.lines
        self._edges = "both"
        self._bounce: float | None = None
        self._unwatch: Callable[[], None] | None = None

    def close(self) -> None:
        self.when_changed = None

    def output_with_state(self, state: bool) -> None:
        self._lines.drive(self._number, bool(state))

    def _get_function(self) -> str:
        return self._lines.function(self._number)

    def _set_function(self, value: str) -> None:
        if value not in _FUNCTIONS:
            raise PinInvalidFunction(f"function of {self!r} must be input or output")
        self._lines.set_function(self._number, _FUNCTIONS[value])

    def _get_state(self) -> bool:
        return self._lines.level(self._number)

    def _set_state(self, value: float) -> None:
        if self._get_function() != "output":
            raise PinSetInput(f"cannot set the state of input {self!r}")
        self._lines.drive(self._number, bool(value))

    def _get_pull(self) -> str:
        return self._lines.pull(self._number)

    def _set_pull(self, value: str) -> None:
        if value not in _PULLS:
            raise PinInvalidPull(f"pull of {self!r} must be up, down or floating")
        self._lines.set_pull(self._number, _PULLS[value])

    def _get_frequency(self) -> None:
        return None

    def _set_frequency(self, value: float | None) -> None:
        if value is not None:
            raise PinPWMUnsupported(f"no PWM on {self!r}")

    def _get_bounce(self) -> float | None:
        return self._bounce

    def _set_bounce(self, value: float | None) -> None:
        self._bounce = value

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        self._edges = value

    def _enable_event_detect(self) -> None:
        self._unwatch = self._lines.watch(self._number, self._changed)

    def _disable_event_detect(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _changed(self, level: bool) -> None:
        if self._edges in ("both", "rising" if level else "falling"):
            self._call_when_changed(self.factory.ticks(), level)


class EmulatedFactory(PiFactory):  # type: ignore[misc]  # gpiozero has no type hints
    """Pins of the board with this ``revision`` code, on ``lines``."""

    def __init__(self, lines: Lines, revision: int) -> None:
        super().__init__()
        self.lines = lines
        self.pin_class = EmulatedPin
        self._revision = revision

    def _get_revision(self) -> int:
        return self._revision

    def ticks(self) -> float:
        return monotonic()

    def ticks_diff(self, later: float, earlier: float) -> float:
        return max(0.0, later - earlier)
