"""A relay board on Modbus RTU: the device side, frames, checksums and timers of its own.

Sources: Modbus over Serial Line 1.02, sections 2.5.1 (frame) and 6.2.2 (checksum); Modbus
Application Protocol 1.1b3, section 6; for the board's own addresses nobrega8/mbmap-library,
maps/waveshare/modbus-rtu-relay.mbmap.json: 0x00FF all relays, 0x0200 flash on, 0x0400 flash off,
holding registers 0x4000 (address) and 0x8000 (version). Value 0x5500 inverts:
a-mkh/waveshare-relay, relay.py. That a plain order ends a flash is a guess (unverified).
"""

from collections.abc import Callable
from enum import IntEnum

from hwctl_emulated.part import Site

ALL = 0x00FF
FLASH_ON, FLASH_OFF = 0x0200, 0x0400
TICK_S = 0.1
UNIT_REGISTER, VERSION_REGISTER = 0x4000, 0x8000
VERSION = 200
"""2.00"""

BAD_FUNCTION, BAD_ADDRESS, BAD_VALUE = 1, 2, 3


class Value(IntEnum):
    """What function 05 may say of a relay."""

    OFF = 0x0000
    INVERT = 0x5500
    ON = 0xFF00


class Refused(Exception):  # noqa: N818 - an answer of the protocol
    """The board answers an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def checksum(data: bytes) -> bytes:
    """CRC-16 of Modbus, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


class ModbusRelay:
    """One board, behind an RS-485 adapter. Relays are counted from 1.

    :param now: seconds of the world.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        unit: int = 1,
        channels: int = 8,
        coil_base: int = 0,
        normally_closed: bool = False,
    ) -> None:
        self._now = now
        self._unit = unit
        self._base = coil_base
        self._normally_closed = normally_closed
        self._coils = [False] * channels
        self._due: dict[int, tuple[float, bool]] = {}
        """By coil: when a flash ends, and what the relay is then."""
        self._heard = b""

    def relay(self, channel: int) -> bool:
        """Whether the contact that feeds the node is closed."""
        self._run_timers()
        return self._coils[channel - 1] is not self._normally_closed

    def power_on(self) -> None:
        """All relays let go; a flash that ran is forgotten."""
        self._coils = [False] * len(self._coils)
        self._due.clear()
        self._heard = b""

    def received(self, data: bytes) -> bytes:
        """What the board sends when it has heard ``data``.

        Where a frame ends is known from its function, since time means little on a pty; bytes that
        start no frame are passed over.
        """
        self._heard += data
        answers = b""
        while len(self._heard) >= 4:
            length = _length(self._heard)
            if len(self._heard) < length:
                break
            frame, rest = self._heard[:length], self._heard[length:]
            if checksum(frame[:-2]) != frame[-2:]:
                self._heard = self._heard[1:]
                continue
            self._heard = rest
            answers += self._answer(frame)
        return answers

    def _answer(self, frame: bytes) -> bytes:
        unit, function, body = frame[0], frame[1], frame[2:-2]
        if unit not in (0, self._unit):
            return b""
        self._run_timers()
        try:
            said = bytes([self._unit, function]) + self._do(function, body)
        except Refused as refused:
            said = bytes([self._unit, function | 0x80, refused.code])
        # Nobody answers what is meant for all.
        return said + checksum(said) if unit else b""

    def _do(self, function: int, body: bytes) -> bytes:
        address, value = int.from_bytes(body[:2]), int.from_bytes(body[2:4])
        match function:
            case 1:
                if not value:
                    raise Refused(BAD_VALUE)
                first = self._coil(address)
                self._coil(address + value - 1)
                return _packed(self._coils[first : first + value])
            case 3:
                return self._registers(address, value)
            case 5:
                self._order(address, value)
                return body
            case 15:
                first = self._coil(address)
                self._coil(address + value - 1)
                bits = int.from_bytes(body[5:], "little")
                for n in range(value):
                    self._put(first + n, on=bool(bits >> n & 1))
                return body[:4]
            case _:
                raise Refused(BAD_FUNCTION)

    def _registers(self, address: int, count: int) -> bytes:
        known = {UNIT_REGISTER: self._unit, VERSION_REGISTER: VERSION}
        if count != 1 or address not in known:
            raise Refused(BAD_ADDRESS)
        return b"\x02" + known[address].to_bytes(2)

    def _order(self, address: int, value: int) -> None:
        for base, state in ((FLASH_ON, True), (FLASH_OFF, False)):
            coil = address - base
            if 0 <= coil < len(self._coils) and not self._is_relay(address):
                if not value:
                    raise Refused(BAD_VALUE)
                self._put(coil, on=state)
                self._due[coil] = (self._now() + value * TICK_S, not state)
                return
        if address == ALL and not self._is_relay(address):
            coils = list(range(len(self._coils)))
        else:
            coils = [self._coil(address)]
        for coil in coils:
            match value:
                case Value.ON:
                    self._put(coil, on=True)
                case Value.OFF:
                    self._put(coil, on=False)
                case Value.INVERT:
                    self._put(coil, on=not self._coils[coil])
                case _:
                    raise Refused(BAD_VALUE)

    def _put(self, coil: int, *, on: bool) -> None:
        self._due.pop(coil, None)
        self._coils[coil] = on

    def _is_relay(self, address: int) -> bool:
        return self._base <= address < self._base + len(self._coils)

    def _coil(self, address: int) -> int:
        if not self._is_relay(address):
            raise Refused(BAD_ADDRESS)
        return address - self._base

    def _run_timers(self) -> None:
        for coil, (when, state) in list(self._due.items()):
            if self._now() >= when:
                self._put(coil, on=state)


def _length(heard: bytes) -> int:
    """Bytes of the frame that ``heard`` begins with, checksum included."""
    if heard[1] in (15, 16):
        return 9 + heard[6] if len(heard) > 6 else 9
    return 8 if heard[1] <= 6 else 4


def _packed(bits: list[bool]) -> bytes:
    """A count of bytes, and the bits, lowest first."""
    number = sum(1 << n for n, bit in enumerate(bits) if bit)
    length = (len(bits) + 7) // 8
    return bytes([length]) + number.to_bytes(length, "little")


def make(site: Site) -> ModbusRelay:
    """The board of one device's table."""
    return ModbusRelay(
        site.clock,
        unit=int(site.number("unit", 1)),
        channels=int(site.number("channels", 8)),
        coil_base=int(site.number("coil_base", 0)),
        normally_closed=site.text("contact", "normally-open") == "normally-closed",
    )
