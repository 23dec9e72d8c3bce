"""How a watched deployment is shown where nothing can be drawn: plain lines, JSON lines, or not at all."""

import sys
from collections.abc import Sequence

import click

from orchestrator.cli.exits import ExitCode
from orchestrator.cli.loglines import LineAssembler
from orchestrator.cli.output import emit_json_line
from orchestrator.cli.terminal import is_fancy
from orchestrator.client import Record
from orchestrator.domain.foreign import cleaned, escaped
from orchestrator.domain.statuses import DeploymentStatus

TARGET_WIDTH = 24


def headline(deployment: Record) -> str:
    """`deployment 42  shop 1.2.0 -> production`."""
    what = f"{deployment['application']} {deployment['version']}"
    back = f"  (rolls back {deployment['rolls_back_id']})" if deployment.get("rolls_back_id") else ""
    return escaped(f"deployment {deployment['id']}  {what} -> {deployment['environment']}{back}")


def standing(deployment: Record) -> str:
    """Its status, with where it is or why it ended so."""
    progress = deployment["progress"]
    parts = [str(deployment["status"])]
    if deployment.get("started_at") and progress["waves"]:
        parts.append(f"{progress['succeeded']} of {progress['steps']} steps done")
        parts += [f"{progress[name]} {name}" for name in ("failed", "unknown") if progress[name]]
    if deployment.get("failure"):
        parts.append(str(deployment["failure"]))
    if deployment.get("cancel_requested_at") and deployment["status"] not in _ENDED:
        parts.append("cancelling")
    return escaped(", ".join(parts))


def waits(deployment: Record) -> list[str]:
    """What it waits for, a line each; for a person's answer, with the command that gives it."""
    lines = [escaped(f"waits: {each['message']}") for each in deployment.get("waiting_for") or ()]
    if deployment["status"] == DeploymentStatus.PAUSED and deployment["progress"]["unknown"]:
        lines.append(
            "a step's end is unknown; look at its target, then: "
            f"releasectl deployments resume {deployment['id']} --answer retry|skip|fail"
        )
    elif deployment["status"] == DeploymentStatus.PAUSED and _asks(deployment, "promote"):
        lines.append(f"releasectl deployments promote {deployment['id']}, or cancel {deployment['id']}")
    elif deployment["status"] == DeploymentStatus.PAUSED and _asks(deployment, "answer"):
        lines.append(f"releasectl deployments resume {deployment['id']} --answer retry|skip|rollback|fail")
    return lines


def _asks(deployment: Record, kind: str) -> bool:
    return any(each["kind"] == kind for each in deployment.get("waiting_for") or ())


def step_line(step: Record) -> str:
    """A step in one line; people count waves from one."""
    tries = f" (attempt {step['attempt']})" if (step.get("attempt") or 1) > 1 else ""
    why = f": {step['failure']}" if step.get("failure") else ""
    name = f"{step['target']} {step['title'] or step['action']}"
    return escaped(f"wave {step['wave'] + 1}  {name}  {step['status']}{tries}{why}")


class PlainView:
    """The log on stdout, each line after its target; what happens on stderr."""

    def __init__(self) -> None:
        self._lines = LineAssembler()
        self._told: dict[int, object] = {}
        self._steps: dict[int, tuple[str, int]] = {}

    def deployment(self, deployment: Record) -> None:
        """Tell it when it changed."""
        number = deployment["id"]
        if number not in self._told:
            click.echo(headline(deployment), err=True)
        told = (standing(deployment), *waits(deployment))
        if told != self._told.get(number):
            self._told[number] = told
            click.echo(f"deployment {number}  {'; '.join(told)}", err=True)

    def steps(self, steps: list[Record]) -> None:
        """Tell each that changed."""
        for step in steps:
            state = (step["status"], step["attempt"])
            if step["status"] not in _NOT_BEGUN and self._steps.get(step["id"]) != state:
                click.echo(step_line(step), err=True)
            self._steps[step["id"]] = state

    def most_waves(self) -> int:
        """None: their steps are told one by one."""
        return 0

    def waves(self, waves: list[Record]) -> None:
        """Not shown."""

    def log(self, pieces: list[Record]) -> None:
        """Print the lines that are whole."""
        self._print(list(self._lines.feed(pieces)))

    def notice(self, text: str) -> None:
        """On stderr."""
        click.echo(escaped(text), err=True)

    def ended(self, deployment: Record, code: ExitCode) -> None:
        """Print what is left of the log."""
        self.flush()

    def flush(self) -> None:
        """Print the lines that never got their end."""
        self._print(list(self._lines.flush()))

    def _print(self, lines: Sequence[tuple[str, str]]) -> None:
        for target, line in lines:
            click.echo(f"{escaped(target)} | {cleaned(line, colours=is_fancy(sys.stdout))}")


class StandingView(PlainView):
    """Only how the deployment stands, on stderr."""

    def steps(self, steps: list[Record]) -> None:
        """Not shown."""

    def log(self, pieces: list[Record]) -> None:
        """Not shown."""


class LogView(PlainView):
    """Only the log, on stdout."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def deployment(self, deployment: Record) -> None:
        """Not shown."""

    def steps(self, steps: list[Record]) -> None:
        """Not shown."""

    def log(self, pieces: list[Record]) -> None:
        """Lines for people, pieces for programs."""
        if not self._as_json:
            super().log(pieces)
            return
        for piece in pieces:
            emit_json_line(piece)


class JsonView:
    """A line of JSON for each thing that happens, told apart by `type`."""

    def __init__(self) -> None:
        self._deployments: dict[int, Record] = {}
        self._steps: dict[int, Record] = {}

    def deployment(self, deployment: Record) -> None:
        """When it changed."""
        if self._deployments.get(deployment["id"]) != deployment:
            self._deployments[deployment["id"]] = deployment
            emit_json_line({"type": "deployment", "deployment": deployment})

    def steps(self, steps: list[Record]) -> None:
        """Each that changed."""
        for step in steps:
            if self._steps.get(step["id"]) != step:
                self._steps[step["id"]] = step
                emit_json_line({"type": "step", "step": step})

    def most_waves(self) -> int:
        """None: the deployment has the counts."""
        return 0

    def waves(self, waves: list[Record]) -> None:
        """Not shown."""

    def log(self, pieces: list[Record]) -> None:
        """Each piece as the server gave it."""
        for piece in pieces:
            emit_json_line({"type": "log", "log": piece})

    def notice(self, text: str) -> None:
        """About the watching."""
        emit_json_line({"type": "notice", "text": text})

    def ended(self, deployment: Record, code: ExitCode) -> None:
        """The last line."""
        end = {"type": "end", "id": deployment["id"], "status": deployment["status"], "exit_code": int(code)}
        emit_json_line(end)


_ENDED = frozenset({"succeeded", "failed", "cancelled", "superseded", "expired"})
_NOT_BEGUN = frozenset({"waiting", "ready"})
