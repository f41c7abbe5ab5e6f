"""``wiring/<build>.toml``: what is wired to what. Stated once; a pin stands nowhere else.

Tables are named by id, so that TOML itself refuses to have one twice. Keys that end in a unit
are in that unit. Cross references are checked by ``hwctl.config``, not here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
"""Lower-case letters, digits, ``-`` and ``_``."""


class Strict(BaseModel):
    """Unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RigInfo(Strict):
    name: Id
    title: str = ""


class Board(Strict):
    """The head's board, for pin names and for what its pins can do."""

    model: str = Field(description='as gpiozero names it, e.g. "Raspberry Pi 4B"')
    revision: int | None = Field(
        default=None, description="revision code, where the model name is not enough"
    )


class Bus(Strict):
    kind: Literal["i2c", "gpio", "spi", "serial", "modbus", "hid", "sysfs"]
    path: str = Field(
        default="",
        description="/dev/i2c-1, /dev/spidev0.0, a gpiochip's label, a serial port "
        "(/dev/hwctl/ch340-1-1.2), /dev/hidraw0, for Modbus a serial port or HOST:PORT, for sysfs "
        "the folder (/sys)",
    )
    baud: int = Field(default=9600, ge=300, le=4_000_000, description="Modbus on a serial port")
    parity: Literal["N", "E", "O"] = Field(default="N", description="Modbus on a serial port")


class DeviceEntry(BaseModel):
    """One part on one bus. The driver's own options stand beside ``driver`` and ``bus``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    driver: str
    bus: Id | None = None
    note: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """The keys that the driver's options model checks."""
        return dict(self.__pydantic_extra__ or {})


class Channel(Strict):
    """A place on a device."""

    device: Id
    channel: int = 0


class Supply(Strict):
    """What feeds the rig."""

    kind: Literal["power-bank", "battery", "mains"]
    capacity_wh: float = Field(gt=0, description="rated energy of the cells")
    efficiency_out: float = Field(
        default=0.85, gt=0.3, le=1, description="of the converter between cells and output"
    )
    efficiency_in: float = Field(default=0.9, gt=0.3, le=1, description="while charging")
    output_gauge: Channel | None = Field(default=None, description="measures what it gives")
    input_gauge: Channel | None = Field(default=None, description="measures what it is given")
    input_present_volts: float = Field(
        default=4.0, gt=0, description="above this at the input gauge, mains is there"
    )
    max_watts: float | None = Field(default=None, gt=0, description="the most it can give")


class Rail(Strict):
    """A voltage with a budget."""

    supply: Id
    volts: float = Field(gt=0)
    budget_amps: float = Field(gt=0, description="what the converter and the wires can carry")


class Outlet(Strict):
    """A switched feed of one node."""

    device: Id
    channel: int = 0
    rail: Id
    node: Id | None = None
    meter: Channel | None = Field(default=None, description="measures this feed alone")


class Node(Strict):
    """A board other than the head."""

    role: str = Field(description='"orchestrator", "compute", "storage", "switch", ...')
    board: str = ""
    inrush_amps: float = Field(
        default=1.2, ge=0, description="peak at power-on; Pi 4B over 1.1 A (switchdoc.com 2019/10)"
    )
    inrush_s: float = Field(default=2.0, ge=0, description="how long that peak can last")
    boot_amps: float = Field(default=1.0, ge=0, description="while booting, after the inrush")
    halted_watts: float = Field(
        default=1.6, gt=0, description="at most this when halted; learn it by a drill"
    )
    protected: bool = Field(default=False, description="never switched by an ordinary command")
    needs: tuple[Id, ...] | None = Field(
        default=None,
        description="nodes that come up before it and go down after it; without this key those "
        "of the shutdown's later stages",
    )


class Fan(Strict):
    device: Id
    channel: int
    rpm_max: float | None = Field(default=None, gt=0)
    start_duty: float = Field(default=0.3, ge=0, le=1, description="below this it may not start")


class Strip(Strict):
    device: Id
    rail: Id | None = None


class Wiring(Strict):
    """The whole file."""

    rig: RigInfo
    board: Board
    bus: dict[Id, Bus] = Field(default_factory=dict)
    device: dict[Id, DeviceEntry] = Field(default_factory=dict)
    supply: dict[Id, Supply] = Field(default_factory=dict)
    rail: dict[Id, Rail] = Field(default_factory=dict)
    outlet: dict[Id, Outlet] = Field(default_factory=dict)
    node: dict[Id, Node] = Field(default_factory=dict)
    fan: dict[Id, Fan] = Field(default_factory=dict)
    strip: dict[Id, Strip] = Field(default_factory=dict)

    def outlet_of(self, node: str) -> str | None:
        """The outlet that feeds ``node``."""
        return next((name for name, outlet in self.outlet.items() if outlet.node == node), None)
