"""A network card that waits for its magic packet.

Source: AMD, Magic Packet Technology, publication 20213: six bytes FFh, then the card's address 16
times without a break, anywhere in the packet; TI DP83825I, SNLS638A: then the SecureOn password.
"""

from hwctl_emulated.part import Site


class WakeOnLan:
    """One card; its "relay" is on once it was woken."""

    def __init__(self, mac: str, password: str = "") -> None:
        digits = str.maketrans("", "", ":-")
        sequence = "ff" * 6 + mac.translate(digits) * 16 + password.translate(digits)
        self._sequence = bytes.fromhex(sequence)
        self._awake = False

    def relay(self, channel: int) -> bool:
        del channel
        return self._awake

    def power_on(self) -> None:
        self._awake = False

    def datagram(self, data: bytes) -> None:
        if self._sequence in data:
            self._awake = True


def make(site: Site) -> WakeOnLan:
    return WakeOnLan(site.text("mac", ""), site.text("password", ""))
