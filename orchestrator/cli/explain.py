"""explain: why a deployment waits, when it will start, and what you may do about it."""

import click

from orchestrator.cli.context import connect
from orchestrator.cli.options import deployment_argument, json_option
from orchestrator.cli.output import emit_json
from orchestrator.client import Record
from orchestrator.domain.foreign import escaped


@click.command()
@deployment_argument
@json_option
def explain(*, deployment_id: int, as_json: bool) -> None:
    """Say why a deployment waits, when it will start and what you may do about it.

    Of one that has ended: why it ended as it did.
    """
    found = connect().explain(deployment_id)
    if as_json:
        emit_json(found)
        return
    click.echo(f"deployment {deployment_id} is {found['status']}: {escaped(found['because'])}")
    show_standing(found)
    if found["ends_about"]:
        click.echo(f"ends    about {found['ends_about']}, if it takes as long as those before it")
    for step in found.get("troubles", ()):
        click.echo(f"trouble {escaped(step['target'])}: {escaped(step['trouble'])}")
    for step in found["failed_steps"]:
        click.echo(f"failed  {escaped(step['target'])}: {escaped(step['failure'])}")


def show_standing(found: Record) -> None:
    """Gates, forecast and remedies."""
    for gate in found["gates"]:
        _show_gate(gate)
    if found["forecast"]:
        starts, because = found["forecast"]["starts_at"], escaped(found["forecast"]["because"])
        click.echo(f"starts  {starts}: {because}" if starts else f"starts  nobody can say when: {because}")
    for remedy in found["remedies"]:
        outcome = "it starts now" if remedy["enough"] else "that alone does not start it"
        click.echo(f"you may {escaped(remedy['action'])}: {outcome}")


def _show_gate(gate: Record) -> None:
    click.echo(f"{gate['verdict']:<6}  {gate['kind']:<9}  {escaped(gate['evidence'])}")
    if gate["changed_by"]:
        until = f", or wait until {gate['until']}" if gate["until"] else ""
        click.echo(f"{'':<19}changed by {escaped(gate['changed_by'])}{until}")
