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

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from hwctl.model.units import Amps, Celsius, Joules, Ratio, Rpm, Volts, Watts

BusKind = Literal["i2c", "gpio", "spi", "serial", "modbus", "hid", "sysfs", "net"]
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


class SerialBus(Protocol):
    """One serial port. A driver sets it up when it probes."""

    def configure(
        self, *, baud: int, parity: Literal["N", "E", "O"] = "N", stop_bits: Literal[1, 2] = 1
    ) -> None:
        """8 data bits, no flow control. :raises BusError: the port refuses it, or is gone."""
        ...

    def discard(self) -> None:
        """Forget what has come in and was not read."""
        ...

    def write(self, data: bytes) -> None:
        """Send ``data`` whole. :raises BusError: the port is gone."""
        ...

    def read(self, most: int, *, limit_s: float, until: bytes = b"") -> bytes:
        """Up to ``most`` bytes: as soon as there are so many, or they end with ``until``, or
        ``limit_s`` is over; fewer, or none, in the last case.

        :raises BusError: the port is gone.
        """
        ...


class ModbusBus(Protocol):
    """One Modbus line or gateway, RTU or TCP. ``unit`` is the device's address, 1 to 247.

    Every method raises :class:`~hwctl.model.errors.DeviceTimeoutError` where no answer comes,
    ``DeviceDataError`` for a broken frame, ``DeviceError`` for an exception that the device
    answers, and ``BusError`` where the line is gone.
    """

    def read_coils(self, unit: int, address: int, count: int) -> list[bool]: ...

    def write_coil(self, unit: int, address: int, on: bool) -> None: ...

    def write_coil_raw(self, unit: int, address: int, value: int) -> None:
        """Function 05 with any 16-bit value: some boards take more than 0xFF00 and 0."""
        ...

    def read_holding(self, unit: int, address: int, count: int) -> list[int]: ...


class HidBus(Protocol):
    """One USB HID device, by its hidraw node."""

    def get_feature(self, report: int, length: int) -> bytes:
        """The feature report with that id (0: the device numbers none), without the id's byte.

        :raises BusError: the device is gone.
        """
        ...

    def set_feature(self, report: int, data: bytes) -> None: ...

    def write(self, report: int, data: bytes) -> None:
        """Send an output report."""
        ...


class SysfsBus(Protocol):
    """Files of the kernel below one folder. Paths are relative and never lead out of it."""

    def read(self, path: str) -> str:
        """Without the trailing newline.

        :raises DeviceNotFoundError: there is no such file.
        :raises DeviceError: the kernel refuses to read it.
        :raises BusError: no permission.
        """
        ...

    def write(self, path: str, text: str) -> None:
        """Raises as :meth:`read` does."""
        ...

    def names(self, path: str = "") -> list[str]:
        """What is in a folder, sorted; empty if it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class SshLogin:
    """Where and as whom to log in."""

    address: str
    port: int
    user: str
    key: Path
    known_hosts: Path


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to ``http://host:port``."""

    method: Literal["GET", "POST", "PUT"]
    host: str
    port: int
    path: str
    """With the query, percent-encoded."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    """With ``user``: Basic or Digest, whichever the device asks for."""


@dataclass(frozen=True, slots=True)
class SnmpAgent:
    """An SNMP agent, and how to be let in: SNMPv2c by ``community``, or SNMPv3 by ``user``."""

    host: str
    port: int = 161
    community: str = field(default="public", repr=False)
    user: str | None = None
    auth_key: str | None = field(default=None, repr=False)
    """SHA, at least 8 characters; without it noAuthNoPriv."""
    priv_key: str | None = field(default=None, repr=False)
    """AES-128, at least 8 characters."""


class Net(Protocol):
    """How network drivers reach the rig's nodes and outlets; the engine owns connections and time.

    Time limits are seconds of the rig's time. Everything here runs on the network's own loop, and
    raises :class:`~hwctl.model.errors.HostError` where nothing answers within the limit.
    """

    async def get(self, host: str, port: int, path: str, *, limit_s: float, most: int) -> bytes:
        """The body of ``http://host:port/path``, over a kept-open connection.

        :raises HostError: no answer within ``limit_s``, a status other than 200, a body of more
            than ``most`` bytes, or one that ends too early.
        """
        ...

    async def http(self, request: HttpRequest, *, limit_s: float, most: int) -> HttpAnswer:
        """The answer to any request, whatever its status."""
        ...

    async def converse(
        self, host: str, port: int, lines: Sequence[str], *, limit_s: float
    ) -> list[str]:
        """Over one TCP connection: send each line, read one line after each (both without their
        line ends), and part."""
        ...

    async def datagram(self, host: str, port: int, data: bytes, *, broadcast: bool = False) -> None:
        """Send one UDP datagram; nobody answers."""
        ...

    async def snmp_get(self, agent: SnmpAgent, oid: str, *, limit_s: float) -> int:
        """An INTEGER. :raises HostError: no answer, no such object, or another type."""
        ...

    async def snmp_set(self, agent: SnmpAgent, oid: str, value: int, *, limit_s: float) -> None:
        """:raises HostError: no answer, or the agent refuses."""
        ...

    async def run(self, argv: Sequence[str], *, limit_s: float) -> tuple[int, str]:
        """Run a program on the head, without a shell; its exit status and its output (at most
        64 KiB). It is ended when ``limit_s`` is over.

        :raises HostError: it could not be started, or did not end in time.
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


@dataclass(frozen=True, slots=True)
class Later:
    """What is to be done next for the same order; the bus serves others in between."""

    after_s: float
    job: "Callable[[Any], Later | None]"
    """Given the device."""


class OutletSwitch(Device, Protocol):
    """A device whose channels switch feeds."""

    def get(self, channel: int = 0) -> bool | None:
        """Whether the feed is on, asked of the device; ``None`` where the device cannot tell."""
        ...

    def set(self, channel: int, on: bool) -> Later | None:
        """Switch. What takes time (a button held down) is returned as :class:`Later`."""
        ...


class CyclingOutlet(OutletSwitch, Protocol):
    """An outlet that can go off and come on again by itself (:attr:`Driver.cycles`)."""

    def cycle(self, channel: int, off_s: float) -> None:
        """Off now, on after at least ``off_s`` seconds, whatever becomes of the head."""
        ...


class AskingOutlet(OutletSwitch, Protocol):
    """An outlet that can also ask its node to halt (:attr:`Driver.asks`): a power button."""

    def ask(self, channel: int) -> Later | None:
        """Ask; returns before the node has halted."""
        ...


class RecallingOutlet(OutletSwitch, Protocol):
    """An outlet that cannot be read back and must know its other channels to switch one."""

    def recall(self, known: Mapping[int, bool]) -> None:
        """Called before an order: what was last ordered, by channel, maybe by an earlier hwctl."""
        ...


class NetOutlet(Protocol):
    """An :class:`OutletSwitch` on the network; the other kinds are the same, as coroutines.

    ``probe`` is not there: the first ``get`` does its work.
    """

    def get(self, channel: int = 0) -> Awaitable[bool | None]:
        """:raises HostError: no answer. :raises DeviceError: an answer that makes no sense."""
        ...

    def set(self, channel: int, on: bool) -> Awaitable[None]: ...


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
    reads_back: bool | Callable[[Any], bool] = True
    """Outlets only: whether ``get`` can tell; of the options, where it depends on them. What a
    device cannot tell is shown as ``assumed``."""
    cycles: bool | Callable[[Any], bool] = False
    """Outlets only: whether it is a :class:`CyclingOutlet`."""
    asks: bool | Callable[[Any], bool] = False
    """Outlets only: whether it is an :class:`AskingOutlet`."""
    takes_s: Callable[[Any], float] | None = None
    """Outlets only: of the options, how long one order may take, where that is over 2 s."""
    switches_off: bool = True
    """Outlets only; Wake-on-LAN can only switch on."""
    channels: int | Callable[[Any], int] = 1
    """Of the options, where boards of the family differ."""
    first_channel: int = 0
    min_speed_hz: int | None = None
    """SPI only, documentation: the slowest clock that the part takes."""
    usb: tuple[UsbId, ...] = ()
    """USB devices that it speaks to, or reaches its part through."""
    kernel: Callable[[SysfsBus, Any], Any] | None = None
    """I2C only: ``kernel(folder, options)`` makes the same kind of device of what the kernel's own
    driver shows, for a part that it has taken. ``folder`` is the part's own in sysfs. Does no
    I/O; its ``probe`` writes nothing."""
    subsystems: frozenset[str] = frozenset()
    """Of the kernel, whose news mean that the device is to be read at once ("power_supply")."""
    full: Callable[[Any, int], bytes] | None = None
    """Fans on I2C only: of options and channel, the bytes which, written to the part, drive that
    fan at full. The service manager writes them when hwctl has ended, without Python."""
