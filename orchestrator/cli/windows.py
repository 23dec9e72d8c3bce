"""window and freeze: when deploying is allowed, and when it is not."""

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.calendar import test_window
from orchestrator.cli.completion import complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_json, emit_list, emit_record, when
from orchestrator.client import Record


def schedule_of(rule: Record) -> str:
    """When it holds, in a few words."""
    if weekly := rule.get("weekly"):
        return f"{','.join(weekly['days'])} {weekly['from']}-{weekly['to']}"
    if cron := rule.get("cron"):
        return f"cron {cron['expression']} for {cron['duration']}"
    if recurring := rule.get("rrule"):
        return f"{recurring['rule']} from {recurring['start']} for {recurring['duration']}"
    return f"{rule['dated']['from']} to {rule['dated']['to']}"


FIELDS: Columns = {
    "id": "id",
    "environment": "environment",
    "name": "name",
    "when": schedule_of,
    "zone": "zone",
    "by": "created_by",
    "since": when("created_at"),
}


def group(kind: str, path: str, meaning: str) -> click.Group:
    """The commands of windows, or of freezes."""

    @click.group(name=kind, help=f"Say when deploying is {meaning}.")
    def commands() -> None:
        pass

    @commands.command(
        "add", help=f"Make a {kind} for ENV: exactly one of --weekly, --cron, --rrule, --dated."
    )
    @click.argument("environment", metavar="ENV", shell_complete=complete_environment)
    @click.option("--name", required=True, help="What people call it.")
    @click.option("--zone", required=True, help="Whose clocks, such as Europe/Berlin.")
    @click.option("--weekly", nargs=3, metavar="DAYS FROM TO", help="Such as mon,tue,wed 09:00 17:00.")
    @click.option("--cron", metavar="EXPRESSION", help="When it begins; with --for.")
    @click.option("--rrule", metavar="RULE", help="When it begins, as RFC 5545; with --start and --for.")
    @click.option("--start", metavar="TIME", help="The first of --rrule, such as 2026-01-06T09:00.")
    @click.option("--for", "duration", metavar="DURATION", help="How long each lasts, such as 4h.")
    @click.option(
        "--dated", nargs=2, metavar="FROM TO", help="Once, such as 2026-12-20T00:00 2027-01-04T08:00."
    )
    @click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Only for applications with it."
    )
    @json_option
    def add(environment: str, name: str, zone: str, as_json: bool, **given: Any) -> None:
        body = {"environment": environment, "name": name, "zone": zone, **_schedule(given), **_labels(given)}
        made = connect().create(f"/{path}/", body)
        emit_record(made, FIELDS, as_json=as_json)
        for warning in made["warnings"]:
            click.echo(f"warning: {warning}", err=True)

    @commands.command("list", help=f"List the {path} that hold.")
    @click.option("--env", "environment", metavar="ENV", shell_complete=complete_environment)
    @limit_option
    @json_option
    def list_all(environment: str | None, limit: int, as_json: bool) -> None:
        found = connect().items(f"/{path}/", limit=limit, environment=environment)
        emit_list(found, FIELDS, as_json=as_json, empty=f"There are no {path}.")

    @commands.command("remove", help=f"Let a {kind} hold no more.")
    @click.argument("rule_id", metavar="ID", type=click.IntRange(1))
    @json_option
    def remove(rule_id: int, as_json: bool) -> None:
        emit_record(connect().call("DELETE", f"/{path}/{rule_id}"), FIELDS, as_json=as_json)

    return commands


def _schedule(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as the API wants it; the API says what is missing or too much."""
    found: dict[str, Any] = {}
    if given["weekly"]:
        days, begins, ends = given["weekly"]
        found["weekly"] = {"days": days.split(","), "from": begins, "to": ends}
    if given["cron"]:
        found["cron"] = {"expression": given["cron"], "duration": given["duration"]}
    if given["rrule"]:
        found["rrule"] = {"rule": given["rrule"], "start": given["start"], "duration": given["duration"]}
    if given["dated"]:
        found["dated"] = dict(zip(("from", "to"), given["dated"], strict=True))
    return found


def _labels(given: dict[str, Any]) -> dict[str, Any]:
    labels: dict[str, list[str]] = {}
    for each in given["labels"]:
        key, _, value = each.partition("=")
        labels.setdefault(key, []).append(value)
    return {"labels": labels} if labels else {}


window = group("window", "windows", "allowed")
window.add_command(test_window)
freeze = group("freeze", "freezes", "forbidden")


@freeze.command("import")
@click.argument("environment", metavar="ENV", shell_complete=complete_environment)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", default="UTC", show_default=True, help="Of events that name no zone.")
@json_option
def import_calendar(environment: str, file: Path, zone: str, as_json: bool) -> None:
    """Make a freeze for ENV of each event of an iCalendar FILE, all or none.

    What is there already is left alone, so a calendar may be imported again.
    """
    made = connect().import_freezes(environment, file.read_bytes(), zone=zone)
    if as_json:
        emit_json(made)
    else:
        click.echo(f"{len(made['created'])} freezes made")
