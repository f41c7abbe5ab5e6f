"""What feeds systemd's watchdog: a tick that has been completed, and nothing else."""

import socket
import threading

import pytest

from hwctl.engine.notify import Notifier
from hwctl.faces.cli.serve import _feeder

PATIENCE_S = 20
"""For another thread to come to a point; never waited for in full by a test that passes."""


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def test_a_tick_that_is_stuck_feeds_nothing(rehearsal, systemd):
    """The rest of the process lives on; only the tick does not come to its end."""
    engine = rehearsal().engine
    reached, go_on = threading.Event(), threading.Event()

    def stuck():
        reached.set()
        assert go_on.wait(PATIENCE_S)

    engine.subscribe(stuck)
    engine.subscribe(_feeder(Notifier(systemd.getsockname())))
    tick = threading.Thread(target=engine.tick)
    tick.start()
    assert reached.wait(PATIENCE_S)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    go_on.set()
    tick.join(PATIENCE_S)
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_a_tick_that_fails_halfway_feeds_nothing(rehearsal, systemd):
    engine = rehearsal().engine
    engine.subscribe(_feeder(Notifier(systemd.getsockname())))

    def broken():
        raise RuntimeError("a tick that ends in the middle")

    engine._queued.append(broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        engine.tick()
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    engine.tick()
    assert systemd.recv(100) == b"WATCHDOG=1"
