"""A strip of WS281x LEDs: reads its bits from the wire by how long it is high, as the LEDs do.

Timing of the WS2812B's data sheet, as others quote it (unverified): high for 0.40 us is a 0, for
0.80 us a 1, each ±150 ns; low for at least 0.45 us - 150 ns; 280 us low ends a frame. Those bounds
give just the range of clocks that Hyperion documents for its 4-bit patterns, 2.106 to 3.075 MHz.
Low times may be longer than documented, as Hyperion's slowest clock needs 1.45 us after a 0.
"""

from hwctl.model.errors import ConfigError
from hwctl_emulated.spi import Transfer

ZERO_S = (0.25e-6, 0.55e-6)
ONE_S = (0.65e-6, 0.955e-6)
"""0.95 us, and a hair for rounding."""
LOW_S = (0.30e-6, 1.75e-6)
RESET_S = 280e-6

WHITE_AMPS = 0.055
"""One LED with all channels full (WLED's default)."""
IDLE_AMPS = 0.001
"""One black LED."""


class Strip:
    """``leds`` LEDs in a row on one data wire.

    :param order: in which order the LEDs take their channels, ``GRB`` for most.
    """

    def __init__(self, leds: int, order: str = "GRB") -> None:
        if sorted(order) != ["B", "G", "R"]:
            raise ConfigError(
                f"order {order!r} is not an order of R, G and B",
                where="a strip",
                hint='use "GRB" for WS2812B, "RGB" for WS2811',
            )
        self.leds = leds
        self.frames = 0
        self.garbage = 0
        self._picks = tuple(order.index(channel) for channel in "RGB")
        self._pixels = bytes(3 * leds)
        self._bits = ""
        self._last: Transfer | None = None
        self._sane = True
        self._wire = (0, b"")
        self._decoded: tuple[str | None, float] = ("", 0.0)

    @property
    def pixels(self) -> bytes:
        """What is lit: RGB triplets."""
        return self._pixels

    @property
    def amps(self) -> float:
        """Draw of the whole strip."""
        return self.leds * IDLE_AMPS + sum(self._pixels) / (3 * 255) * WHITE_AMPS

    def power_off(self) -> None:
        """Without power the LEDs forget."""
        self._pixels = bytes(3 * self.leds)
        self._bits = ""

    def settle(self, now: float) -> None:
        """Show what was shifted in, if the wire has been low for long enough by ``now``."""
        if self._last is None:
            return
        end = self._last.at + 8 * len(self._last.data) / self._last.speed_hz
        if now - end + self._decoded[1] >= RESET_S:
            self._latch()

    def shift_in(self, transfer: Transfer) -> None:
        self.settle(transfer.at)
        self._last = transfer
        if self._wire != (transfer.speed_hz, transfer.data):
            # The same frame again needs no second look: most frames of a calm rig are equal.
            self._wire = (transfer.speed_hz, transfer.data)
            self._decoded = decode(transfer.data, transfer.speed_hz)
        bits, tail = self._decoded
        if bits is None:
            self._sane = False
        else:
            self._bits += bits
        if tail >= RESET_S:
            self._latch()

    def _latch(self) -> None:
        bits, self._bits = self._bits, ""
        sane, self._sane = self._sane, True
        self._last = None
        if not sane or len(bits) % 24:
            self.garbage += 1
            return
        if not bits:
            return
        wire = int(bits, 2).to_bytes(len(bits) // 8)[: 3 * self.leds]
        shown = bytearray(wire)
        for channel, pick in enumerate(self._picks):
            shown[channel::3] = wire[pick::3]
        self._pixels = bytes(shown) + self._pixels[len(shown) :]
        self.frames += 1


def decode(data: bytes, speed_hz: int) -> tuple[str | None, float]:
    """LED bits of one transfer, and for how many seconds the wire is low at its end.

    The bits are ``None`` if any pulse is neither a 0 nor a 1, or a pause breaks the frame.
    """
    wire = f"{int.from_bytes(data):0{8 * len(data)}b}" if data else ""
    bit_s = 1 / speed_hz
    pulses = wire.rstrip("0")
    tail = (len(wire) - len(pulses)) * bit_s
    pulses = pulses.lstrip("0")
    # A frame has thousands of pulses and a handful of kinds: only the kinds are looked at.
    highs = list(filter(None, pulses.split("0")))
    kinds = {high: _kind(len(high) * bit_s) for high in set(highs)}
    lows = set(filter(None, pulses.split("1")))
    if not all(kinds.values()) or not all(LOW_S[0] <= len(low) * bit_s <= LOW_S[1] for low in lows):
        return None, tail
    return "".join(map(kinds.__getitem__, highs)), tail


def _kind(seconds: float) -> str:
    if ZERO_S[0] <= seconds <= ZERO_S[1]:
        return "0"
    if ONE_S[0] <= seconds <= ONE_S[1]:
        return "1"
    return ""
