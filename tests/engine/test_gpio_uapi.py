"""The structures and request numbers are the kernel's."""

import ctypes
import os
import re
from pathlib import Path

import pytest

from hwctl.engine import gpio_uapi as uapi

HEADER = Path("/usr/include/linux/gpio.h")
SIZES = {
    "gpiochip_info": (uapi.ChipInfo, 68),
    "gpio_v2_line_values": (uapi.LineValues, 16),
    "gpio_v2_line_attribute": (uapi.LineAttribute, 16),
    "gpio_v2_line_config_attribute": (uapi.ConfigAttribute, 24),
    "gpio_v2_line_config": (uapi.LineConfig, 272),
    "gpio_v2_line_request": (uapi.LineRequest, 592),
    "gpio_v2_line_info": (uapi.LineInfo, 256),
    "gpio_v2_line_event": (uapi.LineEvent, 48),
}
CALLS = {
    "GPIO_GET_CHIPINFO_IOCTL": (uapi.GET_CHIPINFO, 0x8044B401),
    "GPIO_V2_GET_LINEINFO_IOCTL": (uapi.GET_LINEINFO, 0xC100B405),
    "GPIO_V2_GET_LINE_IOCTL": (uapi.GET_LINE, 0xC250B407),
    "GPIO_V2_LINE_SET_CONFIG_IOCTL": (uapi.SET_CONFIG, 0xC110B40D),
    "GPIO_V2_LINE_GET_VALUES_IOCTL": (uapi.GET_VALUES, 0xC010B40E),
    "GPIO_V2_LINE_SET_VALUES_IOCTL": (uapi.SET_VALUES, 0xC010B40F),
}


@pytest.fixture(scope="module")
def header():
    if not HEADER.exists():
        pytest.skip(f"{HEADER} is not installed (Debian: linux-libc-dev)")
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    structure, size = SIZES[name]
    assert ctypes.sizeof(structure) == size


@pytest.mark.parametrize("name", CALLS)
def test_request_numbers(name):
    ours, known = CALLS[name]
    assert ours == known


@pytest.mark.parametrize("name", SIZES)
def test_the_fields_are_those_of_the_installed_header(header, name):
    """Names, order, widths and lengths; the anonymous union is looked at by its own test."""
    structure, _size = SIZES[name]
    body = re.search(rf"struct {name} {{(.*?)\n}};", header, re.DOTALL)[1]
    body = re.sub(r"union {.*?};", "__u64 value;", body, flags=re.DOTALL)
    widths = {"char": 1, "__u32": 4, "__s32": 4, "__u64": 8, "__aligned_u64": 8}
    stated = []
    for kind, field, length in re.findall(r"(?:struct )?(\w+) (\w+)(?:\[(\w+)\])?;", body):
        many = re.search(rf"#define {length} (\d+)", header)[1] if length.isupper() else length
        width = widths.get(kind) or ctypes.sizeof(SIZES[kind][0])
        stated.append((field, width * int(many or 1)))
    assert [(field, ctypes.sizeof(kind)) for field, kind in structure._fields_] == stated


def test_the_union_of_an_attribute(header):
    body = re.search(r"struct gpio_v2_line_attribute {.*?union {(.*?)};", header, re.DOTALL)[1]
    fields = re.findall(r"(\w+) (\w+);", body)
    assert fields == [
        ("__aligned_u64", "flags"),
        ("__aligned_u64", "values"),
        ("__u32", "debounce_period_us"),
    ]
    union = dict(uapi.LineAttribute._fields_)["value"]
    assert [name for name, _ in union._fields_] == [name for _, name in fields]


@pytest.mark.parametrize("name", CALLS)
def test_the_calls_are_those_of_the_installed_header(header, name):
    direction, number, argument = re.search(
        rf"#define {name} (_IOW?R)\(0xB4, (0x\w+), struct (\w+)\)", header
    ).groups()
    bits = {"_IOR": 2, "_IOWR": 3}[direction]
    size = ctypes.sizeof(SIZES[argument][0])
    assert CALLS[name][0] == bits << 30 | size << 16 | 0xB4 << 8 | int(number, 16)


def test_flags_and_ids_are_those_of_the_installed_header(header):
    stated = dict(re.findall(r"GPIO_V2_LINE_FLAG_(\w+)\s*= _BITULL\((\d+)\)", header))
    assert {flag.name: flag for flag in uapi.Flag}.items() <= {
        name: 1 << int(bit) for name, bit in stated.items()
    }.items()
    ids = dict(re.findall(r"GPIO_V2_LINE_((?:ATTR_ID|EVENT)_\w+)\s*= (\d+)", header))
    assert (
        int(ids["ATTR_ID_OUTPUT_VALUES"]),
        int(ids["ATTR_ID_DEBOUNCE"]),
    ) == (uapi.ATTR_OUTPUT_VALUES, uapi.ATTR_DEBOUNCE)
    assert (
        int(ids["EVENT_RISING_EDGE"]),
        int(ids["EVENT_FALLING_EDGE"]),
    ) == (uapi.EVENT_RISING, uapi.EVENT_FALLING)


class Recorder:
    """A kernel that says yes, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def open(self, path):
        raise AssertionError(path)

    def ioctl(self, fd, request, argument):
        self.asked.append((fd, request, bytes(argument)))


def test_a_line_is_requested_as_it_is():
    kernel = Recorder()
    uapi.request_as_is(kernel, 3, 17, "hwctl")
    ((fd, request, sent),) = kernel.asked
    assert (fd, request) == (3, uapi.GET_LINE)
    assert sent[:4] == (17).to_bytes(4, "little")
    assert sent[256:288] == b"hwctl".ljust(32, b"\0")
    assert sent[288:560] == bytes(272), "a flag, or an attribute, would change the line"
    assert sent[560:568] == (1).to_bytes(4, "little") + (1024).to_bytes(4, "little")


@pytest.mark.parametrize("level", [False, True])
def test_direction_and_level_travel_in_one_call(level):
    kernel = Recorder()
    uapi.set_output(kernel, 4, level)
    ((_fd, request, sent),) = kernel.asked
    assert request == uapi.SET_CONFIG
    attribute = bytes([2, 0, 0, 0, 0, 0, 0, 0, level, 0, 0, 0, 0, 0, 0, 0, 1])
    assert sent == (bytes([8, 0, 0, 0, 0, 0, 0, 0, 1]).ljust(32, b"\0") + attribute).ljust(
        272, b"\0"
    )


def test_pull_edges_and_debouncing_travel_in_one_call():
    kernel = Recorder()
    uapi.set_input(kernel, 4, bias=uapi.Flag.BIAS_PULL_UP, edges=uapi.EDGES, debounce_us=0x01020304)
    ((_fd, _request, sent),) = kernel.asked
    assert sent[:9] == bytes([0x34, 1, 0, 0, 0, 0, 0, 0, 1])
    assert sent[32:56] == bytes([3, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0, 1]).ljust(
        24, b"\0"
    )


def test_no_edges_is_no_error():
    read, write = os.pipe2(os.O_NONBLOCK)
    assert uapi.read_edges(read) == []
    os.close(read)
    os.close(write)


def test_edges_are_decoded():
    """24 bytes of fields, 24 of padding; the time in nanoseconds."""
    read, write = os.pipe2(os.O_NONBLOCK)
    for kind, number in ((1, 7), (2, 8)):
        stamp = 1_500_000_000 + number
        os.write(
            write,
            stamp.to_bytes(8, "little")
            + b"".join(word.to_bytes(4, "little") for word in (kind, 17, 99, number))
            + bytes(24),
        )
    assert uapi.read_edges(read) == [
        uapi.Edge(True, 1.500000007, 7),
        uapi.Edge(False, 1.500000008, 8),
    ]
    os.close(read)
    os.close(write)
