"""A USB relay board behind the kernel's hidraw: the emulated board, plugged in by uhid.

Numbers and layouts: linux/uhid.h. What a transfer looks like to hidraw is as usbhid_get_raw_report
and usbhid_set_raw_report in Linux's drivers/hid/usbhid/hid-core.c make it: the number of the report
first, and counted, also where the device has none.
"""

import errno
import os
import struct
import threading
from enum import IntEnum
from pathlib import Path

import pytest

from hwctl.engine.buses import KernelBuses
from hwctl.model.errors import BusError, DeviceDataError
from hwctl.model.wiring import Bus
from hwctl_drivers.hid_relay import DRIVER, HidRelayOptions
from hwctl_emulated.hid_relay import DESCRIPTOR, PRODUCT, VENDOR, HidRelay

EVENT = 4 + 128 + 64 + 64 + 2 + 2 + 16 + 4096
"""sizeof(struct uhid_event), of which the request to create is the largest."""
BUS_USB = 3
FEATURE = 0


class Uhid(IntEnum):
    DESTROY = 1
    STOP = 3
    OUTPUT = 6
    GET_REPORT = 9
    GET_REPORT_REPLY = 10
    CREATE2 = 11
    SET_REPORT = 13
    SET_REPORT_REPLY = 14


class Plugged:
    """A board in a USB port."""

    def __init__(self, board, uniq):
        self.board = board
        self.uniq = uniq
        self.broken = False
        self.seen = []
        """(kind, number, data) of what the kernel sent."""
        self._fd = os.open("/dev/uhid", os.O_RDWR)
        self._send(
            Uhid.CREATE2,
            struct.pack(
                "128s64s64sHHIIII",
                *(b"www.dcttech.com USBRelay4", b"lab", uniq.encode()),
                *(len(DESCRIPTOR), BUS_USB, VENDOR, PRODUCT, 0x0100, 0),
            )
            + DESCRIPTOR,
        )
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def path(self):
        for entry in Path("/sys/class/hidraw").glob("hidraw*"):
            if f"HID_UNIQ={self.uniq}\n" in (entry / "device/uevent").read_text():
                return f"/dev/{entry.name}"
        return None

    def unplug(self):
        if self._thread.is_alive():
            self._send(Uhid.DESTROY, b"")
            self._thread.join()
            os.close(self._fd)

    def _send(self, kind, payload):
        os.write(self._fd, struct.pack("=I", kind) + payload)

    def _serve(self):
        while True:
            event = os.read(self._fd, EVENT)
            (kind,) = struct.unpack_from("=I", event)
            match kind:
                case Uhid.STOP:
                    return
                case Uhid.GET_REPORT:
                    number, report, _ = struct.unpack_from("=IBB", event, 4)
                    data = bytes([report]) + self.board.get_feature(report, 8)
                    error = errno.EIO if self.broken else 0
                    answer = struct.pack("=IHH", number, error, len(data)) + data
                    self._send(Uhid.GET_REPORT_REPLY, answer)
                case Uhid.SET_REPORT:
                    number, report, what, size = struct.unpack_from("=IBBH", event, 4)
                    data = event[12 : 12 + size]
                    self.seen.append((what, report, data))
                    self.board.set_feature(report, data[1:])
                    error = errno.EIO if self.broken else 0
                    self._send(Uhid.SET_REPORT_REPLY, struct.pack("=IH", number, error))
                case Uhid.OUTPUT:
                    size, _ = struct.unpack_from("=HB", event, 4 + 4096)
                    self.board.write(event[4], event[5 : 4 + size])


@pytest.fixture
def plug(load, eventually):
    for module in ("uhid", "hid_generic"):
        load(module)
    eventually(Path("/dev/uhid").exists)
    plugs = []

    def plug(**options):
        plugs.append(Plugged(HidRelay(**options), f"lab{len(plugs)}"))
        path = eventually(lambda: plugs[-1].path)
        eventually(Path(path).exists)
        return plugs[-1]

    yield plug
    for one in plugs:
        one.unplug()


@pytest.fixture
def opened():
    buses = []

    def opened(plugged):
        buses.append(KernelBuses().open("relays", Bus(kind="hid", path=plugged.path)))
        return buses[-1]

    yield opened
    for bus in buses:
        bus.close()


def test_four_channels_through_the_kernel(plug, opened):
    plugged = plug(channels=4, serial="HURTM")
    relay = DRIVER.open(opened(plugged), HidRelayOptions(channels=4, serial="HURTM"))
    relay.probe()
    assert plugged.seen == []
    for channel in (1, 2, 3, 4):
        for on in (True, False, True):
            relay.set(channel, on)
            assert (relay.get(channel), plugged.board.relay(channel)) == (on, on)
    assert plugged.seen[0] == (FEATURE, 0, bytes.fromhex("00 FF 01 00 00 00 00 00 00"))


def test_the_report_comes_without_its_number_and_not_longer_than_it_is(plug, opened):
    bus = opened(plug(serial="HURTM"))
    assert bus.get_feature(0, 8) == b"HURTM\0\0\0"
    assert bus.get_feature(0, 64) == b"HURTM\0\0\0"
    assert bus.get_feature(0, 5) == b"HURTM"


def test_an_output_report_does_the_same(plug, opened, eventually):
    plugged = plug()
    opened(plugged).write(0, bytes.fromhex("FF 02 00 00 00 00 00 00"))
    eventually(lambda: plugged.board.relay(2))
    assert not plugged.board.relay(1)


def test_two_boards_are_two_devices(plug, opened):
    first, second = plug(serial="AAAAA"), plug(serial="BBBBB")
    relays = [
        DRIVER.open(opened(one), HidRelayOptions(channels=2, serial=serial))
        for one, serial in ((first, "AAAAA"), (second, "BBBBB"))
    ]
    for relay in relays:
        relay.probe()
    relays[1].set(1, True)
    assert (first.board.relay(1), second.board.relay(1)) == (False, True)


def test_a_board_that_fails(plug, opened):
    plugged = plug()
    relay = DRIVER.open(opened(plugged), HidRelayOptions(channels=2))
    plugged.broken = True
    for act in (relay.probe, lambda: relay.get(1), lambda: relay.set(1, True)):
        with pytest.raises(DeviceDataError, match="feature report") as caught:
            act()
        assert caught.value.__cause__ is not None
    plugged.broken = False
    relay.probe()


def test_a_board_that_is_pulled_out(plug, opened):
    plugged = plug()
    relay = DRIVER.open(opened(plugged), HidRelayOptions(channels=2))
    relay.probe()
    path = plugged.path
    plugged.unplug()
    for act in (relay.probe, lambda: relay.get(1), lambda: relay.set(1, True)):
        with pytest.raises(BusError, match="gone") as caught:
            act()
        assert "unplugged" in caught.value.hint
    with pytest.raises(BusError, match="does not exist"):
        KernelBuses().open("relays", Bus(kind="hid", path=path))
