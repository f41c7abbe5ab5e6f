"""A node's power button, pressed by an optocoupler or a transistor on one GPIO line.

Part        the PWR_SW header of an ATX board; a Raspberry Pi 5's J2 pads; slots with a button line
Sources     raspberrypi.com/documentation, "Power button" (a short press asks Raspberry Pi OS Lite
            to halt, holding it is a hard shutdown, a press of a halted board starts it, J2 takes a
            normally open switch); kvmd plugins/atx/gpio.py (5.5 s for a long press); more than
            4 s to cut is what ATX boards take (unverified), as is how a NanoCluster's slots are
            wired
Bus         GPIO; the pins as gpiozero names them: "J8:11", "GPIO17"
Presses     short: starts a node that is off, asks one that is on to halt; long: cuts its power
Sense       a second line, on the power LED's header or on the node's 3.3 V, tells whether the node
            has power. A press that would do the opposite is then not made. Without it nothing is
            known: what was ordered is `assumed`, and a press to start a node that is on asks it to
            halt
Crash       A press is ended by the process that began it. If that dies in the middle:
            - with systemd's descriptor store the line stays pressed until hwctl has started again
              and probes it: probing lets go of a line that is found pressed. A short press is then
              as long as the restart takes, and cuts the node if that is over 4 s;
            - without the store the line is released by the kernel. Upstream kernels make it an
              input, and the pin's pull ends the press, at once if it pulls to the released level.
              Raspberry Pi's kernels keep the output as it is (raspberrypi/linux pull request 6117,
              unverified), so that it goes on until hwctl is back.
            A plain stop ends the press first, too early.
Quirks      - Choose a pin whose pull at boot does not press: a head that reboots would hold the
              button down. `hwctl check` warns of it.
            - Some boards take no second press within a second or so.
            - A Pi 5 keeps its 3.3 V while it is halted unless its EEPROM says
              POWER_OFF_ON_HALT=1: that sense then says "on" of a halted node.
            - Raspberry Pi OS with a desktop asks its user, and halts at the second press.
            - A press is never left behind: one whose release fails is released at the next poll,
              and an order that meets a held button lets go of it and is refused.
"""

from functools import partial

from pydantic import Field

from hwctl.model.drivers import Driver, GpioBus, Later
from hwctl.model.errors import BusError, DeviceBusyError, DeviceError, HwctlError
from hwctl_drivers._gpio_line import DrivenLine, Sense, SensedOptions, in_our_words


class PowerButtonOptions(SensedOptions):
    """What the wiring file says of one button."""

    active_low: bool = Field(default=False, description="whether a low line presses the button")
    press_s: float = Field(default=0.2, gt=0, le=2.0, description="seconds of a short press")
    hold_s: float = Field(
        default=5.5, gt=2.0, le=30.0, description="seconds of a long press; ATX wants more than 4"
    )


class PowerButton:
    """One button. ``channel`` is ignored: there is one."""

    def __init__(self, bus: GpioBus, options: PowerButtonOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"power button at {options.pin}"
        self._sense = Sense(bus, options, self._where)
        self._line: DrivenLine | None = None
        self._press: object | None = None
        """The press under way."""
        self._stuck = False
        """Whether the line may be pressed though no press is under way."""

    def probe(self) -> None:
        """Claim both lines. A line that is found pressed outlived its presser, and is let go."""
        self._claimed()
        self._sense.claim()

    def get(self, channel: int = 0) -> bool | None:
        """Whether the node has power, as the sense line tells."""
        del channel
        if self._stuck:
            self._let_go()
        return self._sense.read()

    def set(self, channel: int, on: bool) -> Later | None:
        """On: a short press; off: a long one. None if the sense line says that it is so already.

        :raises DeviceBusyError: the button was held by an earlier order; it is let go.
        """
        if self.get(channel) is on:
            return None
        return self._begin(self._options.press_s if on else self._options.hold_s)

    def ask(self, channel: int) -> Later:
        """Ask the node to halt, by a short press.

        :raises DeviceError: it is off, so that a press would start it.
        :raises DeviceBusyError: the button was held by an earlier order; it is let go.
        """
        if self.get(channel) is False:
            raise DeviceError(
                "the node is off already; a press would start it",
                where=self._where,
                hint="`hwctl power off` cuts its outlet without asking",
            )
        return self._begin(self._options.press_s)

    def _begin(self, seconds: float) -> Later:
        line = self._claimed()
        if self._press is not None:
            self._let_go()
            raise DeviceBusyError(
                "an earlier order held the button down, and was cut short",
                where=self._where,
                hint="look whether the node is on, and order again",
            )
        self._stuck = True  # until it is known that it is pressed
        with in_our_words(self._where):
            line.on()
        self._stuck = False
        self._press = press = object()
        return Later(seconds, partial(_end, press=press))

    def end(self, press: object) -> None:
        """Let go at the end of a press.

        :raises DeviceError: it was not held all the time.
        :raises BusError: it may be held still.
        """
        whole = press is self._press
        self._let_go()
        if not whole:
            raise DeviceError(
                "the press was cut short",
                where=self._where,
                hint="look whether the node is on, and order again",
            )

    def _let_go(self) -> None:
        self._press, self._stuck = None, True
        line = self._claimed()
        try:
            with in_our_words(self._where):
                line.off()
        except HwctlError as error:
            raise BusError(
                f"the button cannot be let go and may be held down: {error.what}",
                where=self._where,
                hint=f"take the wire off {self._options.pin} before the node is cut; {error.hint}",
            ) from error
        self._stuck = False

    def _claimed(self) -> DrivenLine:
        if self._line is None:
            with in_our_words(self._where):
                # Direction and level in one step, so that nothing is pressed in between.
                self._line = DrivenLine(
                    self._options.pin,
                    active_high=not self._options.active_low,
                    initial_value=False,
                    pin_factory=self._bus.factory,
                )
        return self._line


def _end(button: PowerButton, *, press: object) -> None:
    """Given the device by the bus worker, which may have opened it anew."""
    button.end(press)


def _senses(options: PowerButtonOptions) -> bool:
    return options.sense is not None


DRIVER = Driver(
    name="power_button",
    summary="a node's power button: a short press starts or asks, a long one cuts",
    parts=("ATX PWR_SW header", "Raspberry Pi 5 J2"),
    bus="gpio",
    roles=frozenset({"outlet"}),
    options=PowerButtonOptions,
    open=PowerButton,
    reads_back=_senses,
    asks=True,
    takes_s=lambda options: options.hold_s,
    proof="emulated button and gpiozero's mock pins; pressers killed in mid-press, on gpio-sim too",
)
