"""A relay board on USB as the kernel sees it: plugged in, named by udev, switched, pulled out.

The board is the emulated Numato module behind a gadget of the kernel's own (dummy_hcd and the ACM
function of libcomposite): /dev/ttyACM0 is the head's side, /dev/ttyGS0 the board's.
"""

import os
import re
import select
import subprocess
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hwctl.config import udev
from hwctl.engine.buses import AnyBus, KernelBuses
from hwctl.engine.clock import ManualClock
from hwctl.engine.ports import SerialPort
from hwctl.engine.workers import BusWorker, Health, Report
from hwctl.model.errors import BusError
from hwctl.model.wiring import Bus
from hwctl_drivers.numato import DRIVER as NUMATO
from hwctl_emulated.numato import Numato

GADGET = Path("/sys/kernel/config/usb_gadget/relays")
CONTROLLERS = Path("/sys/class/udc")
TTY = Path("/dev/ttyACM0")
USBMON = Path("/sys/kernel/debug/usb/usbmon/0u")
RULES = Path("/run/udev/rules.d")


class Board:
    """The emulated module behind /dev/ttyGS0, and the plug."""

    def __init__(self, serial: str) -> None:
        self.part = Numato(4)
        self.lines: list[str] = []
        """The commands that came, in order."""
        self._make(serial)
        self._done, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _make(self, serial: str) -> None:
        for folder in ("strings/0x409", "configs/c.1", "functions/acm.0"):
            (GADGET / folder).mkdir(parents=True)
        # A 4-channel module's own.
        (GADGET / "idVendor").write_text("0x2a19")
        (GADGET / "idProduct").write_text("0x0c01")
        (GADGET / "strings/0x409/product").write_text("Numato Lab 4 Channel USB Relay Module")
        if serial:
            (GADGET / "strings/0x409/serialnumber").write_text(serial)
        (GADGET / "configs/c.1/acm.0").symlink_to(GADGET / "functions/acm.0")

    def plug_in(self) -> None:
        (GADGET / "UDC").write_text(next(CONTROLLERS.iterdir()).name)

    def pull_out(self) -> None:
        (GADGET / "UDC").write_text("\n")

    def _serve(self) -> None:
        number = (GADGET / "functions/acm.0/port_num").read_text().strip()
        typed = bytearray()
        end = -1
        while True:
            if end < 0:
                end = os.open(f"/dev/ttyGS{number}", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
                tty.setraw(end)
            ready, _, _ = select.select([end, self._done], [], [])
            if self._done in ready:
                os.close(end)
                return
            data = b""
            with suppress(OSError):
                data = os.read(end, 4096)
            if not data:  # pulled out: the kernel hung it up
                os.close(end)
                end = -1
                typed.clear()
                continue
            typed += data
            *lines, rest = bytes(typed).split(b"\r")
            self.lines += [line.decode() for line in lines]
            typed[:] = rest
            with suppress(OSError):
                os.write(end, self.part.received(data))

    def remove(self) -> None:
        with suppress(OSError):
            self.pull_out()
        os.write(self._stop, b"x")
        self._thread.join(10)
        os.close(self._done)
        os.close(self._stop)
        (GADGET / "configs/c.1/acm.0").unlink()
        for folder in ("configs/c.1", "functions/acm.0", "strings/0x409", ""):
            (GADGET / folder).rmdir()


@pytest.fixture
def board(load, eventually, request) -> Iterator[Board]:
    """Plugged in; ``indirect`` parameter: its serial number, which real ones do not have."""
    for module in ("dummy_hcd", "libcomposite", "usb_f_acm", "cdc_acm"):
        load(module)
    board = Board(getattr(request, "param", ""))
    board.plug_in()
    eventually(TTY.exists)
    yield board
    board.remove()
    eventually(lambda: not TTY.exists())


class Ports(KernelBuses):
    """The kernel's, and a list of what was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Any] = []

    def open(self, name: str, bus: Bus) -> AnyBus:
        self.opened.append(super().open(name, bus))
        return self.opened[-1]


class Desk:
    """A bus worker and what it reports; its clock moves when it is told to."""

    def __init__(self, path: str) -> None:
        self.clock = ManualClock()
        self.reports: list[Report] = []
        self.health: list[Health] = []
        self.ports = Ports()
        bus = Bus(kind="serial", path=path)
        self.worker = BusWorker(
            "relays", bus, self.ports, self.clock, self.reports.append, self.health.append
        )
        self.worker.add_device("board", NUMATO, NUMATO.options(channels=4))
        for channel in range(4):
            self.worker.poll("board", f"{channel}", lambda dev, ch=channel: dev.get(ch), 1.0)

    def run(self, seconds: float) -> dict[str, object]:
        """So many rounds, a second apart. :returns: the last value or error of each poll that
        reported in them."""
        before = len(self.reports)
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            self.worker.run_once()
        return {one.key: one.error or one.value for one in self.reports[before:]}

    def order(self, channel: int, on: bool) -> list[object]:
        outcome: list[object] = []
        self.worker.order("board", "switch", lambda dev: dev.set(channel, on), outcome.append)
        self.worker.run_once()
        return outcome


@pytest.fixture
def desk(board) -> Iterator[Callable[[str], Desk]]:
    """desk(path). Asks for ``board``, so that ports are closed before that is removed."""
    made: list[Desk] = []

    def desk(path: str) -> Desk:
        made.append(Desk(path))
        return made[-1]

    yield desk
    for one in made:
        for port in one.ports.opened:
            port.close()


def holds(path: Path) -> bool:
    """Whether this process has it open."""
    fds = Path("/proc/self/fd").iterdir()
    return any(str(fd.readlink()).startswith(str(path)) for fd in fds if fd.is_symlink())


def test_a_board_that_is_pulled_out_comes_back_by_itself_and_is_not_switched(
    board, desk, eventually
):
    desk = desk(str(TTY))
    assert desk.run(3) == {"0": False, "1": False, "2": False, "3": False}
    assert desk.order(2, True) == [None]
    assert board.part.relay(2)
    assert desk.run(2) == {"0": False, "1": False, "2": True, "3": False}
    assert desk.health == []
    before = list(board.lines)

    board.pull_out()
    eventually(lambda: not TTY.exists())
    seen = desk.run(40)
    assert seen
    assert all(isinstance(error, BusError) for error in seen.values()), seen
    (failed,) = desk.health
    assert isinstance(failed.error, BusError)
    assert "unplugged" in failed.error.hint
    assert "opened again" in failed.error.hint
    assert not holds(TTY)
    (refused,) = desk.order(2, False)
    assert isinstance(refused, BusError)
    assert board.lines == before

    board.plug_in()
    eventually(TTY.exists)
    assert desk.run(40) == {"0": False, "1": False, "2": True, "3": False}
    assert [one.error is None for one in desk.health] == [False, True]
    assert not list(Path("/dev").glob("ttyACM[1-9]")), "the old port was kept open"
    after = board.lines[len(before) :]
    assert after[0] == "ver"
    assert all(line == "ver" or line.startswith("relay read ") for line in after), after
    assert board.part.relay(2)
    assert desk.order(2, False) == [None]
    assert not board.part.relay(2)


@pytest.fixture
def usbmon(load):
    load("usbmon")
    fd = os.open(USBMON, os.O_RDONLY | os.O_NONBLOCK)

    def seen() -> str:
        text = b""
        with suppress(BlockingIOError):
            while piece := os.read(fd, 4096):
                text += piece
        return text.decode()

    yield seen
    os.close(fd)


def test_opening_and_closing_moves_neither_dtr_nor_rts_after_the_first_time(board, usbmon):
    for _ in range(3):
        port = SerialPort(str(TTY), "relays")
        outlets = NUMATO.open(port, NUMATO.options(channels=4))
        outlets.probe()
        assert outlets.get(0) is False
        port.close()
    # SET_CONTROL_LINE_STATE (USB CDC PSTN 1.2, section 6.3.12): bit 0 is DTR, bit 1 RTS.
    states = re.findall(r" s 21 22 (\w{4}) ", usbmon())
    assert states
    assert set(states) == {"0003"}


def test_a_board_s_line_is_set_as_asked(board):
    """Parity, which no pty takes."""
    port = SerialPort(str(TTY), "relays")
    port.configure(baud=19200, parity="O", stop_bits=2)
    fd = os.open(TTY, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    _, _, cflag, _, speed, _, _ = termios.tcgetattr(fd)
    assert speed == termios.B19200
    for flag in (termios.PARENB, termios.PARODD, termios.CSTOPB):
        assert cflag & flag
    os.close(fd)
    port.close()


def answers() -> bool:
    """Whether systemd-udevd does."""
    ping = ["udevadm", "control", "--ping"]
    return subprocess.run(ping, check=False, stderr=subprocess.DEVNULL).returncode == 0


@pytest.fixture
def udevd(eventually):
    """udevd(rules) starts systemd-udevd with them, in a system that has the group hwctl."""
    group = Path("/run/group")
    group.write_text(Path("/etc/group").read_text() + "hwctl:x:987:\n")
    subprocess.run(["mount", "--bind", group, "/etc/group"], check=True)
    started: list[subprocess.Popen[bytes]] = []

    def udevd(rules: dict[str, str]) -> None:
        RULES.mkdir(parents=True, exist_ok=True)
        for name, text in rules.items():
            (RULES / name).write_text(text)
        started.append(subprocess.Popen(["/lib/systemd/systemd-udevd", "--resolve-names=early"]))
        eventually(answers)

    yield udevd
    for process in started:
        process.terminate()
        assert process.wait(30) == 0
    for file in RULES.glob("*hwctl*"):
        file.unlink()
    subprocess.run(["umount", "/etc/group"], check=True)


def settled() -> None:
    subprocess.run(["udevadm", "settle", "--timeout=60"], check=True)


def links() -> dict[str, str]:
    """name -> device below /dev/hwctl."""
    found = Path("/dev/hwctl")
    if not found.is_dir():
        return {}
    return {one.name: str(one.resolve()) for one in sorted(found.iterdir())}


def port_of(device: Path) -> str:
    """The USB port, as the kernel writes it."""
    interface = (Path("/sys/class/tty") / device.name / "device").resolve()
    return interface.parent.name


@pytest.mark.parametrize("board", ["", "RELAY0001"], indirect=True, ids=["no-serial", "serial"])
def test_udev_names_a_board_by_its_port_and_its_serial_number(
    board, desk, udevd, eventually, request
):
    serial = request.node.callspec.params["board"]
    port = port_of(TTY)
    # Two hands: what is generated for all, and the line that the user adds for a board.
    rules = {
        udev.NAME: udev.text([NUMATO]),
        Path(udev.PORTS_FILE).name: udev.port_rule(port, "upper-deck") + "\n",
    }
    board.pull_out()
    eventually(lambda: not TTY.exists())
    udevd(rules)
    board.plug_in()
    eventually(TTY.exists)
    wanted = {f"numato-{port}": str(TTY), "upper-deck": str(TTY)}
    if serial:
        wanted[f"numato-{serial}"] = str(TTY)
    eventually(lambda: links().keys() >= wanted.keys())
    settled()
    assert links() == wanted
    assert TTY.group() == "hwctl"
    assert TTY.owner() == "root"
    assert TTY.stat().st_mode & 0o777 == 0o660
    power = next(Path("/sys/bus/usb/devices").glob(f"{port}/power/control"))
    assert power.read_text() == "on\n"

    said = subprocess.run(
        ["udevadm", "test", "/sys/class/tty/ttyACM0"], capture_output=True, text=True, check=True
    )
    ours = [line for line in (said.stdout + said.stderr).splitlines() if "hwctl" in line]
    assert any("/run/udev/rules.d/70-hwctl.rules" in line for line in ours)
    assert any("/run/udev/rules.d/71-hwctl-ports.rules" in line for line in ours)
    wrong = re.compile("error|invalid|unknown|fail|ignor|unexpected", re.IGNORECASE)
    assert [line for line in ours if wrong.search(line)] == []

    # The name is the path that a wiring file gives: it goes with the plug, and comes with it.
    desk = desk("/dev/hwctl/upper-deck")
    assert desk.run(3)["3"] is False
    board.pull_out()
    eventually(lambda: not TTY.exists())
    settled()
    assert links() == {}
    desk.run(10)
    board.plug_in()
    eventually(lambda: links() == wanted)
    settled()
    assert desk.run(40)["3"] is False
    assert [one.error is None for one in desk.health] == [False, True]
