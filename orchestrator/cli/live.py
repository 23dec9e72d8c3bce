"""How a watched deployment is drawn on a terminal: bars and steps below, the log running above them."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator import clock
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.loglines import LineAssembler
from orchestrator.cli.output import STYLES, elapsed
from orchestrator.cli.terminal import cleaned, escaped
from orchestrator.cli.views import TARGET_WIDTH, headline, standing, waits
from orchestrator.client import Record
from orchestrator.domain.statuses import DeploymentStatus

MARKS = {"succeeded": "✓", "failed": "✗", "running": "●", "skipped": "-", "cancelled": "-", "unknown": "?"}
_COLOURS = ("cyan", "magenta", "yellow", "blue", "green", "bright_cyan", "bright_magenta", "bright_yellow")
_URGENT = {"failed": 0, "unknown": 1, "running": 2}


class LiveView:
    """Redraws itself four times a second, so that what runs is seen to run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = LineAssembler()
        self._deployment: Record | None = None
        self._steps: list[Record] = []
        self._colours: dict[str, str] = {}
        # Last: it draws as soon as it is made.
        self._live = Live(console=console, get_renderable=self.picture, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def deployment(self, deployment: Record) -> None:
        """Drawn at the next refresh; when another one follows, the first stays above."""
        before, self._deployment = self._deployment, deployment
        if before is not None and before["id"] != deployment["id"]:
            self._console.print(_head(before))
            self._steps = []

    def steps(self, steps: list[Record]) -> None:
        """Drawn at the next refresh."""
        self._steps = steps

    def log(self, pieces: list[Record]) -> None:
        """Above the picture, all lines of one poll at once."""
        self._print(list(self._lines.feed(pieces)))

    def notice(self, text: str) -> None:
        """Above the picture."""
        self._console.print(Text(escaped(text), style="yellow"))

    def ended(self, deployment: Record, code: ExitCode) -> None:
        """The picture stays as it is now."""
        self._print(list(self._lines.flush()))
        self._deployment = deployment

    def picture(self) -> RenderableType:
        """What is drawn now, never higher than half the screen."""
        deployment = self._deployment
        if deployment is None:
            return Text("asking the server ...", style="dim")
        parts: list[RenderableType] = [_head(deployment)]
        parts += [Text(f"  {line}", style="yellow") for line in waits(deployment)]
        if deployment.get("started_at") and deployment["progress"]["waves"]:
            parts.append(_bars(deployment))
            parts.append(_steps_table(self._steps, most=max(3, self._console.height // 2 - 4)))
        return Group(*parts)

    def _print(self, lines: list[tuple[str, str]]) -> None:
        if lines:
            self._console.print(Group(*(self._line(target, line) for target, line in lines)))

    def _line(self, target: str, line: str) -> Text:
        colour = self._colours.setdefault(target, _COLOURS[len(self._colours) % len(_COLOURS)])
        name = escaped(target)[:TARGET_WIDTH]
        return Text.assemble((f"{name} │ ", colour), Text.from_ansi(cleaned(line, colours=True)))


def _head(deployment: Record) -> Text:
    took = elapsed(deployment.get("started_at"), deployment.get("ended_at"), clock.now())
    style = STYLES.get(deployment["status"], "")
    return Text.assemble((headline(deployment), "bold"), "  ", (standing(deployment), style), f"  {took}")


def _bars(deployment: Record) -> Table:
    """Steps that are over, and waves behind us (the current one is counted from zero)."""
    progress = deployment["progress"]
    over = progress["succeeded"] + progress["skipped"] + progress["failed"] + progress["cancelled"]
    waves = progress["waves"] if deployment["status"] == DeploymentStatus.SUCCEEDED else progress["wave"]
    style = "red" if progress["failed"] else "green"
    bars = Table.grid(padding=(0, 1))
    for name, done, all_of_it in (("steps", over, progress["steps"]), ("waves", waves, progress["waves"])):
        bar = ProgressBar(
            total=max(1, all_of_it), completed=done, width=30, complete_style=style, finished_style=style
        )
        bars.add_row(f"  {name}", bar, f"{done} of {all_of_it}")
    return bars


def _steps_table(steps: list[Record], *, most: int) -> Table:
    table = Table.grid(padding=(0, 1))
    shown = sorted(steps, key=lambda step: (_URGENT.get(step["status"], 3), step["position"]))[:most]
    for step in shown:
        status = step["status"]
        style = STYLES.get(status, "dim")
        took = elapsed(step.get("started_at"), step.get("ended_at"), clock.now())
        cells = (f"  {MARKS.get(status, '·')}", step["target"], step["title"] or step["action"], status, took)
        table.add_row(
            *(Text(escaped(cell), style=style, overflow="ellipsis", no_wrap=True) for cell in cells)
        )
    if len(steps) > most:
        table.add_row("", Text(f"and {len(steps) - most} more", style="dim"))
    return table
