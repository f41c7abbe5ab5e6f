"""A node behind its power button: what a board does when PWR_SW, or J2, is closed.

A press starts a node that is off, at once. A press of one that is on asks its system to halt when
it is let go of, unless it was held for 4 s: then the board has cut the power (Raspberry Pi
documentation, "Power button", for what presses do; the 4 s of ATX are unverified).
"""

from collections.abc import Callable

from hwctl.model.errors import ConfigError
from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.part import Site
from hwctl_emulated.pins import line_of

CUT_AFTER_S = 4.0


class PowerButton:
    """One board. Its power line drives ``sense`` if that is wired.

    :param line: the line that closes the button, at ``active_low``'s level.
    """

    def __init__(
        self,
        lines: GpioLines,
        line: int,
        clock: Callable[[], float],
        *,
        active_low: bool = False,
        sense: int | None = None,
        sense_active_low: bool = False,
        on: bool = False,
    ) -> None:
        self.halt_requests = 0
        """How often the node was asked to halt."""
        self.presses: list[float] = []
        """How long each press was that has ended."""
        self._lines = lines
        self._line = line
        self._clock = clock
        self._active_low = active_low
        self._sense = sense
        self._sense_active_low = sense_active_low
        self._since: float | None = None
        self._met_on = False
        self._turn(on)
        lines.watch(line, self._moved)
        if self.pressed:
            self._moved(lines.level(line))

    @property
    def pressed(self) -> bool:
        return self._lines.level(self._line) is not self._active_low

    def relay(self, channel: int) -> bool:
        """Whether the node has power."""
        del channel
        self._hold()
        return self._on

    def switch_off(self) -> None:
        """The node's system has halted and switched the board off."""
        self._turn(False)

    def power_on(self) -> None:
        """The board's feed came back; it waits for its button."""
        self._since = None
        self._turn(False)

    def _moved(self, level: bool) -> None:
        if level is not self._active_low:
            self._since = self._clock()
            self._met_on = self._on
            self._turn(True)
        elif self._since is not None:
            self._hold()
            self.presses.append(self._clock() - self._since)
            self.halt_requests += self._met_on and self._on
            self._since = None

    def _hold(self) -> None:
        if self._since is not None and self._clock() - self._since >= CUT_AFTER_S:
            self._turn(False)

    def _turn(self, on: bool) -> None:
        self._on = on
        if self._sense is not None:
            self._lines.push(self._sense, on is not self._sense_active_low)


def make(site: Site, lines: GpioLines, revision: int) -> PowerButton:
    """The button that the wiring names, on the lines of its bus; the node is on."""
    return PowerButton(
        lines,
        pin_line(site, "pin", revision),
        site.clock,
        active_low=site.flag("active_low", default=False),
        sense=pin_line(site, "sense", revision) if site.text("sense", "") else None,
        sense_active_low=site.flag("sense_active_low", default=False),
        on=True,
    )


def pin_line(site: Site, key: str, revision: int) -> int:
    """The line that an option names. :raises ConfigError: the board has no such pin."""
    pin = site.text(key, "")
    line = line_of(pin, revision)
    if line is None:
        raise ConfigError(
            f"{key} = {pin!r} is no GPIO of the head",
            where=f"device.{site.name}",
            hint='write "J8:11" or "GPIO17"; `pinout` draws the header',
        )
    return line
