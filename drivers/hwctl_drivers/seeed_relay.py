"""Seeed 4-channel relay boards: one command for all relays, and no way to ask for their state.

Part        Seeed Grove 4-Channel SPDT Relay and 4-Channel Solid State Relay
Sources     Seeed-Studio/Multi_Channel_Relay_Arduino_Library, multi_channel_relay.cpp and .h
            (commands); forum.seeedstudio.com, topic 33662 (frames on a real board: bit 0 is the
            first relay, a set bit energises its coil)
Bus         I2C, at 0x11 unless it was changed in the board's flash
Ranges      channels 1 to 4 as printed
Quirks      - A command sets all relays, and the board does not tell how they are. So what one order
              does to the others must be known: from earlier orders, which the engine remembers
              over a restart, or from ``at_start``. With ``at_start = "unknown"``, an order is
              refused as long as the other relays are not known, rather than to switch them unasked.
            - ``at_start = "released"`` says that no coil is energised when hwctl starts. The
              board releases all when it gets its power (unverified), so that is right where board
              and head are powered together and hwctl was not merely restarted, and where nodes hang
              on the normally-closed contacts, whose coils rest.
            - After an order that failed, that relay is not known; order it again.
            - A board that lost its power and came back does not tell, and the next order to one
              relay sets the others as they were ordered before.
            - An order is not read back: its outlets are ``assumed``.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, I2cBus, I2cOptions
from hwctl.model.errors import DeviceError, DeviceMismatchError

RELAYS = 4


class Command(IntEnum):
    """multi_channel_relay.h."""

    CHANNELS = 0x10
    FIRMWARE = 0x13


def frame_from(energised: set[int]) -> bytes:
    """The command that energises just these relays."""
    return bytes([Command.CHANNELS, sum(1 << (channel - 1) for channel in energised)])


class SeeedRelayOptions(I2cOptions):
    """What the wiring file says of a Seeed relay board."""

    address: int = Field(default=0x11, ge=0x03, le=0x77)
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the nodes"
    )
    at_start: Literal["unknown", "released"] = Field(
        default="unknown", description="how the relays are when hwctl starts"
    )


class SeeedRelay:
    """One board; channels 1 to 4."""

    def __init__(self, bus: I2cBus, options: SeeedRelayOptions) -> None:
        self._bus = bus
        self._options = options
        self._where = f"Seeed relays at 0x{options.address:02x}"
        self._energised: dict[int, bool | None] = dict.fromkeys(
            range(1, RELAYS + 1), False if options.at_start == "released" else None
        )
        """Coils, as far as they are known."""

    def probe(self) -> None:
        """Ask for the firmware's version, as the maker's library does: in two transactions.

        Any answer will do, because boards differ in it.
        """
        self._bus.transfer(self._options.address, bytes([Command.FIRMWARE]))
        self._bus.transfer(self._options.address, b"", 1)

    def get(self, channel: int = 0) -> bool | None:
        """What was last ordered, if anything is known and the board still answers."""
        self._check(channel)
        self.probe()
        energised = self._energised[channel]
        return None if energised is None else energised == self._on_is_energised

    def recall(self, known: Mapping[int, bool]) -> None:
        """Take what was last ordered for what is, where nothing better is known."""
        for channel, on in known.items():
            if self._energised.get(channel, False) is None:
                self._energised[channel] = on == self._on_is_energised

    def set(self, channel: int, on: bool) -> None:
        """Order all four as they are, but for this one.

        :raises DeviceError: how the others are is not known.
        """
        self._check(channel)
        wanted = self._energised | {channel: on == self._on_is_energised}
        unknown = [str(other) for other, energised in wanted.items() if energised is None]
        if unknown:
            raise DeviceError(
                f"cannot switch relay {channel} alone: how {', '.join(unknown)} are is not known",
                where=self._where,
                hint='if no coil is energised when hwctl starts, say `at_start = "released"`',
            )
        self._energised[channel] = None
        frame = frame_from({relay for relay, energised in wanted.items() if energised})
        self._bus.transfer(self._options.address, frame)
        self._energised = wanted

    @property
    def _on_is_energised(self) -> bool:
        return self._options.contact == "normally-open"

    def _check(self, channel: int) -> None:
        if channel not in self._energised:
            raise DeviceMismatchError(
                f"has relays 1 to {RELAYS}, no relay {channel}",
                where=self._where,
                hint="correct `channel` of that outlet in the wiring file",
            )


DRIVER = Driver(
    name="seeed_relay",
    summary="four relays of a Seeed board, either contact; cannot be read back",
    parts=("Grove 4-Channel SPDT Relay", "Grove 4-Channel Solid State Relay"),
    bus="i2c",
    roles=frozenset({"outlet"}),
    options=SeeedRelayOptions,
    open=SeeedRelay,
    proof="frames of the maker's library and of a real board's owner",
    reads_back=False,
    channels=RELAYS,
    first_channel=1,
)
