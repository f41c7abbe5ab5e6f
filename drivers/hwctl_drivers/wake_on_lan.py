"""Wake-on-LAN: switches on what sleeps with its Ethernet port awake; never off.

Part        boards whose network card wakes them (laptops, PCs, mini-ITX)
Sources     AMD, Magic Packet Technology, publication 20213 (six bytes FFh, then the address 16
            times); TI DP83825I, SNLS638A (the SecureOn password follows)
Bus         network, one UDP datagram, sent to everybody
Quirks      - Nobody answers: whether it helped shows when the node comes up.
            - The feed must be on: it wakes a sleeper, it switches no power.
            - 255.255.255.255 leaves by one network only. Name the broadcast address of the rig's
              own network in `host` if the head has several.
            - Ethernet of Raspberry Pi 1 to 4 cannot be woken (unverified).
            - UDP port 9 is a habit: the sequence counts, wherever it is in the packet.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from hwctl.model.drivers import Driver, Net, Options
from hwctl.model.errors import DeviceError

SYNC = b"\xff" * 6
"""Publication 20213."""
TIMES = 16
"""Publication 20213."""

SixBytes = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$", to_lower=True)
]


def magic_packet(mac: str, password: str | None = None) -> bytes:
    """Addresses and password as six pairs of hexadecimal digits, with ``:`` or ``-`` between."""
    packet = SYNC + _six(mac) * TIMES
    return packet if password is None else packet + _six(password)


def _six(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


class WakeOnLanOptions(Options):
    """What the wiring file says of one sleeper."""

    mac: SixBytes
    password: SixBytes | None = Field(default=None, repr=False, description="SecureOn")
    host: str = Field(
        default="255.255.255.255",
        pattern=r"^[0-9.]{7,15}$",
        description="the broadcast address of its network",
    )
    port: int = Field(default=9, ge=1, le=65535)


class WakeOnLan:
    """One board. ``channel`` is ignored: there is one."""

    def __init__(self, net: Net, options: WakeOnLanOptions) -> None:
        self._net = net
        self._options = options
        self._packet = magic_packet(options.mac, options.password)

    async def get(self, channel: int = 0) -> None:
        """Nobody knows."""
        del channel

    async def set(self, channel: int, on: bool) -> None:
        """:raises DeviceError: it is to be off."""
        del channel
        if not on:
            raise DeviceError(
                "Wake-on-LAN can only switch on",
                where=f"Wake-on-LAN for {self._options.mac}",
                hint="halt the node; to cut its power, wire an outlet that can",
            )
        await self._net.datagram(
            self._options.host, self._options.port, self._packet, broadcast=True
        )


DRIVER = Driver(
    name="wake_on_lan",
    summary="wakes a board by its Ethernet port; on only",
    parts=("network cards with Wake-on-LAN by magic packet",),
    bus="net",
    roles=frozenset({"outlet"}),
    options=WakeOnLanOptions,
    open=WakeOnLan,
    proof="the packet of the published layout, received on a real socket",
    reads_back=False,
    switches_off=False,
)
