"""Wake-on-LAN: the packet, and its way to a real socket."""

import asyncio
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.clock import RealClock
from hwctl.engine.net import RealNet
from hwctl.model.errors import DeviceError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.wake_on_lan import DRIVER, WakeOnLanOptions, magic_packet
from hwctl_emulated import wake_on_lan as emulated
from hwctl_emulated.part import Site

MAC = "11:22:33:44:55:66"
GOLDEN = bytes.fromhex("ffffffffffff" + "112233445566" * 16)
"""AMD, Magic Packet Technology, publication 20213: six bytes FFh, then the address 16 times; the
address of its example."""


class Air:
    """Everybody in the network."""

    def __init__(self, *parts):
        self.parts, self.sent = parts, []

    async def datagram(self, host, port, data, *, broadcast=False):
        self.sent.append((host, port, data, broadcast))
        for part in self.parts:
            part.datagram(data)


def made(**options):
    entry = DeviceEntry(driver="wake_on_lan", **options)
    return emulated.make(Site("laptop", entry, lambda: 0.0, Random(1)))


def opened(net, **options):
    return DRIVER.open(net, WakeOnLanOptions(**{"mac": MAC, **options}))


def test_the_packet_as_published():
    assert magic_packet(MAC) == GOLDEN
    assert magic_packet("AA-bb-CC-dd-EE-ff")[-6:] == bytes.fromhex("aabbccddeeff")


def test_the_secureon_password_follows():
    """TI DP83825I, SNLS638A, "Magic Packet Structure"."""
    assert magic_packet(MAC, "2a:12:56:ad:34:98") == GOLDEN + bytes.fromhex("2a1256ad3498")


def test_only_who_is_meant_wakes():
    meant, other = made(mac=MAC), made(mac="11:22:33:44:55:67")
    locked = made(mac=MAC, password="2a:12:56:ad:34:98")
    air = Air(meant, other, locked)
    asyncio.run(opened(air).set(0, on=True))
    assert [part.relay(0) for part in (meant, other, locked)] == [True, False, False]
    assert air.sent == [("255.255.255.255", 9, GOLDEN, True)]
    asyncio.run(opened(air, password="2A-12-56-AD-34-98").set(0, on=True))
    assert locked.relay(0)
    locked.power_on()
    assert not locked.relay(0)


def test_it_never_switches_off_and_says_so():
    air = Air()
    with pytest.raises(DeviceError, match="can only switch on") as caught:
        asyncio.run(opened(air).set(0, on=False))
    assert "halt the node" in caught.value.hint
    assert MAC in caught.value.where
    assert air.sent == []
    assert (DRIVER.switches_off, DRIVER.reads_back) == (False, False)


def test_nobody_knows_whether_it_is_on():
    assert asyncio.run(opened(Air()).get(0)) is None


def test_the_way_to_a_real_socket():
    class Card(asyncio.DatagramProtocol):
        def __init__(self, part, woken):
            self.part, self.woken = part, woken

        def datagram_received(self, data, _address):
            self.part.datagram(data)
            self.woken.set()

    async def main():
        part, woken = made(mac=MAC), asyncio.Event()
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Card(part, woken), local_addr=("127.0.0.1", 0)
        )
        address = transport.get_extra_info("sockname")
        net = RealNet(RealClock(), lambda _host, _port: address)
        await opened(net).set(0, on=True)
        async with asyncio.timeout(10):
            await woken.wait()
        transport.close()
        return part.relay(0)

    assert asyncio.run(main()) is True


@pytest.mark.parametrize(
    "options",
    [
        {"mac": "11:22:33:44:55"},
        {"mac": "11:22:33:44:55:6g"},
        {"mac": "112233445566"},
        {"mac": MAC + "\n"},
        {"password": "letmein"},
        {"host": "everybody"},
        {"port": 0},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        WakeOnLanOptions(**{"mac": MAC, **options})
