"""The rig as text: tables for people, in a terminal or a log."""

from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

DASH = "–"
"""Not known. Never 0."""
STYLES = {"warning": "yellow", "critical": "bold red", "info": ""}


def percent(value: float | None) -> str:
    return DASH if value is None else f"{value * 100:.0f} %"


def number(value: float | None, unit: str, digits: int = 1) -> str:
    return DASH if value is None else f"{value:.{digits}f} {unit}"


def duration(seconds: float | None) -> str:
    """2 h 05 min, 12 min 30 s, 45 s."""
    if seconds is None:
        return DASH
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def assumed(outlets: list[dict[str, Any]]) -> set[str]:
    """The nodes whose outlets cannot be read back: of these it is known what was ordered last."""
    return {
        one["node"] for one in outlets if one["read_back"] == "assumed" and one["on"] is not None
    }


def status(rig: dict[str, Any]) -> Group:
    """Everything on one screen."""
    mode = f"  emulated, {rig['speed']:g}x" if rig["emulated"] else ""
    parts: list[Any] = [Text.assemble((rig["title"], "bold"), f"  {rig['at']}{mode}")]
    parts.extend(Text(f"! {problem}", style="yellow") for problem in rig["problems"])
    parts.append(Text())

    supplies = _table("supply", "charge", "status", "power", "volts", "left", "at worst")
    for one in rig["supplies"]:
        margin = one["charge_margin"]
        charge = percent(one["charge"]) + (f" ± {margin * 100:.0f}" if margin is not None else "")
        supplies.add_row(
            one["id"], charge, one["status"], number(one["watts"], "W"),
            number(one["volts"], "V", 2), duration(one["runtime_s"]),
            duration(one["runtime_low_s"]),
        )  # fmt: skip
    parts += [supplies, Text()]

    nodes = _table("node", "role", "power", "os", "load", "temp", "draw", "")
    unread = assumed(rig["outlets"])
    for one in rig["nodes"]:
        stale = one["quality"] != "ok"
        age = f"{duration(one['age_s'])} old" if stale and one["age_s"] is not None else ""
        style = "dim" if stale else ""
        notes = " ".join(
            word
            for word in (
                age, "power assumed" if one["id"] in unread else "", one["operation"] or "",
                "locate" if one["locate"] else "",
            )
            if word
        )  # fmt: skip
        nodes.add_row(
            one["id"], one["role"], _power(one["power"]), one["os"],
            Text(percent(one["load"]), style=style),
            Text(number(one["celsius"], "°C", 0), style=style),
            number(one["watts"], "W"), notes,
        )  # fmt: skip
    parts += [nodes, Text()]

    fans = _table("fan", "duty", "speed", "mode", "because")
    for one in rig["fans"]:
        fans.add_row(
            one["id"], percent(one["duty"]), number(one["rpm"], "rpm", 0), one["mode"], one["cause"]
        )
    strips = _table("strip", "mode", "brightness", "draw", "frames")
    for one in rig["strips"]:
        limited = " (limited)" if one["limited"] else ""
        strips.add_row(
            one["id"], one["mode"], percent(one["brightness"]),
            number(one["watts"], "W") + limited, number(one["fps"], "fps", 0),
        )  # fmt: skip
    parts += [fans, Text(), strips, Text(), shutdown(rig["shutdown"])]
    return Group(*parts)


def _power(state: str) -> Text:
    style = {"on": "green", "off": "dim", "unknown": "yellow"}.get(state, "cyan")
    return Text(state, style=style)


def shutdown(state: dict[str, Any]) -> Text:
    """One line."""
    text = Text.assemble(("shutdown  ", "dim"), state["state"])
    if not state["armed"]:
        text.append("  not armed", style="yellow")
    text.append(f"  needs {duration(state['needed_s'])}")
    if state["left_low_s"] is not None:
        text.append(
            f"  left {duration(state['left_low_s'])} at worst, "
            f"begins at {duration(state['threshold_s'])}"
        )
    if state["stage"]:
        text.append(f"  stage {state['stage']}")
    if state["cause"]:
        text.append(f"  ({state['cause']})")
    return text


def operation(op: dict[str, Any]) -> Text:
    """One line on how it went, or goes."""
    style = {"done": "green", "failed": "bold red", "cancelled": "yellow"}.get(op["state"], "cyan")
    text = Text.assemble(f"{op['target']}  {op['kind']}  ", (op["state"], style))
    if op["state"] in ("pending", "running") and op["step"]:
        text.append(f"  {op['step']}")
    if op["error"]:
        text.append(f"  {op['error']}")
    elif op["steps"] and op["steps"][-1]["note"]:
        text.append(f"  {op['steps'][-1]['note']}")
    if op["forced"]:
        text.append(f"  [{op['forced']}]", style="yellow")
    return text


def event(one: dict[str, Any]) -> Text:
    """One line."""
    style = STYLES.get(one["severity"], "")
    return Text.assemble(
        (f"{one['at']}  ", "dim"), (f"{one['kind']:<22}", style), f" {one['subject']}: ",
        (one["text"], style),
    )  # fmt: skip


def audit(one: dict[str, Any]) -> Text:
    """One line."""
    refused = one["result"].startswith(("refused", "turned away", "failed"))
    text = Text.assemble(
        (f"{one['at']}  ", "dim"), f"{one['by']} ", (f"({one['origin']})", "dim"),
        f"  {one['what']} {one['target']}  ", (one["result"], "red" if refused else "green"),
    )  # fmt: skip
    if one["reason"]:
        text.append(f"  because: {one['reason']}")
    if one["before"]:
        text.append(f"  was: {one['before']}", style="dim")
    if one["after"] is not None and one["after"] != one["before"]:
        text.append(f"  is: {one['after']}", style="dim")
    return text


def console(*, err: bool = False) -> Console:
    """Colours only in a terminal, and not where NO_COLOR forbids them."""
    return Console(stderr=err, highlight=False, soft_wrap=not err)
