"""Seeed 4-channel relay board: the device side.

Source: Seeed-Studio/Multi_Channel_Relay_Arduino_Library, multi_channel_relay.h (commands). Its
firmware is not published: relays off after power-up, and what reading gives, are (unverified).
"""

SET_RELAYS, SAVE_ADDRESS, READ_ADDRESS, READ_FIRMWARE = 0x10, 0x11, 0x12, 0x13
RELAYS = 4


class SeeedRelay:
    """One board; channels 1 to 4 as printed."""

    def __init__(self, address: int = 0x11, *, firmware: int = 0x01) -> None:
        self._answers = {READ_ADDRESS: address, READ_FIRMWARE: firmware}
        self._frame: list[int] = []
        self._command = 0
        self.power_on()

    def power_on(self) -> None:
        """All relays off."""
        self._mask = 0

    def relay(self, channel: int) -> bool:
        """Whether that relay is pulled in."""
        return bool(self._mask >> (channel - 1) & 1)

    # --- the wires ---------------------------------------------------------------------------

    def start(self, read: bool) -> bool:
        if not read:
            self._frame = []
        return True

    def write(self, byte: int) -> bool:
        self._frame.append(byte)
        self._command = self._frame[0]
        if len(self._frame) == 2 and self._command == SET_RELAYS:
            self._mask = byte & (1 << RELAYS) - 1
        return True

    def read(self) -> int:
        return self._answers.get(self._command, 0xFF)

    def stop(self) -> None:
        self._frame = []
