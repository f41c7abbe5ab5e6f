"""``python -m bench.timed_service run ...``: hwctl, whose ticks are also written to a file.

The service is put together as ever; only its engine is one that tells, after each tick, how late
the tick began, how long it took, and how much of that its thread waited for a core, as a line of
seconds in the file BENCH_TICKS.
"""

import os
import sys
from pathlib import Path

from hwctl.engine.clock import pace
from hwctl.engine.core import TICK_S, Engine
from hwctl.faces.cli import serve
from hwctl.faces.cli.app import run


class TimedEngine(Engine):
    """Keeps the same schedule as the engine's own loop."""

    _due: float | None = None
    _waited = 0.0

    def tick(self) -> None:
        """One tick, timed."""
        began = self.clock.now()
        super().tick()
        ended = self.clock.now()
        late = 0.0 if self._due is None else max(0.0, began - self._due)
        before, self._waited = self._waited, waited()
        LOG.write(f"{began!r} {late:.6f} {ended - began:.6f} {self._waited - before:.6f}\n")
        self._due = max((began if self._due is None else self._due) + self._period, ended)

    @property
    def _period(self) -> float:
        return pace(self.clock, TICK_S)


def waited() -> float:
    """Seconds that this thread was ready to run and had no core (sched-stats.rst); 0 if the kernel
    does not count them."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


if __name__ == "__main__":
    LOG = Path(os.environ["BENCH_TICKS"]).open("w", buffering=1)  # noqa: SIM115 - open to the end
    serve.Engine = TimedEngine  # type: ignore[attr-defined]
    sys.exit(run())
