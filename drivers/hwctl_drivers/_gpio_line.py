"""What the drivers on GPIO lines share: a line that is driven, one that is watched, their errors.

gpiozero turns a line back into an input when its device is closed or collected, which would switch
whatever hangs on it; :class:`DrivenLine` therefore never closes.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from gpiozero import (
    BadPinFactory,
    GPIOPinInUse,
    GPIOZeroError,
    InputDevice,
    OutputDevice,
    PinInvalidPin,
    PinSetInput,
)
from pydantic import Field

from hwctl.model.drivers import GpioBus, GpioOptions
from hwctl.model.errors import BusError, DeviceBusyError, DeviceNotFoundError, HwctlError


class SensedOptions(GpioOptions):
    """Options of an outlet on one line that may look at another to see what became of it."""

    sense: str | None = Field(
        default=None, description="pin that tells whether the node has power; unset: none is wired"
    )
    sense_active_low: bool = Field(
        default=False, description="whether `sense` is low while the node has power"
    )
    sense_pull: Literal["up", "down", "none"] = Field(
        default="none", description="the head's own pull at `sense`; an open collector needs up"
    )

    def claims(self) -> Sequence[str]:
        return (self.pin,) if self.sense is None else (self.pin, self.sense)


class DrivenLine(OutputDevice):  # type: ignore[misc]  # gpiozero has no type hints
    """An output that is never turned back into an input."""

    def close(self) -> None:
        """Leave the line as it is."""


class Sense:
    """The line that tells whether the node has power, if one is wired."""

    def __init__(self, bus: GpioBus, options: SensedOptions, where: str) -> None:
        self._bus = bus
        self._options = options
        self._where = f"{where}, sense at {options.sense}"
        self._line: InputDevice | None = None

    def claim(self) -> None:
        """Make the line an input, once."""
        if self._options.sense is None or self._line is not None:
            return
        pull_up = {"up": True, "down": False, "none": None}[self._options.sense_pull]
        with in_our_words(self._where):
            self._line = InputDevice(
                self._options.sense,
                pull_up=pull_up,
                active_state=True if pull_up is None else None,
                pin_factory=self._bus.factory,
            )

    def read(self) -> bool | None:
        """Whether the node has power; ``None`` where no line tells."""
        self.claim()
        if self._line is None:
            return None
        with in_our_words(self._where):
            return bool(self._line.pin.state) is not self._options.sense_active_low


def adopted(bus: GpioBus, pin: str, *, on_is_high: bool) -> DrivenLine:
    """The line as an output of the level that it is found with.

    The level is read first: gpiozero's ``initial_value=None`` drives whatever the chip's output
    latch holds, which may be the other level.
    """
    factory = bus.factory
    level = bool(factory.pin(pin).state)
    return DrivenLine(
        pin, active_high=on_is_high, initial_value=level == on_is_high, pin_factory=factory
    )


@contextmanager
def in_our_words(where: str) -> Iterator[None]:
    """Turn gpiozero's errors, and the kernel's, into those of :mod:`hwctl.model.errors`."""
    try:
        yield
    except HwctlError:
        raise
    except (GPIOZeroError, OSError) as error:
        raise explained(error, where) from error


def explained(error: Exception, where: str) -> HwctlError:
    """What ``error`` means, and what to do about it."""
    if isinstance(error, PinInvalidPin):
        return DeviceNotFoundError(
            "the board has no such pin",
            where=where,
            hint='name it as "J8:11" or "GPIO17"; `pinout` draws the header',
        )
    taken = isinstance(error, GPIOPinInUse | PinSetInput)
    if taken or getattr(error, "errno", None) == errno.EBUSY:
        return DeviceBusyError(
            f"another device or program holds the line: {error}",
            where=where,
            hint="`gpioinfo` names who holds it; an overlay or a second hwctl is usual",
        )
    if isinstance(error, BadPinFactory):
        return BusError(
            f"no way to GPIO lines on this machine: {error}",
            where=where,
            hint="`hwctl doctor` says what is missing",
        )
    return BusError(
        f"the GPIO chip failed: {error}",
        where=where,
        hint="`ls -l /dev/gpiochip*` shows who may use it: join the group gpio",
    )
