"""The head's board: which GPIO line a pin's name means, and what that line does at boot.

The tables are gpiozero's (``PiBoardInfo``). Importing it costs 0.2 s, so that it is left until
the first pin is asked for: a rig without GPIO never pays.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from hwctl.config.problems import nearest, quoted
from hwctl.model.errors import ConfigError
from hwctl.model.wiring import Board

PULLED_UP = range(9)
"""GPIO0..8 pull up from reset on, 9..27 down: BCM2835 ARM Peripherals, page 102, as cited in
raspberrypi.stackexchange.com/questions/51479; (unverified) for the Raspberry Pi 5."""
HEADER_LINES = range(28)
"""GPIO0..27: the lines on every Raspberry Pi's header."""

_NEW_STYLE = 1 << 23
"""Bit 23 of a revision code says that bits 4..11 are the model's number:
raspberrypi.com/documentation, "Raspberry Pi revision codes", as gpiozero decodes them."""
_KINDS = range(0x1F, -1, -1)
"""Numbers of models to ask gpiozero for, the newest first; 0x1a was the last it knew in 2026.
Each costs 1 ms, ten times that on a Zero, so that the search ends with the one wanted."""
_SECOND = 2
"""The model A and B of the board's revision 2.0, of which far more were made."""
_NUMBERED = re.compile(r"(?:gpiochip\d+:|GPIO)?(\d{1,4})", re.ASCII)
_HEADER_PIN = re.compile(r"(?:J|P)\d+:\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pin:
    """One GPIO line of the head."""

    name: str
    """As the wiring file has it."""
    line: int | None
    """Its number on the chip; ``None`` for a line known by its name only."""
    label: str
    """For messages: "J8:11 (GPIO17)"."""
    boot_pull: Literal["up", "down"] | None = None
    """How a Raspberry Pi pulls it until somebody says otherwise; ``None`` if not known."""


class BoardPins:
    """The pins of one board.

    A board that gpiozero does not know (RockPro64, a PC) has no header names: its lines are
    taken by number or name, unchecked.
    """

    def __init__(self, board: Board) -> None:
        self.model = board.model
        self._revision = board.revision

    @cached_property
    def _info(self) -> Any:  # noqa: ANN401 - gpiozero has no type hints
        return self._of_revision() if self._revision is not None else self._of_model()

    @property
    def known(self) -> bool:
        """Whether it is a Raspberry Pi of which the header is known."""
        return self._info is not None

    @cached_property
    def doubt(self) -> tuple[str, str] | None:
        """What is wrong and what to do, if this should be a Raspberry Pi and is not known."""
        if self.known:
            return None
        if self._revision is not None:
            return (
                f"no board is known by the revision code 0x{self._revision:x}",
                "see `Revision` in /proc/cpuinfo, or leave `revision` out",
            )
        if not _plain(self.model)[0]:
            return None
        close = nearest(_plain(self.model)[1], [name for name, _ in _models()])
        guess = f"did you mean {quoted(f'Raspberry Pi {close}')}? " if close else ""
        return (
            f"no board {quoted(self.model)} is known, its pins cannot be checked",
            f"{guess}otherwise give its revision code as `revision`",
        )

    def resolve(self, name: str) -> Pin:
        """The line that ``name`` means: "J8:11", "GPIO17", "17", or a line's own name.

        :raises ConfigError: there is no such pin, or it is no GPIO line.
        """
        return self._on_header(name) if self.known else self._anywhere(name)

    def resolve_elsewhere(self, name: str) -> Pin:
        """The same for a chip that is not the board's own, such as an expander."""
        return self.resolve(name) if _HEADER_PIN.fullmatch(name) else self._anywhere(name)

    def _on_header(self, name: str) -> Pin:
        number = _NUMBERED.fullmatch(name)
        wanted = f"GPIO{int(number[1])}" if number else name
        found = [pin for _, pin in self._info.find_pin(wanted)]
        if not found:
            raise ConfigError(
                f"there is no pin {quoted(name)} on a Raspberry Pi {self._info.model}",
                hint="write header and pin, as `J8:11`, or the line, as `GPIO17`",
            )
        pin = found[0]
        if "gpio" not in pin.interfaces:
            raise ConfigError(
                f"pin {quoted(name)} is {pin.name}, not a GPIO line",
                hint="`pinout`, which comes with gpiozero, shows the header",
            )
        line = int(pin.name.removeprefix("GPIO"))
        header = next(
            f"{header.name}:{number}"
            for header in self._info.headers.values()
            for number, one in header.pins.items()
            if one.name == pin.name
        )
        return Pin(name, line, f"{header} (GPIO{line})", _boot_pull(line))

    def _anywhere(self, name: str) -> Pin:
        number = _NUMBERED.fullmatch(name)
        if number:
            return Pin(name, int(number[1]), f"line {int(number[1])}")
        if _HEADER_PIN.fullmatch(name):
            raise ConfigError(
                f"the header of board {quoted(self.model)} is not known, so that {quoted(name)} "
                "means no line",
                hint="name the line, as `17` or by its name; `gpioinfo` lists them",
            )
        if not name.strip() or not name.isprintable():
            raise ConfigError("a pin has no name", hint="write `J8:11`, `GPIO17` or a line's name")
        return Pin(name, None, f"line {name}")

    def _of_model(self) -> Any | None:  # noqa: ANN401 - gpiozero has no type hints
        maker, wanted = _plain(self.model)
        if not maker:
            return None
        return next((info for name, info in _models() if _same(name, wanted)), None)

    def _of_revision(self) -> Any | None:  # noqa: ANN401 - gpiozero has no type hints
        from gpiozero.exc import PinUnknownPi  # noqa: PLC0415 - see the module's docstring
        from gpiozero.pins.pi import PiBoardInfo  # noqa: PLC0415

        try:
            info = PiBoardInfo.from_revision(self._revision)
        except PinUnknownPi:
            return None
        return info if info.model != "???" else None


def _boot_pull(line: int) -> Literal["up", "down"] | None:
    if line not in HEADER_LINES:
        return None
    return "up" if line in PULLED_UP else "down"


def _models() -> Iterator[tuple[str, Any]]:
    """Every model that gpiozero knows by a revision code of the new style, and its board."""
    from gpiozero.pins.pi import PiBoardInfo  # noqa: PLC0415 - see the module's docstring

    for kind in _KINDS:
        info = PiBoardInfo.from_revision(_NEW_STYLE | kind << 4 | _SECOND)
        if info.model != "???":
            yield str(info.model), info


def _plain(model: str) -> tuple[bool, str]:
    """Whether it says Raspberry Pi, and the rest in gpiozero's manner: "4 Model B Rev 1.4" is
    "4B", "Zero 2 W" is "Zero2W"."""
    text = re.sub(r"\s+rev\s+[\d.]+$", "", model.strip(), flags=re.IGNORECASE)
    short = re.sub(r"(?i)^raspberry\s*pi\b|\bmodel\b", "", text)
    short = re.sub(r"(?i)\bcompute\s+module\b", "CM", short)
    short = re.sub(r"(?i)\s*\bplus\b", "+", short)
    return bool(re.match(r"(?i)raspberry\s*pi\b", text)), re.sub(r"\s+", "", short)


def _same(name: str, wanted: str) -> bool:
    """gpiozero says "5B" and "Zero W" where people say "5" and "ZeroW"."""
    name, wanted = name.replace(" ", "").casefold(), wanted.casefold()
    return name == wanted or (wanted.isdigit() and name == f"{wanted}b")
