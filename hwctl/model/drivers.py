"""What a driver is. Read this, read one driver (``hwctl_drivers/ina228.py``), write yours.

A driver is one file that turns a bus into readings or takes orders for a device. It is found
through the entry-point group ``hwctl.drivers``::

    [project.entry-points."hwctl.drivers"]
    mychip = "mypackage.mychip:DRIVER"

where ``DRIVER`` is a :class:`Driver`. The wiring file names it (``driver = "mychip"``), its
``options`` model checks the keys that stand beside it, and its ``open`` makes the device.

Rules every driver keeps:

- it talks to nothing but the bus it is given;
- it raises the errors of :mod:`hwctl.model.errors`, with ``where`` and ``hint``, and keeps causes;
- it neither sleeps, nor logs, nor retries, nor starts threads: the bus worker does all of that;
- opening and probing change nothing that a node, an outlet or a fan could feel;
- a value it cannot vouch for is ``None`` or an error, never 0.

Methods of bus devices block and are called from the one thread that owns their bus. Methods of
network drivers are coroutines and run on the network's loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from hwctl.model.units import Amps, Celsius, Joules, Ratio, Rpm, Volts, Watts

BusKind = Literal["i2c", "gpio", "spi", "net"]
DeviceRole = Literal["gauge", "outlet", "fan", "strip", "load", "control"]
UsbNode = Literal["tty", "hidraw", "i2c-dev"]


# --- buses, as drivers see them -------------------------------------------------------------


class I2cBus(Protocol):
    """One I2C bus. Addresses are 7 bits wide."""

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Write ``write``, then, after a repeated START, read ``read`` bytes, as one transaction.

        :raises DeviceNotFoundError: the address was not acknowledged.
        :raises DeviceTimeoutError: the bus is held.
        :raises BusError: the adapter failed or is gone.
        """
        ...


class GpioBus(Protocol):
    """One GPIO chip, as a gpiozero pin factory (``pin_factory=bus.factory``)."""

    @property
    def factory(self) -> Any:  # noqa: ANN401 - gpiozero has no type hints
        """A ``gpiozero.pins.Factory``."""
        ...


class SpiBus(Protocol):
    """One SPI device (bus and chip select)."""

    max_transfer: int
    """The most bytes one transfer may carry without a gap inside."""

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        """Set the clock; :raises BusError: if the controller refuses it."""
        ...

    def write(self, data: bytes) -> None:
        """Shift ``data`` out in one transfer."""
        ...


@dataclass(frozen=True, slots=True)
class SshLogin:
    """Where and as whom to log in."""

    address: str
    port: int
    user: str
    key: Path
    known_hosts: Path


class Net(Protocol):
    """How network drivers reach the rig's nodes; the engine owns connections and time limits.

    Time limits are seconds of the rig's time. Everything here runs on the network's own loop.
    """

    async def get(self, host: str, port: int, path: str, *, limit_s: float, most: int) -> bytes:
        """The body of ``http://host:port/path``, over a kept-open connection.

        :raises HostError: no answer within ``limit_s``, a status other than 200, a body of more
            than ``most`` bytes, or one that ends too early.
        """
        ...

    async def ssh(self, login: SshLogin, command: str, *, limit_s: float) -> tuple[int | None, str]:
        """Run one command; its exit status (``None`` if the link ended first) and its output.

        :raises HostError: no connection, a wrong host key, a refused login, or no end in time.
        """
        ...


# --- what devices give and take -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GaugeSample:
    """What a gauge sees at one moment; ``None`` where it has no such value.

    ``amps`` and ``watts`` are positive in the direction that the wiring calls forward.
    ``energy`` counts up from an arbitrary start and survives missed polls.
    """

    volts: Volts | None = None
    amps: Amps | None = None
    watts: Watts | None = None
    celsius: Celsius | None = None
    charge: Ratio | None = None
    energy: Joules | None = None


@dataclass(frozen=True, slots=True)
class FanSample:
    """``rpm``: 0 for a fan seen to stand still, ``None`` where there is no tachometer."""

    rpm: Rpm | None
    duty: Ratio | None
    """What the controller says it drives, ``None`` if it cannot tell."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What became of a frame."""

    watts: Watts
    """Estimated draw of the strip showing it."""
    limited: bool
    """Whether it was dimmed to keep within the power limit."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """What a node says of itself.

    ``busy_s`` and ``total_s`` are CPU seconds since boot, summed over all CPUs: load is the
    quotient of their differences, so that it depends on nobody's clock.
    """

    busy_s: float | None = None
    total_s: float | None = None
    cpus: int | None = None
    celsius: Celsius | None = None
    memory: Ratio | None = None
    boot_id: str | None = None
    """Changes with every boot."""
    throttled: bool | None = None
    load: Ratio | None = None
    """For sources that say the load itself."""


class Device(Protocol):
    """What every opened bus device has."""

    def probe(self) -> None:
        """Make sure that the right part answers, and set it up so that it can be read.

        :raises DeviceNotFoundError: nothing answers.
        :raises DeviceMismatchError: something else answers.
        """
        ...


class Gauge(Device, Protocol):
    def read(self, channel: int = 0) -> GaugeSample: ...


class OutletSwitch(Device, Protocol):
    def get(self, channel: int = 0) -> bool: ...

    def set(self, channel: int, on: bool) -> None: ...


class FanController(Device, Protocol):
    def drive(self, channel: int, duty: Ratio) -> None: ...

    def read(self, channel: int = 0) -> FanSample: ...


class LedStrip(Device, Protocol):
    leds: int

    def show(self, frame: bytes, brightness: float) -> Shown:
        """Show ``leds`` RGB triplets (sRGB, 0..255 each) at ``brightness`` 0..1, at once."""
        ...


class LoadSource(Protocol):
    async def sample(self) -> LoadSample:
        """:raises HostError: the node did not answer, or answered nonsense."""
        ...

    async def close(self) -> None: ...


class HostControl(Protocol):
    async def halt(self) -> None:
        """Ask the operating system to halt. Returns when it has agreed, not when it has halted.

        :raises HostError: it could not be asked, or refused.
        """
        ...

    async def reboot(self) -> None: ...

    async def close(self) -> None: ...


# --- options and registration ---------------------------------------------------------------


class Options(BaseModel):
    """Base of every driver's options: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def claims(self) -> Sequence[str]:
        """What of its bus the device occupies; two devices must not claim the same."""
        return ()


class I2cOptions(Options):
    """Options of a device on I2C. Narrow ``address`` to the part's range in a subclass."""

    address: int = Field(ge=0x03, le=0x77)

    def claims(self) -> Sequence[str]:
        return (f"address 0x{self.address:02x}",)


class GpioOptions(Options):
    """Options of a device on one GPIO line."""

    pin: str = Field(description='"J8:11" (header and pin), "GPIO17" or a line name')

    def claims(self) -> Sequence[str]:
        return (self.pin,)


@dataclass(frozen=True, slots=True)
class UsbId:
    """A USB device that a driver speaks to; udev rules are made from it."""

    vendor: int
    product: int
    name: str
    """In /dev/hwctl: "ch340" gives /dev/hwctl/ch340-1-1.2 for the one at port 1-1.2."""
    node: UsbNode = "tty"
    """What the kernel makes of it."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What stands behind a name in the wiring file."""

    name: str
    summary: str
    """One line for the hardware table."""
    parts: tuple[str, ...]
    """Part numbers or products, as printed on them."""
    bus: BusKind
    roles: frozenset[DeviceRole]
    options: type[Options]
    open: Callable[[Any, Any], Any]
    """``open(bus, options)``; for ``net`` drivers ``open(net, options)``. Does no I/O."""
    proof: str
    """How this driver was proven, in a few words; shown in the hardware table."""
    reads_back: bool = True
    """Outlets only: whether ``get`` asks the device, or merely remembers what was ordered."""
    channels: int = 1
    first_channel: int = 0
    min_speed_hz: int | None = None
    """SPI only, documentation: the slowest clock that the part takes."""
    usb: tuple[UsbId, ...] = ()
    """USB devices that it speaks to, or reaches its part through."""
    full: Callable[[Any, int], bytes] | None = None
    """Fans on I2C only: of options and channel, the bytes which, written to the part, drive that
    fan at full. The service manager writes them when hwctl has ended, without Python."""
