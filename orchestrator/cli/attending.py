"""Stays with a deployment at a terminal or in a pipe, and ends the program with what it saw."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import emit_json
from orchestrator.cli.terminal import is_fancy
from orchestrator.cli.views import JsonView, PlainView, headline, standing, waits
from orchestrator.cli.watching import LeavingError, Timing, View, comeback, watch_to_end
from orchestrator.client import Client, Record


def tell_or_attend(
    client: Client, made: Record, *, watch: bool, as_json: bool, timeout_seconds: float | None
) -> None:
    """After a deployment was asked for: stay with it, or say that it is accepted and how to see it."""
    if watch:
        attend(client, made["id"], as_json=as_json, timeout_seconds=timeout_seconds)
    if as_json:
        emit_json(made)
        return
    click.echo(f"{headline(made)}  {standing(made)}")
    for line in waits(made):
        click.echo(f"  {line}", err=True)
    click.echo(f"  watch it: releasectl deployments watch {made['id']}", err=True)


def attend(client: Client, deployment_id: int, *, as_json: bool, timeout_seconds: float | None) -> None:
    """Watch to the end and exit with its code; Ctrl-C leaves it alone and says how to come back."""
    with detaching(deployment_id), _view(as_json=as_json) as view:
        timing = Timing(timeout_seconds=timeout_seconds)
        code = watch_to_end(client, deployment_id, view=view, timing=timing)
    raise click.exceptions.Exit(code)


@contextmanager
def detaching(deployment_id: int) -> Iterator[None]:
    """Ctrl-C means leaving, never cancelling."""
    try:
        yield
    except KeyboardInterrupt as left:
        followed = left.deployment_id if isinstance(left, LeavingError) else deployment_id
        click.echo(f"\n{comeback(followed)}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


@contextmanager
def _view(*, as_json: bool) -> Iterator[View]:
    if as_json:
        yield JsonView()
    elif is_fancy(sys.stdout) and is_fancy(sys.stderr):
        from rich.console import Console  # noqa: PLC0415 - rich is only for terminals

        from orchestrator.cli.live import LiveView  # noqa: PLC0415

        with LiveView(Console()) as view:
            yield view
    else:
        yield PlainView()
