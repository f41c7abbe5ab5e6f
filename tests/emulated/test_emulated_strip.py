"""The strip reads the wire by time. Bit streams are made here by hand from WS2812B timings."""

import errno

import pytest

from hwctl.model.errors import ConfigError
from hwctl_emulated.spi import BUFSIZ, EmulatedSpi
from hwctl_emulated.strip import Strip, decode

PATTERNS = {
    "3 bits": (2_400_000, "100", "110"),
    "4 bits": (2_600_000, "1000", "1100"),
    "4 bits, slowest clock": (2_106_000, "1000", "1100"),
    "4 bits, fastest clock": (3_075_000, "1000", "1100"),
    "8 bits": (6_553_600, "11000000", "11111000"),
}
RED_GREEN_BLUE = b"\xff\x00\x00\x00\x80\x00\x00\x00\x01"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def frame(rgb: bytes, zero: str, one: str, *, order: str = "GRB", lead: int = 1) -> str:
    """Bits on the wire, without what comes after."""
    wire = bytearray(rgb)
    for place, channel in enumerate(order):
        wire[place::3] = rgb["RGB".index(channel) :: 3]
    bits = "".join(f"{byte:08b}" for byte in wire)
    return "0" * 8 * lead + "".join(one if bit == "1" else zero for bit in bits)


def as_bytes(bits: str, speed_hz: int, low_s: float = 300e-6) -> bytes:
    bits += "0" * int(low_s * speed_hz + 1)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spi(clock) -> EmulatedSpi:
    return EmulatedSpi(clock)


@pytest.fixture
def strip(spi) -> Strip:
    strip = Strip(3)
    spi.listeners.append(strip)
    return strip


@pytest.mark.parametrize("encoding", PATTERNS)
def test_every_usual_encoding_lights_the_same_pixels(spi, strip, encoding):
    speed, zero, one = PATTERNS[encoding]
    spi.configure(speed_hz=speed)
    spi.write(as_bytes(frame(RED_GREEN_BLUE, zero, one), speed))
    assert strip.pixels == RED_GREEN_BLUE
    assert (strip.frames, strip.garbage) == (1, 0)


def test_the_order_is_that_of_the_wiring(spi):
    strip = Strip(3, "RGB")
    spi.listeners.append(strip)
    spi.configure(speed_hz=2_400_000)
    spi.write(as_bytes(frame(RED_GREEN_BLUE, "100", "110", order="RGB"), 2_400_000))
    assert strip.pixels == RED_GREEN_BLUE


def test_an_order_that_is_none():
    with pytest.raises(ConfigError, match="GRR"):
        Strip(3, "GRR")


@pytest.mark.parametrize(
    ("speed", "zero", "one"),
    [
        (1_000_000, "100", "110"),  # a 1 µs pulse is neither
        (5_000_000, "100", "110"),
        (2_400_000, "1000", "1110"),
        (8_000_000, "10000000", "11111000"),  # 125 ns is too short for a 0
        (2_400_000, "100" + "0" * 24, "110" + "0" * 24),  # 10 µs pauses inside
    ],
)
def test_wrong_timing_is_garbage_and_changes_no_pixel(spi, strip, speed, zero, one):
    spi.configure(speed_hz=2_400_000)
    spi.write(as_bytes(frame(RED_GREEN_BLUE, "100", "110"), 2_400_000))
    spi.configure(speed_hz=speed)
    spi.write(as_bytes(frame(b"\x55" * 9, zero, one), speed))
    assert strip.pixels == RED_GREEN_BLUE
    assert (strip.frames, strip.garbage) == (1, 1)


def test_noise_and_odd_bits_are_garbage(spi, strip):
    spi.configure(speed_hz=2_400_000)
    spi.write(bytes(range(256)) + bytes(100))
    spi.write(as_bytes("100" * 23, 2_400_000))
    assert strip.pixels == bytes(9)
    assert (strip.frames, strip.garbage) == (0, 2)


def test_silence_shows_nothing_new(spi, strip):
    spi.configure(speed_hz=2_400_000)
    spi.write(bytes(500))
    assert (strip.frames, strip.garbage) == (0, 0)


def test_without_a_reset_nothing_is_latched_until_the_wire_was_low_long_enough(spi, strip, clock):
    spi.configure(speed_hz=2_400_000)
    data = as_bytes(frame(RED_GREEN_BLUE, "100", "110"), 2_400_000, low_s=0)
    spi.write(data)
    clock.now = len(data) * 8 / 2_400_000 + 200e-6
    strip.settle(clock.now)
    assert strip.pixels == bytes(9)
    clock.now += 100e-6
    strip.settle(clock.now)
    assert strip.pixels == RED_GREEN_BLUE


def test_two_transfers_without_a_pause_are_one_frame(spi, strip, clock):
    spi.configure(speed_hz=2_400_000)
    first = as_bytes(frame(RED_GREEN_BLUE[:3], "100", "110", lead=0), 2_400_000, low_s=0)
    spi.write(first)
    clock.now = len(first) * 8 / 2_400_000
    spi.write(as_bytes(frame(RED_GREEN_BLUE[3:], "100", "110", lead=0), 2_400_000))
    assert strip.pixels == RED_GREEN_BLUE
    assert strip.frames == 1


def test_a_short_frame_leaves_the_rest_and_a_long_one_runs_out_at_the_end(spi, strip):
    spi.configure(speed_hz=2_400_000)
    spi.write(as_bytes(frame(RED_GREEN_BLUE, "100", "110"), 2_400_000))
    spi.write(as_bytes(frame(b"\x01\x02\x03", "100", "110"), 2_400_000))
    assert strip.pixels == b"\x01\x02\x03" + RED_GREEN_BLUE[3:]
    spi.write(as_bytes(frame(bytes(range(12)), "100", "110"), 2_400_000))
    assert strip.pixels == bytes(range(9))


def test_draw(spi):
    strip = Strip(60)
    assert strip.amps == pytest.approx(0.060)
    spi.listeners.append(strip)
    spi.configure(speed_hz=2_400_000)
    spi.write(as_bytes(frame(b"\xff" * 180, "100", "110"), 2_400_000))
    assert strip.amps == pytest.approx(0.060 + 60 * 0.055)
    strip.power_off()
    assert strip.pixels == bytes(180)


def test_decode_tells_how_long_the_wire_is_low_at_the_end():
    bits, low = decode(b"\x80\x00\x00", 2_400_000)
    assert bits == "0"
    assert low == pytest.approx(23 / 2_400_000)
    assert decode(b"", 2_400_000) == ("", 0.0)


def test_transfers_are_kept_and_too_long_ones_refused(spi):
    spi.configure(speed_hz=2_400_000)
    for number in range(20):
        spi.write(bytes([number]))
    assert [t.data for t in spi.transfers] == [bytes([n]) for n in range(4, 20)]
    assert spi.transfers[-1].speed_hz == 2_400_000
    with pytest.raises(OSError, match=rf"\[Errno {errno.EMSGSIZE}\]"):
        spi.write(bytes(BUFSIZ + 1))
    with pytest.raises(OSError, match=rf"\[Errno {errno.EINVAL}\]"):
        spi.configure(speed_hz=0)
