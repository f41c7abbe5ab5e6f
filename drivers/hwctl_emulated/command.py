"""An outlet behind a program: what the user's own programs would do. None of them is run.

Source: the contract of the driver's options: `on`, `off`, `state` (status 0 for on, 1 for off),
`cycle` with the seconds in place of "{off_s}".
"""

from collections.abc import Callable, Mapping, Sequence

from hwctl_emulated.part import Site

UNKNOWN = 127
"""What a shell says of a program that is not there."""


class Programs:
    """The programs of one outlet, by name."""

    def __init__(self, clock: Callable[[], float], programs: Mapping[str, Sequence[str]]) -> None:
        self._clock = clock
        self._programs = programs
        self._on = False
        self._back: float | None = None

    def relay(self, channel: int) -> bool:
        del channel
        self._settle()
        return self._on

    def power_on(self) -> None:
        self._settle()

    def knows(self, argv: Sequence[str]) -> bool:
        return self._name(argv) is not None

    def run(self, argv: Sequence[str]) -> tuple[int, str]:
        """Exit status and output."""
        self._settle()
        name = self._name(argv)
        match name:
            case "on" | "off":
                self._on, self._back = name == "on", None
                return 0, ""
            case "state":
                return (0, "on\n") if self._on else (1, "off\n")
            case "cycle":
                pattern = self._programs["cycle"]
                seconds = float(argv[pattern.index("{off_s}")])
                self._on, self._back = False, self._clock() + seconds
                return 0, ""
        return UNKNOWN, f"{argv[0] if argv else ''}: not found\n"

    def _name(self, argv: Sequence[str]) -> str | None:
        for name, pattern in self._programs.items():
            if len(pattern) == len(argv) and all(
                want in ("{off_s}", got) for want, got in zip(pattern, argv, strict=True)
            ):
                return name
        return None

    def _settle(self) -> None:
        if self._back is not None and self._back <= self._clock():
            self._on, self._back = True, None


def make(site: Site) -> Programs:
    programs = {
        name: [str(one) for one in value]
        for name in ("on", "off", "state", "cycle")
        if isinstance(value := site.entry.options.get(name), list | tuple)
    }
    return Programs(site.clock, programs)
