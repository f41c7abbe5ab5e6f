"""Fans, and what a board goes through between power and dark."""

from random import Random

import pytest

from hwctl.model.wiring import Node as NodeWiring
from hwctl_emulated.fan import Fan
from hwctl_emulated.node import Node, State
from hwctl_emulated.shell import run

STEP = 0.25
WIRED = NodeWiring(role="compute", board="Raspberry Pi 4B")


def fan(seed: int = 1) -> Fan:
    return Fan(4800, 0.25, Random(seed))


def turn(fan: Fan, duty: float, seconds: float) -> float:
    for _ in range(int(seconds / STEP)):
        fan.step(duty, STEP)
    return fan.rpm


# --- fans -----------------------------------------------------------------------------------


def test_a_fan_does_not_start_below_its_start_duty_and_turns_on_below_it():
    one = fan()
    assert turn(one, 0.2, 30) == 0
    assert turn(one, 0.3, 30) > 1000
    assert turn(one, 0.2, 60) > 800
    assert turn(one, 0.1, 60) == 0


def test_it_takes_longer_to_slow_down_than_to_speed_up():
    one = fan()
    rising = turn(one, 1.0, 1) / one.target(1.0)
    turn(one, 1.0, 30)
    falling = 1 - turn(one, 0.0, 1) / (4800 * 1.05)
    assert rising > falling


def test_full_speed_is_within_tolerance_and_differs_between_fans():
    speeds = {round(turn(fan(seed), 1.0, 30)) for seed in range(6)}
    assert all(4800 * 0.95 <= speed <= 4800 * 1.05 for speed in speeds)
    assert len(speeds) > 1


def test_a_stalled_fan_stands_and_draws_its_locked_current():
    one = fan()
    turn(one, 0.8, 30)
    one.stalled = True
    assert turn(one, 0.8, 5) == 0
    assert one.watts == pytest.approx(0.6)
    one.stalled = False
    assert turn(one, 0.8, 30) > 3000


# --- boards ---------------------------------------------------------------------------------


class Life:
    """A board and its time."""

    def __init__(self, seed: int = 1, wiring: NodeWiring = WIRED) -> None:
        self.node = Node("pi1", wiring, Random(seed), epoch=1000.0)
        self.now = 0.0
        self.flow = 0.5

    def live(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP)):
            self.now += STEP
            self.node.step(self.now, STEP, 30.0, self.flow)

    def until(self, state: State, most: float = 120.0) -> float:
        began = self.now
        while self.node.state is not state and self.now - began < most:
            self.live(STEP)
        assert self.node.state is state
        return self.now - began


@pytest.fixture
def life() -> Life:
    life = Life()
    life.node.set_power(True, 0.0)
    return life


def test_without_power_nothing_is_drawn():
    assert Life().node.watts(0.0) == 0


@pytest.mark.parametrize("seed", range(5))
def test_power_on_peaks_boots_and_comes_up(seed):
    life = Life(seed)
    life.node.set_power(True, 0.0)
    peak = max(life.node.watts(t / 10) for t in range(20)) / 5.0
    assert WIRED.boot_amps < peak <= WIRED.inrush_amps
    assert life.node.state is State.BOOTING
    assert not life.node.reachable
    assert 20 <= life.until(State.UP) <= 35.5
    assert life.node.watts(2.5) / 5.0 <= WIRED.boot_amps * 1.3


def test_every_boot_has_its_own_id_and_counters_begin_again(life):
    life.until(State.UP)
    first, boot = life.node.boot_id, life.node.boot_wall
    life.live(60)
    spent = sum(life.node.cpu_s[0].values())
    life.node.halt(life.now, reboot=True)
    life.until(State.BOOTING)
    life.until(State.UP)
    assert life.node.boot_id != first
    assert life.node.boot_wall > boot >= 1000
    assert sum(life.node.cpu_s[0].values()) < spent
    assert (life.node.dirty, life.node.boots) == (0, 2)


def test_counters_of_each_cpu_add_up_to_the_time_since_boot(life):
    life.until(State.UP)
    life.live(100)
    for modes in life.node.cpu_s:
        assert sum(modes.values()) == pytest.approx(life.now - life.node.booted_at, abs=1)


@pytest.mark.parametrize("seed", range(5))
def test_halting_takes_6_to_15_seconds_and_then_cutting_loses_nothing(seed):
    life = Life(seed)
    life.node.set_power(True, 0.0)
    life.until(State.UP)
    life.node.halt(life.now)
    assert not life.node.reachable
    assert 6 <= life.until(State.HALTED) <= 15.5
    assert 0.9 < life.node.watts(life.now) < WIRED.halted_watts
    assert life.node.load == 0
    life.node.set_power(False, life.now)
    assert (life.node.state, life.node.dirty) == (State.OFF, 0)


@pytest.mark.parametrize(("after", "dirty"), [("up", 1), ("halting", 1), ("start", 0), ("boot", 1)])
def test_power_that_fails_before_the_halt_is_over_leaves_a_dirty_disk(life, after, dirty):
    if after == "boot":
        life.live(18)
    elif after != "start":
        life.until(State.UP)
    if after == "halting":
        life.node.halt(life.now)
        life.live(3)
    life.node.set_power(False, life.now)
    assert life.node.dirty == dirty


def test_a_board_that_hangs_never_halts(life):
    life.until(State.UP)
    life.node.faults.add("hang")
    life.node.halt(life.now)
    life.live(300)
    assert life.node.state is State.HALTING
    assert life.node.watts(life.now) > WIRED.halted_watts
    assert life.node.dirty_now


def test_a_halted_board_stays_halted_and_comes_back_only_by_its_power(life):
    life.until(State.UP)
    life.node.halt(life.now)
    life.until(State.HALTED)
    life.live(600)
    assert life.node.state is State.HALTED
    life.node.set_power(False, life.now)
    life.node.set_power(True, life.now)
    assert life.until(State.UP) >= 20


def test_jobs_come_and_go(life):
    life.until(State.UP)
    loads = []
    for _ in range(60):
        life.live(10)
        loads.append(life.node.load)
    assert min(loads) < 0.2
    assert max(loads) > 0.6
    assert 0.2 < sum(loads) / len(loads) < 0.8


def test_an_orchestrator_works_less():
    busy = {}
    for role in ("compute", "orchestrator"):
        life = Life(2, NodeWiring(role=role))
        life.node.set_power(True, 0.0)
        life.until(State.UP)
        loads = []
        for _ in range(100):
            life.live(10)
            loads.append(life.node.load)
        busy[role] = sum(loads)
    assert busy["orchestrator"] < busy["compute"] / 2


def test_work_draws_current_and_warms_and_air_cools(life):
    life.until(State.UP)
    node = life.node
    node.forced_load = 0.0
    life.live(600)
    idle_watts, idle_celsius = node.watts(life.now), node.celsius
    node.forced_load = 1.0
    life.live(600)
    assert node.watts(life.now) > idle_watts + 3
    assert node.celsius > idle_celsius + 10
    hot = node.celsius
    life.flow = 1.0
    life.live(600)
    assert node.celsius < hot - 3


def test_without_air_it_throttles_and_so_draws_less(life):
    life.until(State.UP)
    node = life.node
    node.forced_load = 1.0
    life.live(30)
    full = node.watts(life.now)
    life.flow = 0.0
    life.live(3600)
    assert 80 < node.celsius < 90
    assert node.speed < 1
    assert node.watts(life.now) < full
    assert node.load == 1.0


def test_a_stuck_and_a_lost_sensor(life):
    life.until(State.UP)
    node = life.node
    node.faults.add("temp-stuck")
    shown = node.shown_celsius
    node.forced_load = 1.0
    life.live(300)
    assert node.shown_celsius == shown
    assert node.celsius > shown + 5
    node.faults.add("temp-lost")
    assert node.shown_celsius is None


def test_a_board_of_unknown_make_is_taken_for_a_pi_4():
    assert Node("x", NodeWiring(role="compute"), Random(1)).board.cpus == 4
    rock = Node("x", NodeWiring(role="compute", board="RockPro64"), Random(1))
    assert rock.board.cpus == 6


@pytest.mark.parametrize(
    "line", ["sudo systemctl poweroff", "systemctl poweroff", "sudo -n systemctl poweroff"]
)
def test_the_shell_halts(life, line):
    life.until(State.UP)
    assert run(life.node, line, life.now) == (0, "")
    assert life.node.state is State.HALTING


def test_the_shell_reboots_and_tells_the_boot_id(life):
    life.until(State.UP)
    command = "cat /proc/sys/kernel/random/boot_id"
    assert run(life.node, command, life.now) == (0, life.node.boot_id + "\n")
    assert run(life.node, "sudo systemctl reboot", life.now) == (0, "")
    life.until(State.BOOTING)


@pytest.mark.parametrize(
    "line",
    ["rm -rf /", "systemctl poweroff; true", "systemctl", "", "sudo", "systemctl poweroff 'x"],
)
def test_the_shell_knows_nothing_else(life, line):
    life.until(State.UP)
    status, text = run(life.node, line, life.now)
    assert status in (2, 127)
    assert text.startswith("sh: 1: ")
    assert life.node.state is State.UP
