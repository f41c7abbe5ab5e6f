"""A 4-pin fan: takes its time, and does not start from too little."""

from random import Random

RPM_MAX = 5000.0
"""Where the wiring does not say."""
TOLERANCE = 0.05
"""Between two fans of one type (untuned)."""
UP_S = 0.8
DOWN_S = 2.0
"""Time constants (untuned; fan2go tells of fans that coast for more than 2 s)."""
STOP_RATIO = 0.6
"""A turning fan goes on down to this part of its start duty (untuned)."""
TURNING_RPM = 60.0
STALLED_WATTS = 0.6
FULL_WATTS = 1.1
IDLE_WATTS = 0.1
"""Untuned; a small 5 V fan."""


class Fan:
    """One fan. ``rpm_max`` and ``start_duty`` as the wiring has them."""

    def __init__(self, rpm_max: float | None, start_duty: float, rng: Random) -> None:
        self.rpm = 0.0
        self.stalled = False
        self._full = (rpm_max or RPM_MAX) * (1 + rng.uniform(-TOLERANCE, TOLERANCE))
        self._start = start_duty * (1 + rng.uniform(-TOLERANCE, TOLERANCE))

    @property
    def flow(self) -> float:
        """Air moved, 0..1 of what it moves at full speed."""
        return self.rpm / self._full

    @property
    def watts(self) -> float:
        if self.stalled:
            return STALLED_WATTS
        return IDLE_WATTS + (FULL_WATTS - IDLE_WATTS) * self.flow**3 if self.rpm else 0.0

    def target(self, duty: float) -> float:
        """The speed it would settle at."""
        threshold = self._start * (STOP_RATIO if self.rpm > TURNING_RPM else 1.0)
        if self.stalled or duty <= 0 or duty < threshold:
            return 0.0
        return self._full * (0.1 + 0.9 * duty)

    def step(self, duty: float, seconds: float) -> None:
        """Turn for ``seconds`` at ``duty`` 0..1 (0 without power)."""
        goal = self.target(duty)
        slowness = UP_S if goal > self.rpm else DOWN_S
        if self.stalled:
            slowness = 0.1
        self.rpm += (goal - self.rpm) * min(1.0, seconds / slowness)
        if goal == 0 and self.rpm < TURNING_RPM:
            self.rpm = 0.0

    def run_in(self, duty: float) -> None:
        """As if it had been turning at ``duty`` for long."""
        self.rpm = self._full  # a fan that turns already needs less than its start duty
        self.rpm = self.target(duty)
