"""``python -m hwctl_emulated CONFIG --state-dir DIR``: the world as a process of its own."""

import argparse
import asyncio
import sys
from pathlib import Path

from hwctl.model.errors import HwctlError
from hwctl_emulated.files import load
from hwctl_emulated.scenario import SCENARIOS
from hwctl_emulated.server import Server


def main() -> int:
    """Exit status 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="hwctl_emulated", description=__doc__)
    parser.add_argument("config", type=Path, help="the rig's .hwctl.toml")
    parser.add_argument("--state-dir", type=Path, required=True, help="where world.sock goes")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than life")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="afternoon")
    args = parser.parse_args()
    if not 0 < args.speed <= 1000:
        parser.error("--speed must be above 0 and at most 1000")
    try:
        asyncio.run(_serve(args))
    except HwctlError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    return 0


async def _serve(args: argparse.Namespace) -> None:
    args.state_dir.mkdir(parents=True, exist_ok=True)
    server = Server(
        load(args.config),
        state_dir=args.state_dir,
        speed=args.speed,
        seed=args.seed,
        scenario=args.scenario,
    )
    await server.serve()


if __name__ == "__main__":
    sys.exit(main())
