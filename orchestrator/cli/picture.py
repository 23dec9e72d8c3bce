"""The picture of a deployment that goes on: a bar for each wave, the hosts that failed, those that run."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator import clock
from orchestrator.cli.output import STYLES, elapsed
from orchestrator.cli.views import headline, standing, waits
from orchestrator.client import Record
from orchestrator.domain.foreign import escaped
from orchestrator.domain.statuses import DeploymentStatus

MARKS = {"succeeded": "✓", "failed": "✗", "running": "●", "skipped": "-", "cancelled": "-", "unknown": "?"}
URGENT = {"failed": 0, "unknown": 1, "running": 2}
TITLE_WIDTH, BAR_WIDTH = 24, 20
LEAST_LINES = 9
MOST_WAITS = 2
_OVER = ("succeeded", "failed", "skipped", "cancelled")
_TOLD = ("failed", "unknown", "skipped", "running")


def lines_for(height: int) -> int:
    """How many lines the picture has on a terminal so high: half of them are the log's."""
    return max(LEAST_LINES, height // 2)


def waves_for(height: int) -> int:
    """How many of those are bars of waves."""
    return max(1, (lines_for(height) - 3) // 2)


def draw(
    deployment: Record, waves: Sequence[Record], steps: Sequence[Record], *, height: int
) -> RenderableType:
    """All of it, never more than `lines_for(height)` lines."""
    parts: list[RenderableType] = [head(deployment)]
    waiting = waits(deployment)[:MOST_WAITS]
    parts += [_line(Text(f"  {line}", style="yellow")) for line in waiting]
    if not deployment.get("started_at") or not deployment["progress"]["waves"]:
        return Group(*parts)
    parts.append(_all_steps(deployment))
    if waves:
        parts.append(_bars(deployment, waves))
    left = lines_for(height) - 2 - len(waiting) - len(waves)
    parts += _hosts(steps, most=max(2, left))
    return Group(*parts)


def head(deployment: Record) -> Text:
    """What it is, how it stands and for how long."""
    took = elapsed(deployment.get("started_at"), deployment.get("ended_at"), clock.now())
    style = STYLES.get(deployment["status"], "")
    text = Text.assemble((headline(deployment), "bold"), "  ", (standing(deployment), style), f"  {took}")
    return text if deployment.get("ended_at") else _line(text)


def _all_steps(deployment: Record) -> Table:
    progress = deployment["progress"]
    waves = progress["waves"] if deployment["status"] == DeploymentStatus.SUCCEEDED else progress["wave"]
    over = sum(progress[name] for name in _OVER)
    told = f"{over} of {progress['steps']} steps, {waves} of {progress['waves']} waves"
    return _grid([("", "all", _bar(over, progress["steps"], bad=progress["failed"]), told)])


def _bars(deployment: Record, waves: Iterable[Record]) -> Table:
    """The one that it is in is marked; the others are over, or to come."""
    rows = []
    for each in waves:
        over, bad = sum(each[name] for name in _OVER), each["failed"] + each["unknown"]
        is_current = each["wave"] == deployment["progress"]["wave"] and not deployment.get("ended_at")
        mark = "✗" if bad else "✓" if over == each["total"] else "●" if is_current else "·"
        counts = [f"{each[name]} {name}" for name in _TOLD if each[name]]
        told = ", ".join([f"{over} of {each['total']}", *counts])
        title = f"{each['wave'] + 1} {escaped(each['title'] or each['action'])}"
        rows.append((mark, title, _bar(over, each["total"], bad=bad), told))
    return _grid(rows)


def _grid(rows: Iterable[tuple[str, str, ProgressBar, str]]) -> Table:
    """Bars below each other, whatever stands beside them."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=3, justify="right")
    grid.add_column(width=TITLE_WIDTH)
    for mark, title, bar, told in rows:
        grid.add_row(mark, _line(Text(title)), bar, _line(Text(told)))
    return grid


def _bar(done: int, total: int, *, bad: int) -> ProgressBar:
    style = "red" if bad else "green"
    return ProgressBar(
        total=max(1, total), completed=done, width=BAR_WIDTH, complete_style=style, finished_style=style
    )


def _hosts(steps: Sequence[Record], *, most: int) -> list[RenderableType]:
    """Those that failed first, then those that run, then the others; what does not fit is counted."""
    in_order = sorted(steps, key=lambda step: (URGENT.get(step["status"], 3), step["wave"], step["position"]))
    fits = len(in_order) <= most
    shown = in_order if fits else in_order[: most - 1]
    table = Table.grid(padding=(0, 1))
    for step in shown:
        status = step["status"]
        style = STYLES.get(status, "dim")
        took = elapsed(step.get("started_at"), step.get("ended_at"), clock.now())
        name = step["title"] or step["action"]
        why = (step.get("failure") or "") if status in {"failed", "unknown"} else ""
        cells = (f"  {MARKS.get(status, '·')}", step["target"], name, status, took, why)
        table.add_row(*(_line(Text(escaped(cell), style=style)) for cell in cells))
    if not shown:
        return []
    return [table] if fits else [table, Text(f"    and {_counted(in_order[most - 1 :])} more", style="dim")]


def _counted(steps: Sequence[Record]) -> str:
    """`3 failed, 40 running` of what is not shown; the others as a number."""
    found = [(name, sum(step["status"] == name for step in steps)) for name in URGENT]
    others = len(steps) - sum(count for _, count in found)
    return ", ".join(
        [f"{count} {name}" for name, count in found if count] + ([str(others)] if others else [])
    )


def _line(text: Text) -> Text:
    """One line, cut where the terminal ends."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
