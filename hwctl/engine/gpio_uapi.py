"""Linux's GPIO character device, uAPI v2: the structures and the calls, without an opinion.

Sources     include/uapi/linux/gpio.h; drivers/gpio/gpiolib-cdev.c of Linux 6.1.192 for what the
            calls do; in Linux since 5.10 (docs.rs/gpiocdev-uapi, src/lib.rs)
Layout      structures and fields are named as in gpio.h; every gap is a field, so that sizes are
            the same on 32 and on 64 bits
Scope       one line per request, so that in every bit map only bit 0 is ours
Errors      OSError as the kernel gives it; :mod:`hwctl.engine.gpio_chip` explains it
"""

import ctypes
import fcntl
import os
from ctypes import c_char, c_int32, c_uint32, c_uint64
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Protocol

NAME_SIZE: Final = 32
"""GPIO_MAX_NAME_SIZE, with the zero that ends a name."""
LINES_MAX: Final = 64
"""GPIO_V2_LINES_MAX."""
ATTRS_MAX: Final = 10
"""GPIO_V2_LINE_NUM_ATTRS_MAX."""
EVENTS_MAX: Final = 16 * LINES_MAX
"""Edges that the kernel keeps until they are read: the most it allows (linereq_create). The
memory, 48 KiB, is taken only when a line's edges are first asked for (edge_detector_setup)."""
DEBOUNCE_MAX_US: Final = 0xFFFF_FFFF
"""The field is 32 bits wide."""


class Flag(IntFlag):
    """enum gpio_v2_line_flag, as far as it is used here."""

    USED = 1 << 0
    ACTIVE_LOW = 1 << 1
    INPUT = 1 << 2
    OUTPUT = 1 << 3
    EDGE_RISING = 1 << 4
    EDGE_FALLING = 1 << 5
    BIAS_PULL_UP = 1 << 8
    BIAS_PULL_DOWN = 1 << 9
    BIAS_DISABLED = 1 << 10


NONE: Final = Flag(0)
BIAS: Final = Flag.BIAS_PULL_UP | Flag.BIAS_PULL_DOWN | Flag.BIAS_DISABLED
EDGES: Final = Flag.EDGE_RISING | Flag.EDGE_FALLING

ATTR_OUTPUT_VALUES: Final = 2
ATTR_DEBOUNCE: Final = 3
"""enum gpio_v2_line_attr_id."""
EVENT_RISING: Final = 1
EVENT_FALLING: Final = 2
"""enum gpio_v2_line_event_id."""


class ChipInfo(ctypes.Structure):
    """struct gpiochip_info."""

    _fields_ = (("name", c_char * NAME_SIZE), ("label", c_char * NAME_SIZE), ("lines", c_uint32))


class LineValues(ctypes.Structure):
    """struct gpio_v2_line_values."""

    _fields_ = (("bits", c_uint64), ("mask", c_uint64))


class _AttributeValue(ctypes.Union):
    _fields_ = (("flags", c_uint64), ("values", c_uint64), ("debounce_period_us", c_uint32))


class LineAttribute(ctypes.Structure):
    """struct gpio_v2_line_attribute."""

    _anonymous_ = ("value",)
    _fields_ = (("id", c_uint32), ("padding", c_uint32), ("value", _AttributeValue))


class ConfigAttribute(ctypes.Structure):
    """struct gpio_v2_line_config_attribute."""

    _fields_ = (("attr", LineAttribute), ("mask", c_uint64))


class LineConfig(ctypes.Structure):
    """struct gpio_v2_line_config."""

    _fields_ = (
        ("flags", c_uint64),
        ("num_attrs", c_uint32),
        ("padding", c_uint32 * 5),
        ("attrs", ConfigAttribute * ATTRS_MAX),
    )


class LineRequest(ctypes.Structure):
    """struct gpio_v2_line_request."""

    _fields_ = (
        ("offsets", c_uint32 * LINES_MAX),
        ("consumer", c_char * NAME_SIZE),
        ("config", LineConfig),
        ("num_lines", c_uint32),
        ("event_buffer_size", c_uint32),
        ("padding", c_uint32 * 5),
        ("fd", c_int32),
    )


class LineInfo(ctypes.Structure):
    """struct gpio_v2_line_info."""

    _fields_ = (
        ("name", c_char * NAME_SIZE),
        ("consumer", c_char * NAME_SIZE),
        ("offset", c_uint32),
        ("num_attrs", c_uint32),
        ("flags", c_uint64),
        ("attrs", LineAttribute * ATTRS_MAX),
        ("padding", c_uint32 * 4),
    )


class LineEvent(ctypes.Structure):
    """struct gpio_v2_line_event."""

    _fields_ = (
        ("timestamp_ns", c_uint64),
        ("id", c_uint32),
        ("offset", c_uint32),
        ("seqno", c_uint32),
        ("line_seqno", c_uint32),
        ("padding", c_uint32 * 6),
    )


EVENT_SIZE: Final = ctypes.sizeof(LineEvent)


def _request(direction: int, number: int, argument: type[ctypes.Structure]) -> int:
    """_IOC() of asm-generic/ioctl.h with gpio.h's type 0xB4: x86, Arm and RISC-V share it."""
    return direction << 30 | ctypes.sizeof(argument) << 16 | 0xB4 << 8 | number


_READ, _READ_WRITE = 2, 3
GET_CHIPINFO: Final = _request(_READ, 0x01, ChipInfo)
GET_LINEINFO: Final = _request(_READ_WRITE, 0x05, LineInfo)
GET_LINE: Final = _request(_READ_WRITE, 0x07, LineRequest)
SET_CONFIG: Final = _request(_READ_WRITE, 0x0D, LineConfig)
GET_VALUES: Final = _request(_READ_WRITE, 0x0E, LineValues)
SET_VALUES: Final = _request(_READ_WRITE, 0x0F, LineValues)


class Kernel(Protocol):
    """The two calls through which everything goes."""

    def open(self, path: str) -> int:
        """:raises OSError: the device is missing, forbidden or gone."""
        ...

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure) -> None:
        """Carry out ``request``; what it answers stands in ``argument``. :raises OSError:"""
        ...


class LinuxKernel:
    """The one that runs."""

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, fd: int, request: int, argument: ctypes.Structure) -> None:
        fcntl.ioctl(fd, request, argument, True)


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge, as the kernel saw it."""

    rising: bool
    at: float
    """Seconds on CLOCK_MONOTONIC, which is that of :func:`time.monotonic`."""
    number: int
    """Counts the line's edges from 1; a gap says that edges were lost before they were read."""


def line_info(kernel: Kernel, chip: int, offset: int) -> LineInfo:
    """What the kernel knows of a line; nothing is requested."""
    info = LineInfo(offset=offset)
    kernel.ioctl(chip, GET_LINEINFO, info)
    return info


def request_as_is(kernel: Kernel, chip: int, offset: int, consumer: str) -> int:
    """Take a line with neither input nor output flag, which changes nothing on it.

    :returns: the descriptor that holds the line until it is closed.
    """
    request = LineRequest(consumer=consumer.encode(), num_lines=1, event_buffer_size=EVENTS_MAX)
    request.offsets[0] = offset
    kernel.ioctl(chip, GET_LINE, request)
    return int(request.fd)


def set_output(kernel: Kernel, line: int, level: bool) -> None:
    """Direction and level in one call. No bias flag: the pull stays as it is."""
    config = LineConfig(flags=Flag.OUTPUT, num_attrs=1)
    config.attrs[0].attr.id = ATTR_OUTPUT_VALUES
    config.attrs[0].attr.values = int(level)
    config.attrs[0].mask = 1
    kernel.ioctl(line, SET_CONFIG, config)


def set_input(
    kernel: Kernel, line: int, *, bias: Flag = NONE, edges: Flag = NONE, debounce_us: int = 0
) -> None:
    """Direction, pull, edge detection and debouncing in one call."""
    config = LineConfig(flags=Flag.INPUT | bias | edges)
    if debounce_us:
        config.num_attrs = 1
        config.attrs[0].attr.id = ATTR_DEBOUNCE
        config.attrs[0].attr.debounce_period_us = debounce_us
        config.attrs[0].mask = 1
    kernel.ioctl(line, SET_CONFIG, config)


def get_level(kernel: Kernel, line: int) -> bool:
    """The level on the wire, of inputs and of outputs."""
    values = LineValues(mask=1)
    kernel.ioctl(line, GET_VALUES, values)
    return bool(values.bits & 1)


def set_level(kernel: Kernel, line: int, level: bool) -> None:
    """:raises PermissionError: EPERM, the line is an input."""
    kernel.ioctl(line, SET_VALUES, LineValues(bits=int(level), mask=1))


def read_edges(line: int) -> list[Edge]:
    """The edges that wait on a descriptor that does not block; none if there are none."""
    try:
        data = os.read(line, EVENT_SIZE * EVENTS_MAX)
    except BlockingIOError:
        return []
    events = (LineEvent * (len(data) // EVENT_SIZE)).from_buffer_copy(data)
    return [
        Edge(event.id == EVENT_RISING, event.timestamp_ns / 1e9, event.line_seqno)
        for event in events
    ]
