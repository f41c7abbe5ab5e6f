"""Work that comes and goes on a node, and what it costs the CPUs."""

from dataclasses import dataclass
from random import Random

GAP_S = (8.0, 60.0)
LENGTH_S = (12.0, 60.0)
"""Jobs come and go within a minute, so that a rig's nodes visibly differ (untuned)."""
BACKGROUND = 0.03
"""What an idle system does anyway (untuned)."""


@dataclass(frozen=True, slots=True)
class _Job:
    ends: float
    cpus: int
    share: float


class Jobs:
    """The queue of one node. ``calm`` stretches the gaps: an orchestrator works little itself."""

    def __init__(self, cpus: int, rng: Random, *, calm: float = 1.0) -> None:
        self.cpus = cpus
        self._rng = rng
        self._calm = calm
        self._running: list[_Job] = []
        self._next = 0.0

    def begin(self, now: float) -> None:
        """The node has booted: nothing runs, work will come."""
        self._running = []
        self._next = now + self._rng.uniform(0, GAP_S[0]) * self._calm

    def busy(self, now: float) -> list[float]:
        """How busy each CPU is, 0..1."""
        while now >= self._next:
            rng = self._rng
            length = rng.uniform(*LENGTH_S)
            job = _Job(self._next + length, rng.randint(1, self.cpus), rng.uniform(0.5, 1.0))
            self._running.append(job)
            self._next += rng.uniform(*GAP_S) * self._calm
        self._running = [job for job in self._running if job.ends > now]
        busy = [BACKGROUND] * self.cpus
        for job in self._running:
            # The scheduler gives a job the CPUs that are least busy.
            for cpu in sorted(range(self.cpus), key=lambda cpu: (busy[cpu], cpu))[: job.cpus]:
                busy[cpu] = min(1.0, busy[cpu] + job.share)
        return busy
