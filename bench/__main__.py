"""Measure, and print ``name value unit`` lines; what is for people goes to stderr.

``name_limit`` lines say what a figure may be at most; peers are figures with names of their own.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import faces, frame, machine, power, report, scrape, service, strip, ticks
from bench.figure import Figure, Job, Result, Setup, limit_line, line

JOBS: tuple[Job, ...] = (
    *frame.JOBS,
    *strip.JOBS,
    *scrape.JOBS,
    *ticks.JOBS,
    *faces.JOBS,
    *service.JOBS,
    *power.JOBS,
)
FIGURES: tuple[Figure, ...] = tuple(figure for job in JOBS for figure in job.figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, also when a figure is over its limit: a slow machine is no fault."""
    args = _arguments(arguments)
    wanted = set(args.only or (figure.name for figure in FIGURES))
    jobs = [job for job in JOBS if wanted & {figure.name for figure in job.figures}]
    about = machine.describe()
    for key, value in about.items():
        _say(f"{key}: {value}")
    _say("medians, unless a name says p99; other programs on this machine make them worse")
    logging.getLogger("hwctl").addHandler(logging.NullHandler())
    results: dict[str, Result] = {}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hwctl-bench-") as scratch:
        setup = Setup(args.quick, args.peers, args.cache, Path(scratch))
        for job in jobs:
            results.update(_run(job, setup))
    _say(f"{len(results)} figures in {time.monotonic() - started:.0f} s")
    if args.write is not None:
        args.write.write_text(report.write(about, FIGURES, results))
    return 0


def _run(job: Job, setup: Setup) -> dict[str, Result]:
    results = {}
    figures = {figure.name: figure for figure in job.figures}
    for result in job.run(setup):
        figure = figures[result.name]
        results[result.name] = result
        sys.stdout.write(line(figure, result) + "\n")
        limit = limit_line(figure)
        if limit is not None:
            sys.stdout.write(limit + "\n")
        sys.stdout.flush()
        if result.note:
            _say(f"    {result.note}")
        if figure.limit is not None and result.value is not None and result.value > figure.limit:
            _say(f"    above its limit of {figure.limit:g} {figure.unit}")
    return results


def _say(text: str) -> None:
    sys.stderr.write(f"# {text}\n")
    sys.stderr.flush()


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwctl-bench"
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=[figure.name for figure in FIGURES],
        help="these figures and what is measured with them",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer rounds: faster and noisier")
    parser.add_argument(
        "--peers", action="store_true", help="also LedFx, which is installed first (345 MB)"
    )
    parser.add_argument("--cache", type=Path, default=cache, help="where LedFx is kept")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write docs/figures.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
