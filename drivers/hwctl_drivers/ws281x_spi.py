"""WS281x and SK6812 RGB strips, shifted out of an SPI controller's MOSI pin.

Part        WS2812, WS2812B, WS2813, WS2815, SK6812 (three colours)
Sources     Hyperion libsrc/leddevice/dev_spi/LedDeviceWs2812SPI.cpp (timing, 4-bit encoding and its
            clock range, 300 us reset); Adafruit_NeoPixel gamma8() (2.6); WLED wled00/const.h and
            bus_manager.cpp (55 mA for a white LED, 1 mA for a dark one, scaling the whole frame)
Bus         SPI, MOSI only, mode 0; level shifted to the strip's voltage
Timing      0 is high for 0.40 us, 1 for 0.80 us, each ±0.15; a bit lasts 1.25 us ±0.6
Ranges      one transfer is one frame: with spidev's usual 4096 bytes 331 LEDs (4-bit) or 442
Quirks      - A pause inside a frame is a reset: a frame is one write, never two.
            - The first bit is lost on some controllers: a zero byte goes ahead.
            - 4-bit (0 = 1000, 1 = 1100) bears clocks of 2.106..3.075 MHz and is used where it
              fits; 3-bit (100, 110) takes 9 bytes for an LED instead of 12.
            - The scale of brightness and power limit has 256 levels and is applied after gamma,
              where it is proportional to the current.
"""

from functools import lru_cache
from math import inf
from typing import Literal

from pydantic import Field

from hwctl.model.drivers import Driver, Options, Shown, SpiBus
from hwctl.model.errors import DeviceDataError
from hwctl.model.units import Watts

SPEED_HZ = {4: 2_600_000, 3: 2_400_000}
"""Clock for each encoding: LedDeviceWs2812SPI.cpp, and three bits in 1.25 us."""
LEAD = 1
"""Zero bytes ahead of a frame."""
LATCH = 116
"""Zero bytes after it: 300 us even at 3.075 MHz. LedDeviceWs2812SPI.cpp."""


def _code(bits: int) -> tuple[bytes, ...]:
    """For each of the ``bits`` bytes that a level becomes: a table from level to that byte."""
    zero, one = (0b100, 0b110) if bits == 3 else (0b1000, 0b1100)
    words = []
    for level in range(256):
        word = 0
        for bit in range(7, -1, -1):
            word = word << bits | (one if level >> bit & 1 else zero)
        words.append(word.to_bytes(bits))
    return tuple(bytes(column) for column in zip(*words, strict=True))


CODES = {bits: _code(bits) for bits in (3, 4)}


@lru_cache(maxsize=256)
def tables(bits: int, gamma: float, scale: int) -> tuple[bytes, tuple[bytes, ...]]:
    """From a value of a frame to its level, and to each byte on the wire, at ``scale`` 0..255."""
    levels = bytes(int((v / 255) ** gamma * scale + 0.5) for v in range(256))
    return levels, tuple(levels.translate(column) for column in CODES[bits])


class Ws281xOptions(Options):
    """What the wiring file says of a strip."""

    leds: int = Field(ge=1, le=2000)
    order: str = Field(default="GRB", pattern="^(RGB|RBG|GRB|GBR|BRG|BGR)$")
    gamma: float = Field(default=2.6, ge=2.2, le=2.8, description="2.6 as Adafruit_NeoPixel")
    limit_amps: float | None = Field(default=None, gt=0, description="dim the strip to keep within")
    led_amps: float = Field(default=0.055, gt=0, le=1, description="one LED, white; 0.055 as WLED")
    idle_amps: float = Field(default=0.001, ge=0, le=1, description="one LED, dark; as WLED")
    volts: float = Field(default=5.0, gt=0, le=24)
    encoding: Literal["auto", "3-bit", "4-bit"] = "auto"


class Ws281xSpi:
    """One strip."""

    def __init__(self, bus: SpiBus, options: Ws281xOptions) -> None:
        self.leds = options.leds
        self._bus = bus
        self._options = options
        self._picks = tuple("RGB".index(colour) for colour in options.order)
        self._wire = bytearray(3 * options.leds)
        self._bits = 0
        self._out = bytearray()
        self._idle = options.leds * options.idle_amps
        self._unit = options.led_amps / (3 * 255)
        """Amperes for one step of one colour of one LED."""
        limit = inf if options.limit_amps is None else options.limit_amps
        self._allowed = (limit - self._idle) / self._unit
        """The most steps, summed over the strip."""

    def probe(self) -> None:
        """Choose the encoding and set the clock. There is nobody there who could answer.

        :raises DeviceDataError: a frame does not fit into one transfer.
        """
        for bits in {"auto": (4, 3), "4-bit": (4,), "3-bit": (3,)}[self._options.encoding]:
            size = LEAD + 3 * self.leds * bits + LATCH
            if size <= self._bus.max_transfer:
                self._bus.configure(speed_hz=SPEED_HZ[bits])
                self._bits = bits
                self._out = bytearray(size)
                return
        raise DeviceDataError(
            f"a frame of {self.leds} LEDs takes {size} bytes, "
            f"one transfer carries {self._bus.max_transfer}",
            where="WS281x strip",
            hint="add `spidev.bufsiz=32768` to /boot/firmware/cmdline.txt and reboot",
        )

    def show(self, frame: bytes, brightness: float) -> Shown:
        """Show ``leds`` RGB triplets at ``brightness`` 0..1, dimmed to keep within the limit.

        :raises DeviceDataError: a frame of another length, or a brightness that is no ratio.
        """
        if not self._bits:
            self.probe()
        wire, out, bits, gamma = self._wire, self._out, self._bits, self._options.gamma
        if len(frame) != len(wire) or not 0 <= brightness <= 1:
            raise DeviceDataError(
                f"cannot show {len(frame)} bytes at brightness {brightness}",
                where="WS281x strip",
                hint=f"a frame has {len(wire)} bytes, brightness is a ratio of 0..1",
            )
        first, second, third = self._picks
        wire[0::3], wire[1::3], wire[2::3] = frame[first::3], frame[second::3], frame[third::3]

        scale = int(brightness * 255 + 0.5)
        levels, columns = tables(bits, gamma, scale)
        lit = sum(wire.translate(levels))
        limited = lit > self._allowed
        if limited:
            scale = max(0, int(scale * self._allowed / lit)) + 1 if lit else 1
            while lit > self._allowed and scale:  # once, or twice: levels are rounded
                scale -= 1
                levels, columns = tables(bits, gamma, scale)
                lit = sum(wire.translate(levels))

        end = len(out) - LATCH
        for j, column in enumerate(columns):
            out[LEAD + j : end : bits] = wire.translate(column)
        self._bus.write(bytes(out))
        amps = self._idle + lit * self._unit
        return Shown(watts=Watts(amps * self._options.volts), limited=limited)


DRIVER = Driver(
    name="ws281x_spi",
    summary="RGB strips of up to 2000 LEDs on MOSI, with gamma and a limit to their current",
    parts=("WS2812B", "WS2813", "WS2815", "SK6812"),
    bus="spi",
    roles=frozenset({"strip"}),
    options=Ws281xOptions,
    open=Ws281xSpi,
    proof="frames read back by a decoder that knows the LED's timing only",
    min_speed_hz=2_106_000,
)
