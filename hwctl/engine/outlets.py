"""What the rig's files say of outlets, in the engine's words."""

from typing import NamedTuple

from hwctl.config.draft import Use


class Says(NamedTuple):
    """What kind of outlet a device is."""

    reads_back: bool
    cycles: bool
    asks: bool
    switches_off: bool
    takes_s: float
    """How long one order may take."""
    prompt: bool
    """Whether it has switched by the time that its order has been carried out. What answers over
    the network, or presses a button, may be later."""

    @classmethod
    def of(cls, use: Use) -> "Says":
        return cls(
            use.says("reads_back"), use.says("cycles"), use.says("asks"), use.driver.switches_off,
            0.0 if use.driver.takes_s is None else use.driver.takes_s(use.options),
            use.driver.bus != "net" and not use.says("asks"),
        )  # fmt: skip
