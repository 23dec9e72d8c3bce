"""environments list."""

import click

from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list


@click.group()
def environments() -> None:
    """Look up environments: the places releases go to."""


@environments.command("list")
@limit_option
@json_option
def list_environments(limit: int, as_json: bool) -> None:
    """List environments in the order of promotion."""
    columns: Columns = {"name": "name", "position": "position", "id": "id"}
    empty = "There are no environments yet: `releasectl apply -f FILE` makes them."
    emit_list(connect().items("/environments", limit=limit), columns, as_json=as_json, empty=empty)
