"""One frame: from RGB triplets to the bytes on the wire, gamma and power limit included."""

import math
from collections.abc import Iterator, Sequence
from itertools import cycle

from bench.figure import Figure, Job, Result, Setup
from bench.measure import rounds_of
from hwctl_drivers.ws281x_spi import Ws281xOptions, Ws281xSpi

LEDS = 300
LIMIT_AMPS = 4.0
"""About half of the frames below have to be dimmed."""
FRAMES = 97
GAMMA = 2.6

FRAME = Figure(
    "frame_300_leds", "us",
    "One frame of 300 LEDs, gamma, power limit and packing included: the driver's `show`, every "
    "frame and its brightness different, half of them over the power limit",
    limit=20,
)  # fmt: skip
PER_BIT = Figure(
    "frame_300_leds_per_bit_list", "us",
    "The same frames, with gamma and the limit, by a loop over lists with one element for "
    "each bit, in Pi5Neo's manner",
    peer_of=FRAME.name,
)  # fmt: skip


class Taken:
    """An SPI bus that takes bytes and forgets them."""

    max_transfer = 4096

    def __init__(self) -> None:
        self.bytes = 0

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        """Nothing to set."""

    def write(self, data: bytes) -> None:
        """Count."""
        self.bytes += len(data)


def frames() -> list[tuple[bytes, float]]:
    """A hue that moves along the strip, at a brightness that swells and fades."""
    made = []
    for number in range(FRAMES):
        rgb = bytes(
            int(127.5 + 127.5 * math.sin(0.05 * led + 0.3 * number + 2.1 * colour))
            for led in range(LEDS)
            for colour in range(3)
        )
        made.append((rgb, 0.55 + 0.45 * math.sin(2 * math.pi * number / FRAMES)))
    return made


class PerBit:
    """One list element for each bit of the frame: 0xC0 is a 0, 0xF8 a 1, at 6.5 MHz."""

    def __init__(self) -> None:
        self._gamma = [int((value / 255) ** GAMMA * 255 + 0.5) for value in range(256)]

    def show(self, frame: Sequence[int], brightness: float) -> bytes:
        """Gamma, brightness and limit for each value, then eight elements for each."""
        levels = [int(self._gamma[value] * brightness) for value in frame]
        amps = LEDS * 0.001 + sum(levels) * 0.055 / (3 * 255)
        if amps > LIMIT_AMPS:
            levels = [int(level * LIMIT_AMPS / amps) for level in levels]
        bits: list[int] = []
        for led in range(LEDS):
            red, green, blue = levels[3 * led : 3 * led + 3]
            for level in (green, red, blue):
                stream = [0xC0] * 8
                for bit in range(8):
                    if level & (0x80 >> bit):
                        stream[bit] = 0xF8
                bits += stream
        return bytes(bits)


def measure(setup: Setup) -> Iterator[Result]:
    """Both, on the same frames."""
    made = frames()
    rounds = 5 if setup.quick else 25
    strip = Ws281xSpi(Taken(), Ws281xOptions(leds=LEDS, limit_amps=LIMIT_AMPS, gamma=GAMMA))
    strip.probe()
    limited = sum(strip.show(rgb, brightness).limited for rgb, brightness in made)
    following = cycle(made)
    seconds = rounds_of(lambda: strip.show(*next(following)), rounds, 4 * FRAMES)
    yield Result(FRAME.name, seconds * 1e6, f"{limited} of {FRAMES} frames over the limit")

    peer = PerBit()
    seconds = rounds_of(lambda: peer.show(*next(following)), rounds, FRAMES)
    yield Result(PER_BIT.name, seconds * 1e6)


JOBS = (Job((FRAME, PER_BIT), measure),)
