"""Sequent Microsystems' eight-relay card: an expander like a PCA9554 behind its own order of bits.

Part        Sequent Microsystems Eight Relays 4A/120V card for Raspberry Pi (8relind)
Sources     SequentMicrosystems/8relind-rpi, src/relay.c, src/relay.h and
            python/lib8relind/__init__.py (addresses, registers, bits); TI PCA9554 data sheet
            SCPS128B, pages 7 and 8 (registers and their values after power-up)
Bus         I2C at 0x3f minus the stack level, or 0x27 minus the stack level for cards with the
            other expander: the jumpers' bits are inverted
Ranges      relays 1 to 8 as printed; a high pin energises the coil
Quirks      - After power-up all pins are inputs, and the latch holds ones: making them outputs
              first would energise every relay for a moment, as the maker's Python does. The first
              order here writes the latch with the levels that the pins have, then makes all eight
              outputs. All eight, because the maker's tools release every relay of a card on which
              they find an input.
            - The pins are read back, not the latch and not the contacts.
            - Newer cards have a controller that keeps these four registers (relay.h).
"""

from enum import IntEnum
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, I2cBus, I2cOptions
from hwctl.model.errors import DeviceMismatchError

BITS = (0, 2, 6, 4, 5, 7, 3, 1)
"""Of relays 1 to 8. relay.c, relayChRemap."""


class Register(IntEnum):
    """relay.h."""

    INPUT = 0x00
    OUTPUT = 0x01
    POLARITY = 0x02
    CONFIG = 0x03


def latch_from(pins: int, latch: int, config: int) -> int:
    """The latch that keeps every pin at its level when all are made outputs."""
    return pins & config | latch & ~config & 0xFF


class SequentRelayOptions(I2cOptions):
    """What the wiring file says of a Sequent card."""

    address: Literal[
        0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
        0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F,
    ] = Field(default=0x3F, description="0x3f, or 0x27, minus the stack level")  # fmt: skip
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the nodes"
    )


class SequentRelay:
    """One card; channels 1 to 8."""

    def __init__(self, bus: I2cBus, options: SequentRelayOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"Sequent relays at 0x{options.address:02x}"

    def probe(self) -> None:
        """Read only."""
        pins, latch = self._get(Register.INPUT), self._get(Register.OUTPUT)
        polarity, config = self._get(Register.POLARITY), self._get(Register.CONFIG)
        if polarity or (pins ^ latch) & ~config & 0xFF:
            raise DeviceMismatchError(
                "has outputs that are not at the level of their latch, or inverted inputs",
                where=self._where,
                hint="compare `address` and `driver` in the wiring file with the card",
            )

    def get(self, channel: int = 0) -> bool:
        """Whether the pin is where it is when the node is on."""
        bit = self._bit(channel)
        return bool(self._get(Register.INPUT) >> bit & 1) == self._on_is_high

    def set(self, channel: int, on: bool) -> None:
        """Set one pin and leave the others at the level that they have."""
        bit = self._bit(channel)
        latch, config = self._get(Register.OUTPUT), self._get(Register.CONFIG)
        if config:
            latch = latch_from(self._get(Register.INPUT), latch, config)
        high = on == self._on_is_high
        self._put(Register.OUTPUT, latch | 1 << bit if high else latch & ~(1 << bit))
        if config:
            self._put(Register.CONFIG, 0)

    @property
    def _on_is_high(self) -> bool:
        return self._options.contact == "normally-open"

    def _bit(self, channel: int) -> int:
        if not 1 <= channel <= len(BITS):
            raise DeviceMismatchError(
                f"has relays 1 to {len(BITS)}, no relay {channel}",
                where=self._where,
                hint="correct `channel` of that outlet in the wiring file",
            )
        return BITS[channel - 1]

    def _get(self, register: Register) -> int:
        return self._bus.transfer(self._options.address, bytes([register]), 1)[0]

    def _put(self, register: Register, value: int) -> None:
        self._bus.transfer(self._options.address, bytes([register, value]))


DRIVER = Driver(
    name="sequent_relay",
    summary="eight relays of a Sequent Microsystems card, either contact",
    parts=("Eight Relays 4A/120V for Raspberry Pi (8relind)",),
    bus="i2c",
    roles=frozenset({"outlet"}),
    options=SequentRelayOptions,
    open=SequentRelay,
    proof="Linux' gpio-pca953x on the same pins, both ways; the maker's bit order",
    channels=len(BITS),
    first_channel=1,
)
