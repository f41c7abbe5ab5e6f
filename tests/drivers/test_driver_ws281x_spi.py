"""Frames are read back by a decoder written from the LED's timing alone (WS2812B: a 0 is high for
0.40 us, a 1 for 0.80 us, each ±0.15; a bit lasts 1.25 us ±0.6; a pause of 280 us shows the frame).
"""

from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hwctl.model.errors import DeviceDataError
from hwctl_drivers.ws281x_spi import DRIVER, Ws281xOptions, tables


class Spi:
    def __init__(self, max_transfer=32768):
        self.max_transfer = max_transfer
        self.speed_hz = None
        self.frames = []

    def configure(self, *, speed_hz, mode=0):
        assert mode == 0
        self.speed_hz = speed_hz

    def write(self, data):
        self.frames.append(data)


def decode(frame, speed_hz, order):
    """What a chain of LEDs latches: RGB triplets."""
    clock_us = 1e6 / speed_hz
    bits = "".join(f"{byte:08b}" for byte in frame)
    runs = [(value, len(list(run)) * clock_us) for value, run in groupby(bits)]
    assert runs[0][0] == "0", "the line rests low before the first bit"
    assert runs[-1][0] == "0"
    assert runs[-1][1] >= 280, "the frame is latched"
    data = []
    for (high, high_us), (low, low_us) in zip(runs[1::2], runs[2::2], strict=True):
        assert (high, low) == ("1", "0")
        if 0.25 <= high_us <= 0.55:
            data.append("0")
        else:
            assert 0.65 <= high_us <= 0.95
            data.append("1")
        if len(data) < len(runs) // 2:
            assert 0.65 <= high_us + low_us <= 1.85
    levels = [int("".join(data[i : i + 8]), 2) for i in range(0, len(data), 8)]
    leds = [dict(zip(order, levels[i : i + 3], strict=True)) for i in range(0, len(levels), 3)]
    return [(led["R"], led["G"], led["B"]) for led in leds]


def strip(spi, **options):
    opened = DRIVER.open(spi, Ws281xOptions(**options))
    opened.probe()
    return opened


def test_the_wire_of_one_led_by_hand():
    """Red 255 with G, R, B on the wire: 0x00 0xFF 0x00, four bits for each."""
    spi = Spi()
    strip(spi, leds=1).show(bytes([255, 0, 0]), 1.0)
    assert spi.frames[0] == bytes(1) + b"\x88" * 4 + b"\xcc" * 4 + b"\x88" * 4 + bytes(116)
    assert spi.speed_hz == 2_600_000


def test_the_wire_of_one_led_by_hand_in_three_bits():
    """0xFF is 110 eight times, 0x00 is 100 eight times."""
    spi = Spi()
    strip(spi, leds=1, encoding="3-bit").show(bytes([255, 0, 0]), 1.0)
    assert spi.frames[0] == (
        bytes(1) + b"\x92\x49\x24" + b"\xdb\x6d\xb6" + b"\x92\x49\x24" + bytes(116)
    )
    assert spi.speed_hz == 2_400_000


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=3, max_size=60).filter(lambda frame: len(frame) % 3 == 0),
    st.sampled_from(["RGB", "RBG", "GRB", "GBR", "BRG", "BGR"]),
    st.sampled_from(["3-bit", "4-bit"]),
    st.sampled_from([2.2, 2.6, 2.8]),
    st.floats(0, 1),
)
def test_leds_latch_what_was_shown(frame, order, encoding, gamma, brightness):
    spi = Spi()
    strip(spi, leds=len(frame) // 3, order=order, encoding=encoding, gamma=gamma).show(
        frame, brightness
    )
    assert len(spi.frames) == 1
    exact = [(value / 255) ** gamma * brightness * 255 for value in frame]
    seen = [level for led in decode(spi.frames[0], spi.speed_hz, order) for level in led]
    assert all(abs(a - b) <= 1.01 for a, b in zip(seen, exact, strict=True))


def test_gamma_is_that_of_the_neopixel_library():
    """Values of its table for 2.6: 25 -> 1, 128 -> 42, 200 -> 136, 255 -> 255 (by its formula)."""
    levels, _ = tables(4, 2.6, 255)
    for value in (0, 25, 128, 200, 255):
        assert levels[value] == int((value / 255) ** 2.6 * 255.0 + 0.5)
    assert (levels[0], levels[25], levels[255]) == (0, 1, 255)


@pytest.mark.parametrize(
    ("leds", "max_transfer", "speed_hz", "size"),
    [
        (331, 4096, 2_600_000, 1 + 331 * 12 + 116),
        (332, 4096, 2_400_000, 1 + 332 * 9 + 116),
        (442, 4096, 2_400_000, 1 + 442 * 9 + 116),
        (2000, 32768, 2_600_000, 1 + 2000 * 12 + 116),
    ],
)
def test_four_bits_where_they_fit_three_where_not(leds, max_transfer, speed_hz, size):
    spi = Spi(max_transfer)
    strip(spi, leds=leds).show(bytes(3 * leds), 1.0)
    assert (spi.speed_hz, len(spi.frames[0])) == (speed_hz, size)
    assert size <= max_transfer


@pytest.mark.parametrize(("leds", "encoding"), [(443, "auto"), (332, "4-bit")])
def test_a_frame_too_long_for_one_transfer_is_refused_at_once(leds, encoding):
    with pytest.raises(DeviceDataError, match=r"4104|4101") as caught:
        strip(Spi(4096), leds=leds, encoding=encoding)
    assert "spidev.bufsiz" in caught.value.hint


def test_opening_touches_nothing():
    spi = Spi()
    DRIVER.open(spi, Ws281xOptions(leds=3))
    assert (spi.speed_hz, spi.frames) == (None, [])


def test_watts_of_dark_and_white():
    shows = strip(Spi(), leds=100)
    assert shows.show(bytes(300), 1.0).watts == pytest.approx(100 * 0.001 * 5)
    assert shows.show(b"\xff" * 300, 1.0).watts == pytest.approx(100 * 0.056 * 5)
    assert not shows.show(b"\xff" * 300, 1.0).limited


@settings(max_examples=80, deadline=None)
@given(st.binary(min_size=30, max_size=30), st.floats(0, 1), st.floats(0.001, 0.6))
def test_the_limit_is_kept_and_no_frame_below_it_is_touched(frame, brightness, limit):
    free_spi, spi = Spi(), Spi()
    free = strip(free_spi, leds=10).show(frame, brightness)
    shown = strip(spi, leds=10, limit_amps=limit).show(frame, brightness)
    levels = decode(spi.frames[0], spi.speed_hz, "GRB")
    amps = 10 * 0.001 + 0.055 * sum(map(sum, levels)) / (3 * 255)
    assert shown.watts == pytest.approx(amps * 5)
    if abs(free.watts / 5 - limit) > 1e-9:  # else rounding decides
        assert shown.limited == (free.watts / 5 > limit)
    if shown.limited:
        assert amps <= max(limit, 0.01) + 1e-9
    else:
        assert spi.frames == free_spi.frames


def test_the_limit_dims_no_more_than_it_must():
    """At 300 LEDs the 256 levels of the scale cost at most half a percent of it."""
    shown = strip(Spi(), leds=300, limit_amps=3.0).show(b"\xff" * 900, 1.0)
    assert shown.limited
    assert 0.98 * 15 <= shown.watts <= 15


def test_a_limit_below_the_dark_strip_turns_it_dark_and_says_so():
    spi = Spi()
    shown = strip(spi, leds=10, limit_amps=0.005).show(b"\xff" * 30, 1.0)
    assert decode(spi.frames[0], spi.speed_hz, "GRB") == [(0, 0, 0)] * 10
    assert (shown.limited, shown.watts) == (True, pytest.approx(0.05))


@pytest.mark.parametrize(
    ("frame", "brightness"),
    [
        (bytes(8), 1.0),
        (bytes(10), 1.0),
        (bytes(9), 1.1),
        (bytes(9), -0.1),
        (bytes(9), float("nan")),
    ],
)
def test_what_cannot_be_shown_is_refused_and_not_written(frame, brightness):
    spi = Spi()
    with pytest.raises(DeviceDataError):
        strip(spi, leds=3).show(frame, brightness)
    assert spi.frames == []


@pytest.mark.parametrize(
    "bad", [{"leds": 0}, {"leds": 2001}, {"order": "RGG"}, {"gamma": 3.0}, {"encoding": "8-bit"}]
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ValidationError):
        Ws281xOptions(**{"leds": 3, **bad})
