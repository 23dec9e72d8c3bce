"""How the demo is told: drawn on a terminal, as plain lines, or as lines of JSON."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from orchestrator.cli.output import cell_of, emit_json_line, emit_list
from orchestrator.cli.terminal import is_fancy
from orchestrator.cli.views import JsonView, PlainView
from orchestrator.cli.watching import View
from orchestrator.client import Record

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("application", "environment", "target", "version", "since", "answered")
PICTURE_WIDTH = 104


class Show(Protocol):
    """Tells the story."""

    def say(self, text: str) -> None:
        """What comes now, and why."""

    def progress(self, text: str) -> None:
        """A small step; may be called from any thread."""

    def watching(self) -> AbstractContextManager[View]:
        """Shows one deployment."""

    def table(self, rows: Sequence[Record]) -> None:
        """What runs where."""


class PlainShow:
    """Everything on stdout, so that a pipe gets the whole story in its order."""

    def say(self, text: str) -> None:
        """After an empty line."""
        click.echo(f"\n{text}")

    def progress(self, text: str) -> None:
        """Indented."""
        click.echo(f"  {text}")

    @contextmanager
    def watching(self) -> Iterator[View]:
        """What `deploy --watch` shows in a pipe."""
        with redirect_stderr(sys.stdout):
            yield PlainView()

    def table(self, rows: Sequence[Record]) -> None:
        """Aligned."""
        click.echo()
        emit_list(rows, {name: name for name in COLUMNS}, as_json=False, empty="Nothing runs anywhere.")


class JsonShow:
    """A line for each thing, told apart by `type`; deployments as `deploy --watch --json` tells them."""

    def say(self, text: str) -> None:
        """As `act`."""
        emit_json_line({"type": "act", "text": text})

    def progress(self, text: str) -> None:
        """As `progress`."""
        emit_json_line({"type": "progress", "text": text})

    @contextmanager
    def watching(self) -> Iterator[View]:
        """What `deploy --watch --json` writes."""
        yield JsonView()

    def table(self, rows: Sequence[Record]) -> None:
        """As `installations`."""
        emit_json_line({"type": "installations", "items": list(rows)})


class DrawnShow:
    """On a console of rich."""

    def __init__(self, console: "Console") -> None:
        self._console = console

    def say(self, text: str) -> None:
        """After an empty line."""
        self._console.print(f"\n{text}", style="bold", markup=False, highlight=False)

    def progress(self, text: str) -> None:
        """Dim."""
        self._console.print(f"  {text}", style="dim", markup=False, highlight=False)

    @contextmanager
    def watching(self) -> Iterator[View]:
        """What `deploy --watch` draws."""
        from orchestrator.cli.live import LiveView  # noqa: PLC0415 - rich is only for terminals

        with LiveView(self._console) as view:
            yield view
        if not self._console.is_terminal:
            self._console.line()  # rich ends its last frame with one on a terminal only

    def table(self, rows: Sequence[Record]) -> None:
        """With what the servers say in green where it is what the orchestrator says."""
        from rich.box import SIMPLE_HEAD  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*COLUMNS, box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for row in rows:
            style = "green" if row["answered"] == row["version"] else "bold red"
            cells = [Text(cell_of(row, name)) for name in COLUMNS]
            cells[-1].stylize(style)
            table.add_row(*cells)
        self._console.print(table)


@contextmanager
def chosen_show(*, as_json: bool, picture: Path | None) -> Iterator[Show]:
    """The one that suits stdout; with `picture` the whole story is written there at the end, and as .txt."""
    if as_json:
        yield JsonShow()
    elif picture is None and not is_fancy(sys.stdout):
        yield PlainShow()
    else:
        from rich.console import Console  # noqa: PLC0415

        if picture is None:
            yield DrawnShow(Console())
            return
        # Not as a terminal: only the last frame of each deployment is to be in the picture.
        console = Console(record=True, width=PICTURE_WIDTH, force_terminal=False)
        yield DrawnShow(console)
        console.save_text(str(picture.with_suffix(".txt")), clear=False)
        console.save_svg(str(picture), title="releasectl demo")
