"""environments list, change."""

import click

from orchestrator.cli.completion import complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record

COLUMNS: Columns = {
    "name": "name",
    "position": "position",
    "restricted": lambda found: "yes" if found.get("restricted") else "no",
    "id": "id",
}


@click.group()
def environments() -> None:
    """Look up environments: the places releases go to."""


@environments.command("list")
@limit_option
@json_option
def list_environments(limit: int, as_json: bool) -> None:
    """List environments in the order of promotion."""
    empty = "There are no environments yet: `releasectl apply -f FILE` makes them."
    emit_list(connect().items("/environments", limit=limit), COLUMNS, as_json=as_json, empty=empty)


@environments.command()
@click.argument("environment", metavar="ENV", shell_complete=complete_environment)
@click.option(
    "--restricted/--unrestricted", required=True, help="Whether deployers need a grant that names it."
)
@json_option
def change(*, environment: str, restricted: bool, as_json: bool) -> None:
    """Restrict ENV to operators and to whom a grant names it for, or open it to all deployers (operators)."""
    changed = connect().call("PATCH", f"/environments/{environment}", body={"restricted": restricted})
    emit_record(changed, COLUMNS, as_json=as_json)
