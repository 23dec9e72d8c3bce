"""How a watched deployment is drawn on a terminal: the picture below, the log running above it."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.cli import picture
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.loglines import LineAssembler
from orchestrator.cli.views import TARGET_WIDTH
from orchestrator.client import Record
from orchestrator.domain.foreign import cleaned, escaped

_COLOURS = ("cyan", "magenta", "yellow", "blue", "green", "bright_cyan", "bright_magenta", "bright_yellow")
_WRONG = frozenset({"failed", "unknown"})
MOST_WRONG = 1000


class LiveView:
    """Redraws itself four times a second, so that what runs is seen to run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = LineAssembler()
        self._deployment: Record | None = None
        self._steps: list[Record] = []
        self._waves: list[Record] = []
        self._wrong: dict[int, Record] = {}
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
            self._console.print(picture.head(before))
            self._steps, self._waves, self._wrong = [], [], {}

    def steps(self, steps: list[Record]) -> None:
        """Drawn at the next refresh; what went wrong in waves before stays."""
        self._steps = steps
        for step in steps:
            if step["status"] not in _WRONG:
                self._wrong.pop(step["id"], None)
            elif len(self._wrong) < MOST_WRONG:
                self._wrong[step["id"]] = step

    def most_waves(self) -> int:
        """As many as there is room for."""
        return picture.waves_for(self._console.height)

    def waves(self, waves: list[Record]) -> None:
        """Drawn at the next refresh."""
        self._waves = waves

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
        now = {step["id"]: step for step in self._steps}
        steps = list((self._wrong | now).values())
        return picture.draw(deployment, self._waves, steps, height=self._console.height)

    def _print(self, lines: list[tuple[str, str]]) -> None:
        if lines:
            self._console.print(Group(*(self._line(target, line) for target, line in lines)))

    def _line(self, target: str, line: str) -> Text:
        colour = self._colours.setdefault(target, _COLOURS[len(self._colours) % len(_COLOURS)])
        name = escaped(target)[:TARGET_WIDTH]
        return Text.assemble((f"{name} │ ", colour), Text.from_ansi(cleaned(line, colours=True)))
