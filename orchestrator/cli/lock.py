"""lock set, list, release: a person's no."""

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when
from orchestrator.cli.times import read_instant

FIELDS: Columns = {
    "lock": "id",
    "application": lambda found: found["application"] or "all",
    "environment": lambda found: found["environment"] or "all",
    "reason": "reason",
    "by": lambda found: found["created_by"] or "the orchestrator",
    "since": when("created_at"),
    "until": when("expires_at"),
    "released": when("released_at"),
}


@click.group()
def lock() -> None:
    """Keep deployments from starting, and let them start again."""


@lock.command("set")
@click.argument("application", metavar="[APP]", required=False, shell_complete=complete_application)
@click.option("--env", "--to", "environment", metavar="ENV", shell_complete=complete_environment)
@click.option("--reason", required=True, help="Why, for those who are kept waiting.")
@click.option(
    "--until", "until", metavar="TIME", help="Release it by itself then, such as +2h or 2026-12-01T09:00."
)
@click.option("--warning", is_flag=True, help="Only say so; keep nobody waiting.")
@json_option
def set_lock(
    *,
    application: str | None,
    environment: str | None,
    reason: str,
    until: str | None,
    warning: bool,
    as_json: bool,
) -> None:
    """Lock APP, an environment, one in the other, or (operators) everything.

    What runs goes on. Your own deployments and automatic rollbacks may start all the same.
    """
    body = {
        "application": application,
        "environment": environment,
        "reason": reason,
        "expires_at": read_instant("--until", until),
        "warning_only": warning,
    }
    made = connect().create("/locks/", {name: value for name, value in body.items() if value is not None})
    emit_record(made, FIELDS, as_json=as_json)


@lock.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that were released or expired.")
@limit_option
@json_option
def list_locks(*, everything: bool, limit: int, as_json: bool) -> None:
    """List the locks that are held."""
    query = {"all": "true"} if everything else {}
    emit_list(
        connect().items("/locks/", limit=limit, **query), FIELDS, as_json=as_json, empty="Nothing is locked."
    )


@lock.command()
@click.argument("lock_id", metavar="ID", type=click.IntRange(1))
@json_option
def release(*, lock_id: int, as_json: bool) -> None:
    """Release a lock; whoever waited for it goes on."""
    released = connect().call("DELETE", f"/locks/{lock_id}")
    emit_record(released, FIELDS, as_json=as_json)
