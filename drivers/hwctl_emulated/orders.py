"""Orders that come over the socket, carried out on the buses and the hand of a world."""

import errno
from typing import Any

from hwctl_emulated.world import World


def obey(world: World, order: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
    """Carry out one order that is done at once; what is answered to it.

    :raises OSError: as the bus would. :raises HwctlError: it says something that cannot be.
    """
    match order:
        case {"op": "i2c", "bus": str(bus), "m": list(shape)}:
            return {}, world.i2c(bus).transact(_messages(shape, blob))
        case {"op": "gpio", "bus": str(bus), "do": str(name), "a": [int(line), *rest]}:
            return {"value": _gpio(world, bus, name, line, rest)}, b""
        case {"op": "spi", "bus": str(bus), "hz": int(speed_hz), "mode": int(mode)}:
            world.spi(bus).configure(speed_hz=speed_hz, mode=mode)
        case {"op": "spi", "bus": str(bus)}:
            world.spi(bus).write(blob)
        case {"op": "hid", "bus": str(bus), "do": str(name), "a": [int(report), int(length)]}:
            return {}, _hid(world, bus, name, report, length, blob)
        case {"op": "sysfs", "bus": str(bus), "do": str(name), "path": str(path)}:
            return {"value": _sysfs(world, bus, name, path, blob)}, b""
        case {"op": "run", "argv": list(argv)}:
            return {"value": world.net.run([str(one) for one in argv])}, b""
        case {"op": "control", "order": dict(inner)}:
            return {"value": world.control(inner)}, b""
        case _:
            raise OSError(errno.EINVAL, "no such order")
    return {}, b""


def _gpio(world: World, bus: str, name: str, line: int, rest: list[Any]) -> Any:  # noqa: ANN401
    lines = world.lines(bus)
    match name, rest:
        case "level", []:
            return lines.level(line)
        case "function", []:
            return lines.function(line)
        case "pull", []:
            return lines.pull(line)
        case "drive", [bool(level)]:
            lines.drive(line, level)
        case "set_function", ["input" | "output" as function]:
            lines.set_function(line, function)
        case "set_pull", ["up" | "down" | "floating" as pull]:
            lines.set_pull(line, pull)
        case _:
            raise OSError(errno.EINVAL, "no such order for a line")
    return None


def _hid(world: World, bus: str, name: str, report: int, length: int, blob: bytes) -> bytes:
    board = world.hid(bus)
    match name:
        case "get_feature":
            return board.get_feature(report, length)
        case "set_feature":
            board.set_feature(report, blob)
        case "write":
            board.write(report, blob)
        case _:
            raise OSError(errno.EINVAL, "no such order for an HID device")
    return b""


def _sysfs(world: World, bus: str, name: str, path: str, blob: bytes) -> Any:  # noqa: ANN401
    files = world.sysfs(bus)
    match name:
        case "read":
            return files.read(path)
        case "write":
            files.write(path, blob.decode())
        case "names":
            return files.names(path)
        case _:
            raise OSError(errno.EINVAL, "no such order for a file")
    return None


def _messages(shape: list[Any], blob: bytes) -> list[tuple[int, bytes | int]]:
    """[[address, length, 1 to read or 0 to write], ...] and what is written, in one piece."""
    messages: list[tuple[int, bytes | int]] = []
    at = 0
    for address, length, reading in shape:
        if reading:
            messages.append((address, length))
        else:
            messages.append((address, blob[at : at + length]))
            at += length
    return messages
