"""A port of a USB hub: the kernel's files of it, and whether what is plugged in is fed.

Source: Linux drivers/usb/core/port.c: names and contents of the files; ``disable`` takes what
kstrtobool takes. A hub of USB 3 is two hubs, and feeds a port until both halves are off.
"""

import errno
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from hwctl_emulated.part import Site
from hwctl_emulated.sysfs_tree import SysfsTree, refuse

DEVICES = PurePosixPath("bus/usb/devices")
TRUE = frozenset({"1", "y", "Y", "t", "T", "on", "On", "ON"})
FALSE = frozenset({"0", "n", "N", "f", "F", "off", "Off", "OFF"})
"""As far as kstrtobool looks."""


class UsbPort(SysfsTree):
    """One port; ``channel`` is ignored.

    :param port: "1-1.3" is port 3 of hub 1-1; "1-2" is port 2 of root hub 1.
    :param usb3_port: the other half.
    :param switches: whether the hub says that it switches power.
    :param kernel: its version; before 6.0 there is no ``disable``.
    """

    def __init__(
        self,
        port: str,
        usb3_port: str | None = None,
        *,
        switches: bool = True,
        kernel: tuple[int, int] = (6, 1),
    ) -> None:
        self._ports = [port] if usb3_port is None else [port, usb3_port]
        self._switches = switches
        self._kernel = kernel
        self._disabled = [False] * len(self._ports)

    def relay(self, channel: int = 0) -> bool:
        """Whether there are 5 V at the port."""
        del channel
        return not (self._switches and all(self._disabled))

    def power_on(self) -> None:
        """The hub was plugged in anew: Linux switches all ports on."""
        self._disabled = [False] * len(self._ports)

    def files(self) -> Mapping[str, str]:
        return dict(self._files())

    def store(self, path: str, text: str) -> None:
        ports = [str(_folder(port) / "disable") for port in self._ports]
        if path not in ports:
            refuse(errno.EACCES)
        if text not in TRUE | FALSE:
            refuse(errno.EINVAL)
        self._disabled[ports.index(path)] = text in TRUE

    def _files(self) -> Iterator[tuple[str, str]]:
        for n, port in enumerate(self._ports):
            hub, interface, _ = _names(port)
            yield str(DEVICES / hub / "bDeviceClass"), "09"
            yield str(DEVICES / interface / "bInterfaceClass"), "09"
            yield from self._attributes(_folder(port), n)
            if len(self._ports) > 1:
                yield from self._attributes(_folder(port) / "peer", 1 - n)

    def _attributes(self, folder: PurePosixPath, half: int) -> Iterator[tuple[str, str]]:
        yield str(folder / "connect_type"), "hotplug"
        yield str(folder / "over_current_count"), "0"
        yield str(folder / "power/runtime_status"), "active"
        if self._switches:
            yield str(folder / "power/pm_qos_no_power_off"), "1"
        if self._kernel >= (6, 0):
            yield str(folder / "disable"), str(int(self._disabled[half]))


def _names(port: str) -> tuple[str, str, str]:
    """Hub, its interface, and the number of the port."""
    bus, _, path = port.partition("-")
    *above, number = path.split(".")
    if not above:
        return f"usb{bus}", f"{bus}-0:1.0", number
    hub = f"{bus}-{'.'.join(above)}"
    return hub, f"{hub}:1.0", number


def _folder(port: str) -> PurePosixPath:
    hub, interface, number = _names(port)
    return DEVICES / interface / f"{hub}-port{number}"


def make(site: Site) -> UsbPort:
    """The port of one device's table."""
    return UsbPort(site.text("port", ""), site.text("usb3_port", "") or None)
