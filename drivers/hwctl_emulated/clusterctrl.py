"""ClusterCTRL and ClusterHAT: the device side.

Source: burtyb/ClusterCTRL, src/main.c at e70240d (the firmware: registers, commands, what is
refused, when a write is not acknowledged); burtyb/clusterhat-image, usr/sbin/clusterctrl (ports of
the HAT, its power-on state); Exar XRA1402 data sheet, page 5 (registers of the HAT's expander).
"""

from hwctl_emulated.register_chip import RegisterChip

VERSION, MAXPI, ORDER, MODE, TYPE, DATA0, COMMAND, STATUS = 0, 1, 2, 3, 4, 0x0C, 0x0D, 0x0E
NOTHING, ON, OFF, GET_PSTATUS = 0x00, 0x03, 0x04, 0x0F
OK, NO_PI, UNKNOWN_COMMAND = 0x00, 0x02, 0x03
FIRST_ORDER = 20
"""main.c, I2C_CMD_SAVEDEFAULTS."""
TRIPLE = 0x01

GSR, OCR, PIR, GCR, PUR = 0x00, 0x01, 0x02, 0x03, 0x04


class ClusterCtrl(RegisterChip):
    """A ClusterCTRL; channels 1 and on.

    :param saved: ports that are fed after power-up, as saved in its EEPROM.
    :param slowness: how many further writes it refuses until a command is carried out.
    """

    def __init__(
        self, ports: int = 3, *, saved: frozenset[int] = frozenset(), slowness: int = 0
    ) -> None:
        super().__init__()
        self._ports = ports
        self._saved = saved
        self.slowness = slowness
        self.power_on()

    def power_on(self) -> None:
        """Ports as saved."""
        self._registers = dict.fromkeys(range(STATUS + 1), 0)
        self._registers |= {VERSION: 2, MAXPI: self._ports, ORDER: FIRST_ORDER, TYPE: TRIPLE}
        self._fed = set(self._saved)
        self._refused = 0

    def relay(self, channel: int) -> bool:
        """Whether that port is fed."""
        return channel in self._fed

    def start(self, read: bool) -> bool:
        if not read and self._registers[COMMAND]:
            self._refused += 1
            if self._refused <= self.slowness:
                return False
            self._carry_out()
        return super().start(read)

    def stop(self) -> None:
        super().stop()
        if self._registers[COMMAND] and not self.slowness:
            self._carry_out()

    def after(self, register: int) -> int:
        return register + 1

    def load(self, register: int) -> int:
        return self._registers.get(register, 0xFF)

    def store(self, register: int, value: int) -> None:
        if register not in (VERSION, MAXPI, TYPE, STATUS) and register in self._registers:
            self._registers[register] = value

    def _carry_out(self) -> None:
        command, self._registers[COMMAND] = self._registers[COMMAND], 0
        self._refused = 0
        port = self._registers[DATA0]
        there = 1 <= port <= self._ports
        status = OK
        if command == ON and there:
            self._fed.add(port)
        elif command == OFF:
            self._fed.discard(port)
        elif command == GET_PSTATUS:
            self._registers[DATA0] = int(port in self._fed) if there else 0xFF
            status = OK if there else NO_PI
        elif command not in (NOTHING, ON):
            status = UNKNOWN_COMMAND
        self._registers[STATUS] = status


class ClusterHat(RegisterChip):
    """A ClusterHAT version 2 or 3 with its XRA1200P; channels 1 to 4.

    :param link: the power-on-state link, with which the ports are off after power-up.
    """

    def __init__(self, *, link: bool = True) -> None:
        super().__init__()
        self._pulled = 0xF0 if link else 0xFF
        self.power_on()

    def power_on(self) -> None:
        """All pins are inputs with their pull-ups."""
        self._registers = dict.fromkeys(range(0x0B), 0) | {OCR: 0xFF, GCR: 0xFF, PUR: 0xFF}

    @property
    def pins(self) -> int:
        """The levels on all eight."""
        inputs = self._registers[GCR]
        pulled = self._pulled & self._registers[PUR]
        return pulled & inputs | self._registers[OCR] & ~inputs & 0xFF

    def relay(self, channel: int) -> bool:
        """Whether that port is fed."""
        return bool(self.pins >> (channel - 1) & 1)

    def load(self, register: int) -> int:
        if register == GSR:
            return self.pins ^ self._registers[PIR] & self._registers[GCR]
        return self._registers.get(register, 0xFF)

    def store(self, register: int, value: int) -> None:
        if register != GSR and register in self._registers:
            self._registers[register] = value
