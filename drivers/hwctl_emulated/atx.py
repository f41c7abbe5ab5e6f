"""An ATX supply: rails that follow PS_ON#, and PWR_OK that follows the rails.

Source: Intel, ATX/ATX12V Power Supply Design Guide 1.1, 3.3.1 and 3.3.2 (PWR_OK 100 to 500 ms
after the rails, low before they fall). That an overloaded supply stays off until PS_ON# has been
let go is common (unverified).
"""

from collections.abc import Callable

from hwctl_emulated.gpio import GpioLines
from hwctl_emulated.part import Site
from hwctl_emulated.power_button import pin_line

POWER_OK_AFTER_S = 0.3


class AtxSupply:
    """One supply.

    :param line: the head's line towards PS_ON#; low turns the rails on if ``active_low``, high
        (through a transistor) if not.
    :param sense: the line that PWR_OK drives, ``sense_active_low`` if through a transistor.
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
    ) -> None:
        self._lines = lines
        self._line = line
        self._clock = clock
        self._active_low = active_low
        self._sense = sense
        self._sense_active_low = sense_active_low
        self._tripped = False
        self._up_since: float | None = None
        lines.watch(line, self._moved)
        self._moved(lines.level(line))

    def relay(self, channel: int) -> bool:
        """Whether the rails are up."""
        del channel
        self.step()
        return self._up_since is not None

    def step(self) -> None:
        """Bring PWR_OK up to the time."""
        up = self._up_since
        good = up is not None and self._clock() - up >= POWER_OK_AFTER_S
        if self._sense is not None:
            self._lines.push(self._sense, good is not self._sense_active_low)

    def trip(self) -> None:
        """The supply protects itself: off, until PS_ON# has been let go of."""
        self._tripped, self._up_since = True, None
        self.step()

    def power_on(self) -> None:
        """The mains came back."""
        self._tripped, self._up_since = False, None
        self._moved(self._lines.level(self._line))

    def _moved(self, level: bool) -> None:
        if level is self._active_low:
            self._tripped, self._up_since = False, None
        elif not self._tripped and self._up_since is None:
            self._up_since = self._clock()
        self.step()


def make(site: Site, lines: GpioLines, revision: int) -> AtxSupply:
    """The supply that the wiring names, on the lines of its bus."""
    return AtxSupply(
        lines,
        pin_line(site, "pin", revision),
        site.clock,
        active_low=site.flag("active_low", default=False),
        sense=pin_line(site, "sense", revision) if site.text("sense", "") else None,
        sense_active_low=site.flag("sense_active_low", default=False),
    )
