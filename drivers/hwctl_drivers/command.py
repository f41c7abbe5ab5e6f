"""Any program that switches an outlet, as a list of arguments. Never through a shell.

Part        whatever has a command line tool: uhubctl, pdu_client, a script of yours
Sources     none: the contract is below
Bus         network, because it takes its time; the programs run on the head, as hwctl's user
Contract    `on` and `off` end with status 0 when it is done. `state` ends with 0 when the outlet is
            on, with 1 when it is off, and with anything else when it cannot tell. `cycle` turns it
            off, and arranges that it comes on again even if the head dies; it gets the seconds in
            place of its argument "{off_s}". Each ends within `limit_s`, or is killed.
Quirks      - No shell: no ~, no *, no |, no $HOME. Each argument is passed as it is written.
            - A program that leaves another in the background must close its output, or it counts
              as not ended.
            - Python itself ends with status 1 when a program of it crashes, and so do others: a
              `state` that may crash must end with 2 then, or it reads as off.
            - The service's user and its sandbox apply: try it as that user.
            - An emulated rig runs none of them.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from hwctl.model.drivers import Driver, Net, Options
from hwctl.model.errors import DeviceError

SHOWN = 200
"""Characters of a program's output that an error repeats."""
OFF_S = "{off_s}"

Argument = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=1024)]
Program = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=64)]


class CommandOptions(Options):
    """What the wiring file says of one outlet."""

    on: Program = Field(description='such as ["/usr/local/bin/plug", "3", "on"]')
    off: Program
    state: Program | None = None
    cycle: Program | None = Field(default=None, description=f'with an argument "{OFF_S}"')
    limit_s: float = Field(default=0.4, gt=0, le=30, description="for one program")

    @model_validator(mode="after")
    def _by_path(self) -> Self:
        for name in ("on", "off", "state", "cycle"):
            program: tuple[str, ...] | None = getattr(self, name)
            if program is not None and not program[0].startswith("/"):
                raise ValueError(f"the first of `{name}` must be a whole path, such as /usr/bin/x")
        if self.cycle is not None and OFF_S not in self.cycle[1:]:
            raise ValueError(f'`cycle` needs an argument "{OFF_S}" for the seconds')
        return self


class Command:
    """One outlet. ``channel`` is ignored: there is one."""

    def __init__(self, net: Net, options: CommandOptions) -> None:
        self._net = net
        self._options = options

    async def get(self, channel: int = 0) -> bool | None:
        """:raises DeviceError: `state` ended with another status than 0 and 1."""
        del channel
        program = self._options.state
        if program is None:
            return None
        status, output = await self._net.run(program, limit_s=self._options.limit_s)
        if status not in {0, 1}:
            raise _failed(program, status, output)
        return status == 0

    async def set(self, channel: int, on: bool) -> None:
        """:raises DeviceError: the program ended with another status than 0."""
        del channel
        await self._run(self._options.on if on else self._options.off)

    async def cycle(self, channel: int, off_s: float) -> None:
        """:raises DeviceError: as :meth:`set`, or no `cycle` is configured."""
        del channel
        if self._options.cycle is None:
            raise DeviceError("has no `cycle`", where=self._options.off[0])
        await self._run([str(float(off_s)) if one == OFF_S else one for one in self._options.cycle])

    async def _run(self, program: Sequence[str]) -> None:
        status, output = await self._net.run(program, limit_s=self._options.limit_s)
        if status != 0:
            raise _failed(program, status, output)


def _failed(program: Sequence[str], status: int, output: str) -> DeviceError:
    said = " ".join(output.split())[:SHOWN] or "it said nothing"
    said = "".join(c if c.isprintable() else "?" for c in said)
    return DeviceError(
        f"ended with status {status}: {said}",
        where=program[0],
        hint="run it as the service's user: `sudo -u hwctl` and the same arguments",
    )


DRIVER = Driver(
    name="command",
    summary="any program that switches an outlet, as an argument list, without a shell",
    parts=("anything with a command line tool",),
    bus="net",
    roles=frozenset({"outlet"}),
    options=CommandOptions,
    open=Command,
    takes_s=lambda options: options.limit_s,
    proof="real programs that obey, fail, hang, flood and fork",
    reads_back=lambda options: options.state is not None,
    cycles=lambda options: options.cycle is not None,
)
