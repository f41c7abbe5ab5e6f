"""README's table of figures, taken from docs/figures.md. ``--check``: whether it is the same."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "figures.md"
ROWS = {
    "frame_300_leds": (
        "one frame of 300 LEDs", "frame_300_leds_per_bit_list", "a per-bit list loop",
    ),
    "strip_300_leds_60_fps": (
        "300 LEDs at 60 fps, of one core", "strip_300_leds_60_fps_ledfx", "LedFx 2.2.1",
    ),
    "scrape_60_nodes": (
        "60 nodes at 1 Hz, of one core", "scrape_60_nodes_httpx_prometheus",
        "httpx and prometheus_client",
    ),
    "tick_p99_4_nodes": ("tick, p99, 4 nodes", "", ""),
    "tick_p99_56_nodes": ("tick, p99, 56 nodes", "", ""),
    "tick_p99_1000_nodes": ("tick, p99, 1,000 nodes", "", ""),
    "api_rig_56_nodes": (
        "GET /api/v1/rig, 56 nodes, median", "api_empty_fastapi_route", "an empty FastAPI route",
    ),
    "tick_delay_p99_8_clients": ("tick delay, p99, 8 clients without pause", "", ""),
    "memory_rss": ("resident memory", "memory_rss_pdudaemon", "pdudaemon"),
    "power_answer": (
        "a command's answer, 56 nodes, journal in memory", "power_answer_pdudaemon", "pdudaemon",
    ),
    "dead_outlet_failed": ("an outlet that is dead fails its operation after", "", ""),
    "silent_outlet_failed": ("one that is silent", "", ""),
    "inrush_56_nodes": ("56 nodes on, time against the least that the budget allows", "", ""),
    "inrush_over_budget": ("and so long over the budget", "", ""),
    "cli_version": ("`hwctl --version`", "", ""),
    "start_to_safe_fan": ("start to first safe fan write", "import_fastapi", "importing FastAPI"),
}  # fmt: skip
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def table() -> str:
    """The table, between its marks."""
    page = PAGE.read_text()
    found = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE))
    limits = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]+) \|", page, re.MULTILINE))
    lines = ["| figure | measured | at most | beside |", "| --- | ---: | ---: | --- |"]
    for name, (words, peer, peer_words) in ROWS.items():
        beside = f"{peer_words}: {found[peer].strip()}" if peer else ""
        lines.append(f"| {words} | {found[name].strip()} | {limits[name].strip()} | {beside} |")
    return "\n".join([BEGIN, "", *lines, "", END])


def main() -> int:
    text = README.read_text()
    if BEGIN not in text or END not in text:
        sys.stderr.write(f"README.md has no {BEGIN} ... {END}\n")
        return 1
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    wanted = text[:begin] + table() + text[end:]
    if sys.argv[1:] == ["--check"]:
        if wanted != text:
            sys.stderr.write("README.md differs: run python scripts/readme_figures.py\n")
        return int(wanted != text)
    README.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
