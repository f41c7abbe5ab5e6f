"""An ATX supply, switched by its PS_ON# line and watched at its PWR_OK line.

Part        any supply with an ATX connector
Sources     Intel, ATX/ATX12V Power Supply Design Guide 1.1, 3.3.1 and 3.3.2: PS_ON# turns the
            rails on while it is pulled low, with a pull-up of its own (open: up to 5.25 V, 1.6 mA
            at the most to pull); +5VSB is there all the time; PWR_OK rises 100 to 500 ms after the
            rails and falls at least 1 ms before they do
Bus         GPIO; the pins as gpiozero names them: "J8:11", "GPIO17"
Wiring      `pin` drives PS_ON#: through a transistor or an optocoupler, so that a high line turns
            the supply on, or directly (`active_low = true`). `sense` looks at PWR_OK
Crash       The line is a level and not a press: it stays where it is for as long as somebody
            holds it, as a relay's does. systemd's descriptor store holds it over a crash; without
            the store it is the pin's pull that decides on upstream kernels
Quirks      - PS_ON# and PWR_OK reach 5 V, and a Pi's lines bear 3.3 V: a transistor for the one, a
              divider for the other. Directly only from a board whose lines bear 5 V, or through a
              level shifter.
            - A head that is fed by the supply it switches must hang on +5VSB.
            - PWR_OK stays low while PS_ON# is pulled if the supply protects itself (overload,
              short circuit); it tries again only after an off and an on.
            - A claimed line keeps the level it is found with; the other quirks of lines stand in
              gpio_relay.py.
"""

from pydantic import Field

from hwctl.model.drivers import Driver, GpioBus
from hwctl_drivers._gpio_line import DrivenLine, Sense, SensedOptions, adopted, in_our_words


class AtxOptions(SensedOptions):
    """What the wiring file says of one supply."""

    active_low: bool = Field(
        default=False, description="whether PS_ON# is on the line itself, with no transistor"
    )


class Atx:
    """One supply. ``channel`` is ignored: there is one."""

    def __init__(self, bus: GpioBus, options: AtxOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"ATX supply at {options.pin}"
        self._sense = Sense(bus, options, self._where)
        self._line: DrivenLine | None = None

    def probe(self) -> None:
        """Claim both lines, PS_ON# as it is."""
        self._claimed()
        self._sense.claim()

    def get(self, channel: int = 0) -> bool:
        """Whether PWR_OK says that the rails are up; without it, whether they are asked for."""
        del channel
        line = self._claimed()
        power_ok = self._sense.read()
        if power_ok is not None:
            return power_ok
        with in_our_words(self._where):
            return bool(line.value)

    def set(self, channel: int, on: bool) -> None:
        """Pull PS_ON#, or let go of it. The rails take up to half a second to follow."""
        del channel
        line = self._claimed()
        with in_our_words(self._where):
            line.value = on

    def _claimed(self) -> DrivenLine:
        if self._line is None:
            with in_our_words(self._where):
                self._line = adopted(
                    self._bus, self._options.pin, on_is_high=not self._options.active_low
                )
        return self._line


DRIVER = Driver(
    name="atx",
    summary="an ATX supply by PS_ON#, with PWR_OK read back where it is wired",
    parts=("ATX power supplies",),
    bus="gpio",
    roles=frozenset({"outlet"}),
    options=AtxOptions,
    open=Atx,
    proof="emulated supply and gpiozero's mock pins: adopted, switched, protecting itself",
)
