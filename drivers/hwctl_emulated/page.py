"""The page of a node's node_exporter, in the format of the real one.

Compared with the page of Debian's prometheus-node-exporter 1.5.0 as run on x86-64: order, HELP and
TYPE lines, Go's way of printing floats, ``collect[]`` filters, status and text for an unknown
collector.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import isinf, isnan
from urllib.parse import parse_qs, urlsplit

from hwctl_emulated.collectors import COLLECTORS, OTHERS, Family, families
from hwctl_emulated.http_end import PLAIN, Answer
from hwctl_emulated.node import Node

PAGE = "text/plain; version=0.0.4; charset=utf-8"
HUGE = 10_000_000


def go_float(value: float) -> str:
    """``strconv.FormatFloat(value, 'g', -1, 64)``: shortest digits, exponents from 1e6 up."""
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    text = repr(float(value))
    if 1e-4 <= abs(value) < 1e6:
        return text.removesuffix(".0")
    sign, digits, exponent = Decimal(text).as_tuple()
    mantissa = "".join(map(str, digits))
    power = len(mantissa) - 1 + int(exponent)
    mantissa = mantissa.rstrip("0")
    point = "." if len(mantissa) > 1 else ""
    ending = f"e{'-' if power < 0 else '+'}{abs(power):02d}"
    return f"{'-' if sign else ''}{mantissa[0]}{point}{mantissa[1:]}{ending}"


def answer(node: Node, target: str, wall: float) -> Answer:
    """What ``GET target`` gives at wall-clock time ``wall``; the node is up."""
    url = urlsplit(target)
    faults = node.faults
    if "exporter-busy" in faults:
        text = "Limit of concurrent requests reached (40), try again later.\n"
        return Answer(503, PLAIN, text.encode())
    if "exporter-html" in faults or url.path == "/":
        text = "<html><head><title>Node Exporter</title></head><body><h1>Node Exporter</h1></body>"
        return Answer(200, "text/html; charset=utf-8", text.encode())
    if url.path != "/metrics":
        return Answer(404, PLAIN, b"404 page not found\n")
    wanted = parse_qs(url.query).get("collect[]", [])
    unknown = [name for name in wanted if name not in COLLECTORS and name not in OTHERS]
    if unknown:
        text = (
            "Couldn't create filtered metrics handler: couldn't create collector: "
            f"missing collector: {unknown[0]}"
        )
        return Answer(400, PLAIN, text.encode())
    body = b"".join(render(families(node, wall, wanted or COLLECTORS)))
    if "exporter-truncated" in faults:
        return Answer(200, PAGE, body[: len(body) // 2], "cut")
    if "exporter-endless" in faults:
        return Answer(200, PAGE, body, "repeat")
    if "exporter-huge" in faults:
        return Answer(200, PAGE, body * (HUGE // len(body) + 1))
    return Answer(200, PAGE, body)


def render(pages: Sequence[Family]) -> Iterator[bytes]:
    """The text format, family by family."""
    for family in pages:
        head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
        lines = "".join(
            f"{family.name}{labels} {go_float(value)}\n" for labels, value in family.samples
        )
        yield (head + lines).encode()
