"""What the rig's files say of outlets, in the engine's words."""

from typing import NamedTuple

from hwctl.config.draft import Use


class Says(NamedTuple):
    """What kind of outlet a device is."""

    reads_back: bool
    cycles: bool
    asks: bool
    switches_off: bool

    @classmethod
    def of(cls, use: Use) -> "Says":
        return cls(
            use.says("reads_back"), use.says("cycles"), use.says("asks"), use.driver.switches_off
        )
