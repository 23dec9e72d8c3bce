"""calendar, and window test: when deploying is allowed, and what will start when."""

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option
from orchestrator.cli.output import Columns, emit_json, emit_list
from orchestrator.cli.times import read_instant
from orchestrator.client import Record, quoted
from orchestrator.domain.foreign import escaped

environment_argument = click.argument("environment", metavar="ENV", shell_complete=complete_environment)
application_option = click.option(
    "--application",
    "application",
    metavar="APP",
    shell_complete=complete_application,
    help="For this application: with what is narrowed to its labels.",
)


@click.command()
@environment_argument
@click.option("--from", "start", metavar="TIME", help="From when; now if not given.")
@click.option("--to", "end", metavar="TIME", help="Up to when; four weeks later if not given.")
@application_option
@json_option
def calendar(
    *, environment: str, start: str | None, end: str | None, application: str | None, as_json: bool
) -> None:
    """Show when deploying to ENV is allowed, its windows and freezes, and what will start."""
    query = {
        "from": read_instant("--from", start),
        "to": read_instant("--to", end),
        "application": application,
    }
    found = connect().call("GET", f"/environments/{quoted(environment)}/calendar", query=query)
    if as_json:
        emit_json(found)
        return
    columns: Columns = {"from": "from", "to": "to", "what": "what"}
    emit_list(
        _entries(found), columns, as_json=False, empty=f"Nothing can start in {environment} in that time."
    )
    for warning in found["warnings"]:
        click.echo(f"warning: {warning}", err=True)


def _entries(found: Record) -> list[Record]:
    """Everything in it by time."""
    entries = [{**each, "what": "deployments may start"} for each in found["openings"]]
    entries += [{**each, "what": f"{each['kind']} {each['name']}"} for each in found["occurrences"]]
    for each in found["deployments"]:
        begins = each["starts_at"] or each["scheduled_for"]
        sure = "starts" if each["starts_at"] else "is scheduled"
        what = f"deployment {each['id']} {sure}: {each['application']} {each['version']}"
        entries.append({"from": begins, "to": None, "what": what})
    for each in found["recurring"]:
        what = f"schedule {each['schedule_id']} requests {each['application']}"
        entries.append({"from": each["at"], "to": None, "what": what})
    return sorted(entries, key=lambda each: str(each["from"]))


@click.command("test")
@environment_argument
@click.option("--at", "at", metavar="TIME", help="When, such as 2026-12-24T10:00 or +2h; now if not given.")
@application_option
@json_option
def test_window(*, environment: str, at: str | None, application: str | None, as_json: bool) -> None:
    """Say whether a deployment to ENV might start at a time, and when the next might.

    The exit code is 0 either way.
    """
    query = {"at": read_instant("--at", at), "application": application}
    found = connect().call("GET", f"/environments/{quoted(environment)}/opening", query=query)
    if as_json:
        emit_json(found)
        return
    click.echo(f"{escaped(environment)} at {found['at']}: {_verdict(found)}")
    for one, many in (("window", "windows"), ("freeze", "freezes")):
        for each in found[many]:
            click.echo(f"  {one} {escaped(each['name'])} until {each['until']}")


def _verdict(found: Record) -> str:
    if found["open"]:
        return "open" + (f" until {found['closes_at']}" if found["closes_at"] else "")
    return f"shut; opens at {found['next_opening']}" if found["next_opening"] else "shut; it never opens"
