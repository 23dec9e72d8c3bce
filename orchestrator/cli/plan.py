"""plan: what a deployment would do, before anything does."""

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.explain import show_standing
from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json, spoken_seconds
from orchestrator.cli.times import read_instant
from orchestrator.client import Record
from orchestrator.domain.durations import format_duration
from orchestrator.domain.foreign import escaped
from orchestrator.domain.reading import shortened

TARGETS_SHOWN = 5


@click.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.argument("version")
@click.option(
    "--to", "environment", required=True, metavar="ENV", shell_complete=complete_environment, help="Where to."
)
@click.option("--at", "at", metavar="TIME", help="As if it were scheduled for then.")
@click.option("--allow-downgrade", is_flag=True, help="As if an older release were allowed.")
@json_option
def plan(
    *, application: str, version: str, environment: str, at: str | None, allow_downgrade: bool, as_json: bool
) -> None:
    """Show what deploying VERSION of APP would do, and when it would start. Nothing is made."""
    found = connect().foresee_deployment(
        application,
        version,
        environment=environment,
        scheduled_for=read_instant("--at", at),
        allow_downgrade=allow_downgrade or None,
    )
    if as_json:
        emit_json(found)
        return
    _show_plan(found)
    show_standing(found)


def _show_plan(found: Record) -> None:
    replaced = found["replaces"]
    before = f", where {replaced['version']} is" if replaced else ", where nothing was before"
    click.echo(f"{found['application']} {found['version']} -> {found['environment']}{before}")
    steps, waves = (_counted(found[key], what) for key, what in (("steps", "step"), ("wave_count", "wave")))
    click.echo(f"{found['strategy']}: {steps} in {waves}")
    for wave in found["waves"]:
        named = ", ".join(wave["targets"][:TARGETS_SHOWN])
        more = wave["total"] - min(TARGETS_SHOWN, len(wave["targets"]))
        others = f" and {more} more" if more > 0 else ""
        wait = f", then a wait of {format_duration(wave['wait_seconds'])}" if wave["wait_seconds"] else ""
        click.echo(f"  wave {wave['wave'] + 1}  {escaped(wave['action'])}  on {escaped(named)}{others}{wait}")
    if len(found["waves"]) < found["wave_count"]:
        more = found["wave_count"] - len(found["waves"])
        click.echo(f"  and {_counted(more, 'more wave')}")
    for each in found["brings"]:
        click.echo(f"  brings {escaped(each['version'])}{_changes(each['changes'])}")
    for each in found["changed_variables"]:
        click.echo(f"  {each['name']}: {_value(each['before'])} -> {_value(each['after'])}")
    took = found["duration_seconds"]
    if took["deployments"]:
        middle, most = spoken_seconds(took["p50"]), spoken_seconds(took["p90"])
        click.echo(f"takes about {middle}, nine in ten at most {most} (of {took['deployments']} before)")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _changes(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return f"  {escaped(shortened(first))}" if first else ""


def _value(text: str | None) -> str:
    return "(not there)" if text is None else escaped(text)
