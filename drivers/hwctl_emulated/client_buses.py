"""hwctl's end of the emulated world's buses: one connection for each, one order at a time."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smbus2 import i2c_msg

from hwctl.model.errors import BusError, RequestError
from hwctl_emulated.i2c import deliver, to_messages
from hwctl_emulated.spi import BUFSIZ
from hwctl_emulated.wire import Unpacker, connect, pack

if TYPE_CHECKING:
    from hwctl_emulated.gpio import Function, Pull, Watcher


class Link:
    """One connection; one order at a time. A lost world is a :class:`BusError` (an OSError)."""

    def __init__(self, state_dir: Path) -> None:
        self._socket = connect(state_dir)
        self._unpacker = Unpacker()
        self._lock = threading.Lock()

    def ask(self, order: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """:raises OSError: the bus failed, or the world is gone.
        :raises RequestError: the world refuses.
        """
        with self._lock:
            try:
                self._socket.sendall(pack(order, data))
            except OSError as error:
                raise lost() from error
            answer, blob = self.receive()
        if "errno" in answer:
            raise OSError(answer["errno"], answer["text"] or os.strerror(answer["errno"]))
        if "refused" in answer:
            refused = answer["refused"]
            raise RequestError(refused["what"], where=refused["where"], hint=refused["hint"])
        return answer, blob

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next message. :raises BusError: the world is gone."""
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise lost() from error
            if not data:
                raise lost()
            for message in self._unpacker.feed(data):
                return message

    def close(self) -> None:
        # A reader blocked in another thread wakes from shutdown, not from close.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def lost() -> BusError:
    return BusError(
        "the emulated world is gone",
        where="world.sock",
        hint="start hwctl again; world.log in the state directory tells why it ended",
    )


class I2c:
    """One bus, as ``smbus2.SMBus`` offers it."""

    def __init__(self, link: Link, bus: str) -> None:
        self._link = link
        self._bus = bus

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        wanted = to_messages(messages)
        shape = [
            (address, what, 1) if isinstance(what, int) else (address, len(what), 0)
            for address, what in wanted
        ]
        data = b"".join(what for _address, what in wanted if isinstance(what, bytes))
        _answer, read = self._link.ask({"op": "i2c", "bus": self._bus, "m": shape}, data)
        deliver(messages, read)

    def close(self) -> None:
        self._link.close()


class Spi:
    """One SPI device: :class:`hwctl.model.drivers.SpiBus`."""

    max_transfer = BUFSIZ

    def __init__(self, link: Link, bus: str) -> None:
        self._link = link
        self._bus = bus

    def configure(self, *, speed_hz: int, mode: int = 0) -> None:
        self._link.ask({"op": "spi", "bus": self._bus, "hz": speed_hz, "mode": mode})

    def write(self, data: bytes) -> None:
        self._link.ask({"op": "spi", "bus": self._bus}, bytes(data))

    def close(self) -> None:
        self._link.close()


class Hid:
    """One HID device: :class:`hwctl.model.drivers.HidBus`, with the kernel's OSErrors."""

    def __init__(self, link: Link, bus: str) -> None:
        self._link = link
        self._bus = bus

    def get_feature(self, report: int, length: int) -> bytes:
        return self._ask("get_feature", report, length=length)

    def set_feature(self, report: int, data: bytes) -> None:
        self._ask("set_feature", report, data)

    def write(self, report: int, data: bytes) -> None:
        self._ask("write", report, data)

    def close(self) -> None:
        self._link.close()

    def _ask(self, what: str, report: int, data: bytes = b"", length: int = 0) -> bytes:
        order = {"op": "hid", "bus": self._bus, "do": what, "a": [report, length]}
        return self._link.ask(order, data)[1]


class Files:
    """Files of the kernel: :class:`hwctl.model.drivers.SysfsBus`, with the kernel's OSErrors."""

    def __init__(self, link: Link, bus: str) -> None:
        self._link = link
        self._bus = bus

    def read(self, path: str) -> str:
        return str(self._ask("read", path))

    def write(self, path: str, text: str) -> None:
        self._ask("write", path, text.encode())

    def names(self, path: str = "") -> list[str]:
        return [str(name) for name in self._ask("names", path)]

    def close(self) -> None:
        self._link.close()

    def _ask(self, what: str, path: str, data: bytes = b"") -> Any:  # noqa: ANN401 - depends
        order = {"op": "sysfs", "bus": self._bus, "do": what, "path": path}
        return self._link.ask(order, data)[0]["value"]


class Lines:
    """The far end's GPIO lines (:class:`hwctl_emulated.pins.Lines`)."""

    def __init__(self, link: Link, bus: str, another: Callable[[], Link]) -> None:
        self._link = link
        self._bus = bus
        self._another = another

    def _ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - depends on name
        order = {"op": "gpio", "bus": self._bus, "do": name, "a": arguments}
        return self._link.ask(order)[0]["value"]

    def level(self, number: int) -> bool:
        return bool(self._ask("level", number))

    def function(self, number: int) -> "Function":
        return "output" if self._ask("function", number) == "output" else "input"

    def set_function(self, number: int, function: "Function") -> None:
        self._ask("set_function", number, function)

    def drive(self, number: int, level: bool) -> None:
        self._ask("drive", number, level)

    def pull(self, number: int) -> "Pull":
        pull: Pull = self._ask("pull", number)
        return pull

    def set_pull(self, number: int, pull: "Pull") -> None:
        self._ask("set_pull", number, pull)

    def watch(self, number: int, watcher: "Watcher") -> Callable[[], None]:
        """Changes come over a connection of their own and are told from a thread of their own."""
        link = self._another()
        link.ask({"op": "watch", "bus": self._bus, "line": number})

        def follow() -> None:
            with contextlib.suppress(BusError):
                while True:
                    watcher(link.receive()[0]["level"])

        threading.Thread(target=follow, name=f"world-gpio{number}", daemon=True).start()
        return link.close
