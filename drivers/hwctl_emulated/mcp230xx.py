"""MCP23008, MCP23017: the device side of an expander, and of a relay board on it.

Source: Linux 6.1's pinctrl-mcp23s08.c (registers, values after reset); Microchip DS20001952C
page 18. Interrupts are not modelled: their registers only keep what is written.

The MCP23017 is modelled with IOCON.BANK 0, in which registers of both ports alternate; BANK cannot
be set. With IOCON.SEQOP 0 the pointer goes on after each byte.
"""

from hwctl_emulated.register_chip import RegisterChip

IODIR, IPOL, IOCON, GPIO, OLAT = 0x00, 0x01, 0x05, 0x09, 0x0A
READ_ONLY = (0x07, 0x08)
"""INTF, INTCAP."""
SEQOP = 1 << 5
WRITABLE_IOCON = 0b0111_1110


class Mcp230xx(RegisterChip):
    """One part with a relay on each pin.

    :param ports: 1 for the MCP23008, 2 for the MCP23017, whose second port's channels are 8 to 15.
    :param floating: what the board makes of a pin that is an input.
    """

    def __init__(self, ports: int = 2, *, active_low: bool = False, floating: bool = False) -> None:
        super().__init__()
        self._ports = ports
        self._active_low = active_low
        self._floating = floating
        self.power_on()

    def power_on(self) -> None:
        """All registers as after power-up: all pins are inputs."""
        self._registers = [dict.fromkeys(range(OLAT + 1), 0) for _ in range(self._ports)]
        for registers in self._registers:
            registers[IODIR] = 0xFF

    def level(self, pin: int) -> bool:
        """What is on the pin."""
        port, bit = divmod(pin, 8)
        registers = self._registers[port]
        if registers[IODIR] >> bit & 1:
            return self._floating
        return bool(registers[OLAT] >> bit & 1)

    def relay(self, channel: int) -> bool:
        """Whether the relay on that pin is pulled in."""
        return self.level(channel) != self._active_low

    def after(self, register: int) -> int:
        if self._registers[0][IOCON] & SEQOP:
            return register
        return (register + 1) % (self._ports * (OLAT + 1))

    def load(self, register: int) -> int:
        number, port = divmod(register, self._ports)
        if number > OLAT:
            return 0
        if number == GPIO:
            pins = sum(self.level(8 * port + bit) << bit for bit in range(8))
            return pins ^ self._registers[port][IPOL]
        return self._registers[port][number]

    def store(self, register: int, value: int) -> None:
        number, port = divmod(register, self._ports)
        if number > OLAT or number in READ_ONLY:
            return
        if number == IOCON:
            for registers in self._registers:
                registers[IOCON] = value & WRITABLE_IOCON
            return
        self._registers[port][OLAT if number == GPIO else number] = value
