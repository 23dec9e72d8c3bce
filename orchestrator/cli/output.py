"""Data on stdout: aligned tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from orchestrator import clock
from orchestrator.cli.terminal import is_fancy
from orchestrator.domain.foreign import escaped

Record = dict[str, Any]
Cell = Callable[[Record], object]
Columns = Mapping[str, Cell | str]
"""Heading to a key of the record, or to a function of it."""

STYLES = {
    "succeeded": "green",
    "ok": "green",
    "running": "cyan",
    "ready": "cyan",
    "pending": "yellow",
    "paused": "yellow",
    "unknown": "bold yellow",
    "degraded": "yellow",
    "failed": "bold red",
    "unavailable": "bold red",
    "cancelled": "magenta",
    "superseded": "dim",
    "expired": "dim",
    "skipped": "dim",
}
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def emit_json(value: Any) -> None:
    """One JSON document; indented for a person."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def emit_json_line(value: Any) -> None:
    """One line of a stream, out at once."""
    click.echo(json.dumps(value))


def emit_array(records: Iterable[Any]) -> None:
    """A JSON array, written as it comes: a log may not fit in memory."""
    between = "["
    for record in records:
        click.echo(between + json.dumps(record), nl=False)
        between = ",\n"
    click.echo("[]" if between == "[" else "]")


def emit_list(records: Iterable[Record], columns: Columns, *, as_json: bool, empty: str) -> None:
    """A list as a table or as an array; when empty, a person is told so on stderr."""
    if as_json:
        emit_array(records)
        return
    rows = [[cell_of(record, column) for column in columns.values()] for record in records]
    if not rows:
        click.echo(empty, err=True)
    elif is_fancy(sys.stdout):
        _draw_table(list(columns), rows)
    else:
        _write_table(list(columns), rows)


def emit_record(record: Record, fields: Columns, *, as_json: bool) -> None:
    """One thing: a line for each field that has a value."""
    if as_json:
        emit_json(record)
        return
    shown = {name: cell_of(record, field) for name, field in fields.items()}
    width = max(len(name) for name in shown)
    for name, text in shown.items():
        if text:
            click.echo(f"{name:<{width}}  {text}")


def cell_of(record: Record, column: Cell | str) -> str:
    """The text of a cell, safe to show; None is empty."""
    value = record.get(column) if isinstance(column, str) else column(record)
    return "" if value is None else escaped(value)


def when(key: str) -> Cell:
    """A column with an instant: how long ago on a terminal, else as the server wrote it."""

    def cell(record: Record) -> object:
        text = record.get(key)
        return ago(str(text), clock.now()) if text and is_fancy(sys.stdout) else text

    return cell


def ago(text: str, now: datetime) -> str:
    """How long before (or after) `now` an instant is, in its greatest unit."""
    seconds = _seconds_between(text, now)
    if seconds is None:
        return text
    spoken = spoken_seconds(abs(seconds))
    return f"in {spoken}" if seconds <= -1 else f"{spoken} ago"


def elapsed(start: str | None, end: str | None, now: datetime) -> str:
    """How long something took, or takes so far."""
    if not start:
        return ""
    begun = _seconds_between(start, now)
    ended = 0.0 if end is None else _seconds_between(end, now)
    return "" if begun is None or ended is None else spoken_seconds(max(0.0, begun - ended))


def spoken_seconds(seconds: float) -> str:
    """`42 s`, `3 min`, `5 h`, `2 d`."""
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def _seconds_between(text: str, now: datetime) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (now - instant).total_seconds() if instant.tzinfo else None


def _write_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
    for row in (headings, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - rich costs more than a whole `--json` call
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*headings, box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, ""), overflow="fold") for cell in row))
    Console().print(table)
