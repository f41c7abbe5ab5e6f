"""The emulated adapter as a USB host sees it, over USB/IP. `make lab` puts Linux itself there."""

import errno
import socket
import struct
import threading

import pytest

from hwctl_emulated import usbip
from hwctl_emulated.i2c import EmulatedI2c
from hwctl_emulated.ina219 import Ina219
from hwctl_emulated.usbip import TinyUsb, serve

IN_VENDOR, OUT_VENDOR = 0xC1, 0x41
IN_STANDARD, OUT_STANDARD = 0x80, 0x00
BEGIN_END = usbip.Tiny.IO | usbip.IO_BEGIN | usbip.IO_END
BEGIN, END = usbip.Tiny.IO | usbip.IO_BEGIN, usbip.Tiny.IO | usbip.IO_END


class Host:
    """What vhci_hcd sends and takes."""

    def __init__(self, link):
        self.link = link
        link.settimeout(10)
        self.number = 0

    def submit(self, kind, request, value=0, index=0, length=0, data=b"", endpoint=0):
        self.number += 1
        inward = kind >> 7
        head = struct.pack(">5I", 1, self.number, 0x10001, inward, endpoint)
        head += struct.pack(">5I", 0, length, 0, 0xFFFFFFFF, 0)
        self.link.sendall(head + struct.pack("<BBHHH", kind, request, value, index, length) + data)

    def answer(self, inward):
        """(status, actual length, data)"""
        head = self.link.recv(48, socket.MSG_WAITALL)
        command, number, *_rest, status, length = struct.unpack(">5IiI20x", head)
        assert (command, number) == (3, self.number)
        data = self.link.recv(length, socket.MSG_WAITALL) if inward and length else b""
        return status, length, data

    def read(self, request, length, value=0, index=0, kind=IN_VENDOR, **more):
        self.submit(kind, request, value, index, length, **more)
        return self.answer(inward=True)

    def write(self, request, index, data, kind=OUT_VENDOR):
        self.submit(kind, request, 0, index, len(data), data)
        return self.answer(inward=False)

    def status(self):
        return self.read(usbip.Tiny.GET_STATUS, 1)[2][0]

    def unlink(self, number):
        self.number += 1
        self.link.sendall(struct.pack(">5II24x", 2, self.number, 0x10001, 0, 0, number))
        head = self.link.recv(48, socket.MSG_WAITALL)
        command, answered, *_rest, status = struct.unpack(">5Ii24x", head)
        assert (command, answered) == (4, self.number)
        return status


@pytest.fixture
def bus():
    bus = EmulatedI2c("i2c1")
    gauge = Ina219(0.01)
    gauge.sense(4.0, 1.0)
    bus.place(0x40, gauge, "device.gauge")
    return bus


@pytest.fixture
def host(bus):
    kernel, ours = socket.socketpair()
    thread = threading.Thread(target=serve, args=(ours, TinyUsb(bus, serial="S1")))
    thread.start()
    yield Host(kernel)
    kernel.close()
    thread.join(10)
    ours.close()
    assert not thread.is_alive(), "it ends when the host does"


def test_it_is_an_i2c_tiny_usb(host):
    status, length, device = host.read(6, 18, value=0x0100, kind=IN_STANDARD)
    assert (status, length, device[0], device[1]) == (0, 18, 18, 1)
    assert struct.unpack_from("<HH", device, 8) == (0x0403, 0xC631)
    first = host.read(6, 9, value=0x0200, kind=IN_STANDARD)[2]
    whole = host.read(6, 255, value=0x0200, kind=IN_STANDARD)[2]
    assert (len(first), len(whole), whole[:9]) == (9, struct.unpack_from("<H", first, 2)[0], first)
    assert host.read(6, 255, value=0x0300, kind=IN_STANDARD)[2] == bytes([4, 3, 9, 4])
    serial = host.read(6, 255, value=0x0303, index=0x0409, kind=IN_STANDARD)[2]
    assert serial[2:].decode("utf-16le") == "S1"
    assert host.write(9, 0, b"", kind=OUT_STANDARD)[0] == 0


@pytest.mark.parametrize(
    ("kind", "request_", "value"),
    [(IN_STANDARD, 6, 0x0600), (IN_STANDARD, 6, 0x0304), (IN_STANDARD, 12, 0), (IN_VENDOR, 0, 0)],
    ids=["qualifier", "no such string", "no such request", "no such vendor request"],
)
def test_what_it_does_not_know_is_stalled(host, kind, request_, value):
    assert host.read(request_, 64, value=value, kind=kind)[0] == -errno.EPIPE


def test_it_has_no_endpoint_but_0(host):
    assert host.read(6, 18, value=0x0100, kind=IN_STANDARD, endpoint=1)[0] == -errno.EPIPE


def test_it_tells_what_it_can(host):
    functions = int.from_bytes(host.read(usbip.Tiny.GET_FUNC, 4)[2], "little")
    assert functions & 0x1, "plain I2C"
    assert functions & 0x8, "PEC"
    assert not functions & 0x01000000, "SMBus block read: the length is the chip's to say"


def test_a_register_is_read_with_a_repeated_start(host):
    assert host.write(BEGIN, 0x40, b"\x02")[:2] == (0, 1)
    assert host.status() == usbip.ACKNOWLEDGED
    assert host.read(END, 2, value=1, index=0x40) == (0, 2, b"\x1f\x42")
    assert host.status() == usbip.ACKNOWLEDGED


def test_nobody_there_is_told_in_the_status(host):
    assert host.write(BEGIN_END, 0x41, b"\x02")[0] == 0
    assert host.status() == usbip.REFUSED
    assert host.read(BEGIN_END, 2, value=1, index=0x41)[:2] == (0, 2)
    assert host.status() == usbip.REFUSED


class Tape:
    def __init__(self):
        self.seen = []

    def start(self, read):
        self.seen.append("R" if read else "W")
        return True

    def write(self, byte):
        self.seen.append(byte)
        return byte != 0xEE

    def read(self):
        return 0

    def stop(self):
        self.seen.append("P")


def test_the_stop_comes_at_the_end_after_a_refusal_and_before_a_new_beginning(host, bus):
    tape = Tape()
    bus.place(0x20, tape, "device.tape")
    host.write(BEGIN, 0x20, b"\x01")
    host.read(END, 1, value=1, index=0x20)
    assert tape.seen == ["W", 1, "R", "P"]
    host.write(BEGIN_END, 0x20, b"\xee\x02")
    assert tape.seen[4:] == ["W", 0xEE, "P"]
    host.write(BEGIN, 0x20, b"\x03")  # broken off: its end never comes
    host.write(BEGIN_END, 0x20, b"\x04")
    assert tape.seen[7:] == ["W", 3, "P", "W", 4, "P"]


def test_a_held_clock_is_never_answered_and_can_be_given_up(host, bus):
    bus.faults[0x40] = "timeout"
    host.submit(IN_VENDOR, BEGIN_END, 1, 0x40, 2)
    assert host.unlink(host.number) == -errno.ECONNRESET
    bus.faults.clear()
    host.write(BEGIN_END, 0x40, b"\x02")
    assert host.unlink(host.number) == 0, "that was answered long ago"
    assert host.read(BEGIN_END, 2, value=1, index=0x40)[2] == b"\x1f\x42"


def test_a_host_that_speaks_something_else_is_left(bus):
    kernel, ours = socket.socketpair()
    kernel.sendall(struct.pack(">I", 7) + bytes(44))
    serve(ours, TinyUsb(bus))
    kernel.close()
    ours.close()


def test_without_vhci_hcd_nothing_stays_open():
    if usbip.VHCI.exists():
        pytest.skip("this machine has vhci_hcd")
    with pytest.raises(FileNotFoundError):
        usbip.Plug(TinyUsb(EmulatedI2c()))
