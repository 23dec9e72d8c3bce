"""schedule add, list, remove: recurring deployments."""

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option, reason_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when

FIELDS: Columns = {
    "schedule": "id",
    "application": "application",
    "to": "environment",
    "takes": lambda found: (
        f"what is in {found['from_environment']}" if found["from_environment"] else "the newest release"
    ),
    "cron": "cron",
    "zone": "zone",
    "next": when("next_at"),
    "last": "last_outcome",
    "by": "created_by",
}


@click.group()
def schedule() -> None:
    """Have deployments requested again and again."""


@schedule.command("add")
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.option("--to", "environment", required=True, metavar="ENV", shell_complete=complete_environment)
@click.option(
    "--from",
    "from_environment",
    metavar="ENV",
    shell_complete=complete_environment,
    help="Take what succeeded there last; the newest release if not given.",
)
@click.option("--cron", required=True, metavar="EXPRESSION", help="When, such as '0 9 * * tue'.")
@click.option("--zone", required=True, help="Whose clocks, such as Europe/Berlin.")
@reason_option
@json_option
def add(*, application: str, environment: str, as_json: bool, **given: str | None) -> None:
    """Have APP deployed each time a cron expression says, as you may then.

    One that could not start is given up when the next one comes.
    """
    body = {"application": application, "environment": environment, **given}
    made = connect().create("/schedules/", {key: value for key, value in body.items() if value is not None})
    emit_record(made, FIELDS, as_json=as_json)


@schedule.command("list")
@limit_option
@json_option
def list_schedules(*, limit: int, as_json: bool) -> None:
    """List those that go on, and what came of their last time."""
    emit_list(
        connect().items("/schedules/", limit=limit), FIELDS, as_json=as_json, empty="Nothing is scheduled."
    )


@schedule.command("remove")
@click.argument("schedule_id", metavar="ID", type=click.IntRange(1))
@json_option
def remove(*, schedule_id: int, as_json: bool) -> None:
    """Request nothing more; what was requested goes on."""
    emit_record(connect().call("DELETE", f"/schedules/{schedule_id}"), FIELDS, as_json=as_json)
