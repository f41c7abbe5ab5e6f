"""Outlets behind a NUT server: Debian's upsd, with a UPS of our own at its driver's socket."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.clock import ManualClock, RealClock
from hwctl.engine.net import RealNet
from hwctl.model.errors import DeviceDataError, DeviceError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.nut_outlet import DRIVER, NutOutletOptions, quoted
from hwctl_emulated import nut_outlet as emulated
from hwctl_emulated.part import Site

UPSD = shutil.which("upsd", path="/lib/nut:/usr/lib/nut:/usr/local/sbin")
needs_upsd = pytest.mark.skipif(UPSD is None, reason="no upsd: apt-get install nut-server")
PASSWORD = 'p "w\\ ü'
LOGIN = {"user": "admin", "password": PASSWORD}
UP_WITHIN_S = 20.0


class Ups(threading.Thread):
    """A UPS with switched outlets at the socket where upsd looks for its driver (NUT
    docs/sock-protocol.txt). Debian's dummy-ups takes no commands for outlets."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._socket.listen()
        self.commands = []

    def run(self):
        with self._socket, self._socket.accept()[0] as connection, connection.makefile("r") as told:
            self._serve(connection, told)

    def _serve(self, connection, lines):
        for line in lines:
            words = line.split()
            if words == ["DUMPALL"]:
                told = ["SETINFO ups.status OL", "SETINFO ups.mfr hwctl"]
                for number in (1, 2):
                    told.append(f"SETINFO outlet.{number}.status on")
                    told += [f"ADDCMD outlet.{number}.load.{v}" for v in ("on", "off", "cycle")]
                self._say(connection, *told, "DUMPDONE", "DATAOK")
            elif words == ["PING"]:
                self._say(connection, "PONG")
            elif words[:1] == ["INSTCMD"]:
                self.commands.append(words[1])
                outlet, _, verb = words[1].rpartition(".load.")
                if verb in {"on", "off"}:
                    self._say(connection, f"SETINFO {outlet}.status {verb}")

    @staticmethod
    def _say(connection, *lines):
        connection.sendall("".join(f"{line}\n" for line in lines).encode())


def ask(port, *lines):
    """Raw: what upsd answers to each line."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        said = []
        with connection.makefile("r") as answers:
            for line in lines:
                connection.sendall(f"{line}\n".encode())
                said.append(answers.readline().rstrip("\n"))
        return said


@pytest.fixture(scope="module")
def upsd(tmp_path_factory):
    """The port of a running upsd, and its UPS."""
    folder = tmp_path_factory.mktemp("nut")
    ups = Ups(folder / "dummy-ups-bank")
    ups.start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "ups.conf").write_text("[bank]\n driver = dummy-ups\n port = none\n")
    (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {port}\n")
    (folder / "upsd.users").write_text(
        f'[admin]\n password = {quoted(PASSWORD)}\n instcmds = ALL\n[guest]\n password = "guest"\n'
    )
    folder.chmod(0o770)
    as_root = ["-u", "root"] if os.geteuid() == 0 else []
    places = {name: str(folder) for name in ("NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH")}
    with subprocess.Popen(
        [UPSD, "-F", *as_root],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=places,
    ) as process:  # fmt: skip
        try:
            for line in process.stderr:
                if "Connected to UPS" in line:
                    break
            else:
                pytest.fail("upsd ended")
            wait(lambda: ask(port, "GET VAR bank outlet.2.status")[0].startswith("VAR"))
            yield port, ups
        finally:
            process.terminate()
            process.stderr.read()
            ups.join(UP_WITHIN_S)


def wait(until):
    """For what another process does in its own time."""
    deadline = time.monotonic() + UP_WITHIN_S
    while not until():
        assert time.monotonic() < deadline, "it never came"


def use_server(port, use, **options):
    async def main():
        net = RealNet(RealClock())
        chosen = {"host": "127.0.0.1", "port": port, "ups": "bank", "limit_s": 5.0, **LOGIN}
        return await use(DRIVER.open(net, NutOutletOptions(**{**chosen, **options})))

    return asyncio.run(main())


@needs_upsd
def test_switched_and_read_back_by_upsd(upsd):
    port, ups = upsd
    for on in (False, True, False):
        use_server(port, lambda device, on=on: device.set(2, on))
        # OK means that the command was passed on; the status follows.
        wait(lambda on=on: use_server(port, lambda device: device.get(2)) == on)
    assert ups.commands[-3:] == ["outlet.2.load.off", "outlet.2.load.on", "outlet.2.load.off"]
    assert use_server(port, lambda device: device.get(1)) is True


@needs_upsd
def test_a_cycle_is_passed_on(upsd):
    port, ups = upsd
    before = len(ups.commands)
    use_server(port, lambda device: device.cycle(1, 5.0), cycle_off_s=8.0)
    wait(lambda: len(ups.commands) > before)
    assert ups.commands[before:] == ["outlet.1.load.cycle"]


@needs_upsd
@pytest.mark.parametrize(
    ("options", "channel", "words", "hint"),
    [
        ({"password": "wrong"}, 1, "ACCESS-DENIED", "instcmds"),
        ({"user": "guest", "password": "guest"}, 1, "ACCESS-DENIED", "instcmds"),
        ({"user": "nobody"}, 1, "ACCESS-DENIED", "instcmds"),
        ({"ups": "another"}, 1, "UNKNOWN-UPS", "upsc -l"),
        ({}, 7, "CMD-NOT-SUPPORTED", "upscmd -l"),
    ],
)
def test_upsd_refuses(upsd, options, channel, words, hint):
    port, ups = upsd
    before = list(ups.commands)

    async def use(device):
        with pytest.raises(DeviceError, match=words) as caught:
            await device.set(channel, on=False)
        return caught.value.hint

    assert hint in use_server(port, use, **options)
    assert ups.commands == before


@needs_upsd
def test_an_outlet_that_upsd_has_not(upsd):
    async def use(device):
        with pytest.raises(DeviceError, match="VAR-NOT-SUPPORTED") as caught:
            await device.get(7)
        return caught.value.hint

    assert "upsc" in use_server(upsd[0], use)


@needs_upsd
@pytest.mark.parametrize(
    "lines",
    [
        ["GET VAR bank outlet.70.status"],
        ["GET VAR another outlet.1.status"],
        ["GET VAR bank"],
        ["USERNAME x", "PASSWORD y", "INSTCMD bank outlet.1.load.off"],
        ["INSTCMD bank outlet.1.load.off"],
        ["USERNAME x", "INSTCMD bank outlet.1.load.off"],
        ["USERNAME admin", f"PASSWORD {quoted(PASSWORD)}", "INSTCMD bank outlet.70.load.off"],
        ["USERNAME admin", f"PASSWORD {quoted(PASSWORD)}", "INSTCMD another outlet.1.load.off"],
        ["USERNAME admin", f"PASSWORD {quoted(PASSWORD)}", "INSTCMD bank outlet.1.load.on"],
        ["BOGUS"],
        ["LOGOUT"],
    ],
    ids=" / ".join,
)
def test_the_emulated_server_answers_as_upsd_does(upsd, lines):
    part = made()
    assert [part.line(line) for line in lines] == ask(upsd[0], *lines)


# --- the emulated server, and golden lines ---


def made(clock=None, **options):
    entry = DeviceEntry(driver="nut_outlet", ups="bank", **LOGIN, **options)
    return emulated.make(Site("ups", entry, (clock or ManualClock()).now, Random(1)))


class Lines:
    """A network with one NUT server, or with given answers."""

    def __init__(self, part=None, answers=()):
        self.part, self.answers, self.asked = part, list(answers), []

    async def converse(self, host, port, lines, *, limit_s):
        self.asked += lines
        if self.part is not None:
            return [self.part.line(line) for line in lines]
        return [self.answers.pop(0) for _ in lines]


def opened(net, **options):
    return DRIVER.open(net, NutOutletOptions(**{"host": "ups", "ups": "bank", **LOGIN, **options}))


def test_the_lines_of_net_protocol_txt():
    """Quoting: "Embedded quotes are escaped with backslashes. Embedded backslashes are also
    escaped". The answers are recorded from Debian's upsd 2.8.0."""
    net = Lines(answers=['VAR bank outlet.1.status "on"', "OK", "OK", "OK"])
    device = opened(net)
    assert asyncio.run(device.get(1)) is True
    asyncio.run(device.set(1, on=False))
    assert net.asked == [
        "GET VAR bank outlet.1.status",
        'USERNAME "admin"',
        'PASSWORD "p \\"w\\\\ ü"',
        "INSTCMD bank outlet.1.load.off",
    ]


def test_with_tracking_ok_has_more_words():
    net = Lines(answers=["OK", "OK", "OK TRACKING 1bd31808-cb49-4aec-9d75-d056e6f018d2"])
    assert asyncio.run(opened(net).set(1, on=True)) is None
    assert net.answers == []


def test_the_ups_itself_turns_it_on_again():
    clock = ManualClock()
    part = made(clock, cycle_off_s=8.0)
    device = opened(Lines(part), cycle_off_s=8.0)
    asyncio.run(device.set(3, on=True))
    asyncio.run(device.cycle(3, 5.0))
    clock.advance(7.9)
    assert not part.relay(3)
    assert asyncio.run(device.get(3)) is False
    clock.advance(0.2)
    assert part.relay(3)


@pytest.mark.parametrize("kept", [None, 4.9])
def test_no_cycle_where_it_is_not_known_to_stay_off_so_long(kept):
    net = Lines(made())
    with pytest.raises(DeviceError, match="not known to stay off for 5 s"):
        asyncio.run(opened(net, cycle_off_s=kept).cycle(1, 5.0))
    assert net.asked == []
    assert DRIVER.cycles(NutOutletOptions(host="u", ups="b", cycle_off_s=kept, **LOGIN)) == (
        kept is not None
    )


@pytest.mark.parametrize("verb", ["get", "set", "cycle"])
@pytest.mark.parametrize("channel", [0, -1])
def test_outlet_0_would_be_all_and_is_never_sent(verb, channel):
    net = Lines(made())
    arguments = {"get": (), "set": (False,), "cycle": (1.0,)}[verb]
    with pytest.raises(DeviceError, match="all outlets"):
        asyncio.run(getattr(opened(net, cycle_off_s=9.0), verb)(channel, *arguments))
    assert net.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "OK",
        'VAR bank outlet.1.status "maybe"',
        'VAR bank outlet.2.status "on"',
        'VAR other outlet.1.status "on"',
        "VAR bank outlet.1.status on",
        'VAR bank outlet.1.status "on" more',
        "SSH-2.0-OpenSSH_9.2p1",
        "\x1b[31m" + "x" * 4000,
    ],
)
def test_nonsense_is_never_a_state(answer):
    with pytest.raises(DeviceDataError, match="makes no sense") as caught:
        asyncio.run(opened(Lines(answers=[answer])).get(1))
    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 200


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("ERR DATA-STALE", "cable"),
        ("ERR DRIVER-NOT-CONNECTED", "upsdrvctl"),
        ("ERR SOMETHING-NEW", "log"),
    ],
)
def test_each_error_has_its_hint(answer, hint):
    with pytest.raises(DeviceError, match=answer.removeprefix("ERR ")) as caught:
        asyncio.run(opened(Lines(answers=[answer])).get(1))
    assert hint in caught.value.hint


@pytest.mark.parametrize("key", ["ups", "user", "password"])
@pytest.mark.parametrize("value", ["", "x\nINSTCMD bank load.off", "x\r", "x\x00y", "x" * 200])
def test_no_name_can_become_a_line(key, value):
    with pytest.raises(ValidationError):
        NutOutletOptions(**{"host": "u", "ups": "bank", **LOGIN, key: value})


@pytest.mark.parametrize("ups", ["a b", 'a"b', "a@b", "a b outlet.1.load.off"])
def test_a_ups_has_a_plain_name(ups):
    with pytest.raises(ValidationError):
        NutOutletOptions(host="u", ups=ups, **LOGIN)
