"""The SNMP client against an agent made of bytes: BER by hand, so that pysnmp judges nobody but
itself. (Against net-snmp: tests/drivers/test_snmp_poe.py.)"""

import asyncio
import gc

import pytest

from hwctl.engine.clock import RealClock
from hwctl.engine.net import RealNet
from hwctl.engine.snmp_client import SnmpClient
from hwctl.model.drivers import SnmpAgent
from hwctl.model.errors import HostError

OID = "1.3.6.1.2.1.105.1.1.1.3.1.3"
OID_BER = bytes.fromhex("060c2b06010201690101010301 03".replace(" ", ""))
"""OBJECT IDENTIFIER in BER, X.690 section 8.19: 1.3 is 2b, the rest fits in a byte each."""
AGENT = SnmpAgent("switch", 161, "private")


def tlv(tag: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def message(tag: int, ident: bytes, value: bytes, status: int = 0) -> bytes:
    """SNMPv2c, RFC 3416 section 3: version 1, community, PDU of one binding."""
    binding = tlv(0x30, OID_BER + value)
    fields = tlv(0x02, ident) + tlv(0x02, bytes([status])) + tlv(0x02, bytes([bool(status)]))
    pdu = tlv(tag, fields + tlv(0x30, binding))
    return tlv(0x30, b"\x02\x01\x01" + tlv(0x04, b"private") + pdu)


def ident_of(request: bytes) -> bytes:
    """The request-id: the first INTEGER of the PDU, which follows the community."""
    at = request.index(b"private") + len("private") + 2
    assert request[at] == 0x02
    return request[at + 2 : at + 2 + request[at + 1]]


class Agent(asyncio.DatagramProtocol):
    def __init__(self, answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, address) -> None:
        self.requests.append(data)
        for packet in self.answer(ident_of(data)):
            self.transport.sendto(packet, address)


def ask(answer, use):
    """What ``use(client, address)`` gives, and what the agent was asked."""

    async def main():
        loop = asyncio.get_running_loop()
        transport, agent = await loop.create_datagram_endpoint(
            lambda: Agent(answer), local_addr=("127.0.0.1", 0)
        )
        client = SnmpClient()
        try:
            async with asyncio.timeout(5):
                return await use(client, transport.get_extra_info("sockname")), agent.requests
        finally:
            client.close()
            transport.close()

    return asyncio.run(main())


def get(client, address):
    return client.get(AGENT, address, OID)


INTEGER_1 = b"\x02\x01\x01"
INTEGER_2 = b"\x02\x01\x02"


def test_get_sends_and_takes_the_bytes_of_the_standard():
    value, (request,) = ask(lambda ident: [message(0xA2, ident, INTEGER_2)], get)
    assert value == 2
    assert request == message(0xA0, ident_of(request), b"\x05\x00")


@pytest.mark.parametrize("value", [1, 2])
def test_set_sends_an_integer(value):
    def use(client, address):
        return client.set(AGENT, address, OID, value)

    encoded = bytes([2, 1, value])
    done, (request,) = ask(lambda ident: [message(0xA2, ident, encoded)], use)
    assert done is None
    assert request == message(0xA3, ident_of(request), encoded)


def test_negative_and_large_integers():
    value, _ = ask(lambda ident: [message(0xA2, ident, b"\x02\x04\x80\x00\x00\x00")], get)
    assert value == -(2**31)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"\x80\x00", "has no object"),  # noSuchObject
        (b"\x81\x00", "has no object"),  # noSuchInstance
        (b"\x82\x00", "has no object"),  # endOfMibView
        (b"\x04\x01\x31", "no INTEGER"),  # OCTET STRING "1"
        (b"\x41\x01\x01", "no INTEGER"),  # Counter32
        (b"\x42\x01\x01", "no INTEGER"),  # Gauge32
        (b"\x05\x00", "no INTEGER"),  # NULL
    ],
)
def test_anything_but_an_integer_is_refused(value, words):
    with pytest.raises(HostError, match=words) as caught:
        ask(lambda ident: [message(0xA2, ident, value)], get)
    assert caught.value.where == "SNMP agent at switch:161"
    assert "snmpwalk" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (6, "noAccess", "write"),
        (16, "authorizationError", "community"),
        (17, "notWritable", "write"),
        (11, "noCreation", "snmpwalk"),
        (5, "genErr", "snmpwalk"),
    ],
)
def test_each_refusal_has_its_hint(status, words, hint):
    with pytest.raises(HostError, match=f"refused: {words}") as caught:
        ask(
            lambda ident: [message(0xA2, ident, INTEGER_1, status)],
            lambda client, address: client.set(AGENT, address, OID, 1),
        )
    assert hint in caught.value.hint


def test_garbage_and_answers_to_others_are_passed_over():
    def answer(ident):
        other = bytes([ident[0] ^ 1, *ident[1:]])
        return [
            b"",
            b"\xff" * 40,
            b"0" * 1400,
            message(0xA2, other, INTEGER_1),
            message(0xA2, ident, INTEGER_2),
        ]

    value, requests = ask(answer, get)
    assert value == 2
    assert len(requests) == 1, "nothing is sent twice"


def test_silence_ends_at_the_callers_limit_and_leaves_nothing_behind():
    async def main():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Agent(lambda _ident: []), local_addr=("127.0.0.1", 0)
        )
        address = transport.get_extra_info("sockname")
        net = RealNet(RealClock(), lambda _host, _port: address)
        with pytest.raises(HostError, match=r"no answer within 0\.05 s") as caught:
            await net.snmp_get(AGENT, OID, limit_s=0.05)
        with pytest.raises(HostError, match="no answer within"):
            await net.snmp_set(AGENT, OID, 1, limit_s=0.05)
        net.close()
        transport.close()
        return caught.value

    error = asyncio.run(main())
    assert isinstance(error.__cause__, TimeoutError)
    assert "wrong community" in error.hint
    gc.collect()  # an open socket would be reported, and warnings are errors


def test_a_name_that_nobody_knows():
    def use(client, _address):
        return client.get(AGENT, ("no-such-host.invalid", 161), OID)

    with pytest.raises(HostError, match="cannot be asked"):
        ask(lambda _ident: [], use)


def test_two_at_once_get_their_own_answers():
    def use(client, address):
        return asyncio.gather(*(client.get(AGENT, address, OID) for _ in range(8)))

    values, requests = ask(lambda ident: [message(0xA2, ident, b"\x02\x01" + ident[-1:])], use)
    own = sorted(int.from_bytes(ident_of(one)[-1:], signed=True) for one in requests)
    assert sorted(values) == own


def test_secrets_are_not_shown():
    agent = SnmpAgent("switch", 161, "sesame", "poe", "auth-secret", "priv-secret")
    assert not any(word in repr(agent) for word in ("sesame", "auth-secret", "priv-secret"))
