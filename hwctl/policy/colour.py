"""Colours of the strip, as sRGB triplets (before brightness and gamma).

Temperature runs from blue over yellow to white: its lightness only rises, and no two of its
colours differ by red against green, so that it can be read by the colour-blind and in grey.
"""

from functools import lru_cache

from hwctl.model.units import clamp

DARK = bytes(3)
WHITE = bytes((255, 255, 255))
BLUE = bytes((0, 60, 255))
YELLOW = bytes((255, 200, 0))
RED = bytes((255, 0, 0))
AMBER = bytes((255, 110, 0))
VIOLET = bytes((190, 0, 255))
PALE = bytes((110, 160, 255))
"""Something is under way."""
TEAL = bytes((0, 150, 140))
"""A temperature that is not known: on no place of the ramp."""
DIM_BLUE = bytes((0, 20, 90))
DIM_WHITE = bytes((85, 85, 85))
"""The dimmest that survives a gamma of 2.6 at a brightness of 0.1: one level of 255."""

COOL_CELSIUS = 30.0
HOT_CELSIUS = 80.0
"""The ends of the ramp. 80 °C is the Pi's soft limit (unverified)."""

STEPS = 64
"""Levels of :func:`dimmer`."""
ENCODING = 2.2
"""Exponent between a value and its light, near enough to sRGB and to what strips are driven with
(2.2 to 2.8 are usual)."""


def _dim_table(level: int) -> bytes:
    # What is lit stays lit: 1 is the least that can be seen.
    return bytes(
        max(1, round(value * level / STEPS)) if value and level else 0 for value in range(256)
    )


_DIM = tuple(_dim_table(level) for level in range(STEPS + 1))


def dimmer(share: float) -> bytes:
    """A table for ``bytes.translate`` that scales values by ``share`` (0..1)."""
    return _DIM[int(clamp(share, 0.0, 1.0) * STEPS + 0.5)]


def light(share: float) -> float:
    """The share of the value that gives ``share`` (0..1) of the light."""
    return float(clamp(share, 0.0, 1.0) ** (1 / ENCODING))


@lru_cache(maxsize=1)
def ramp() -> tuple[bytes, ...]:
    """The ramp, from cool to hot."""
    stops = ((0.0, BLUE), (0.7, YELLOW), (1.0, WHITE))
    colours = []
    for index in range(STEPS):
        x = index / (STEPS - 1)
        (left, a), (right, b) = (stops[0], stops[1]) if x <= stops[1][0] else (stops[1], stops[2])
        share = (x - left) / (right - left)
        pairs = zip(oklab(a), oklab(b), strict=True)
        lightness, green_red, blue_yellow = (p + share * (q - p) for p, q in pairs)
        colours.append(_rgb(lightness, green_red, blue_yellow))
    return tuple(colours)


def of_temperature(celsius: float | None) -> bytes:
    """Its colour on the ramp; one that is not on it for ``None``."""
    if celsius is None:
        return TEAL
    share = clamp((celsius - COOL_CELSIUS) / (HOT_CELSIUS - COOL_CELSIUS), 0.0, 1.0)
    return ramp()[round(share * (STEPS - 1))]


def oklab(rgb: bytes) -> tuple[float, float, float]:
    """Lightness 0..1 and the two opponent axes (B. Ottosson, OKLab, public domain; coefficients
    as in thetaepsilon/mpv_shaders, src/spp/lib/srgb_to_oklab.glsl)."""
    r, g, b = ((value / 255) for value in rgb)
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (r, g, b))
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _rgb(lightness: float, a: float, b: float) -> bytes:
    """The inverse, cut to what can be shown."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    shown = (
        12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055
        for x in (clamp(value, 0.0, 1.0) for value in linear)
    )
    return bytes(round(255 * value) for value in shown)
