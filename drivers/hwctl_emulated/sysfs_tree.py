"""What parts that show themselves as files of the kernel have in common: a tree of attributes."""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NoReturn


class SysfsTree:
    """A :class:`~hwctl_emulated.part.FilesPart`. Raises OSError as the kernel would."""

    def files(self) -> Mapping[str, str]:
        """By path below /sys: what stands in each file now, without the newline."""
        raise NotImplementedError

    def store(self, path: str, text: str) -> None:
        """Somebody writes ``text`` to a file that is there. Those that nobody may write refuse."""
        del path, text
        refuse(errno.EACCES)

    def read(self, path: str) -> str:
        text = self.files().get(path)
        if text is None:
            refuse(errno.EISDIR if self._below(path) else errno.ENOENT)
        return f"{text}\n"

    def write(self, path: str, text: str) -> None:
        if path not in self.files():
            refuse(errno.EISDIR if self._below(path) else errno.ENOENT)
        self.store(path, text.strip())

    def names(self, path: str = "") -> list[str]:
        if path in self.files():
            refuse(errno.ENOTDIR)
        return sorted(self._below(path) or refuse(errno.ENOENT))

    def _below(self, path: str) -> set[str]:
        """The names in a folder."""
        folder = PurePosixPath(path).parts
        inside = [
            parts
            for parts in (PurePosixPath(name).parts for name in self.files())
            if len(parts) > len(folder) and parts[: len(folder)] == folder
        ]
        return {parts[len(folder)] for parts in inside}


def device_folder(device: str) -> str:
    """Where the kernel lists a device of that name: "1-002e" is on I2C, others on the platform bus.

    Linux' drivers/i2c/i2c-core-base.c names its devices by bus and address (unverified).
    """
    bus = "i2c" if re.fullmatch(r"\d+-[0-9a-f]{4}", device) else "platform"
    return f"bus/{bus}/devices/{device}"


def number(text: str) -> int:
    """What kstrtoul and the like take: decimal here, and nothing but."""
    try:
        return int(text)
    except ValueError:
        refuse(errno.EINVAL)


def refuse(code: int) -> NoReturn:
    """As the kernel does."""
    # OSError's own constructor makes the subclass that fits the number.
    raise OSError(code, os.strerror(code))
