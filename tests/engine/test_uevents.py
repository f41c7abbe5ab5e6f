"""The kernel's messages about its devices; `make lab` has real ones."""

import errno
import os
import threading

import pytest

from hwctl.engine.uevents import LOST, Uevent, Uevents, parsed, received

BATTERY = (
    b"change@/devices/virtual/power_supply/test_battery\0ACTION=change\0"
    b"DEVPATH=/devices/virtual/power_supply/test_battery\0SUBSYSTEM=power_supply\0"
    b"POWER_SUPPLY_NAME=test_battery\0POWER_SUPPLY_CAPACITY=42\0SEQNUM=1234\0"
)
"""Of the form that Linux 6.1 gives it: lib/kobject_uevent.c, power_supply_sysfs.c."""


def test_a_message_of_the_kernel_s():
    assert parsed(BATTERY) == Uevent(
        "change", "power_supply", "/devices/virtual/power_supply/test_battery"
    )


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"libudev\0\xfe\xed\xca\xfe\0\0\0(\0\0\0",
        b"add@/devices/x\0",
        b"add@/devices/x\0ACTION=add\0",
        b"add@/devices/x\0SUBSYSTEM\0",
        b"\xff\xfe@\0\xff=\xfe\0",
    ],
)
def test_what_is_none_is_passed_over(message):
    assert parsed(message) is None


class Socket:
    def __init__(self, answer):
        self.answer = answer

    def recvfrom(self, most):
        assert most >= 2048
        if isinstance(self.answer, int):
            raise OSError(self.answer, os.strerror(self.answer))
        return self.answer


def test_only_the_kernel_is_believed():
    assert received(Socket((BATTERY, (0, 1)))) == parsed(BATTERY)
    assert received(Socket((BATTERY, (4711, 1)))) is None, "a process says so"


def test_messages_that_were_lost_stand_for_anything():
    event = received(Socket(errno.ENOBUFS))
    assert event == LOST
    assert event.brings("i2c")
    assert event.concerns(frozenset({"power_supply"}))
    assert not event.concerns(frozenset())
    assert received(Socket(errno.EAGAIN)) is None
    with pytest.raises(OSError, match="descriptor"):
        received(Socket(errno.EBADF))


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        (Uevent("add", "i2c-dev"), {"i2c"}),
        (Uevent("bind", "i2c"), {"i2c"}),
        (Uevent("add", "tty"), {"serial", "modbus"}),
        (Uevent("add", "hidraw"), {"hid"}),
        (Uevent("add", "gpio"), {"gpio"}),
        (Uevent("add", "spidev"), {"spi"}),
        (Uevent("add", "usb"), {"sysfs"}),
        (Uevent("change", "tty"), set()),
        (Uevent("remove", "i2c-dev"), set()),
        (Uevent("add", "net"), set()),
    ],
)
def test_what_an_event_brings(event, kinds):
    every = ("i2c", "spi", "gpio", "serial", "modbus", "hid", "sysfs")
    assert {kind for kind in every if event.brings(kind)} == kinds


def test_listening_ends_when_it_is_told_to():
    news = Uevents(lambda _event: None)
    if not news.start():
        news.stop()
        pytest.skip("no netlink socket here")
    (thread,) = [one for one in threading.enumerate() if one.name == "uevents"]
    news.stop()
    assert not thread.is_alive()
    news.stop()


def test_without_having_been_started_it_ends_as_well():
    Uevents(lambda _event: None).stop()
    assert [one for one in threading.enumerate() if one.name == "uevents"] == []
