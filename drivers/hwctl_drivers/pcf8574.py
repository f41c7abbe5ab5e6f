"""PCF8574, PCF8574A: eight relays on an I2C expander that has no registers.

Part        NXP and TI PCF8574 and PCF8574A, and relay boards with them
Sources     NXP PCF8574/PCF8574A data sheet, revision 5, page 6 (quasi-bidirectional pins, power-on)
            and page 8 (writing); Linux 6.1 drivers/gpio/gpio-pcf857x.c (addresses, one byte each
            way, its note on the latch that cannot be read)
Bus         I2C at 0x20..0x27 (PCF8574) or 0x38..0x3f (PCF8574A)
Ranges      channels 0 to 7 are P0 to P7; a pin sinks, but hardly sources (100 uA)
Quirks      - After power-up all pins are weakly high: relays of an active-low board are off, those
              of an active-high board (which 100 uA may not hold) on.
            - Reading gives the pins, not what was last written. ``get`` therefore tells what the
              relays' inputs see, also after a brown-out. ``set`` reads the pins, changes one bit
              and writes the byte, so no relay changes that was not ordered, whoever set it.
            - A pin that something pulls low from outside would be written low by that, and stay
              low. Name such pins in ``inputs``: they are always written high.
            - It cannot be told from other parts, nor a line that is stuck high from eight high
              pins; a part with registers is noticed as long as its next registers differ.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, I2cBus, I2cOptions
from hwctl.model.errors import DeviceMismatchError

PINS = 8
LOOK = 4
"""Bytes read when probing: the port each time, where a part with registers goes on to the next."""


def with_bit(port: int, bit: int, level: bool) -> int:
    """``port`` with one bit set or cleared."""
    return port | 1 << bit if level else port & ~(1 << bit)


class Pcf8574Options(I2cOptions):
    """What the wiring file says of a PCF8574."""

    address: Literal[
        0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
        0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F,
    ] = Field(default=0x20, description="0x20 to 0x27; PCF8574A: 0x38 to 0x3f")  # fmt: skip
    active_low: bool = Field(default=True, description="whether a low pin energises the coil")
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the nodes"
    )
    inputs: Sequence[int] = Field(default=(), description="pins that something else drives, if any")

    @property
    def on_is_high(self) -> bool:
        """Whether a pin is high while its node is on."""
        return self.active_low == (self.contact == "normally-closed")


class Pcf8574:
    """One part; channels 0 to 7."""

    def __init__(self, bus: I2cBus, options: Pcf8574Options) -> None:
        self._bus = bus
        self._options = options
        self._where = f"PCF8574 at 0x{options.address:02x}"
        self._inputs = sum(1 << pin for pin in set(options.inputs))

    def probe(self) -> None:
        """Read only."""
        ports = {port | self._inputs for port in self._read(LOOK)}
        if len(ports) > 1:
            raise DeviceMismatchError(
                "answers like a part with registers",
                where=self._where,
                hint="compare `address` and `driver` in the wiring file with the board; "
                "pins that change by themselves belong into `inputs`",
            )

    def get(self, channel: int = 0) -> bool:
        """Whether the pin is where it is when the node is on."""
        self._check(channel)
        return bool(self._read(1)[0] >> channel & 1) == self._options.on_is_high

    def set(self, channel: int, on: bool) -> None:
        """Set one pin and leave the others as they are."""
        self._check(channel)
        port = with_bit(self._read(1)[0], channel, on == self._options.on_is_high)
        self._bus.transfer(self._options.address, bytes([port | self._inputs]))

    def _read(self, length: int) -> bytes:
        return self._bus.transfer(self._options.address, b"", length)

    def _check(self, channel: int) -> None:
        if not 0 <= channel < PINS or self._inputs >> channel & 1:
            raise DeviceMismatchError(
                f"has no relay on pin {channel}",
                where=self._where,
                hint="correct `channel` of that outlet (0 to 7), or `inputs` of the device",
            )


DRIVER = Driver(
    name="pcf8574",
    summary="eight relays on a PCF8574 or PCF8574A, either contact, either polarity",
    parts=("PCF8574", "PCF8574A"),
    bus="i2c",
    roles=frozenset({"outlet"}),
    options=Pcf8574Options,
    open=Pcf8574,
    proof="Linux' gpio-pcf857x on the same pins, both ways",
    channels=PINS,
)
