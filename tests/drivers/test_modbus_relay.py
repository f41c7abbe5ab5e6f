"""Relay boards on Modbus: published frames byte by byte on a pty, and the emulated board.

Golden frames: Waveshare's examples, as several public clients of the boards quote them (found by
these very bytes in GitHub code): on, off, read with the answer 0x41, and 700 ms of flash.
"""

import os
import threading
import tty
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from hwctl.engine.modbus_client import ModbusLine
from hwctl.model.errors import (
    DeviceDataError,
    DeviceError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)
from hwctl_drivers.modbus_relay import DRIVER, ModbusRelayOptions, flash_units
from hwctl_emulated.modbus_relay import ModbusRelay as Board


@contextmanager
def on_a_pty(answer):
    """A Modbus line to ``answer(bytes) -> bytes``, and what it was sent."""
    master, slave = os.openpty()
    tty.setraw(slave)
    sent = []

    def play():
        while True:
            try:
                data = os.read(master, 256)
            except OSError:
                return
            sent.append(data)
            os.write(master, answer(data))

    thread = threading.Thread(target=play)
    thread.start()
    bus = ModbusLine(os.ttyname(slave), "rs485", 9600, "N")
    os.close(slave)
    try:
        yield bus, sent
    finally:
        # The other end of a pty reads EIO once nobody has it open any more.
        bus.close()
        thread.join()
        os.close(master)


def opened(bus, **options):
    return DRIVER.open(bus, ModbusRelayOptions(**options))


class Scripted:
    """One published request, one published answer."""

    def __init__(self, request, answer):
        self.request, self.answer = bytes.fromhex(request), bytes.fromhex(answer)

    def __call__(self, data):
        assert data == self.request
        return self.answer


@pytest.mark.parametrize(
    ("request_", "answer", "act", "wanted"),
    [
        ("01 05 00 00 FF 00 8C 3A", None, lambda relay: relay.set(1, True), None),
        ("01 05 00 00 00 00 CD CA", None, lambda relay: relay.set(1, False), None),
        ("01 05 00 01 FF 00 DD FA", None, lambda relay: relay.set(2, True), None),
        ("01 05 00 01 00 00 9C 0A", None, lambda relay: relay.set(2, False), None),
        ("01 01 00 00 00 08 3D CC", "01 01 01 41 91 B8", lambda relay: relay.get(1), True),
        ("01 01 00 00 00 08 3D CC", "01 01 01 41 91 B8", lambda relay: relay.get(2), False),
        ("01 01 00 00 00 08 3D CC", "01 01 01 41 91 B8", lambda relay: relay.get(7), True),
    ],
)
def test_published_frames(request_, answer, act, wanted):
    with on_a_pty(Scripted(request_, answer or request_)) as (bus, sent):
        assert act(opened(bus)) == wanted
        assert b"".join(sent) == bytes.fromhex(request_)


def test_the_published_timed_frame():
    """700 ms on: what a node on the normally-closed contact takes for off, 600 ms and one unit."""
    frame = "01 05 02 00 00 07 8D B0"
    with on_a_pty(Scripted(frame, frame)) as (bus, sent):
        opened(bus, flash="waveshare", contact="normally-closed").cycle(1, 0.6)
        assert b"".join(sent) == bytes.fromhex(frame)


class World:
    """A board on a pty, and its clock."""

    def __init__(self, **options):
        self.now = 100.0
        self.board = Board(lambda: self.now, **options)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def bus(world):
    with on_a_pty(world.board.received) as (bus, _):
        yield bus


def states(board, channels=8):
    return [board.relay(channel) for channel in range(1, channels + 1)]


def test_opening_and_probing_switch_nothing(world, bus):
    opened(bus).set(3, True)
    before = states(world.board)
    opened(bus).probe()
    assert states(world.board) == before
    assert before.count(True) == 1


@pytest.mark.parametrize("channel", range(1, 9))
def test_each_channel_is_its_own_relay(world, bus, channel):
    relay = opened(bus)
    relay.set(channel, True)
    assert [n for n in range(1, 9) if relay.get(n)] == [channel]
    assert [n for n in range(1, 9) if world.board.relay(n)] == [channel]
    relay.set(channel, False)
    assert not any(states(world.board))


def test_it_is_read_back_not_remembered(world, bus):
    relay = opened(bus)
    relay.set(1, True)
    world.board.power_on()
    assert relay.get(1) is False


@pytest.mark.parametrize(
    ("off_s", "units"), [(0, 1), (0.05, 2), (0.3, 4), (5, 51), (3276.6, 32767)]
)
def test_a_flash_is_never_too_short(off_s, units):
    assert flash_units(off_s) == units
    assert units * 0.1 >= off_s


@pytest.mark.parametrize("contact", ["normally-open", "normally-closed"])
def test_the_board_itself_switches_on_again(contact):
    world = World(normally_closed=contact == "normally-closed")
    with on_a_pty(world.board.received) as (bus, _):
        relay = opened(bus, flash="waveshare", contact=contact)
        relay.set(2, True)
        relay.cycle(2, 5.0)
        assert (relay.get(2), world.board.relay(2)) == (False, False)
        world.now += 5.0
        assert world.board.relay(2) is False
        world.now += 0.2
        assert (relay.get(2), world.board.relay(2)) == (True, True)
        assert relay.get(1) is (contact == "normally-closed")


@pytest.mark.parametrize(
    ("flash", "off_s", "hint"),
    [("none", 5, "flash"), ("waveshare", 3276.7, "longer"), ("waveshare", -1, "longer")],
)
def test_a_cycle_that_the_board_cannot_do(world, bus, flash, off_s, hint):
    relay = opened(bus, flash=flash)
    relay.set(1, True)
    with pytest.raises(DeviceError) as caught:
        relay.cycle(1, off_s)
    assert hint in caught.value.hint
    assert world.board.relay(1) is True


@pytest.mark.parametrize(("flash", "cycles"), [("none", False), ("waveshare", True)])
def test_only_boards_that_have_it_are_said_to_cycle(flash, cycles):
    assert DRIVER.cycles(ModbusRelayOptions(flash=flash)) is cycles


@pytest.mark.parametrize("contact", ["normally-open", "normally-closed"])
def test_either_contact(contact):
    world = World(normally_closed=contact == "normally-closed")
    with on_a_pty(world.board.received) as (bus, _):
        relay = opened(bus, contact=contact)
        assert relay.get(1) is (contact == "normally-closed")
        for on in (True, False):
            relay.set(1, on)
            assert (relay.get(1), world.board.relay(1)) == (on, on)


def test_another_unit_and_other_coils():
    world = World(unit=17, channels=16, coil_base=0x10)
    with on_a_pty(world.board.received) as (bus, _):
        relay = opened(bus, unit=17, channels=16, coil_base=0x10)
        relay.probe()
        relay.set(16, True)
        assert [n for n in range(1, 17) if relay.get(n)] == [16]
        assert world.board.relay(16)


@pytest.mark.parametrize("channel", [0, 9])
def test_a_channel_that_the_board_has_not(bus, channel):
    relay = opened(bus)
    for act in (relay.get, lambda n: relay.set(n, True), lambda n: relay.cycle(n, 1)):
        with pytest.raises(DeviceNotFoundError, match=f"no channel {channel}"):
            act(channel)


def test_more_channels_than_the_board_has_show_when_it_is_probed(bus):
    with pytest.raises(DeviceError, match="no such address") as caught:
        opened(bus, channels=16).probe()
    assert "channels" in caught.value.hint


def test_no_board_of_that_unit(bus):
    with pytest.raises(DeviceTimeoutError) as caught:
        opened(bus, unit=2).probe()
    assert "unit 2" in caught.value.where


def test_an_adapter_that_echoes_is_not_taken_for_a_board():
    """What it sends back is just what a board answers to function 05."""
    with on_a_pty(lambda data: data) as (bus, _), pytest.raises(DeviceDataError) as caught:
        opened(bus).probe()
    assert "echoes" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [{"unit": 0}, {"unit": 248}, {"channels": 33}, {"coil_base": 0xFFFF}, {"flash": "other"}],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        ModbusRelayOptions(**options)


def test_two_boards_share_a_line_but_no_coil():
    first, second = ModbusRelayOptions(), ModbusRelayOptions(unit=2)
    assert len(set(first.claims()) | set(second.claims())) == 16
    assert set(first.claims()) & set(ModbusRelayOptions(coil_base=7).claims())
