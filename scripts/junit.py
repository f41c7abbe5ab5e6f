"""Says in a few lines what JUnit files say: failures, skips by reason, and the totals of all."""

import sys
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree as ET


def summary(roots: Iterable[ET.Element]) -> tuple[list[str], Counter[str]]:
    """The lines to print before the totals, and the totals: passed, failed, skipped."""
    totals: Counter[str] = Counter()
    failures: list[str] = []
    skips: Counter[str] = Counter()
    for case in chain.from_iterable(root.iter("testcase") for root in roots):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            totals["failed"] += 1
            failures.append(f"failed: {name}")
        elif (skipped := case.find("skipped")) is not None:
            totals["skipped"] += 1
            skips[skipped.get("message") or "no reason given"] += 1
        else:
            totals["passed"] += 1
    lines = [f"skipped, {count}: {reason}" for reason, count in sorted(skips.items())]
    return failures + lines, totals


def main() -> int:
    roots = [ET.parse(Path(name)).getroot() for name in sys.argv[1:]]  # noqa: S314 - our own files
    lines, totals = summary(roots)
    for line in lines:
        print(line)
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
