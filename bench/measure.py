"""Clocks and counters: of this process, and of others through /proc."""

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

HERTZ = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
WINDOW_S = 2.0
"""Of a share of a core; some of them are measured, and their median counts."""


def rounds_of(work: Callable[[], object], rounds: int, times: int) -> float:
    """Seconds for one ``work()``: the median over ``rounds`` of the mean of ``times`` calls.

    The median because the machine has other things to do in some of the rounds.
    """
    work()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(times):
            work()
        taken.append((time.perf_counter() - started) / times)
    return statistics.median(taken)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that at least ``share`` (0..1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class CpuOfSelf:
    """Share of one core that this process uses, all its threads together."""

    def __init__(self) -> None:
        gc.collect()
        self._marks = [(time.process_time(), time.monotonic())]

    def mark(self) -> None:
        """End one window, and begin the next."""
        self._marks.append((time.process_time(), time.monotonic()))

    def percent(self) -> float:
        """The median of the windows: a neighbour on the machine makes the same work dearer."""
        return 100 * statistics.median(
            (cpu - cpu_before) / (wall - wall_before)
            for (cpu_before, wall_before), (cpu, wall) in pairwise(self._marks)
        )


def cpu_seconds(pid: int) -> float:
    """CPU time of another process so far, in steps of 10 ms: utime and stime of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def family(pid: int) -> list[int]:
    """``pid`` and its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def resident(pid: int) -> tuple[float, float]:
    """(VmRSS, Pss) of a process in MiB. Pss counts a page that n processes share as 1/n."""
    fields = {}
    for name in ("status", "smaps_rollup"):
        for text in Path(f"/proc/{pid}/{name}").read_text().splitlines():
            key, _, value = text.partition(":")
            if value.strip().endswith(" kB"):
                fields[key] = int(value.split()[0]) * 1024 / MIB
    return fields["VmRSS"], fields["Pss"]
