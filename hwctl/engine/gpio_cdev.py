"""A gpiozero pin factory on Linux's GPIO character device, for every board that has one.

gpiozero's own factories need lgpio, which has no wheel for Python 3.13, or a Raspberry Pi; and
they turn every line into an input when they first look at it. This one needs nothing but Linux
5.10, and takes lines as they are:

- looking at a line changes nothing on it; the request then made holds it from then on;
- becoming an output keeps the level; ``output_with_state`` sets level and direction in one step;
- closing a pin leaves the line as it is; lines are let go only when the process ends, or not at
  all if a service manager keeps the descriptors (:meth:`CdevFactory.fds`).

Names: on a Raspberry Pi gpiozero's own ("J8:11", "GPIO17", 17). Everywhere, on chips that are not
the Pi's header too, lines by number (17, "GPIO17", "line 17", "gpiochip0:17") and by the name that
the device tree gives them. A name that means two lines means none.
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from gpiozero.compat import frozendict
from gpiozero.exc import (
    PinEdgeDetectUnsupported,
    PinFixedPull,
    PinInvalidBounce,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPin,
    PinInvalidPull,
    PinSetInput,
    PinSPIUnsupported,
)
from gpiozero.pins import BoardInfo, HeaderInfo, PinInfo
from gpiozero.pins.pi import PiBoardInfo, PiFactory, PiPin

from hwctl.engine import gpio_uapi as uapi
from hwctl.engine.gpio_chip import DEV, GpioChip, GpioLine, default_chip, find_chip
from hwctl.engine.gpio_edges import EdgeReader
from hwctl.engine.gpio_uapi import Flag, Kernel, LinuxKernel
from hwctl.model.errors import BusError, DeviceBusyError

HEADER_CHIPS = frozenset({"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"})
"""Labels of the chips behind a Raspberry Pi's header: Pi 0 to 3, Pi 4, Pi 5. A line's number on
them is its GPIO number. With no chip named, the one of them that is there is meant."""
DEVICE_TREE = Path("/proc/device-tree")
_REVISION = "system/linux,revision"
"""Big-endian, 32 bits; only Raspberry Pi's firmware writes it (gpiozero/pins/local.py)."""
_NEW_STYLE = 1 << 23

_PULLS = {
    "floating": Flag.BIAS_DISABLED,
    "up": Flag.BIAS_PULL_UP,
    "down": Flag.BIAS_PULL_DOWN,
}
_PULL_NAMES = {flag: name for name, flag in _PULLS.items()}
_EDGES = {
    "none": uapi.NONE,
    "rising": Flag.EDGE_RISING,
    "falling": Flag.EDGE_FALLING,
    "both": uapi.EDGES,
}


class CdevPin(PiPin):  # type: ignore[misc]  # gpiozero has no type hints
    """One line. Levels are those on the wire; nothing is inverted here."""

    def __init__(self, factory: "CdevFactory", info: Any, line: GpioLine) -> None:  # noqa: ANN401
        super().__init__(factory, info)
        self._line = line
        self._reader = factory.reader
        self._edges = "both"
        self._bounce: float | None = None
        self._armed = False
        self._when_changed: Any = None

    def close(self) -> None:
        """No more events. The line stays held, and as it is."""
        with suppress(BusError):  # of a chip that was unplugged
            self.when_changed = None

    def output_with_state(self, state: float) -> None:
        self.when_changed = None  # the kernel sees edges of inputs only
        self._line.make_output(bool(state))

    def input_with_pull(self, pull: str) -> None:
        self._make_input(self._bias_of(pull))

    def _get_function(self) -> str:
        return "output" if self._line.state().flags & Flag.OUTPUT else "input"

    def _set_function(self, value: str) -> None:
        match value:
            case "output":
                self.output_with_state(self._line.level())
            case "input":
                self._make_input(self._line.state().flags & uapi.BIAS)
            case _:
                raise PinInvalidFunction(f"the function of {self!r} is input or output")

    def _get_state(self) -> bool:
        return self._line.level()

    def _set_state(self, value: float) -> None:
        try:
            self._line.drive(bool(value))
        except PermissionError as error:
            raise PinSetInput(f"cannot set the state of {self!r}: it is an input") from error

    def _get_pull(self) -> str:
        """``as-is`` where nobody has set one: the kernel cannot read it back."""
        bias = self._line.state().flags & uapi.BIAS
        return _PULL_NAMES.get(bias, "as-is")

    def _set_pull(self, value: str) -> None:
        bias = self._bias_of(value)
        if self._get_function() != "input":
            raise PinFixedPull(f"cannot set the pull of {self!r}: it is an output")
        self._make_input(bias)

    def _bias_of(self, pull: str) -> Flag:
        if pull not in _PULLS:
            raise PinInvalidPull(f"the pull of {self!r} is up, down or floating")
        if self.info.pull not in ("", pull):
            raise PinFixedPull(f"{self!r} has a pull-{self.info.pull} resistor on the board")
        return _PULLS[pull]

    def _make_input(self, bias: Flag) -> None:
        edges = _EDGES[self._edges] if self._armed else uapi.NONE
        debounce_us = round((self._bounce or 0) * 1e6) if edges else 0
        try:
            self._line.make_input(bias=bias, edges=edges, debounce_us=debounce_us)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            raise PinEdgeDetectUnsupported(f"the chip has no interrupt for {self!r}") from error

    def _get_bounce(self) -> float | None:
        return self._bounce

    def _set_bounce(self, value: float | None) -> None:
        """The kernel reports a change only after the line has been still for that long."""
        if value is not None and not 0 <= value * 1e6 <= uapi.DEBOUNCE_MAX_US:
            raise PinInvalidBounce(f"the bounce time of {self!r} is 0 to 4294 seconds")
        self._bounce = value
        self._rearm()

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in _EDGES:
            raise PinInvalidEdges(f"the edges of {self!r} are none, rising, falling or both")
        self._edges = value
        self._rearm()

    def _rearm(self) -> None:
        if self._armed:
            self._make_input(self._line.state().flags & uapi.BIAS)

    def _enable_event_detect(self) -> None:
        flags = self._line.state().flags
        if flags & Flag.OUTPUT:
            # Never turned round behind its owner's back: a relay may hang on it.
            self._when_changed = None
            raise PinEdgeDetectUnsupported(f"{self!r} is an output; edges are seen on inputs")
        try:
            self._line.edges()  # what an earlier user left unread is not ours
            self._armed = True
            self._make_input(flags & uapi.BIAS)
            self._reader.watch(self._line.fd, self._take)
        except (OSError, PinEdgeDetectUnsupported):
            self._armed, self._when_changed = False, None
            raise

    def _disable_event_detect(self) -> None:
        if self._armed:
            self._armed = False
            self._reader.unwatch(self._line.fd)
            self._make_input(self._line.state().flags & uapi.BIAS)

    def _take(self) -> None:
        for edge in self._line.edges():
            self._call_when_changed(edge.at, edge.rising)

    def _call_when_changed(self, ticks: float, state: bool) -> None:
        """Unlike gpiozero's, safe against ``when_changed = None`` on another thread."""
        reference = self._when_changed
        if reference is None:
            return
        handler = reference()
        if handler is None:
            self.when_changed = None
        else:
            handler(ticks, state)


class CdevFactory(PiFactory):  # type: ignore[misc]  # gpiozero has no type hints
    """The pins of one chip. Several factories, for several chips, share nothing.

    gpiozero makes one itself for a program that runs with ``GPIOZERO_PIN_FACTORY=hwctl``.

    :param path: the chip's label ("pinctrl-rp1"), device name ("gpiochip0") or path; left out:
        see :func:`hwctl.engine.gpio_chip.default_chip`.
    :param revision: the Raspberry Pi's revision code, whatever the chip.
    :param header_revision: the same, for a chip that is behind a Raspberry Pi's header; read from
        the device tree if left out.
    :raises BusError: no such chip, no permission, or a kernel before 5.10.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        revision: int | None = None,
        header_revision: int | None = None,
        dev: Path = DEV,
        device_tree: Path = DEVICE_TREE,
        kernel: Kernel | None = None,
    ) -> None:
        super().__init__()
        kernel = kernel or LinuxKernel()
        if path is None:
            path = default_chip(HEADER_CHIPS, dev=dev, kernel=kernel, environ=os.environ)
        self._chip = find_chip(path, dev=dev, kernel=kernel)
        if revision is None and self._chip.label in HEADER_CHIPS:
            revision = header_revision or pi_revision(device_tree)
        self._revision = revision
        self._board: Any = None
        self._lines: dict[int, GpioLine] = {}
        self.reader = EdgeReader(f"edges of {self._chip}")

    def __repr__(self) -> str:
        return f"<CdevFactory {self._chip}>"

    def close(self) -> None:
        """Ends the events. The lines stay held, and as they are, until the process ends."""
        super().close()
        self.reader.close()

    def let_go(self) -> None:
        """Release all lines, and the chip. What the kernel then does with a line that exists is its
        own affair, so this is for a chip that does not exist any more."""
        self.close()
        for line in self._lines.values():
            os.close(line.fd)
        self._lines.clear()
        self._chip.close()

    def pin(self, name: str | int) -> CdevPin:
        """The one pin of that line, under whatever name.

        :raises PinInvalidPin: no line has that name, or two have.
        :raises DeviceBusyError: somebody else holds the line.
        """
        info = self._info_of(name)
        offset = _offset(info)
        if offset not in self.pins:
            if offset not in self._lines:
                self._lines[offset] = self._chip.take(offset)
            self.pins[offset] = CdevPin(self, info, self._lines[offset])
        pin: CdevPin = self.pins[offset]
        return pin

    @property
    def chip(self) -> str:
        """The kernel's name of the chip: "gpiochip0"."""
        return self._chip.name

    def fds(self) -> dict[str, int]:
        """The descriptors that hold the lines, for a service manager's store.

        Names ("gpiochip0.17") have no colon, which sd_notify(3) forbids in FDNAME.
        """
        return {f"{self._chip.name}.{offset}": line.fd for offset, line in self._lines.items()}

    def adopt(self, name: str, fd: int) -> None:
        """Take a line over from an earlier process that held it by ``fd``; nothing changes on it.

        ``name`` as :meth:`fds` gave it. From here on the descriptor is the factory's.

        :raises BusError: ``fd`` does not hold that line; it is left open.
        """
        try:
            offset = _offset(self._info_of(name))
        except PinInvalidPin as error:
            raise BusError(
                f"descriptor {fd} is called {name!r}, which is no line of this chip",
                where=str(self._chip),
                hint="the service manager's store is from another wiring: restart it empty",
            ) from error
        if offset in self._lines:
            where = self._chip.where_line(offset)
            raise DeviceBusyError("is held already; adopt lines before using them", where=where)
        self._lines[offset] = self._chip.take_over(offset, fd)

    def reserve_pins(self, requester: Any, *names: str | int) -> None:  # noqa: ANN401
        # By one name per line, or "J8:11" and "GPIO17" would not be seen to collide.
        super().reserve_pins(requester, *(self._info_of(name).name for name in names))

    def release_pins(self, reserver: Any, *names: str | int) -> None:  # noqa: ANN401
        super().release_pins(reserver, *(self._info_of(name).name for name in names))

    def spi(self, **_spi_args: Any) -> None:  # noqa: ANN401 - gpiozero's signature
        raise PinSPIUnsupported("no SPI on GPIO lines here; use a bus of kind spi")

    def ticks(self) -> float:
        """Seconds on the clock that the kernel stamps edges by."""
        return monotonic()

    def ticks_diff(self, later: float, earlier: float) -> float:
        return later - earlier

    def _get_board_info(self) -> Any:  # noqa: ANN401 - gpiozero has no type hints
        if self._board is None:
            self._board = _board(self._chip, self._revision)
        return self._board

    def _info_of(self, name: str | int) -> Any:  # noqa: ANN401 - gpiozero has no type hints
        found: dict[str, Any] = {}
        for _header, info in self.board_info.find_pin(name):
            found.setdefault(info.name, info)
        match list(found.values()):
            case [info] if "gpio" in info.interfaces:
                return info
            case [info]:
                raise PinInvalidPin(f"{name} is {info.name}, not a GPIO line")
            case []:
                raise PinInvalidPin(f"{name} is not a line of {self._chip}")
        lines = " and ".join(sorted(found))
        raise PinInvalidPin(f"{name} means {lines} of {self._chip}; say which, as `line 17`")


def pi_revision(device_tree: Path) -> int | None:
    """The revision code of the Raspberry Pi that this is, ``None`` on any other board."""
    try:
        (revision,) = struct.unpack(">I", (device_tree / _REVISION).read_bytes())
    except (OSError, struct.error):
        return None
    # Old-style codes had a warranty bit above 16 bits of code (gpiozero/pins/local.py).
    return int(revision if revision & _NEW_STYLE else revision & 0xFFFF)


def _offset(info: Any) -> int:  # noqa: ANN401 - gpiozero has no type hints
    return int(info.name.removeprefix("GPIO").removeprefix("line "))


def _board(chip: GpioChip, revision: int | None) -> Any:  # noqa: ANN401 - gpiozero has no type hints
    """The header of the Raspberry Pi, if it is one, and every line of the chip."""
    if revision is not None:
        board = PiBoardInfo.from_revision(revision)
    else:
        blank = dict.fromkeys(BoardInfo._fields, "")
        board = BoardInfo(**{**blank, "model": str(chip), "headers": frozendict({})})
    # The board's tables come first: where they know a name, the kernel's use of it is no more
    # than a comment.
    own = [chip.line(offset).name for offset in range(chip.lines)]
    own = ["" if any(board.find_pin(name)) else name for name in own]
    pins = frozendict({info.number: info for info in _line_infos(chip.name, own)})
    lines = HeaderInfo(name=chip.name, rows=chip.lines, columns=1, pins=pins)
    return board._replace(headers=frozendict({**board.headers, chip.name: lines}))


def _line_infos(chip: str, own: list[str]) -> Iterator[Any]:
    for offset, name in enumerate(own):
        number, plain = f"GPIO{offset}", f"line {offset}"
        taken = number in own[:offset] + own[offset + 1 :]
        names = {offset, str(offset), number, plain, f"{chip}:{offset}", f"{chip}.{offset}", name}
        yield PinInfo(
            number=offset,
            name=plain if taken else number,
            names=frozenset(names - {""}),
            pull="",
            row=offset + 1,
            col=1,
            interfaces=frozenset({"gpio"}),
        )
