"""Serial ports, HID devices and the kernel's files: what fails, in our words. No hardware."""

import errno
import fcntl
import grp
import os
import termios
import tty
from pathlib import Path

import pytest
import serial  # imported before a test gives up its rights

from hwctl.engine.ports import HidrawDevice, SerialPort, SysfsFolder, opening_error
from hwctl.model.errors import (
    BusError,
    DeviceBusyError,
    DeviceDataError,
    DeviceError,
    DeviceNotFoundError,
)

NOBODY = 65534


class Pty:
    """Both ends, and the near one's path."""

    def __init__(self):
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        self.path = Path(os.ttyname(self.near))

    def unplug(self):
        """The kernel hangs the near end up, as it does when a USB port goes."""
        os.close(self.far)
        self.far = -1

    def close(self):
        for fd in (self.far, self.near):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def line():
    line = Pty()
    yield line
    line.close()


@pytest.fixture
def port(line):
    port = SerialPort(str(line.path), "tty")
    yield port
    port.close()


@pytest.fixture
def ordinary():
    """As a user whom file modes bind."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


# --- serial ports ----------------------------------------------------------------------------


def test_bytes_go_both_ways(line, port):
    port.write(b"\x00\r\n\x11\xff")
    assert os.read(line.far, 100) == b"\x00\r\n\x11\xff"
    os.write(line.far, b"on\n\r>off\n\r>")
    assert port.read(64, limit_s=10, until=b">") == b"on\n\r>"
    assert port.read(3, limit_s=10) == b"off"
    port.discard()
    assert port.read(64, limit_s=0) == b""
    assert port.read(64, limit_s=0.01) == b""


def test_what_came_in_while_nobody_listened_is_discarded(line, port):
    os.write(line.far, b"old")
    port.discard()
    os.write(line.far, b"new")
    assert port.read(3, limit_s=10) == b"new"


def test_the_line_is_set_as_asked(line, port):
    port.configure(baud=19200, stop_bits=2)
    _, _, cflag, _, speed, _, _ = termios.tcgetattr(line.near)
    assert speed == termios.B19200
    assert cflag & termios.CSTOPB
    port.configure(baud=9600)
    _, _, cflag, _, speed, _, _ = termios.tcgetattr(line.near)
    assert speed == termios.B9600
    assert not cflag & termios.CSTOPB


def test_closing_lowers_no_line_that_a_board_could_feel(line, port):
    port.configure(baud=9600)
    assert not termios.tcgetattr(line.near)[2] & termios.HUPCL


def test_a_port_is_held_by_one_only_and_given_back(line, port):
    with pytest.raises(DeviceBusyError) as caught:
        SerialPort(str(line.path), "relays")
    assert str(line.path) in caught.value.hint
    assert "fuser" in caught.value.hint
    assert caught.value.where == "relays"
    assert isinstance(caught.value.__cause__, serial.SerialException)
    port.close()
    SerialPort(str(line.path), "relays").close()


def test_a_port_that_another_program_took_for_itself_alone(line, request):
    line.path.chmod(0o666)
    fcntl.ioctl(line.near, termios.TIOCEXCL)
    request.getfixturevalue("ordinary")
    with pytest.raises(DeviceBusyError) as caught:
        SerialPort(str(line.path), "relays")
    assert "fuser" in caught.value.hint


@pytest.mark.parametrize("action", ["discard", "write", "read", "configure"])
def test_a_port_that_is_gone(line, port, action):
    line.unplug()
    arguments = {"write": (b"x",), "read": (1,)}.get(action, ())
    options = {"read": {"limit_s": 10}, "configure": {"baud": 19200}}.get(action, {})
    with pytest.raises(BusError) as caught:
        getattr(port, action)(*arguments, **options)
    assert "unplugged" in caught.value.hint
    assert caught.value.where == "tty"
    assert caught.value.__cause__ is not None
    port.close()
    port.close()


def test_a_board_that_takes_nothing(port):
    with pytest.raises(BusError, match="Write timeout"):
        port.write(bytes(1_000_000))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"baud": -1}, "-1 baud"),
        ({"baud": 9600, "parity": "E"}, "parity E"),  # no pty has one
    ],
)
def test_a_port_that_cannot_be_set_so(port, settings, said):
    with pytest.raises(BusError) as caught:
        port.configure(**settings)
    assert said in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda path: None, "/dev/hwctl"),
        (lambda path: path.touch(), "such a device"),
        (lambda path: path.mkdir(), "such a device"),
    ],
)
def test_no_serial_port(tmp_path, make, hint):
    path = tmp_path / "tty"
    make(path)
    with pytest.raises(BusError) as caught:
        SerialPort(str(path), "relays")
    assert hint in caught.value.hint
    assert str(path) in caught.value.what
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(("mode", "hint"), [(0o020, "usermod -aG {} "), (0, "`hwctl install`")])
def test_no_permission_names_who_has_it(mode, hint, line, request):
    if os.geteuid() == 0:
        os.chown(line.path, -1, grp.getgrnam("tty").gr_gid)
    line.path.chmod(mode)
    hint = hint.format(line.path.group())
    request.getfixturevalue("ordinary")
    with pytest.raises(BusError) as caught:
        SerialPort(str(line.path), "relays")
    assert "no permission" in caught.value.what
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.EACCES, "serial", "usermod -aG dialout"),
        (errno.EPERM, "spi", "usermod -aG spi"),
        (errno.ENOENT, "i2c", "dtparam=i2c=on"),
        (errno.ENOENT, "hid", "plugged in"),
        (errno.EIO, "hid", "dmesg"),
    ],
)
def test_why_a_bus_cannot_be_opened(tmp_path, number, kind, hint):
    error = OSError(number, os.strerror(number))
    assert hint in opening_error(error, str(tmp_path / "gone"), "bus", kind).hint


# --- HID devices -----------------------------------------------------------------------------


def test_what_is_no_hid_device():
    device = HidrawDevice("/dev/null", "relays")
    for job in (lambda: device.get_feature(1, 8), lambda: device.set_feature(0, b"\xff\x01")):
        with pytest.raises(DeviceDataError) as caught:
            job()
        assert "/dev/hwctl" in caught.value.hint
        assert caught.value.__cause__.errno == errno.ENOTTY
    device.close()


def test_a_hid_device_that_takes_no_report_and_one_that_is_gone():
    device = HidrawDevice("/dev/full", "relays")
    with pytest.raises(DeviceDataError, match="does not take a report"):
        device.write(0, b"\xff\x01")
    device.close()
    with pytest.raises(BusError) as caught:
        device.write(0, b"\xff\x01")
    assert "unplugged" in caught.value.hint


def test_no_hid_device(tmp_path):
    with pytest.raises(BusError) as caught:
        HidrawDevice(str(tmp_path / "hidraw9"), "relays")
    assert "plugged in" in caught.value.hint


# --- the kernel's files ----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    port = tmp_path / "sys" / "1-1:1.0" / "1-1-port2"
    port.mkdir(parents=True)
    (port / "disable").write_text("0\n")
    (port / "raw").write_bytes(b"\xff\xfe")
    (tmp_path / "outside").write_text("secret\n")
    return SysfsFolder(str(tmp_path / "sys"), "hub")


PORT = "1-1:1.0/1-1-port2"


def test_files_are_read_written_and_listed(folder, tmp_path):
    assert folder.read(f"{PORT}/disable") == "0"
    folder.write(f"{PORT}/disable", "1")
    assert (tmp_path / "sys" / PORT / "disable").read_text() == "1\n"
    assert folder.names() == ["1-1:1.0"]
    assert folder.names(PORT) == ["disable", "raw"]
    assert folder.names("2-1:1.0") == []
    folder.close()


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", f"{PORT}/../../../outside", ".."])
def test_no_path_leads_out(folder, tmp_path, path):
    for job in (
        lambda: folder.read(path),
        lambda: folder.write(path, "x"),
        lambda: folder.names(path),
    ):
        with pytest.raises(DeviceError) as caught:
            job()
        assert "leads out" in caught.value.what
    assert (tmp_path / "outside").read_text() == "secret\n"


def test_a_file_that_is_not_there_is_not_made(folder, tmp_path):
    for job in (lambda: folder.read("2-1/x"), lambda: folder.write(f"{PORT}/x", "1")):
        with pytest.raises(DeviceNotFoundError) as caught:
            job()
        assert "dmesg" in caught.value.hint
    assert not (tmp_path / "sys" / PORT / "x").exists()
    with pytest.raises(DeviceNotFoundError):
        folder.read(f"{PORT}/disable/x")


@pytest.mark.parametrize("path", [PORT, f"{PORT}/raw", f"{PORT}/a\0b"])
def test_what_the_kernel_does_not_let_us_read(folder, path):
    with pytest.raises(DeviceError) as caught:
        folder.read(path)
    assert "refuses" in caught.value.what
    assert caught.value.hint


def test_a_file_without_permission(folder, tmp_path, request):
    (tmp_path / "sys" / PORT / "disable").chmod(0)
    for above in (tmp_path, *tmp_path.parents):
        if above.name.startswith("pytest") and above.owner() == Path.home().owner():
            above.chmod(0o755)
    request.getfixturevalue("ordinary")
    for job in (
        lambda: folder.read(f"{PORT}/disable"),
        lambda: folder.write(f"{PORT}/disable", "1"),
    ):
        with pytest.raises(BusError) as caught:
            job()
        assert "hwctl install" in caught.value.hint


def test_no_folder(tmp_path):
    with pytest.raises(BusError) as caught:
        SysfsFolder(str(tmp_path / "none"), "hub")
    assert "`path`" in caught.value.hint
