"""What the drivers for Texas Instruments' INA monitors share: registers, a set-up that a brown-out
loses, errors, and the sample in the end. Addresses, steps and ranges are each driver's own.
"""

from collections.abc import Mapping

from hwctl.model.drivers import GaugeSample, I2cBus
from hwctl.model.errors import DeviceDataError, DeviceMismatchError
from hwctl.model.units import Amps, Celsius, Joules, Volts, Watts

COMPARE = "compare `address` and `driver` in the wiring file with the board"


def sample(
    volts: Volts,
    amps: Amps,
    *,
    backwards: bool,
    celsius: Celsius | None = None,
    energy: Joules | None = None,
) -> GaugeSample:
    """With power worked out from the two.

    :param amps: as the part has them.
    :param backwards: whether the part has forward current as negative.
    """
    if backwards:
        amps = Amps(-amps)
    watts = Watts(volts * amps)
    return GaugeSample(volts=volts, amps=amps, watts=watts, celsius=celsius, energy=energy)


class Ina:
    """A part with registers, big-endian, that measures as it was set up.

    :param part: what it is called in errors.
    :param setup: registers of 2 bytes, in this order, and what they are to hold. One at
        least differs from its power-on value, so a reset shows.
    """

    def __init__(self, bus: I2cBus, address: int, part: str, setup: Mapping[int, int]) -> None:
        self._bus = bus
        self._address = address
        self._where = f"{part} at 0x{address:02x}"
        self._setup = setup
        self._wanted = b"".join(word.to_bytes(2) for word in setup.values())

    def _get(self, register: int, width: int = 2) -> bytes:
        return self._bus.transfer(self._address, bytes([register]), width)

    def _put(self, register: int, word: int) -> None:
        self._bus.transfer(self._address, bytes([register, *word.to_bytes(2)]))

    def _set_up(self) -> None:
        for register, word in self._setup.items():
            self._put(register, word)

    def _kept(self) -> bytes:
        """Of the set-up; what it is to be is ``_wanted``."""
        return b"".join(self._get(register) for register in self._setup)

    def _refuse_flat(self, raw: bytes) -> None:
        """No part that works answers like that; a broken or shorted wire does."""
        if not (raw.strip(b"\x00") and raw.strip(b"\xff")):
            raise self._error(
                f"answers all {'ones' if raw[0] else 'zeros'}",
                "check SDA, its pull-up and the gauge's supply",
            )

    def _refuse_lost(self, kept: bytes, what: str = "configuration") -> None:
        """What was measured with another set-up is worth nothing."""
        if kept != self._wanted:
            self._set_up()
            raise self._error(
                f"had lost its {what}, which was written again",
                "a reset of the gauge means that its supply dipped: check its 3.3 V",
            )

    def _not_ready(self, wait_ms: int) -> DeviceDataError:
        return self._error("has no reading ready yet", f"ask again after {wait_ms} ms")

    def _error(self, what: str, hint: str) -> DeviceDataError:
        return DeviceDataError(what, where=self._where, hint=hint)

    def _mismatch(self, what: str, hint: str = COMPARE) -> DeviceMismatchError:
        return DeviceMismatchError(what, where=self._where, hint=hint)


class FlaggedIna(Ina):
    """... whose results are 0 until the first conversion is done, which a flag tells. Reading the
    flag may clear it, so it is asked for once after each set-up.

    :param flag: its register, and its bit.
    :param wait_ms: after which a conversion is done.
    """

    def __init__(
        self,
        bus: I2cBus,
        address: int,
        part: str,
        setup: Mapping[int, int],
        *,
        flag: tuple[int, int],
        wait_ms: int,
    ) -> None:
        super().__init__(bus, address, part, setup)
        self._flag = flag
        self._wait_ms = wait_ms
        self._converted = False
        """Whether a conversion is known to have been done since the set-up."""

    def _set_up(self) -> None:
        self._converted = False
        super()._set_up()

    def _results(self, *registers: int) -> list[bytes]:
        """Registers of 2 bytes, of a part that is set up and has converted.

        :raises DeviceDataError: all ones or all zeros, not ready, or the first after a reset.
        """
        # Asked before the values are read: what is ready then is what they hold.
        register, bit = self._flag
        ready = self._converted or int.from_bytes(self._get(register)) & bit
        results = [self._get(register) for register in registers]
        # Read last: a reset while the values were read shows, too.
        kept = self._kept()
        self._refuse_flat(b"".join(results) + kept)
        self._refuse_lost(kept)
        if not ready:
            raise self._not_ready(self._wait_ms)
        self._converted = True
        return results
