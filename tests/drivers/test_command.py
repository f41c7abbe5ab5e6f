"""Any command: real programs through the real network's `run`, and none on an emulated rig."""

import asyncio
import os
import sys
from pathlib import Path
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.clock import ManualClock, RealClock
from hwctl.engine.net import RealNet
from hwctl.model.errors import DeviceError, HostError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.command import DRIVER, CommandOptions
from hwctl_emulated import command as emulated
from hwctl_emulated.part import Site

EVIL = ["$(touch pwned)", "; touch pwned", "`touch pwned`", "* ~ $HOME | > <", "", " ", "é"]


def opened(net, **options):
    chosen = {"on": ["/bin/true"], "off": ["/bin/true"], "limit_s": 20.0, **options}
    return DRIVER.open(net, CommandOptions(**chosen))


def use(order, **options):
    async def main():
        return await order(opened(RealNet(RealClock()), **options))

    return asyncio.run(main())


def script(tmp_path, body):
    """A Python program's arguments; it finds its own in ``sys.argv``."""
    path = tmp_path / "program.py"
    path.write_text(body)
    return [sys.executable, str(path)]


SWITCH = """
import sys
from pathlib import Path
state = Path(__file__).with_name("state")
match sys.argv[1:]:
    case ["state"]:
        sys.exit(0 if state.exists() else 1)
    case ["on"]:
        state.touch()
    case ["off"]:
        state.unlink(missing_ok=True)
    case ["cycle", seconds]:
        state.with_name("cycled").write_text(seconds)
"""


@pytest.fixture
def programs(tmp_path):
    base = script(tmp_path, SWITCH)
    return {verb: [*base, verb] for verb in ("on", "off", "state")} | {
        "cycle": [*base, "cycle", "{off_s}"]
    }


def test_switched_and_read_back(programs):
    seen = [use(lambda device: device.get(0), **programs)]
    for on in (True, False):
        use(lambda device, on=on: device.set(0, on), **programs)
        seen.append(use(lambda device: device.get(0), **programs))
    assert seen == [False, True, False]


def test_the_seconds_stand_in_their_place(programs, tmp_path):
    use(lambda device: device.cycle(0, 7.5), **programs)
    assert (tmp_path / "cycled").read_text() == "7.5"


def test_no_shell_ever_sees_an_argument(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    body = "import sys, pathlib; pathlib.Path('seen').write_text('\\n'.join(sys.argv[1:]))"
    program = [*script(tmp_path, body), *EVIL]
    use(lambda device: device.set(0, on=True), on=program)
    assert Path("seen").read_text().split("\n") == EVIL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program.py", "seen"]


@pytest.mark.parametrize("status", [1, 2, 127, 255])
def test_a_program_that_fails_is_quoted(tmp_path, status):
    body = f"import sys; print('no such port'); sys.exit({status})"
    program = script(tmp_path, body)
    with pytest.raises(DeviceError, match=f"ended with status {status}: no such port$") as caught:
        use(lambda device: device.set(0, on=False), off=program)
    assert caught.value.where == sys.executable
    assert "sudo -u hwctl" in caught.value.hint


@pytest.mark.parametrize("status", [2, 3, 127])
def test_a_state_that_cannot_tell_is_no_state(tmp_path, status):
    program = script(tmp_path, f"import sys; sys.exit({status})")
    with pytest.raises(DeviceError, match=f"status {status}: it said nothing"):
        use(lambda device: device.get(0), state=program)


def test_killed_by_a_signal_is_no_off(tmp_path):
    program = script(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DeviceError, match="status -9"):
        use(lambda device: device.get(0), state=program)


def test_what_it_says_is_cut_and_harmless(tmp_path):
    body = "import sys; sys.stderr.write('\\x1b[31m' + 'x' * 10**6 + '\\x07'); sys.exit(9)"
    with pytest.raises(DeviceError) as caught:
        use(lambda device: device.set(0, on=True), on=script(tmp_path, body))
    assert caught.value.what.startswith("ended with status 9: ?[31mxxx")
    assert len(caught.value.what) < 250


def test_a_program_that_is_not_there():
    with pytest.raises(HostError, match="cannot be started") as caught:
        use(lambda device: device.set(0, on=True), on=["/no/such/program"])
    assert caught.value.where == "/no/such/program"


def test_one_that_never_ends_is_killed_with_all_that_it_started(tmp_path):
    """Each holds the pipe's writing end: that it reads as ended proves that both are gone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    body = f"""
import os, signal
held = os.open({str(pipe)!r}, os.O_WRONLY)
os.fork()
os.write(held, b"x")
while True:
    signal.pause()
"""
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    program = script(tmp_path, body)

    async def main():
        device = opened(RealNet(RealClock()), on=program, limit_s=2.0)
        with pytest.raises(HostError, match="no answer within 2 s") as caught:
            await device.set(0, on=True)
        return caught.value.hint

    assert "limit_s" in asyncio.run(main())
    assert os.read(reader, 9) == b"xx", "both had begun"
    assert os.read(reader, 9) == b""
    os.close(reader)


@pytest.mark.parametrize(
    "options",
    [
        {"on": ["plug", "on"]},
        {"off": ["./plug"]},
        {"state": ["~/plug"]},
        {"cycle": ["plug", "{off_s}"]},
        {"cycle": ["/bin/plug", "5"]},
        {"on": []},
        {"on": "/bin/plug on"},
        {"on": ["/bin/plug", "a\x00b"]},
        {"on": ["/bin/plug\nx"]},
        {"limit_s": 0},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        CommandOptions(**{"on": ["/bin/true"], "off": ["/bin/true"], **options})


def test_what_it_can_do_follows_from_its_options(programs):
    whole = CommandOptions(**programs)
    bare = CommandOptions(on=programs["on"], off=programs["off"])
    assert (DRIVER.reads_back(whole), DRIVER.cycles(whole)) == (True, True)
    assert (DRIVER.reads_back(bare), DRIVER.cycles(bare)) == (False, False)
    assert use(lambda device: device.get(0)) is None
    with pytest.raises(DeviceError, match="has no `cycle`"):
        use(lambda device: device.cycle(0, 5.0))


# --- on an emulated rig ---


def emulated_net(part, clock):
    async def programs(argv):
        return part.run(argv)

    return RealNet(clock, lambda host, port: (host, port), programs=programs)


def test_an_emulated_rig_runs_none_of_them(tmp_path, programs):
    clock = ManualClock()
    entry = DeviceEntry(driver="command", **programs)
    part = emulated.make(Site("plug", entry, clock.now, Random(1)))

    async def main():
        device = opened(emulated_net(part, clock), **programs)
        seen = [await device.get(0)]
        await device.set(0, on=True)
        seen.append(await device.get(0))
        await device.cycle(0, 5.0)
        seen.append(await device.get(0))
        clock.advance(5.0)
        seen.append(await device.get(0))
        return seen

    assert asyncio.run(main()) == [False, True, False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]
    assert part.knows(programs["on"])
    assert not part.knows(["/bin/true"])
    assert part.run(["/bin/true"])[0] == 127


def test_an_emulated_rig_without_them_refuses(tmp_path):
    program = script(tmp_path, "open(__file__ + '.ran', 'w')")

    async def main():
        net = RealNet(RealClock(), lambda host, port: (host, port))
        with pytest.raises(HostError, match="emulated rig"):
            await opened(net, on=program).set(0, on=True)

    asyncio.run(main())
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]
