"""MCP23008, MCP23017: eight or sixteen relays on an I2C expander.

Part        Microchip MCP23008 and MCP23017, and relay boards with them
Sources     Linux 6.1 drivers/pinctrl/pinctrl-mcp23s08.c (registers, values after reset); Microchip
            data sheets DS20001952C page 18 (MCP23017, registers from 0x0e on, IODIR, IPOL) and
            DS21919E pages 10 and 19 (MCP23008: IODIR, GPIO)
Bus         I2C at 0x20..0x27; one-byte registers
Ranges      channels 0 to 7 are GP0 to GP7 or GPA0 to GPA7, 8 to 15 are GPB0 to GPB7
Quirks      - After power-up all pins are inputs and float: the board decides what its relays do, as
              long as nothing is ordered. ``get`` reads the pins, so it says what they do.
            - An order writes the latch (OLAT) before the direction (IODIR), so that no pin shows
              a level that was not ordered. Other bits of both stay as they are found.
            - GPIO shows inverted inputs where IPOL is set; it is taken into account.
            - With IOCON.BANK set, an MCP23017's registers lie elsewhere; such a part is refused.
            - GPA7 and GPB7 of newer MCP23017 cannot be inputs (unverified); relays do not mind.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, I2cBus, I2cOptions
from hwctl.model.errors import DeviceDataError, DeviceMismatchError

PORT = 8
BANK = 1 << 7
"""IOCON."""
NEVER = 1 << 0
"""IOCON: the bit that no part of the family on I2C has (pinctrl-mcp23s08.c: INTCC of the '18s)."""


@dataclass(frozen=True, slots=True)
class Map:
    """Addresses of the first port's registers; further ports are 1 higher."""

    ports: int
    iodir: int
    ipol: int
    iocon: int
    gpio: int
    olat: int


MAPS = {
    "MCP23008": Map(1, 0x00, 0x01, 0x05, 0x09, 0x0A),
    "MCP23017": Map(2, 0x00, 0x02, 0x0A, 0x12, 0x14),
}
"""pinctrl-mcp23s08.c: of the '17 each number is doubled (BANK is 0)."""


class Mcp230xxOptions(I2cOptions):
    """What the wiring file says of an MCP23008 or MCP23017."""

    address: int = Field(default=0x20, ge=0x20, le=0x27)
    part: Literal["MCP23008", "MCP23017"] = Field(default="MCP23017", description="as printed")
    active_low: bool = Field(default=False, description="whether a low pin energises the coil")
    contact: Literal["normally-open", "normally-closed"] = Field(
        default="normally-open", description="which contact feeds the nodes"
    )

    @property
    def on_is_high(self) -> bool:
        """Whether a pin is high while its node is on."""
        return self.active_low == (self.contact == "normally-closed")


class Mcp230xx:
    """One part; channels 0 to 7 or 0 to 15."""

    def __init__(self, bus: I2cBus, options: Mcp230xxOptions) -> None:
        self._bus = bus
        self._options = options
        self._map = MAPS[options.part]
        self._where = f"{options.part} at 0x{options.address:02x}"

    def probe(self) -> None:
        """Read only."""
        ports = range(self._map.ports)
        found = {self._get(self._map.iocon + port) for port in ports}
        if found == {0xFF} and {self._get(self._map.iodir + port) for port in ports} == {0xFF}:
            raise DeviceDataError(
                "answers all ones",
                where=self._where,
                hint="check SDA, its pull-up and the part's supply",
            )
        if len(found) > 1 or found.pop() & (BANK | NEVER):
            raise DeviceMismatchError(
                f"has an IOCON that no {self._options.part} has in its usual register layout",
                where=self._where,
                hint="compare `address`, `driver` and `part` in the wiring file with the board, "
                "and take the part's power away for a moment",
            )

    def get(self, channel: int = 0) -> bool:
        """Whether the pin is where it is when the node is on."""
        port, bit = self._place(channel)
        level = self._get(self._map.gpio + port) ^ self._get(self._map.ipol + port)
        return bool(level >> bit & 1) == self._options.on_is_high

    def set(self, channel: int, on: bool) -> None:
        """Set the latch, then make the pin an output if it is none; other pins stay as they are."""
        port, bit = self._place(channel)
        latch = self._get(self._map.olat + port)
        high = on == self._options.on_is_high
        self._put(self._map.olat + port, latch | 1 << bit if high else latch & ~(1 << bit))
        directions = self._get(self._map.iodir + port)
        if directions >> bit & 1:
            self._put(self._map.iodir + port, directions & ~(1 << bit))

    def _place(self, channel: int) -> tuple[int, int]:
        port, bit = divmod(channel, PORT)
        if not 0 <= port < self._map.ports:
            raise DeviceMismatchError(
                f"has no pin {channel}",
                where=self._where,
                hint="correct `channel` of that outlet, or `part` of the device",
            )
        return port, bit

    def _get(self, register: int) -> int:
        return self._bus.transfer(self._options.address, bytes([register]), 1)[0]

    def _put(self, register: int, value: int) -> None:
        self._bus.transfer(self._options.address, bytes([register, value]))


DRIVER = Driver(
    name="mcp230xx",
    summary="eight or sixteen relays on an MCP23008 or MCP23017, either contact, either polarity",
    parts=("MCP23008", "MCP23017"),
    bus="i2c",
    roles=frozenset({"outlet"}),
    options=Mcp230xxOptions,
    open=Mcp230xx,
    proof="Linux' pinctrl-mcp23s08 on the same pins, both ways",
    channels=2 * PORT,
)
