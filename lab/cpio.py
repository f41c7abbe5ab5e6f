"""Packs a folder as an initramfs ("newc" cpio), with the one device node that init needs.

usage: cpio.py FOLDER ARCHIVE

Sources: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst (unverified).
Debian's cpio is one package more, and cannot put a device node in that is not on the disk.
"""

import stat
import sys
from pathlib import Path
from typing import BinaryIO


class Archive:
    """One archive being written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._entries = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._entries += 1
        path = name.encode() + b"\0"
        fields = (self._entries, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        header = b"070701" + "".join(f"{field:08X}" for field in fields).encode() + path
        for part in (header, data):
            self._out.write(part + bytes(-len(part) % 4))

    def add_folder(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                data = b""
            elif stat.S_ISREG(mode):
                data = path.read_bytes()
            else:
                raise ValueError(f"{path} is neither a file nor a folder")
            self.add(str(path.relative_to(folder)), mode, data)


def main() -> int:
    folder, target = map(Path, sys.argv[1:])
    with target.open("wb") as out:
        archive = Archive(out)
        archive.add_folder(folder)
        # init's standard output; /dev itself is a folder of the initramfs.
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        archive.add("TRAILER!!!", 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
