"""The football's I2C bus, as wired, on a real adapter of the kernel: polled, driven, pulled out.

Chips and physics are the emulated world's; between them and hwctl's drivers stand USB, the
kernel's I2C and /dev/i2c-N. An adapter that is pulled out is gone for the kernel only when nobody
has it open (i2c_del_adapter waits): a program that keeps it open can never see it come back.
"""

import shutil
import threading
from pathlib import Path

import pytest

from hwctl.config.load import load as load_config
from hwctl.engine.buses import KernelBuses
from hwctl.engine.clock import ManualClock
from hwctl.engine.workers import BusWorker
from hwctl.model.errors import BusError
from hwctl_emulated.world import World

WIRING = Path(__file__).parents[2] / "wiring"
GAUGES = ("bank-out", "bank-in", "meter0", "meter1", "meter2", "meter3")


class Football:
    """Its I2C devices on one worker, and the world that its chips sit in."""

    def __init__(self, folder):
        self.path = folder / "i2c-football"
        """A link to the adapter, as udev keeps one."""
        shutil.copy(WIRING / "football.hwctl.toml", folder)
        wired = (WIRING / "football.toml").read_text()
        (folder / "football.toml").write_text(wired.replace("/dev/i2c-1", str(self.path)))
        loaded = load_config(folder / "football.hwctl.toml")
        self.world = World(
            loaded.wiring, loaded.settings, seed=1, scenario="steady", start_wall=1.79e9
        )
        self.lock = threading.Lock()
        self.clock = ManualClock()
        self.values, self.health, self.changes = {}, {}, []
        bus = loaded.wiring.bus["i2c1"]
        self.worker = BusWorker(
            "i2c1", bus, KernelBuses(), self.clock, self._take, self._take_health
        )
        for name in (*GAUGES, "fans"):
            use = loaded.devices[name]
            self.worker.add_device(name, use.driver, use.options)
        for name in GAUGES:
            self.worker.poll(name, name, lambda gauge: gauge.read(0), 0.5)
        for channel in (1, 2):
            self.worker.poll("fans", f"fan{channel}", lambda f, n=channel: f.read(n), 1.0)

    def _take(self, report):
        self.values[report.key] = report.error or report.value

    def _take_health(self, health):
        self.health[health.device] = health.error
        self.changes.append((health.device, health.error is None))

    def plugged_into(self, adapter):
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(adapter.path)

    def live(self, seconds, step=0.25):
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            with self.lock:
                self.world.advance_to(self.clock.now())
            self.worker.run_once()


@pytest.fixture
def football(tmp_path, plug_in):
    """Asks for ``plug_in``, so that the bus is closed before the adapters are pulled out."""
    football = Football(tmp_path)
    yield football
    football.worker._let_go()


def test_it_is_read_driven_pulled_out_and_comes_back(football, plug_in):
    bus = football.world.i2c("i2c1")
    adapter = plug_in(bus, lock=football.lock)
    football.plugged_into(adapter)
    football.live(4)

    truth = football.world.sources["bank"]
    out = football.values["bank-out"]
    assert out.volts == pytest.approx(truth.volts, rel=0.01)
    assert out.amps == pytest.approx(truth.amps, rel=0.05)
    for name in GAUGES[2:]:
        assert football.values[name].volts == pytest.approx(truth.volts, rel=0.01)
        assert 0.2 < football.values[name].amps < 3
    assert 500 < football.values["fan1"].rpm < 5000

    football.worker.order("fans", "drive", lambda fans: fans.drive(2, 0.6))
    football.live(3)
    assert football.world.parts.fans["fans"].duty(1) == pytest.approx(0.6, abs=0.004)
    assert football.values["fan2"].duty == pytest.approx(0.6, abs=0.004)
    assert football.changes == []

    adapter.plug.unplug()
    football.path.unlink()
    football.live(4)
    errors = [football.health[name] for name in (*GAUGES, "fans")]
    assert all(isinstance(error, BusError) for error in errors)
    assert all(error.hint for error in errors)
    assert sorted(football.changes) == sorted((name, False) for name in (*GAUGES, "fans"))

    # In another port, so that only the kernel's own cleaning up can have made it possible.
    adapter = plug_in(bus, lock=football.lock)
    football.plugged_into(adapter)
    football.live(40, step=2.0)
    assert set(football.health.values()) == {None}
    assert football.values["bank-out"].volts == pytest.approx(truth.volts, rel=0.01)
    assert football.values["fan2"].duty == 1.0, "its watchdog did that while nobody fed it"
    football.worker.order("fans", "drive", lambda fans: fans.drive(2, 0.6))
    football.live(2)
    assert football.values["fan2"].duty == pytest.approx(0.6, abs=0.004)
    assert len(football.changes) == 2 * len(errors), "each failure and recovery is told once"
