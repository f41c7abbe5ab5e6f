"""Ports of USB hubs that switch their power, by the kernel's ``disable`` files.

Part        hubs with power switching per port (uhubctl's README lists them)
Sources     Linux Documentation/ABI/testing/sysfs-bus-usb, "disable" (unverified: read in the
            code); drivers/usb/core/port.c (disable_show reads the port's power bit from the hub,
            disable_store sets it; usb_hub_create_port_device shows pm_qos_no_power_off only where
            hub_is_port_power_switchable; the order of the halves in usb_port_runtime_resume);
            mvp/uhubctl, README and uhubctl.c
Bus         sysfs, with /sys as its folder; Linux 6.0 or later
Quirks      - ``port`` is called as the kernel calls what is plugged into it: "1-1.3" is port 3 of
              hub 1-1, "1-2" is port 2 of root hub 1.
            - A USB 3 hub is two hubs in one case, and its port is fed until both halves are off:
              give the other half as ``usb3_port``. Where the kernel knows of another half and the
              wiring does not, the port is refused.
            - Most hubs cannot switch power, and have the file all the same: their device is gone
              from the bus and goes on being fed. Those that say so are refused.
            - Ganged hubs switch only when all their ports are off, and the kernel does not tell
              them from others: the feed's gauge does. Raspberry Pi boards' own ports are all
              ganged, a Pi 5's although it says otherwise (uhubctl's README): do not use them.
            - Some hubs say that they switch, and do nothing: measure a new one once.
            - Most hubs let go of all ports while the head reboots (uhubctl issue 365), and the
              kernel switches all ports on when a hub is plugged in: nodes on such a hub live and
              die with the head.
            - What is read back is the hub's own power bit, not the voltage.
            - The files belong to root, and are made anew when the hub is plugged in: the service
              needs a udev rule that gives them to it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from hwctl.model.drivers import Driver, Options, SysfsBus
from hwctl.model.errors import DeviceDataError, DeviceMismatchError, DeviceNotFoundError

DEVICES = "bus/usb/devices"
PORT = r"^[1-9]\d*-[1-9]\d*(\.[1-9]\d*){0,5}$"
"""Bus, and a port of each hub on the way; USB allows five hubs in a row."""
ON, OFF = "0", "1"
"""What ``disable`` says. port.c, disable_show."""
SWITCHABLE = "pm_qos_no_power_off"
"""In a port's ``power`` folder if the hub says that it switches power. port.c."""


@dataclass(frozen=True, slots=True)
class HubPort:
    """One port of one hub, as the kernel names them."""

    hub: str
    """"1-1", or "usb1" for a root hub."""
    interface: str
    number: int

    @classmethod
    def parse(cls, port: str) -> Self:
        """Of "1-1.3" or "1-2"."""
        bus, _, path = port.partition("-")
        above, dot, last = path.rpartition(".")
        if dot:
            return cls(f"{bus}-{above}", f"{bus}-{above}:1.0", int(last))
        return cls(f"usb{bus}", f"{bus}-0:1.0", int(last))

    @property
    def folder(self) -> str:
        """Below /sys."""
        return f"{DEVICES}/{self.interface}/{self.hub}-port{self.number}"

    def __str__(self) -> str:
        return f"port {self.number} of hub {self.hub}"


class UsbPortOptions(Options):
    """What the wiring file says of one port."""

    port: str = Field(
        pattern=PORT, description='as the kernel calls what is plugged in: "1-1.3", "1-2"'
    )
    usb3_port: str | None = Field(
        default=None, pattern=PORT, description='the other half, on a USB 3 hub: "2-1.3"'
    )

    @model_validator(mode="after")
    def _two_buses(self) -> Self:
        if self.usb3_port and self.usb3_port.split("-")[0] == self.port.split("-")[0]:
            raise ValueError("port and usb3_port are on one bus; the halves of a hub are on two")
        return self

    @property
    def halves(self) -> tuple[HubPort, ...]:
        """The USB 2 half first."""
        names = (self.port,) if self.usb3_port is None else (self.port, self.usb3_port)
        return tuple(HubPort.parse(name) for name in names)

    def claims(self) -> Sequence[str]:
        return [str(half) for half in self.halves]


class UsbPort:
    """One port. ``channel`` is ignored: there is one."""

    def __init__(self, bus: SysfsBus, options: UsbPortOptions) -> None:
        self._bus = bus
        self._options = options
        self._halves = options.halves
        self._where = f"USB port {options.port}"

    def probe(self) -> None:
        """Make sure that hub and port are there, and can switch as far as the hub says."""
        for half in self._halves:
            self._find(half)
        if self._options.usb3_port is None and "peer" in self._bus.names(self._halves[0].folder):
            raise DeviceMismatchError(
                "is half of a USB 3 port, which stays fed until the other half is off as well",
                where=self._where,
                hint="name the other half as `usb3_port`: `readlink "
                f"/sys/{self._halves[0].folder}/peer` tells which it is",
            )

    def get(self, channel: int = 0) -> bool:
        """Whether the hub feeds the port.

        :raises DeviceDataError: the halves say different things.
        """
        del channel
        states = {str(half): self._state(half) for half in self._halves}
        if len(set(states.values())) > 1:
            raise DeviceDataError(
                " but ".join(f"{half} is {'on' if on else 'off'}" for half, on in states.items()),
                where=self._where,
                hint="switch it again; what other program switches it? (uhubctl -e does so)",
            )
        return all(states.values())

    def set(self, channel: int, on: bool) -> None:
        """Switch both halves: USB 3 first to on and last to off, so that no device falls back to
        the slower half in between."""
        del channel
        for half in reversed(self._halves) if on else self._halves:
            self._bus.write(f"{half.folder}/disable", ON if on else OFF)

    def _state(self, half: HubPort) -> bool:
        said = self._bus.read(f"{half.folder}/disable")
        if said not in (ON, OFF):
            raise DeviceDataError(
                f"{half.folder}/disable says {said!r}, neither 0 nor 1",
                where=self._where,
                hint="is `path` of the bus /sys?",
            )
        return said == ON

    def _find(self, half: HubPort) -> None:
        interface = self._bus.names(f"{DEVICES}/{half.interface}")
        ports = [name for name in interface if re.fullmatch(r".+-port\d+", name)]
        if not interface:
            raise DeviceNotFoundError(
                f"there is no hub {half.hub}",
                where=self._where,
                hint="is it plugged in, and into the same port? `lsusb -t` and `uhubctl` tell",
            )
        if not ports:
            raise DeviceMismatchError(
                f"{half.hub} is no hub",
                where=self._where,
                hint='`port` is the hub\'s name, "." and the number of its port; see `lsusb -t`',
            )
        attributes = self._bus.names(half.folder)
        if not attributes:
            raise DeviceNotFoundError(
                f"hub {half.hub} has {len(ports)} ports, no port {half.number}",
                where=self._where,
                hint="the kernel's numbers need not be those printed on the case; try with a lamp",
            )
        if "disable" not in attributes:
            raise DeviceMismatchError(
                f"this kernel cannot switch {half}",
                where=self._where,
                hint="it takes Linux 6.0 or later: `uname -r`",
            )
        power = self._bus.names(f"{half.folder}/power")
        # Without power management in the kernel the folder is empty, and nothing is known.
        if power and SWITCHABLE not in power:
            raise DeviceMismatchError(
                f"hub {half.hub} says that it cannot switch power: its devices would stay fed",
                where=self._where,
                hint="take a hub from the list of `uhubctl`, which switch each port",
            )


DRIVER = Driver(
    name="usb_port",
    summary="port of a USB hub with power switching per port, both halves of a USB 3 hub",
    parts=("USB hubs with power switching per port",),
    bus="sysfs",
    roles=frozenset({"outlet"}),
    options=UsbPortOptions,
    open=UsbPort,
    reads_back=True,
    proof="Linux's own hub driver on QEMU's hub, beside uhubctl",
)
