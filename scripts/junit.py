"""Says in a few lines what a JUnit file says: failures, skips by reason, and the totals."""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET


def summary(root: ET.Element) -> tuple[list[str], Counter[str]]:
    """The lines to print before the totals, and the totals: passed, failed, skipped."""
    totals: Counter[str] = Counter()
    failures: list[str] = []
    skips: Counter[str] = Counter()
    for case in root.iter("testcase"):
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
    lines, totals = summary(ET.parse(Path(sys.argv[1])).getroot())  # noqa: S314 - our own file
    for line in lines:
        print(line)
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
