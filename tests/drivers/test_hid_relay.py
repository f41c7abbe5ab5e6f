"""USB relay boards: the frames of public clients, and the emulated board."""

import pytest
from pydantic import ValidationError

from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError
from hwctl_drivers.hid_relay import DRIVER, HidRelayOptions
from hwctl_emulated.hid_relay import HidRelay as Board


class Scripted:
    """A board that answers one report, and notes what is written."""

    def __init__(self, report="42 49 54 46 54 00 00 00"):
        self.report = bytes.fromhex(report)
        self.written = []
        self.read = []

    def get_feature(self, report, length):
        self.read.append((report, length))
        return self.report

    def set_feature(self, report, data):
        self.written.append((report, data.hex(" ").upper()))


def opened(bus, channels=2, **options):
    return DRIVER.open(bus, HidRelayOptions(channels=channels, **options))


def test_probing_reads_and_writes_nothing():
    bus = Scripted()
    opened(bus).probe()
    assert bus.read == [(0, 8)]
    assert bus.written == []


@pytest.mark.parametrize(
    ("channel", "on", "frame"),
    [
        (1, True, "FF 01 00 00 00 00 00 00"),
        (2, True, "FF 02 00 00 00 00 00 00"),
        (1, False, "FD 01 00 00 00 00 00 00"),
        (8, False, "FD 08 00 00 00 00 00 00"),
    ],
)
def test_what_is_written(channel, on, frame):
    """As darrylb123/usbrelay writes it (libusbrelay.c, operate_relay)."""
    bus = Scripted()
    opened(bus, channels=8).set(channel, on)
    assert bus.written == [(0, frame)]


@pytest.mark.parametrize(
    ("states", "on"),
    [("00", set()), ("01", {1}), ("02", {2}), ("80", {8}), ("A5", {1, 3, 6, 8})],
)
def test_what_is_read_back(states, on):
    """Byte 7, lowest bit first (kvmd, ugpio/hidrelay.py; labgrid, usb_hid_relay.py)."""
    relay = opened(Scripted(f"42 49 54 46 54 00 00 {states}"), channels=8)
    assert {channel for channel in range(1, 9) if relay.get(channel)} == on


@pytest.mark.parametrize("contact", ["normally-open", "normally-closed"])
def test_the_emulated_board_follows(contact):
    board = Board(channels=4, serial="HURTM", normally_closed=contact == "normally-closed")
    relay = opened(board, channels=4, serial="HURTM", contact=contact)
    relay.probe()
    for channel in (1, 2, 3, 4):
        for on in (True, False, True):
            relay.set(channel, on)
            assert (relay.get(channel), board.relay(channel)) == (on, on)
    board.power_on()
    assert [relay.get(n) for n in (1, 2, 3, 4)] == [contact == "normally-closed"] * 4


def test_one_channel_is_switched_and_no_other():
    board = Board(channels=4)
    relay = opened(board, channels=4)
    relay.set(3, True)
    assert [board.relay(n) for n in (1, 2, 3, 4)] == [False, False, True, False]


@pytest.mark.parametrize("channel", [0, 3])
def test_a_channel_that_the_board_has_not(channel):
    bus = Scripted()
    relay = opened(bus)
    for act in (relay.get, lambda n: relay.set(n, True)):
        with pytest.raises(DeviceNotFoundError, match=f"no channel {channel}"):
            act(channel)
    assert bus.written == []


@pytest.mark.parametrize(
    "report",
    [
        "",
        "42 49 54 46 54 00 00",
        "00 00 00 00 00 00 00 00",
        "FF FF FF FF FF FF FF FF",
    ],
)
def test_reports_of_no_working_board(report):
    relay = opened(Scripted(report))
    for act in (relay.probe, lambda: relay.get(1)):
        with pytest.raises(DeviceDataError) as caught:
            act()
        assert "cable" in caught.value.hint


@pytest.mark.parametrize(
    ("report", "serial", "said"),
    [
        ("00 49 54 46 54 00 00 01", None, "no five characters"),
        ("42 49 54 46 54 00 00 00", "HURTM", "is board BITFT, not HURTM"),
    ],
)
def test_another_device(report, serial, said):
    with pytest.raises(DeviceMismatchError, match=said) as caught:
        opened(Scripted(report), serial=serial).probe()
    assert "/dev/hwctl" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": 0},
        {"channels": 9},
        {"channels": 1, "serial": "SHRT"},
        {"channels": 1, "serial": "A B C"},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        HidRelayOptions(**options)


def test_the_board_as_its_firmware_does_it():
    """Commands for all relays and a new serial number (usb-relay-firmware, main.c)."""
    board = Board(channels=2)
    assert board.get_feature(0, 8) == b"UNSET\0\0\0"
    board.write(0, b"\xfe")
    assert board.get_feature(1, 8)[7] == 3
    board.set_feature(0, b"\xff\x03")
    assert board.get_feature(0, 8)[7] == 3
    board.set_feature(0, b"\xfaHURTM\0\0")
    board.set_feature(0, b"\xfc")
    assert board.get_feature(0, 8) == b"HURTM\0\0\0"
