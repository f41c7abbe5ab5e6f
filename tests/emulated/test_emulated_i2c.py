"""The bus: acknowledge, repeated START, faults."""

import errno

import pytest
from smbus2 import i2c_msg

from hwctl.model.errors import ConfigError
from hwctl_emulated.i2c import EmulatedI2c


class Tape:
    """A chip that writes down what it sees, refuses 0xEE, and counts up when read."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self._next = 0

    def start(self, read: bool) -> bool:
        self.seen.append("R" if read else "W")
        return True

    def write(self, byte: int) -> bool:
        self.seen.append(byte)
        return byte != 0xEE

    def read(self) -> int:
        self._next += 1
        return self._next

    def stop(self) -> None:
        self.seen.append("P")


@pytest.fixture
def tape() -> Tape:
    return Tape()


@pytest.fixture
def bus(tape) -> EmulatedI2c:
    bus = EmulatedI2c("i2c1")
    bus.place(0x20, tape, "device.tape")
    return bus


def test_one_transaction_has_repeated_starts_and_one_stop(bus, tape):
    message = i2c_msg.read(0x20, 3)
    bus.i2c_rdwr(i2c_msg.write(0x20, [7, 8]), message)
    assert tape.seen == ["W", 7, 8, "R", "P"]
    assert bytes(message) == b"\x01\x02\x03"


def test_several_reads_are_filled_in_order(bus):
    first, second = i2c_msg.read(0x20, 1), i2c_msg.read(0x20, 2)
    bus.i2c_rdwr(first, i2c_msg.write(0x20, [0]), second)
    assert (bytes(first), bytes(second)) == (b"\x01", b"\x02\x03")


def test_an_address_where_nothing_is_gives_enxio(bus, tape):
    with pytest.raises(OSError, match=rf"\[Errno {errno.ENXIO}\]"):
        bus.i2c_rdwr(i2c_msg.read(0x21, 1))
    assert tape.seen == []


def test_a_refused_byte_gives_enxio_after_the_bytes_before_it(bus, tape):
    with pytest.raises(OSError, match=rf"\[Errno {errno.ENXIO}\]"):
        bus.i2c_rdwr(i2c_msg.write(0x20, [1, 0xEE, 2]))
    assert tape.seen == ["W", 1, 0xEE, "P"]


@pytest.mark.parametrize(("fault", "number"), [("nak", errno.ENXIO), ("timeout", errno.ETIMEDOUT)])
def test_faults_that_raise(bus, tape, fault, number):
    bus.faults[0x20] = fault
    with pytest.raises(OSError, match=rf"\[Errno {number}\]"):
        bus.i2c_rdwr(i2c_msg.read(0x20, 1))
    assert tape.seen == []


@pytest.mark.parametrize(("fault", "byte"), [("ones", b"\xff"), ("zeros", b"\x00")])
def test_faults_that_lie(bus, tape, fault, byte):
    bus.faults[0x20] = fault
    message = i2c_msg.read(0x20, 4)
    bus.i2c_rdwr(i2c_msg.write(0x20, [5]), message)
    assert bytes(message) == byte * 4
    assert tape.seen == []


def test_without_power_nothing_answers(bus):
    bus.powered = False
    with pytest.raises(OSError, match=rf"\[Errno {errno.ENXIO}\]"):
        bus.i2c_rdwr(i2c_msg.read(0x20, 1))


def test_two_chips_on_one_address_are_refused(bus, tape):
    with pytest.raises(ConfigError, match="0x20 on bus i2c1 is taken") as caught:
        bus.place(0x20, tape, "device.second")
    assert caught.value.where == "device.second"


def test_a_reserved_address_is_refused(tape):
    with pytest.raises(ConfigError, match="0x78"):
        EmulatedI2c().place(0x78, tape, "device.tape")
