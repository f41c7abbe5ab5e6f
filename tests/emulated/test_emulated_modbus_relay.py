"""The emulated Modbus relay board, by its frames alone."""

import random

import pytest

from hwctl_emulated.modbus_relay import ModbusRelay, checksum


class World:
    now = 0.0


@pytest.fixture
def world():
    return World()


@pytest.fixture
def board(world):
    return ModbusRelay(lambda: world.now)


def frame(text):
    data = bytes.fromhex(text)
    return data + checksum(data)


def test_the_checksum_is_that_of_published_frames():
    """Waveshare's example for function 05, and 700 ms of flash; both in several public clients."""
    assert frame("01 05 00 00 FF 00")[-2:] == bytes.fromhex("8C 3A")
    assert frame("01 05 02 00 00 07")[-2:] == bytes.fromhex("8D B0")


@pytest.mark.parametrize("cut", range(1, 16))
def test_frames_in_pieces_and_two_at_once(board, cut):
    both = frame("01 05 00 00 FF 00") + frame("01 01 00 00 00 08")
    wanted = frame("01 05 00 00 FF 00") + frame("01 01 01 01")
    assert board.received(both[:cut]) + board.received(both[cut:]) == wanted


def test_noise_before_a_frame_is_passed_over(board):
    noise = random.Random(7).randbytes(20)
    assert board.received(noise + frame("01 05 00 02 FF 00")) == frame("01 05 00 02 FF 00")
    assert board.relay(3)


def test_a_broken_checksum_is_not_answered_and_not_obeyed(board):
    broken = bytearray(frame("01 05 00 00 FF 00"))
    broken[6] ^= 1
    assert board.received(bytes(broken)) == b""
    assert not board.relay(1)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("01 01 00 00 00 09", 2),
        ("01 01 00 00 00 00", 3),
        ("01 05 00 08 FF 00", 2),
        ("01 05 00 00 12 34", 3),
        ("01 05 04 00 00 00", 3),
        ("01 04 00 00 00 01", 1),
        ("01 03 00 00 00 01", 2),
    ],
)
def test_what_it_refuses(board, asked, code):
    data = bytes.fromhex(asked)
    assert board.received(frame(asked)) == frame(f"01 {data[1] | 0x80:02X} {code:02X}")


@pytest.mark.parametrize(
    ("asked", "on"),
    [
        ("01 05 00 FF FF 00", {1, 2, 3, 4, 5, 6, 7, 8}),
        ("01 05 00 03 55 00", {4}),
        ("01 0F 00 00 00 08 01 A5", {1, 3, 6, 8}),
        ("00 05 00 00 FF 00", {1}),
        ("02 05 00 00 FF 00", set()),
    ],
)
def test_what_it_obeys(board, asked, on):
    answer = board.received(frame(asked))
    assert {n for n in range(1, 9) if board.relay(n)} == on
    assert bool(answer) is (asked[:2] == "01")


@pytest.mark.parametrize(("base", "during"), [("02", True), ("04", False)])
def test_flashes(world, board, base, during):
    board.received(frame(f"01 05 {base} 00 00 07"))
    assert board.relay(1) is during
    world.now = 0.65
    assert board.relay(1) is during
    world.now = 0.75
    assert board.relay(1) is not during


def test_a_power_cut_forgets_a_flash(world, board):
    board.received(frame("01 05 04 00 00 07"))
    board.power_on()
    world.now = 10.0
    assert not board.relay(1)


def test_version_and_address(board):
    assert board.received(frame("01 03 80 00 00 01")) == frame("01 03 02 00 C8")
    assert board.received(frame("01 03 40 00 00 01")) == frame("01 03 02 00 01")
