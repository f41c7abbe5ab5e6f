"""Relay, transistor or optocoupler on one GPIO line.

Part        relay boards with one GPIO line per channel, through gpiozero
Sources     gpiozero 2.0.1 (devices.py, output_devices.py, pins/lgpio.py)
Bus         GPIO; the pin as gpiozero names it: "J8:11", "GPIO17"
Quirks      - Boards with optocouplers are mostly active low: a low line pulls the relay in.
            - On the normally-closed contact a node is on while the coil is off. It then stays on
              when the head reboots, and a dead head cannot turn it off.
            - A claimed line keeps the level it is found with: the level is read first, then the
              line is made an output of that level. (gpiozero's ``initial_value=None`` drives
              whatever the chip's output latch holds, which may be the other level.)
            - gpiozero's lgpio pins become inputs when they are first looked at: the bus must
              bring a factory whose pins do not.
            - gpiozero turns a line back into an input when its device is closed or collected,
              which would switch the relay; a ``DrivenLine`` therefore never closes.
            - The line's level is read back, not the contact: a welded contact is only seen by
              the feed's gauge.
"""

from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, GpioBus, GpioOptions
from hwctl_drivers._gpio_line import DrivenLine, adopted, in_our_words


class GpioRelayOptions(GpioOptions):
    """What the wiring file says of one relay."""

    active_low: bool = Field(default=False, description="whether a low line energises the coil")
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the node"
    )

    @property
    def on_is_high(self) -> bool:
        """Whether the line is high while the node is on."""
        return self.active_low == (self.contact == "normally-closed")


class GpioRelay:
    """One relay. ``channel`` is ignored: there is one."""

    def __init__(self, bus: GpioBus, options: GpioRelayOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"relay at {options.pin}"
        self._line: DrivenLine | None = None

    def probe(self) -> None:
        """Claim the line as it is, once."""
        self._claimed()

    def get(self, channel: int = 0) -> bool:
        """Whether the line is where it is when the node is on."""
        del channel
        line = self._claimed()
        with in_our_words(self._where):
            return bool(line.value)

    def set(self, channel: int, on: bool) -> None:
        """Set the line; nothing else waits, retries or checks."""
        del channel
        line = self._claimed()
        with in_our_words(self._where):
            line.value = on

    def _claimed(self) -> DrivenLine:
        if self._line is None:
            with in_our_words(self._where):
                self._line = adopted(
                    self._bus, self._options.pin, on_is_high=self._options.on_is_high
                )
        return self._line


DRIVER = Driver(
    name="gpio_relay",
    summary="one relay on one GPIO line, either contact, either polarity",
    parts=("relay boards with a GPIO line per channel",),
    bus="gpio",
    roles=frozenset({"outlet"}),
    options=GpioRelayOptions,
    open=GpioRelay,
    reads_back=True,
    proof="gpiozero on mock pins: adopted, switched, failed, forgotten, and no edge unasked",
)
