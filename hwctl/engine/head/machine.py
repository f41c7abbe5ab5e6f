"""One machine, as it can be looked at without changing it.

What is on disk is read below a root folder, so that a tree of files can stand for a machine; what
is not on disk (clock, ports, nodes) is asked through functions that can be replaced.
"""

import ctypes
import errno
import http.client
import os
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from hwctl.engine.gpio_chip import Found, survey
from hwctl.engine.gpio_uapi import Kernel, LinuxKernel

ANSWER_S = 0.4
"""What a node may take to show its page."""
_TIME_ERROR = 5
"""What adjtimex(2) returns while nothing keeps the clock in step."""
_TIMEX_BYTES = 256
"""More than struct timex takes anywhere (208 on 64-bit Linux). All zeros: only ask."""


@dataclass(frozen=True, slots=True)
class Who:
    """A user, as the kernel's permission check sees one."""

    name: str
    uid: int
    gids: frozenset[int]

    def may(self, node: os.stat_result) -> bool:
        """Whether the mode bits let the user read and write."""
        return self._may(node, stat.S_IROTH | stat.S_IWOTH)

    def may_write(self, node: os.stat_result) -> bool:
        """Whether the mode bits let the user write; some files in sysfs cannot be read."""
        return self._may(node, stat.S_IWOTH)

    def _may(self, node: os.stat_result, wanted: int) -> bool:
        if self.uid == 0:
            return True
        if node.st_uid == self.uid:
            wanted <<= 6
        elif node.st_gid in self.gids:
            wanted <<= 3
        return node.st_mode & wanted == wanted


def clock_in_step() -> bool | None:
    """Whether something keeps the system's clock in step; ``None`` if the kernel does not say."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def port_taken(host: str, port: int) -> bool:
    """Whether somebody listens there already."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def page_fault(url: str) -> str:
    """What keeps a node's page from being read; empty if nothing does."""
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        link.request("GET", parts.path or "/")
        status = link.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        link.close()
    return "" if status == http.HTTPStatus.OK else f"status {status}"


def name_fault(name: str) -> str:
    """What keeps a host's name from being resolved; empty if nothing does."""
    try:
        socket.getaddrinfo(name, None)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def link_fault(host: str, port: int) -> str:
    """What keeps a TCP connection from being made; empty if nothing does."""
    try:
        with socket.create_connection((host, port), timeout=ANSWER_S):
            return ""
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)


def package_version(name: str) -> str | None:
    """Of an installed Python package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def this_user() -> Who:
    """Whoever runs this process."""
    groups = frozenset({os.getegid(), *os.getgroups()})
    name = os.environ.get("USER") or str(os.geteuid())
    return Who("root" if os.geteuid() == 0 else name, os.geteuid(), groups)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look, and whom to ask."""

    root: Path = Path("/")
    python: tuple[int, int, int] = sys.version_info[:3]
    who: Who = field(default_factory=this_user)
    clock_in_step: Callable[[], bool | None] = clock_in_step
    port_taken: Callable[[str, int], bool] = port_taken
    page_fault: Callable[[str], str] = page_fault
    name_fault: Callable[[str], str] = name_fault
    link_fault: Callable[[str, int], str] = link_fault
    package_version: Callable[[str], str | None] = package_version
    kernel: Kernel = field(default_factory=LinuxKernel)

    def at(self, path: str | Path) -> Path:
        """Where ``path``, absolute on the machine, really is."""
        return self.root / str(path).lstrip("/")

    def text(self, path: str | Path) -> str | None:
        """A file's text, if it can be read."""
        try:
            return self.at(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def word(self, path: str | Path) -> str:
        """A file of one line, without what closes it; empty if it cannot be read."""
        return (self.text(path) or "").strip("\0\n ")

    def exists(self, path: str | Path) -> bool:
        try:
            return os.path.lexists(self.at(path))
        except OSError:
            return False

    def hidden(self, path: str | Path) -> bool:
        """Whether it is in a folder that this process may not look into."""
        try:
            os.lstat(self.at(path))
        except PermissionError:
            return True
        except OSError:
            return False
        return False

    def find(self, folder: str, *patterns: str) -> list[str]:
        """Absolute paths below ``folder`` that match a pattern, numbers in their order."""
        found: set[Path] = set()
        for pattern in patterns:
            with suppress(OSError):
                found.update(self.at(folder).glob(pattern))
        ordered = sorted(found, key=lambda path: (len(path.name), path.name))
        return ["/" + str(path.relative_to(self.root)) for path in ordered]

    def real(self, path: str | Path) -> str | None:
        """Where the links in an absolute path lead; ``None`` if it is not there, or not here."""
        try:
            place = self.at(path).resolve(strict=True)
            return "/" + str(place.relative_to(self.root.resolve()))
        except (OSError, ValueError, RuntimeError):
            return None

    def stat(self, path: str | Path) -> os.stat_result | None:
        try:
            return self.at(path).stat()
        except OSError:
            return None

    def gpio_chips(self) -> list[Found]:
        return survey(self.at("/dev"), self.kernel)

    def groups(self) -> dict[str, int]:
        """Name and number of every group in /etc/group."""
        return {name: int(number) for name, number, _ in self._group_lines()}

    def group_name(self, number: int) -> str:
        """The name of a group; its number where it has none."""
        names = (name for name, own in self.groups().items() if own == number)
        return next(names, str(number))

    def user(self, name: str, more: frozenset[str] = frozenset()) -> Who | None:
        """A user of /etc/passwd, with the groups of /etc/group that name it, and ``more``."""
        for line in (self.text("/etc/passwd") or "").splitlines():
            fields = line.split(":")
            if len(fields) >= 4 and fields[0] == name and fields[2].isdigit():
                own = {int(fields[3])} if fields[3].isdigit() else set()
                joined = {
                    int(number)
                    for group, number, members in self._group_lines()
                    if name in members or group in more
                }
                return Who(name, int(fields[2]), frozenset(own | joined))
        return None

    def _group_lines(self) -> list[tuple[str, str, list[str]]]:
        lines = (line.split(":") for line in (self.text("/etc/group") or "").splitlines())
        return [
            (fields[0], fields[2], fields[3].split(","))
            for fields in lines
            if len(fields) == 4 and fields[2].isdigit()
        ]
