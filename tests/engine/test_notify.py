"""systemd's notification socket and descriptor store, played by a socket of the test."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwctl.engine.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.settimeout(5)
        yield listener, address


def test_messages(systemd: tuple[socket.socket, str]) -> None:
    listener, address = systemd
    assert Notifier(address).send("READY=1", "STATUS=serving")
    assert listener.recv(1000) == b"READY=1\nSTATUS=serving"


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0hwctl-test-{os.getpid()}")
        assert Notifier(f"@hwctl-test-{os.getpid()}").send("WATCHDOG=1")
        assert listener.recv(100) == b"WATCHDOG=1"


def test_nobody_asked_or_nobody_is_there(tmp_path: Path) -> None:
    assert not Notifier("").send("READY=1")
    assert not Notifier(str(tmp_path / "nobody")).send("READY=1")


def test_a_line_is_stored_once_and_is_the_same_open_file(
    systemd: tuple[socket.socket, str],
) -> None:
    listener, address = systemd
    read_end, write_end = os.pipe()
    notifier = Notifier(address)
    notifier.keep({"gpiochip0.17": write_end})
    notifier.keep({"gpiochip0.17": write_end})
    message, fds, _, _ = socket.recv_fds(listener, 1000, 4)
    assert message == b"FDSTORE=1\nFDNAME=gpiochip0.17"
    os.close(write_end)
    os.write(fds[0], b"still open")
    assert os.read(read_end, 100) == b"still open"
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.recv(100)
    for fd in (read_end, *fds):
        os.close(fd)


def test_what_was_kept_comes_back_to_the_next_process() -> None:
    """As systemd starts a service: descriptors from 3 on, and their names."""
    read_end, write_end = os.pipe()
    code = (
        "import os\n"
        f"os.dup2({write_end}, 3)\n"
        "from hwctl.engine.notify import Notifier\n"
        "env = dict(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='gpiochip0.4')\n"
        "kept = Notifier('').kept(env, os.getpid())\n"
        "assert kept == {'gpiochip0.4': 3}, kept\n"
        "assert not os.get_inheritable(3)\n"
        "os.write(kept['gpiochip0.4'], b'held')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, pass_fds=[write_end])
    assert os.read(read_end, 10) == b"held"
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x", "LISTEN_FDNAMES": "a"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"},
    ],
)
def test_nothing_is_taken_that_was_not_meant_for_us(environ: dict[str, str]) -> None:
    assert Notifier("").kept(environ, os.getpid()) == {}


def test_what_systemd_keeps_already_is_not_sent_again(
    systemd: tuple[socket.socket, str],
) -> None:
    listener, address = systemd
    notifier = Notifier(address)
    notifier._stored.add("gpiochip0.4")
    notifier.keep({"gpiochip0.4": 0})
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.recv(100)
