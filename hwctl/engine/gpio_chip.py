"""GPIO chips and their lines as the kernel has them, and what goes wrong with them in our words.

A chip is found by its label ("pinctrl-bcm2835"), its device name ("gpiochip0") or its path. A
line is taken as it is: nothing on it changes until somebody asks for that.

What becomes of a line that nobody holds any more is its driver's affair. pinctrl-bcm2835 makes it
an input again (bcm2835_pmx_gpio_disable_free, Linux 6.1.192), unless ``persist_gpio_outputs`` is
set, as it is on Raspberry Pi's kernels (unverified for pinctrl-rp1); gpio-sim lets it fall to its
pull. So a :class:`GpioLine` is never closed: it is held until the process ends, or handed on by a
service manager.
"""

import errno
import grp
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.gpio_uapi import Edge, Flag, Kernel
from hwctl.model.errors import BusError, DeviceBusyError

CONSUMER = "hwctl"
"""What `gpioinfo` shows beside a line of ours."""
DEV = Path("/dev")
CHIP_VARIABLE = "HWCTL_GPIOCHIP"
"""Names the chip for programs that use hwctl's lines through gpiozero alone."""

_DEVICE_NAME = re.compile(r"gpiochip\d+")
_ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_UNKNOWN_CALL = frozenset({errno.ENOTTY, errno.EINVAL})
"""What a kernel says to a call that it does not know."""


@dataclass(frozen=True, slots=True)
class LineState:
    """What the kernel says of one line."""

    offset: int
    name: str
    """From the device tree or ACPI; empty if it has none."""
    consumer: str
    """Who holds it; empty for nobody, and for a holder that gave no name."""
    flags: Flag


class GpioLine:
    """One line that this process holds, until it ends."""

    def __init__(self, chip: "GpioChip", offset: int, fd: int) -> None:
        os.set_inheritable(fd, False)
        os.set_blocking(fd, False)
        self.fd = fd
        self.offset = offset
        self.where = chip.where_line(offset)
        self._chip = chip
        self._kernel = chip.kernel

    def state(self) -> LineState:
        """Direction, pull and holder."""
        return self._chip.line(self.offset)

    def level(self) -> bool:
        """The level on the wire."""
        try:
            return uapi.get_level(self._kernel, self.fd)
        except OSError as error:
            raise self._failed(error, "reading it") from error

    def drive(self, level: bool) -> None:
        """Set the level of an output. :raises PermissionError: it is an input."""
        try:
            uapi.set_level(self._kernel, self.fd, level)
        except PermissionError:
            raise
        except OSError as error:
            raise self._failed(error, "driving it") from error

    def make_output(self, level: bool) -> None:
        """Direction and level in one step."""
        try:
            uapi.set_output(self._kernel, self.fd, level)
        except OSError as error:
            raise self._failed(error, "making it an output") from error

    def make_input(self, *, bias: Flag, edges: Flag = uapi.NONE, debounce_us: int = 0) -> None:
        """Direction, pull and edge detection in one step.

        :raises OSError: ENXIO, the chip has no interrupt for this line.
        """
        try:
            uapi.set_input(self._kernel, self.fd, bias=bias, edges=edges, debounce_us=debounce_us)
        except OSError as error:
            if edges and error.errno == errno.ENXIO:
                raise
            raise self._failed(error, "making it an input") from error

    def edges(self) -> list[Edge]:
        """Those that wait to be read."""
        try:
            return uapi.read_edges(self.fd)
        except OSError as error:
            raise self._failed(error, "reading its edges") from error

    def _failed(self, error: OSError, doing: str) -> BusError:
        if error.errno == errno.ENODEV:
            return self._chip.gone(self.where)
        return BusError(
            f"{doing} failed: {error.strerror or error}",
            where=self.where,
            hint=f"`dmesg` may say what {self._chip.name} could not do",
        )


class GpioChip:
    """One chip."""

    def __init__(self, path: Path, kernel: Kernel) -> None:
        """:raises OSError: it cannot be opened, or is no GPIO chip (ENOTTY)."""
        self.path = path
        self.kernel = kernel
        self._fd = kernel.open(str(path))
        info = uapi.ChipInfo()
        try:
            kernel.ioctl(self._fd, uapi.GET_CHIPINFO, info)
        except OSError:
            os.close(self._fd)
            raise
        self.name: str = info.name.decode(errors="replace")
        self.label: str = info.label.decode(errors="replace")
        self.lines: int = info.lines

    def __str__(self) -> str:
        return f'{self.name} "{self.label}"'

    def close(self) -> None:
        """Lets go of the chip; lines that were taken stay held."""
        os.close(self._fd)

    def line(self, offset: int) -> LineState:
        """What the kernel knows of a line; nothing is taken.

        :raises BusError: the chip is gone, or the kernel older than uAPI v2.
        """
        try:
            info = uapi.line_info(self.kernel, self._fd, offset)
        except OSError as error:
            raise self._asking_failed(error, self.where_line(offset)) from error
        return LineState(
            offset,
            info.name.decode(errors="replace"),
            info.consumer.decode(errors="replace"),
            Flag(info.flags & sum(Flag)),
        )

    def take(self, offset: int) -> GpioLine:
        """Take a line as it is.

        :raises DeviceBusyError: somebody holds it; the message says who.
        :raises BusError: the chip is gone, or refuses.
        """
        try:
            fd = uapi.request_as_is(self.kernel, self._fd, offset, CONSUMER)
        except OSError as error:
            where = self.where_line(offset)
            if error.errno == errno.EBUSY:
                raise _busy(self.line(offset), where) from error
            if error.errno == errno.EINVAL:
                # The kernel knows the call: `line` has been answered for this chip.
                raise BusError(
                    "the pin controller refuses the line",
                    where=where,
                    hint="the pin may serve I2C, SPI or a UART: turn that overlay off",
                ) from error
            raise self._asking_failed(error, where) from error
        return GpioLine(self, offset, fd)

    def take_over(self, offset: int, fd: int) -> GpioLine:
        """The line that ``fd``, from an earlier process, holds. Nothing on it changes.

        :raises BusError: ``fd`` holds no line, or another one; it is left open.
        """
        where = self.where_line(offset)
        wrong = BusError(
            f"descriptor {fd} does not hold this line",
            where=where,
            hint="the service manager's store is from another wiring: restart it empty",
        )
        try:
            uapi.get_level(self.kernel, fd)
        except OSError as error:
            if error.errno in _ABSENT:
                raise self.gone(where) from error
            raise wrong from error
        state = self.line(offset)
        if not state.flags & Flag.USED or state.consumer != CONSUMER:
            raise wrong
        # Kernels that tell whose descriptor it is are asked; Linux 6.1.192 does.
        told = dict(re.findall(r"^gpio-(chip|line):\t(\S+)$", _fdinfo(fd), re.MULTILINE))
        if told and told != {"chip": self.name, "line": str(offset)}:
            raise wrong
        return GpioLine(self, offset, fd)

    def where_line(self, offset: int) -> str:
        return f"{self} line {offset}"

    def gone(self, where: str) -> BusError:
        """Marked with ENODEV if it is the chip itself that is gone, so that nothing is left to
        hold: one behind another bus may say so of a single transfer that was not acknowledged."""
        here = _listing(survey(self.path.parent, self.kernel))
        hint = f"was it unplugged? GPIO chips here: {here}"
        error = BusError("the chip is gone", where=where, hint=hint)
        try:
            uapi.line_info(self.kernel, self._fd, 0)
        except OSError as asked:
            error.errno = asked.errno
        return error

    def _asking_failed(self, error: OSError, where: str) -> BusError:
        if error.errno in _ABSENT:
            return self.gone(where)
        if error.errno in _UNKNOWN_CALL:
            return BusError(
                "the kernel does not know GPIO uAPI v2",
                where=where,
                hint="Linux 5.10 or newer is needed; `uname -r` says which one runs",
            )
        return BusError(f"refused: {error.strerror or error}", where=where)


def find_chip(wanted: str, *, dev: Path, kernel: Kernel) -> GpioChip:
    """The chip that ``wanted`` names: label, device name or path.

    :raises BusError: there is none, there are two, it is forbidden, or too old a kernel.
    """
    by_path = "/" in wanted or _DEVICE_NAME.fullmatch(wanted)
    path = dev / wanted if by_path else _labelled(wanted, dev, kernel)
    try:
        chip = GpioChip(path, kernel)
    except OSError as error:
        if error.errno in _FORBIDDEN:
            raise _forbidden(path, wanted) from error
        if error.errno in _ABSENT | _UNKNOWN_CALL:
            what = "does not exist" if error.errno in _ABSENT else "is no GPIO chip"
            raise _missing(f"{path} {what}", wanted, survey(dev, kernel)) from error
        raise BusError(f"{path}: {error.strerror or error}", where=wanted) from error
    try:
        if chip.lines:
            chip.line(0)  # an old kernel is told of now, not at the first switching
    except BusError:
        chip.close()
        raise
    return chip


def default_chip(
    header: Collection[str], *, dev: Path, kernel: Kernel, environ: Mapping[str, str]
) -> str:
    """The chip that is meant where none is named: that of the variable ``HWCTL_GPIOCHIP`` (label,
    device name or path), else the first with one of the labels ``header``, else the only one.

    :raises BusError: there is none, there are several, or none may be asked.
    """
    if named := environ.get(CHIP_VARIABLE):
        return named
    found = survey(dev, kernel)
    usable = [one for one in found if one.error is None]
    fitting = [one for one in usable if one.label in header] or usable
    if fitting and (len(usable) == 1 or fitting is not usable):
        return str(fitting[0].path)
    for one in found:
        if not usable and one.error is not None and one.error.errno in _FORBIDDEN:
            raise _forbidden(one.path, one.path.name) from one.error
    raise BusError(
        "several GPIO chips, and none is a Raspberry Pi's header" if usable else "no GPIO chip",
        where=str(dev),
        hint=f"set {CHIP_VARIABLE} to a label, name or path; GPIO chips here: {_listing(found)}",
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A GPIO chip's device, and what it says of itself or why it cannot be asked."""

    path: Path
    label: str
    error: OSError | None = None

    def __str__(self) -> str:
        what = self.error.strerror if self.error else f'"{self.label}"'
        return f"{self.path.name} {what}"


def survey(dev: Path, kernel: Kernel) -> list[Found]:
    """Every GPIO chip of this machine."""
    # Resolved: on a Pi 5, Raspberry Pi OS keeps a link gpiochip4 to gpiochip0 in /dev.
    paths = {path.resolve() for path in dev.glob("gpiochip*")}
    found = []
    for path in sorted(paths, key=lambda path: (len(path.name), path.name)):
        try:
            chip = GpioChip(path, kernel)
        except OSError as error:
            found.append(Found(path, "", error))
        else:
            found.append(Found(path, chip.label))
            chip.close()
    return found


def _labelled(wanted: str, dev: Path, kernel: Kernel) -> Path:
    found = survey(dev, kernel)
    match = [one for one in found if one.error is None and one.label == wanted]
    if len(match) == 1:
        return match[0].path
    if match:
        raise BusError(
            f'{len(match)} chips are labelled "{wanted}"',
            where=wanted,
            hint=f"give one by its device name, as `path`: {_listing(match)}",
        )
    for one in found:
        if one.error is not None and one.error.errno in _FORBIDDEN:
            raise _forbidden(one.path, wanted) from one.error
    raise _missing(f'no GPIO chip is labelled "{wanted}"', wanted, found)


def _missing(what: str, wanted: str, found: list[Found]) -> BusError:
    return BusError(what, where=wanted, hint=f"mend `path`; GPIO chips here: {_listing(found)}")


def _listing(found: list[Found]) -> str:
    return ", ".join(map(str, found)) or "none"


def _forbidden(path: Path, wanted: str) -> BusError:
    group = "gpio"
    with suppress(OSError, KeyError):
        group = grp.getgrgid(path.stat().st_gid).gr_name
    hint = f"join the group that owns it: sudo usermod -aG {group} $USER, and log in again"
    if group == "root":
        hint = 'it belongs to root: add the udev rule SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"'
    return BusError(f"no permission for {path} (group {group})", where=wanted, hint=hint)


def _busy(state: LineState, where: str) -> DeviceBusyError:
    if state.consumer == CONSUMER:
        hint = "another hwctl runs, or two devices of the wiring stand on this line"
    elif state.consumer:
        hint = f"stop {state.consumer}, or take its overlay out of config.txt"
    else:
        hint = "the pin may serve I2C, SPI or a UART: turn that overlay off"
    holder = f'"{state.consumer}"' if state.consumer else "a holder without a name"
    return DeviceBusyError(f"held by {holder}", where=where, hint=hint)


def _fdinfo(fd: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii", errors="replace")
    return ""
