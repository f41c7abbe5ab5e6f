"""LCUS, KMTronic and Numato relay boards: a pty, hwctl's port at one end, a board at the other."""

import os
import select
import threading
import tty
from dataclasses import dataclass, field
from random import Random

import pytest

from hwctl.engine.ports import SerialPort
from hwctl.model.drivers import Driver
from hwctl.model.errors import (
    DeviceDataError,
    DeviceError,
    DeviceMismatchError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers import kmtronic, lcus, numato
from hwctl_emulated import kmtronic as kmtronic_end
from hwctl_emulated import lcus as lcus_end
from hwctl_emulated import numato as numato_end
from hwctl_emulated.part import Site

DRIVERS = {"lcus": lcus.DRIVER, "kmtronic": kmtronic.DRIVER, "numato": numato.DRIVER}
MAKERS = {"lcus": lcus_end.make, "kmtronic": kmtronic_end.make, "numato": numato_end.make}
BOARDS = [
    *(("lcus", {"channels": n}) for n in (1, 2, 4, 8)),
    *(("kmtronic", {"channels": n}) for n in (1, 2, 4, 8)),
    *(("numato", {"channels": n}) for n in (1, 4, 16, 32, 64)),
]
ANSWERING = [one for one in BOARDS if one != ("lcus", {"channels": 1})]


def board(name, options):
    """The emulated one."""
    entry = DeviceEntry(driver=name, bus="tty", **options)
    return MAKERS[name](Site(name="board", entry=entry, clock=lambda: 0.0, rng=Random(1)))


@dataclass
class Script:
    """Says its answers one after the other, whatever it is asked; then nothing."""

    answers: list[bytes]

    def received(self, data):
        return self.answers.pop(0) if self.answers else b""


@dataclass
class Line:
    """A pty with a part at its far end, which a thread serves."""

    part: object
    torn: bool = False
    """The part's answers leave byte by byte."""
    sent: bytearray = field(default_factory=bytearray)
    """All that came from hwctl."""

    def __post_init__(self):
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        self.path = os.ttyname(self.near)
        self._done, self._stop = os.pipe()
        self._idle = threading.Condition()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            ready, _, _ = select.select([self.far, self._done], [], [])
            if self._done in ready:
                return
            data = os.read(self.far, 4096)
            answer = self.part.received(data)
            with self._idle:
                self.sent += data
                self._idle.notify()
            for piece in [bytes([byte]) for byte in answer] if self.torn else [answer]:
                os.write(self.far, piece)

    def wait_sent(self, wanted):
        """Until so many bytes have come."""
        with self._idle:
            assert self._idle.wait_for(lambda: len(self.sent) >= wanted, 10), bytes(self.sent)

    def close(self):
        os.write(self._stop, b"x")
        self._thread.join(10)
        assert not self._thread.is_alive()
        for fd in (self.far, self.near, self._done, self._stop):
            os.close(fd)


@pytest.fixture
def wire():
    """wire(part) -> (line, port)"""
    made = []

    def wire(part, **options):
        line = Line(part, **options)
        made.append((line, SerialPort(line.path, "tty")))
        return made[-1]

    yield wire
    for line, port in made:
        port.close()
        line.close()


def device(name, port, **options):
    driver = DRIVERS[name]
    return driver.open(port, driver.options(**options))


# --- whole boards ----------------------------------------------------------------------------


def channels_of(name, options):
    first = DRIVERS[name].first_channel
    return range(first, first + options["channels"])


@pytest.mark.parametrize(("name", "options"), ANSWERING)
@pytest.mark.parametrize("torn", [False, True])
def test_every_relay_is_switched_and_seen(wire, name, options, torn):
    part = board(name, options)
    _, port = wire(part, torn=torn)
    outlets = device(name, port, **options)
    outlets.probe()
    every = channels_of(name, options)
    for channel in sorted({every[0], every[len(every) // 2], every[-1]}):
        outlets.set(channel, True)
        assert outlets.get(channel) is True
        assert [one for one in every if part.relay(one)] == [channel]
        outlets.set(channel, False)
        assert outlets.get(channel) is False
        assert not any(part.relay(one) for one in every)


def test_an_lcus_board_of_one_is_switched_and_tells_nothing(wire):
    part = board("lcus", {"channels": 1})
    line, port = wire(part)
    outlets = device("lcus", port, channels=1)
    outlets.probe()
    outlets.set(1, True)
    assert outlets.get(1) is None
    line.wait_sent(4)
    assert part.relay(1)
    outlets.set(1, False)
    line.wait_sent(8)
    assert not part.relay(1)
    assert len(line.sent) == 8


@pytest.mark.parametrize(("name", "options"), ANSWERING)
def test_probing_and_asking_switch_nothing(wire, name, options):
    part = board(name, options)
    _, port = wire(part)
    every = channels_of(name, options)
    device(name, port, **options).set(every[-1], True)
    for _ in range(2):
        outlets = device(name, port, **options)
        outlets.probe()
        outlets.get(every[0])
        assert [one for one in every if part.relay(one)] == [every[-1]]
    part.power_on()
    outlets.probe()
    assert outlets.get(every[-1]) is False


def reads_back(name, options):
    driver = DRIVERS[name]
    says = driver.reads_back
    return says(driver.options(**options)) if callable(says) else says


@pytest.mark.parametrize(("name", "options"), BOARDS)
def test_a_relay_that_is_not_there_is_refused_before_anything_is_sent(wire, name, options):
    line, port = wire(Script([]))
    outlets = device(name, port, **options)
    every = channels_of(name, options)
    for channel in (every[0] - 1, every[-1] + 1):
        with pytest.raises(DeviceNotFoundError) as caught:
            outlets.set(channel, True)
        assert "channel" in caught.value.hint
        with pytest.raises(DeviceNotFoundError):
            outlets.get(channel)
    assert line.sent == b""


def test_only_lcus_boards_of_one_are_assumed():
    assert not reads_back("lcus", {"channels": 1})
    assert reads_back("lcus", {"channels": 1, "answers": True})
    assert reads_back("lcus", {"channels": 4})
    assert not reads_back("lcus", {"channels": 4, "answers": False})
    assert reads_back("kmtronic", {"channels": 1})
    assert reads_back("numato", {"channels": 1})


@pytest.mark.parametrize("name", DRIVERS)
def test_a_port_is_one_board(name):
    driver = DRIVERS[name]
    assert isinstance(driver, Driver)
    assert list(driver.options(channels=4).claims()) == ["the port"]


# --- golden frames ---------------------------------------------------------------------------

SELLERS = "tilga.com/prod/5732195"
BRASME = "github.com/Brasme/usb_ch340_4x_relay_control, ch340_relay.py"
KMTRONIC = "info.kmtronic.com/kmtronic-usb-relay-test-software.html"
PDUDAEMON = "pdudaemon, drivers/numatousb.py"
SAMPLES = "github.com/numato/samplecode, usbrelay16_32"


@pytest.mark.parametrize(
    ("name", "channels", "channel", "on", "wanted", "source"),
    [
        ("lcus", 1, 1, True, "A0 01 01 A2", SELLERS),
        ("lcus", 1, 1, False, "A0 01 00 A1", SELLERS),
        ("lcus", 4, 2, True, "A0 02 01 A3", BRASME),
        ("lcus", 4, 2, False, "A0 02 00 A2", BRASME),
        ("lcus", 4, 3, True, "A0 03 01 A4", BRASME),
        ("lcus", 4, 3, False, "A0 03 00 A3", BRASME),
        ("lcus", 4, 4, True, "A0 04 01 A5", BRASME),
        ("lcus", 4, 4, False, "A0 04 00 A4", BRASME),
        ("kmtronic", 1, 1, True, "FF 01 01", KMTRONIC),
        ("kmtronic", 1, 1, False, "FF 01 00", KMTRONIC),
        ("kmtronic", 4, 3, True, "FF 03 01", KMTRONIC),
        ("kmtronic", 8, 8, True, "FF 08 01", KMTRONIC),
        ("kmtronic", 8, 8, False, "FF 08 00", KMTRONIC),
        ("numato", 8, 0, True, b"relay on 0\r", PDUDAEMON),
        ("numato", 8, 7, False, b"relay off 7\r", PDUDAEMON),
        ("numato", 16, 10, True, b"relay on A\r", SAMPLES),
        ("numato", 32, 31, False, b"relay off V\r", PDUDAEMON),
        ("numato", 64, 5, True, b"relay on 05\r", PDUDAEMON),
        ("numato", 64, 63, True, b"relay on 63\r", PDUDAEMON),
    ],
)
def test_commands_on_the_wire(wire, name, channels, channel, on, wanted, source):
    wanted = bytes.fromhex(wanted) if isinstance(wanted, str) else wanted
    line, port = wire(board(name, {"channels": channels}))
    device(name, port, channels=channels).set(channel, on)
    line.wait_sent(len(wanted))
    assert bytes(line.sent) == wanted, source


@pytest.mark.parametrize(
    ("name", "channels", "channel", "asked", "answers", "on", "source"),
    [
        ("lcus", 2, 1, "FF FF", [b"CH1: ON \r\nCH2: OFF\r\n"] * 2, True, "Rzycki, relay.py"),
        ("lcus", 2, 2, "FF FF", [b"CH1: ON \r\nCH2: OFF\r\n"] * 2, False, "Rzycki, relay.py"),
        (
            "lcus", 4, 3, "FF FF",
            [b"CH1: OFF\r\nCH2: OFF\r\nCH3: ON\r\nCH4: OFF\r\n"] * 2, True, BRASME,
        ),
        ("kmtronic", 1, 1, "FF 01 03", [b"\xff\x01\x01"], True, KMTRONIC),
        ("kmtronic", 2, 2, "FF 02 03", [b"\xff\x02\x00"], False, KMTRONIC),
        ("kmtronic", 4, 4, "FF 09 00", [b"\x00\x00\x00\x01"], True, KMTRONIC),
        ("kmtronic", 8, 1, "FF 09 00", [b"\x00\x01\x01\x01\x01\x01\x01\x01"], False, KMTRONIC),
        # Captured on a 4-channel module, to "relay read 3 \n\r" there.
        (
            "numato", 4, 3, b"relay read 3\r",
            [b"relay read 3 \n\n\roff\n\r>"], False, "numato_relay, README, October 2023",
        ),
        # The form that pdudaemon's _read_reply takes apart.
        ("numato", 8, 7, b"relay read 7\r", [b"relay read 7\n\ron\n\r>"], True, PDUDAEMON),
    ],
)  # fmt: skip
def test_published_answers_are_understood(
    wire, name, channels, channel, asked, answers, on, source
):
    asked = bytes.fromhex(asked) if isinstance(asked, str) else asked
    line, port = wire(Script(list(answers)))
    assert device(name, port, channels=channels).get(channel) is on, source
    assert bytes(line.sent) == asked, source


# --- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels", "channel", "answers", "kind"),
    [
        # Half answers.
        ("lcus", 2, 1, [b"CH1: ON \r\n"], DeviceTimeoutError),
        ("lcus", 2, 1, [b"CH1: ON"], DeviceTimeoutError),
        ("lcus", 2, 2, [b"CH1: ON \r\nCH2: OFF\r\n", b"CH1"], DeviceTimeoutError),
        ("kmtronic", 1, 1, [b"\xff\x01"], DeviceTimeoutError),
        ("kmtronic", 8, 1, [b"\x00" * 4], DeviceTimeoutError),
        ("numato", 4, 0, [b"relay read 0\n\rof"], DeviceTimeoutError),
        # Those of another relay.
        ("lcus", 2, 1, [b"CH2: ON \r\nCH1: OFF\r\n"], DeviceDataError),
        ("kmtronic", 2, 2, [b"\xff\x01\x01"], DeviceDataError),
        ("numato", 4, 0, [b"relay read 1\n\ron\n\r>"], DeviceDataError),
        # An echo of what was asked.
        ("lcus", 2, 1, [b"\xff"], DeviceTimeoutError),
        ("kmtronic", 1, 1, [b"\xff\x01\x03"], DeviceDataError),
        ("kmtronic", 4, 1, [b"\xff\x09\x00\x00"], DeviceDataError),
        ("numato", 4, 0, [b"relay read 0\r"], DeviceTimeoutError),
        # Noise, and other devices.
        ("lcus", 2, 1, [b"\x01\x00"], DeviceTimeoutError),
        ("lcus", 2, 1, [b"\r\n"], DeviceDataError),
        ("lcus", 2, 1, [b"x" * 40], DeviceDataError),
        ("lcus", 2, 1, [b"CH1: ON?\r\nCH2: OFF\r\n"], DeviceDataError),
        ("kmtronic", 1, 1, [b"CH1: ON \r\n"], DeviceDataError),
        ("kmtronic", 4, 1, [b"\x00\x01\x02\x00"], DeviceDataError),
        ("numato", 4, 0, [b"relay read 0\n\rmaybe\n\r>"], DeviceDataError),
        ("numato", 4, 0, [b"login: >"], DeviceDataError),
        ("numato", 4, 0, [b"\xff" * 200], DeviceDataError),
        # Captured (README of numato_relay): the module has no relay 4.
        ("numato", 8, 4, [b"relay read 4 \n\n\r>"], DeviceMismatchError),
    ],
)
def test_what_is_no_answer(wire, name, channels, channel, answers, kind):
    _, port = wire(Script(list(answers)))
    with pytest.raises(DeviceError) as caught:
        device(name, port, channels=channels).get(channel)
    assert type(caught.value) is kind
    assert caught.value.hint
    assert str(channels) in caught.value.where


@pytest.mark.parametrize(
    ("name", "wired", "real"),
    [("lcus", 2, 4), ("lcus", 4, 8), ("kmtronic", 4, 8), ("kmtronic", 8, 4)],
)
def test_a_board_of_another_size_is_told_apart(wire, name, wired, real):
    _, port = wire(board(name, {"channels": real}))
    with pytest.raises(DeviceMismatchError) as caught:
        device(name, port, channels=wired).probe()
    assert "`channels`" in caught.value.hint


@pytest.mark.parametrize(("name", "other"), [("numato", "lcus"), ("lcus", "kmtronic")])
def test_another_board_is_told_apart(wire, name, other):
    _, port = wire(board(other, {"channels": 4}))
    with pytest.raises(DeviceError) as caught:
        device(name, port, channels=4).probe()
    assert caught.value.hint


def test_something_else_with_a_prompt_is_no_numato_module(wire):
    _, port = wire(Script([b"ver\n\rcommand not found\n\r>"]))
    with pytest.raises(DeviceMismatchError) as caught:
        device("numato", port, channels=4).probe()
    assert "/dev/hwctl" in caught.value.hint


def test_a_numato_module_that_says_more_than_its_prompt_has_not_switched_for_sure(wire):
    _, port = wire(Script([b"relay on 0\n\rerror\n\r>"]))
    with pytest.raises(DeviceDataError):
        device("numato", port, channels=4).set(0, True)


@pytest.mark.parametrize(("name", "options"), ANSWERING)
def test_what_came_before_is_not_taken_for_an_answer(wire, name, options):
    part = board(name, options)
    line, port = wire(part)
    first = DRIVERS[name].first_channel
    stale = {"lcus": b"CH1: ON \r\n", "kmtronic": b"\xff\x01\x01", "numato": b"on\n\r>"}[name]
    os.write(line.far, stale * 3)
    select.select([line.near], [], [], 10)  # it has come in
    assert device(name, port, **options).get(first) is False


def test_the_first_answer_of_an_lcus_board_is_that_of_before(wire):
    part = board("lcus", {"channels": 2})
    assert part.received(bytes.fromhex("A0 01 01 A2")) == b""
    assert part.received(b"\xff") == b"CH1: OFF\r\nCH2: OFF\r\n"
    assert part.received(b"\xff") == b"CH1: ON \r\nCH2: OFF\r\n"


@dataclass
class Silence:
    """A port on which nobody answers; it adds up how long it was listened to."""

    waited_s: float = 0.0

    def configure(self, *, baud, parity="N", stop_bits=1):
        assert baud == 9600

    def discard(self):
        pass

    def write(self, data):
        pass

    def read(self, most, *, limit_s, until=b""):
        self.waited_s += limit_s
        return b""


@pytest.mark.parametrize(("name", "options"), BOARDS)
@pytest.mark.parametrize("action", ["probe", "get", "set"])
def test_a_silent_board_holds_its_port_up_for_less_than_half_a_second(name, options, action):
    port = Silence()
    outlets = device(name, port, **options)
    arguments = {"probe": (), "get": (1,), "set": (1, True)}[action]
    if options["channels"] == 1 and name == "numato":
        arguments = arguments and (0, *arguments[1:])
    told = reads_back(name, options) and (name == "numato" or action != "set")
    if told:
        with pytest.raises(DeviceTimeoutError) as caught:
            getattr(outlets, action)(*arguments)
        assert caught.value.hint
    else:
        assert getattr(outlets, action)(*arguments) is None
    assert port.waited_s <= 0.4


# --- the emulated boards by themselves -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels", "stream", "on"),
    [
        ("lcus", 4, "A0 01 01 A2 A0 04 01 A5", [1, 4]),
        ("lcus", 4, "00 55 A0 02 01 A3", [2]),
        ("lcus", 4, "A0 01 01 A3 A0 03 01 A4", [3]),  # a wrong check code
        ("lcus", 4, "A0 05 01 A6 A0 02 01 A3 A0 02 00 A2", []),
        ("kmtronic", 4, "FF 01 01 FF 02 01 FF 01 00", [2]),
        ("kmtronic", 4, "00 01 FF 03 01", [3]),
        ("kmtronic", 4, "FF 05 01 FF 04 01", [4]),
        ("numato", 4, b"relay on 1\rrelay on 3\rrelay off 1\r".hex(), [3]),
        ("numato", 4, b"relay on 4\rrelay on\rrelay on 0 0\rrelay on 2\r".hex(), [2]),
        ("numato", 16, b"relay on A\rrelay on b\r".hex(), [10, 11]),
        ("numato", 64, b"relay on 09\rrelay on 9\r".hex(), [9]),
    ],
)
@pytest.mark.parametrize("most", [1, 2, 3, 1000])
def test_an_emulated_board_takes_frames_in_pieces_and_several_at_once(
    name, channels, stream, on, most
):
    part = board(name, {"channels": channels})
    data = bytes.fromhex(stream)
    for start in range(0, len(data), most):
        part.received(data[start : start + most])
    first = DRIVERS[name].first_channel
    assert [one for one in range(first, first + channels) if part.relay(one)] == on


def test_an_emulated_numato_module_answers_as_the_captured_one():
    part = board("numato", {"channels": 4})
    for channel in range(8):
        asked = f"relay read {channel} \n\r".encode()
        state = b"off\n\r" if channel < 4 else b""
        assert part.received(asked) == f"relay read {channel} \n\n\r".encode() + state + b">"
