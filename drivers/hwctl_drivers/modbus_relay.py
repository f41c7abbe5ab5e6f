"""Relay boards on Modbus, RTU or TCP.

Part        Waveshare Modbus RTU Relay (8 channels) and its kin: any board whose relays are coils
Sources     Modbus Application Protocol 1.1b3, sections 6.1 and 6.5 (functions 01 and 05);
            nobrega8/mbmap-library, maps/waveshare/modbus-rtu-relay.mbmap.json (coils 0..7, timed
            commands at 0x0200 and 0x0400 in units of 100 ms, factory settings);
            a-mkh/waveshare-relay, relay.py (the same timed commands on the Ethernet board);
            Waveshare's wiki, which both name (unverified)
Bus         Modbus, unit 1..247; from the factory unit 1 at 9600 baud, no parity
Quirks      - Channels count from 1, as printed on the boards; channel 1 is coil ``coil_base``.
            - What is read back is what the board has told its relay, not the contact: a welded
              contact is only seen by the feed's gauge.
            - Boards whose relays are not latching start with all coils off: when their own supply
              dips, the nodes go off and stay off. On the normally-closed contacts nodes stay on
              instead; then give ``contact = "normally-closed"``.
            - Latching relays keep their contacts without power, and a jolt may move them. Whether
              such a board knows after its start where they are is not told by its maker
              (unverified): switch each channel once before what it reads back is believed.
            - Waveshare's boards before September 2021 speak version 1 of their protocol, which is
              no Modbus (unverified); the maker exchanges the firmware.
            - What a plain switch does to a timed command that still runs is not told (unverified):
              read back after the time is over.
            - Other makers have the timed command elsewhere, if at all (LC Technology: function 16
              at register 3, 8, 13 ..., same library): leave ``flash`` at "none" for those.
            - Ethernet boards may send RTU frames as they are over TCP (relay.py, port 4196): set
              them to Modbus TCP.
"""

import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from hwctl.model.drivers import Driver, ModbusBus, Options
from hwctl.model.errors import DeviceDataError, DeviceError, DeviceNotFoundError

MOST_CHANNELS = 32
"""Waveshare's largest board."""
FLASH_ON = 0x0200
FLASH_OFF = 0x0400
"""Function 05 at this address + relay: on (off) now, the other after the value. mbmap-library."""
FLASH_UNIT_S = 0.1
"""Seconds. mbmap-library."""
FLASH_MOST = 0x7FFF
"""Units. relay.py allows 0xFFFF; 0x7FFF is what the maker's wiki says (unverified)."""


def flash_units(off_s: float) -> int:
    """The value that keeps a relay off for at least ``off_s`` seconds.

    One unit more than the quotient: nothing says that the board's clock starts a unit with the
    command.
    """
    return math.ceil(round(off_s / FLASH_UNIT_S, 6)) + 1


class ModbusRelayOptions(Options):
    """What the wiring file says of one board."""

    unit: int = Field(default=1, ge=1, le=247, description="the board's address on the line")
    coil_base: int = Field(default=0, ge=0, le=0xFFFF, description="the coil of channel 1")
    channels: int = Field(default=8, ge=1, le=MOST_CHANNELS, description="how many relays it has")
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the nodes"
    )
    flash: Literal["none", "waveshare"] = Field(
        default="none", description="whose timed off-and-on the board has, if any"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.coil_base + self.channels > 1 << 16:
            raise ValueError("coil_base + channels is more than 65536, the coils that Modbus has")
        return self

    def claims(self) -> Sequence[str]:
        return [f"coil {self.coil_base + n} of unit {self.unit}" for n in range(self.channels)]


class ModbusRelay:
    """One board; channels from 1."""

    def __init__(self, bus: ModbusBus, options: ModbusRelayOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"relay board, unit {options.unit}"

    def probe(self) -> None:
        """Read all coils once: an address, a count or a unit that is wrong shows here."""
        self._coils()

    def get(self, channel: int = 1) -> bool:
        """Whether the node is fed, as the board says."""
        return self._coils()[self._index(channel)] is self._on

    def set(self, channel: int, on: bool) -> None:
        """Switch one relay; the board's answer is checked by the bus."""
        coil = self._options.coil_base + self._index(channel)
        self._bus.write_coil(self._options.unit, coil, on is self._on)

    def cycle(self, channel: int, off_s: float) -> None:
        """Off now, on after at least ``off_s`` seconds (0 to 3276.6), by the board's own clock.

        A relay that is off comes on as well.

        :raises DeviceError: the board has no such command, or not for so long.
        """
        index = self._index(channel)
        if self._options.flash == "none":
            raise DeviceError(
                "has no timed off-and-on",
                where=self._where,
                hint='flash = "waveshare" in the wiring file, if it is one of theirs',
            )
        units = flash_units(off_s)
        if not 0 < units <= FLASH_MOST:
            raise DeviceError(
                f"cannot stay off for {off_s:g} s by itself",
                where=self._where,
                hint=f"0 to {(FLASH_MOST - 1) * FLASH_UNIT_S:g} s; longer by off, and on later",
            )
        base = FLASH_OFF if self._on else FLASH_ON
        self._bus.write_coil_raw(self._options.unit, base + index, units)

    @property
    def _on(self) -> bool:
        """The coil's state while the node is fed."""
        return self._options.contact == "normally-open"

    def _index(self, channel: int) -> int:
        if not 1 <= channel <= self._options.channels:
            raise DeviceNotFoundError(
                f"has channels 1 to {self._options.channels}, no channel {channel}",
                where=self._where,
                hint="mend `channel` of the outlet, or `channels` of the device",
            )
        return channel - 1

    def _coils(self) -> list[bool]:
        # All of them, as the maker's own example does.
        options = self._options
        coils = self._bus.read_coils(options.unit, options.coil_base, options.channels)
        if len(coils) != options.channels:
            raise DeviceDataError(
                f"answered {len(coils)} coils for {options.channels}",
                where=self._where,
                hint="compare `channels` in the wiring file with the board",
            )
        return coils


def _cycles(options: ModbusRelayOptions) -> bool:
    return options.flash != "none"


DRIVER = Driver(
    name="modbus_relay",
    summary="relay board on Modbus RTU or TCP, its own timed off-and-on where it has one",
    parts=("Waveshare Modbus RTU Relay", "Modbus relay boards with coils"),
    bus="modbus",
    roles=frozenset({"outlet"}),
    options=ModbusRelayOptions,
    open=ModbusRelay,
    reads_back=True,
    cycles=_cycles,
    channels=lambda options: options.channels,
    first_channel=1,
    proof="published frames byte by byte on a pty; pymodbus's own server over TCP and RTU",
)
