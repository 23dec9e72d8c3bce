"""applications list, show, change."""

import click

from orchestrator.cli.completion import complete_application
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when
from orchestrator.client import Record

FIELDS = {
    "name": "name",
    "description": "description",
    "owner": "owner",
    "pipeline": "pipeline_revision",
    "created": "created_at",
}


@click.group()
def applications() -> None:
    """Look up applications and how they are deployed."""


@applications.command("list")
@limit_option
@json_option
def list_applications(limit: int, as_json: bool) -> None:
    """List applications."""
    columns: Columns = {
        "name": "name",
        "environments": lambda found: ", ".join(each["name"] for each in found.get("environments") or ()),
        "owner": "owner",
        "revision": "pipeline_revision",
        "created": when("created_at"),
    }
    empty = "There are no applications yet: `releasectl apply -f FILE` makes one."
    emit_list(connect().items("/applications", limit=limit), columns, as_json=as_json, empty=empty)


@applications.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@json_option
def show(application: str, as_json: bool) -> None:
    """Show an application with its environments and targets."""
    found = connect().application(application)
    emit_record(found, FIELDS, as_json=as_json)
    if not as_json:
        click.echo()
        columns: Columns = {
            "environment": "name",
            "after": _after,
            "strategy": _strategy,
            "targets": _targets,
        }
        empty = "It has no environments."
        emit_list(found.get("environments") or (), columns, as_json=False, empty=empty)


@applications.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.option("--owner", required=True, metavar="NAME", help="Who owns it from now on.")
@json_option
def change(*, application: str, owner: str, as_json: bool) -> None:
    """Hand APP over to another owner (its owner, admins)."""
    changed = connect().call("PATCH", f"/applications/{application}", body={"owner": owner})
    emit_record(changed, FIELDS, as_json=as_json)


def _after(environment: Record) -> object:
    after = environment.get("after")
    return ", ".join(after) if isinstance(after, list) else after


def _strategy(environment: Record) -> object:
    strategy = environment.get("strategy")
    return strategy.get("kind") or strategy.get("name") if isinstance(strategy, dict) else strategy


def _targets(environment: Record) -> str:
    """The first few by name; ten thousand names help nobody."""
    targets = environment.get("targets") or []
    names = ", ".join(f"{each['name']} ({each['kind']})" for each in targets[:5])
    return f"{names} and {len(targets) - 5} more" if len(targets) > 5 else names
