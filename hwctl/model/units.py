"""Units, in types and names. SI base units everywhere; ratios run from 0 to 1.

A ``NewType`` costs nothing at run time and keeps a duty from being passed where volts belong.
"""

from typing import NewType

Volts = NewType("Volts", float)
Amps = NewType("Amps", float)
Watts = NewType("Watts", float)
Joules = NewType("Joules", float)
Ohms = NewType("Ohms", float)
Celsius = NewType("Celsius", float)
Rpm = NewType("Rpm", float)
Ratio = NewType("Ratio", float)
"""0..1"""
Seconds = NewType("Seconds", float)
"""A duration, or a moment on the engine's clock (monotonic, no meaning across machines)."""

JOULES_PER_WATT_HOUR = 3600.0


def clamp(value: float, low: float, high: float) -> float:
    """``value`` held between ``low`` and ``high``; for our own arithmetic, never for input."""
    return max(low, min(value, high))
