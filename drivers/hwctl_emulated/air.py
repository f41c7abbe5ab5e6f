"""The air in the case: warmed by what the rig draws, moved by its fans."""

from dataclasses import dataclass, field

from hwctl.model.wiring import Wiring
from hwctl_emulated.fan import Fan
from hwctl_emulated.parts import Parts
from hwctl_emulated.seeds import stream
from hwctl_emulated.workshop import RUN_IN_SETTING

ROOM_CELSIUS = 26.0
CASE_HEATING, CASE_S = 0.35, 120.0
"""Degrees per watt in a case with still air, and how slowly it warms (untuned)."""
CARRIED_OFF = 0.7
"""Part of that warmth that the fans at full speed carry off (untuned)."""


@dataclass(slots=True)
class Air:
    """One case and its fans, which turn already."""

    wiring: Wiring
    parts: Parts
    seed: int
    celsius: float = ROOM_CELSIUS + 4
    fans: dict[str, Fan] = field(init=False)

    def __post_init__(self) -> None:
        self.fans = {
            name: Fan(fan.rpm_max, fan.start_duty, stream(self.seed, f"fan/{name}"))
            for name, fan in self.wiring.fan.items()
        }

    @property
    def flow(self) -> float:
        """Air moved, 0..1 of what all fans move at full speed."""
        return sum(fan.flow for fan in self.fans.values()) / max(1, len(self.fans))

    def run_in(self) -> None:
        """As if the fans had been turning for long, as the last hwctl had left them."""
        for name, fan in self.fans.items():
            fan.run_in(RUN_IN_SETTING / 255)
            self._tell_speed(name, fan)

    def warm(self, watts: float, seconds: float) -> None:
        """Let all that is drawn become heat."""
        warmth = CASE_HEATING * watts * (1 - CARRIED_OFF * self.flow)
        self.celsius += (ROOM_CELSIUS + warmth - self.celsius) * seconds / CASE_S

    def turn(self, seconds: float, *, powered: bool) -> None:
        """Let the fans follow what their controllers drive them at."""
        for name, fan in self.fans.items():
            wired = self.wiring.fan[name]
            board = self.parts.fans[wired.device]
            fan.step(board.duty(wired.channel - board.first) if powered else 0.0, seconds)
            self._tell_speed(name, fan)

    def _tell_speed(self, name: str, fan: Fan) -> None:
        wired = self.wiring.fan[name]
        board = self.parts.fans[wired.device]
        if board.rpm is not None:
            board.rpm[wired.channel - board.first] = fan.rpm
