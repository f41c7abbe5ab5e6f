"""An SNMPv2c agent's answers: GET and SET of INTEGER objects. SNMPv3 is not emulated.

Sources: RFC 3416 (PDUs, section 3; noSuchObject, section 4.2.1; error codes, section 3), RFC 1901
(the message around them), X.690 (BER).
"""

from collections.abc import Callable, Iterator
from enum import IntEnum

V2C = 1
MOST = 1472
"""A UDP datagram on Ethernet."""

Get = Callable[[str], int | None]
Set = Callable[[str, int], bool]


class Tag(IntEnum):
    INTEGER = 0x02
    OCTETS = 0x04
    NULL = 0x05
    OID = 0x06
    SEQUENCE = 0x30
    NO_SUCH_OBJECT = 0x80
    GET = 0xA0
    RESPONSE = 0xA2
    SET = 0xA3


class ErrorStatus(IntEnum):
    NONE = 0
    WRONG_TYPE = 7
    WRONG_VALUE = 10


def answer(message: bytes, community: str, get: Get, put: Set) -> bytes | None:
    """What the agent sends back; ``None`` where an agent keeps silent: another version, another
    community, another kind of request, or no SNMP at all."""
    try:
        ((tag, outer),) = _items(message)
        (version_tag, version), (_, named), (kind, pdu) = _items(outer)
        request_id, _status, _index, (list_tag, bindings) = _items(pdu)
        pairs = [tuple(_items(binding)) for _tag, binding in _items(bindings)]
        wanted = [(_oid(name), value_tag, value) for (_, name), (value_tag, value) in pairs]
    except ValueError:
        return None
    if (tag, list_tag, version_tag) != (Tag.SEQUENCE, Tag.SEQUENCE, Tag.INTEGER):
        return None
    if int.from_bytes(version) != V2C or named != community.encode():
        return None
    status, index = ErrorStatus.NONE, 0
    if kind == Tag.GET:
        bindings = b"".join(_binding(name, get(name)) for name, _tag, _value in wanted)
    elif kind == Tag.SET:
        # A real agent sets all or none; nobody here sets more than one at once.
        for at, (name, value_tag, value) in enumerate(wanted, 1):
            if value_tag != Tag.INTEGER:
                status, index = ErrorStatus.WRONG_TYPE, at
            elif not put(name, int.from_bytes(value, signed=True)):
                status, index = ErrorStatus.WRONG_VALUE, at
    else:
        return None
    reply = _item(*request_id) + _integer(status) + _integer(index) + _item(Tag.SEQUENCE, bindings)
    whole = _integer(V2C) + _item(Tag.OCTETS, named) + _item(Tag.RESPONSE, reply)
    return _item(Tag.SEQUENCE, whole)


def _binding(name: str, value: int | None) -> bytes:
    shown = _item(Tag.NO_SUCH_OBJECT, b"") if value is None else _integer(value)
    return _item(Tag.SEQUENCE, _item(Tag.OID, _packed(name)) + shown)


# --- BER: a tag, a length, a content ----------------------------------------------------------


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The items in ``data``. :raises ValueError: they do not fill it."""
    while data:
        if len(data) < 2:
            raise ValueError("cut off")
        tag, length, at = data[0], data[1], 2
        if length & 0x80:
            at = 2 + (length & 0x7F)
            length = int.from_bytes(data[2:at])
        if len(data) < at + length:
            raise ValueError("cut off")
        yield tag, data[at : at + length]
        data = data[at + length :]


def _item(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(value: int) -> bytes:
    return _item(Tag.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def _oid(content: bytes) -> str:
    numbers: list[int] = []
    number = 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        raise ValueError("no object")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _packed(name: str) -> bytes:
    first, second, *rest = map(int, name.split("."))
    packed = b""
    for number in (40 * first + second, *rest):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        packed += bytes(reversed(digits))
    return packed
