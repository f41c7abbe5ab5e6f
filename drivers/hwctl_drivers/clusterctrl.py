"""ClusterCTRL and ClusterHAT: USB-powered Raspberry Pi Zeros, P1 and on.

Part        8086 Consultancy ClusterCTRL (pHAT, Triple, A+6, Stack, Single, DA) and ClusterHAT
            version 2 and 3
Sources     burtyb/clusterhat-image, files/usr/sbin/clusterctrl (commands, ports, how the HAT's
            power-on state is read) and share/clusterctrl/python/xra1200.py; burtyb/ClusterCTRL,
            src/main.c (the firmware); Exar XRA1402 data sheet, page 5 (registers of the family and
            their values after power-up)
Bus         I2C at 0x20: a ClusterCTRL on the adapter that it is itself (i2c-tiny-usb), a ClusterHAT
            on the head's own bus
Ranges      P1 to P4 on a HAT, P1 to as many as the ClusterCTRL says that it has
Quirks      - ClusterCTRL: an order is written as port and command, and carried out a moment later;
              until then the board does not acknowledge a further one. Reading the state is such an
              order, too, which changes nothing. Do not run the `clusterctrl` tool meanwhile:
              port and command are two writes.
            - ClusterCTRL: firmware 1.3 reports a port's LED instead of its feed, so a port is
              told as off after `clusterctrl led off` (main.c at 2a011b0; mended at e70240d).
            - ClusterCTRL: after power-up the ports are as was saved in its EEPROM.
            - ClusterHAT: after power-up all pins are inputs; a port is fed by its pull-up unless
              the power-on-state link pulls it low. The pins are read, so that is told. The first
              order writes the latch with the levels that the pins have, then makes all eight
              outputs, as the `clusterctrl` tool leaves them; nothing else changes (hub, LEDs,
              write protection).
            - ClusterHAT version 1 has no expander: its ports are GPIO6, 13, 19 and 26 (gpio_relay).
"""

from enum import IntEnum
from typing import Literal, Protocol

from pydantic import Field

from hwctl.model.drivers import Driver, I2cBus, I2cOptions
from hwctl.model.errors import (
    DeviceDataError,
    DeviceError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)

LAYOUT = 2
"""VERSION of the registers that the published firmware has. main.c, CTRL_VERSION."""
MOST_PORTS = 32
"""main.c: "32=full DA"."""
HAT_PORTS = 4
LOOKS = 8
"""How often a board is asked whether it is done, each a transaction of milliseconds over USB."""
UNKNOWN_PORT = 0xFF
"""What the firmware says of a port on a HAT that is not plugged in."""


class Ctrl(IntEnum):
    """Registers of a ClusterCTRL."""

    VERSION = 0x00
    MAXPI = 0x01
    ORDER = 0x02
    DATA0 = 0x0C
    COMMAND = 0x0D


class Command(IntEnum):
    """What a ClusterCTRL is told with the port in DATA0."""

    ON = 0x03
    OFF = 0x04
    GET_STATUS = 0x0F


class Hat(IntEnum):
    """Registers of a ClusterHAT's XRA1200P."""

    INPUT = 0x00
    OUTPUT = 0x01
    POLARITY = 0x02
    DIRECTION = 0x03


def latch_from(pins: int, latch: int, inputs: int) -> int:
    """The latch that keeps every pin at its level when all are made outputs."""
    return pins & inputs | latch & ~inputs & 0xFF


class ClusterOptions(I2cOptions):
    """What the wiring file says of a ClusterCTRL or ClusterHAT."""

    address: Literal[0x20] = Field(default=0x20)
    board: Literal["ctrl", "hat"] = Field(
        description='"hat" for a ClusterHAT version 2 or 3, "ctrl" for any ClusterCTRL'
    )


class _Board(Protocol):
    ports: int

    def look(self) -> None: ...

    def fed(self, port: int) -> bool | None: ...

    def feed(self, port: int, on: bool) -> None: ...


class _Registers:
    """One-byte registers on the bus."""

    def __init__(self, bus: I2cBus, address: int, where: str) -> None:
        self._bus = bus
        self._address = address
        self.where = where

    def get(self, register: int, length: int = 1) -> bytes:
        return self._bus.transfer(self._address, bytes([register]), length)

    def put(self, register: int, value: int) -> None:
        self._bus.transfer(self._address, bytes([register, value]))

    def mismatch(self, what: str) -> DeviceMismatchError:
        return DeviceMismatchError(
            what,
            where=self.where,
            hint="compare `bus`, `address` and `board` in the wiring file with the hardware",
        )


class _Ctrl:
    def __init__(self, registers: _Registers) -> None:
        self._registers = registers
        self.ports = 0

    def look(self) -> None:
        version, ports, order = self._registers.get(Ctrl.VERSION, 3)
        if version != LAYOUT or not 1 <= ports <= MOST_PORTS or not order:
            raise self._registers.mismatch(
                f"identifies as layout {version} with {ports} ports, not as a ClusterCTRL"
            )
        self.ports = ports

    def fed(self, port: int) -> bool | None:
        state = self._order(port, Command.GET_STATUS)
        if state in (0, 1):
            return bool(state)
        if state == UNKNOWN_PORT:
            return None
        raise DeviceDataError(
            f"says 0x{state:02x} of P{port}, which is no state",
            where=self._registers.where,
            hint="is the `clusterctrl` tool running beside hwctl?",
        )

    def feed(self, port: int, on: bool) -> None:
        self._order(port, Command.ON if on else Command.OFF)

    def _order(self, port: int, command: Command) -> int:
        """:returns: DATA0 when it is done."""
        self._registers.put(Ctrl.DATA0, port)
        self._registers.put(Ctrl.COMMAND, command)
        busy: DeviceError | None = None
        for _ in range(LOOKS):
            try:
                data, pending, status = self._registers.get(Ctrl.DATA0, 3)
            except DeviceNotFoundError as error:
                busy = error  # it acknowledges no write while a command is pending
                continue
            if not pending:
                break
        else:
            raise DeviceTimeoutError(
                f"has not carried out {command.name} of P{port}",
                where=self._registers.where,
                hint="unplug the board's USB for a moment",
            ) from busy
        if status:
            raise DeviceDataError(
                f"refuses {command.name} of P{port} with status {status}",
                where=self._registers.where,
                hint="its firmware may not know the command, or have no such port",
            )
        return data


class _Hat:
    def __init__(self, registers: _Registers) -> None:
        self._registers = registers
        self.ports = HAT_PORTS

    def look(self) -> None:
        pins, latch, polarity, inputs = (self._registers.get(register)[0] for register in Hat)
        if polarity or (pins ^ latch) & ~inputs & 0xFF:
            raise self._registers.mismatch(
                "has outputs that are not at the level of their latch, or inverted inputs"
            )

    def fed(self, port: int) -> bool | None:
        return bool(self._registers.get(Hat.INPUT)[0] >> (port - 1) & 1)

    def feed(self, port: int, on: bool) -> None:
        (latch,), (inputs,) = self._registers.get(Hat.OUTPUT), self._registers.get(Hat.DIRECTION)
        if inputs:
            latch = latch_from(self._registers.get(Hat.INPUT)[0], latch, inputs)
        bit = 1 << (port - 1)
        self._registers.put(Hat.OUTPUT, latch | bit if on else latch & ~bit)
        if inputs:
            self._registers.put(Hat.DIRECTION, 0)


class Cluster:
    """One board; channel 1 is P1."""

    def __init__(self, bus: I2cBus, options: ClusterOptions) -> None:
        hat = options.board == "hat"
        where = f"{'ClusterHAT' if hat else 'ClusterCTRL'} at 0x{options.address:02x}"
        registers = _Registers(bus, options.address, where)
        self._where = where
        self._board: _Board = _Hat(registers) if hat else _Ctrl(registers)

    def probe(self) -> None:
        """Read only."""
        self._board.look()

    def get(self, channel: int = 0) -> bool | None:
        """Whether the port is fed, as the board says."""
        self._check(channel)
        return self._board.fed(channel)

    def set(self, channel: int, on: bool) -> None:
        """Feed a port or not; the others stay as they are."""
        self._check(channel)
        self._board.feed(channel, on)

    def _check(self, channel: int) -> None:
        if not self._board.ports:
            self.probe()
        if not 1 <= channel <= self._board.ports:
            raise DeviceMismatchError(
                f"has P1 to P{self._board.ports}, no P{channel}",
                where=self._where,
                hint="correct `channel` of that outlet in the wiring file",
            )


DRIVER = Driver(
    name="clusterctrl",
    summary="the ports of a ClusterCTRL or of a ClusterHAT version 2 or 3",
    parts=("ClusterCTRL", "ClusterHAT v2.x", "ClusterHAT v3.x"),
    bus="i2c",
    roles=frozenset({"outlet"}),
    options=ClusterOptions,
    open=Cluster,
    proof="a HAT: Linux' gpio-pca953x on the same pins; ClusterCTRL: frames of the maker's tool",
    channels=MOST_PORTS,
    first_channel=1,
)
