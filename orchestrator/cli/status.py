"""status: what runs where."""

from collections.abc import Iterable

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option
from orchestrator.cli.output import Cell, emit_list, when
from orchestrator.cli.times import read_instant
from orchestrator.client import Record


@click.command()
@click.argument("application", metavar="[APP]", required=False, shell_complete=complete_application)
@click.option(
    "--env", "environment", metavar="ENV", shell_complete=complete_environment, help="Only this environment."
)
@click.option("--targets", "each_target", is_flag=True, help="A line for each target.")
@click.option("--at", metavar="TIME", help="What ran then, such as 2026-12-01T09:00Z.")
@json_option
def status(
    *, application: str | None, environment: str | None, each_target: bool, at: str | None, as_json: bool
) -> None:
    """Show which version runs where, since when, how it is, and which deployment put it there."""
    instant = read_instant("--at", at)
    found = _now(application, environment) if instant is None else _then(application, environment, instant)
    columns: dict[str, Cell | str] = {
        "application": "application",
        "environment": "environment",
        "version": lambda each: each["version"] or "(nothing)",
        "targets": "targets",
        "since": when("since"),
        "deployment": "deployment_id",
    }
    if instant is None:
        columns["health"] = _health
    rows: Iterable[Record] = found
    if each_target:
        columns["targets"] = "target"
    elif not as_json:
        rows = together(found)
    emit_list(rows, columns, as_json=as_json, empty="Nothing is deployed there yet.")


def _now(application: str | None, environment: str | None) -> Iterable[Record]:
    return connect().items("/installations", application=application, environment=environment)


def _then(application: str | None, environment: str | None, instant: str) -> Iterable[Record]:
    client = connect()
    names = [environment] if environment else [each["name"] for each in client.items("/environments")]
    for name in names:
        path = f"/environments/{name}/installations"
        for each in client.items(path, application=application, at=instant):
            yield {**each, "health": None}


def _health(row: Record) -> str:
    """Of one target with what was seen, of several with how many are not well; empty where nobody asked."""
    if not row["health"]:
        return ""
    if "failing" in row:
        return f"{row['failing']} of {row['count']} failing" if row["failing"] else "well"
    return "well" if row["health"]["healthy"] else f"failing: {row['health']['detail']}"


def together(installations: Iterable[Record]) -> list[Record]:
    """A row for each version in each environment: how many targets of how many, newest deployment."""
    rows: dict[tuple[str, str, str | None], Record] = {}
    places: dict[tuple[str, str], int] = {}
    for each in installations:
        place = (each["application"], each["environment"])
        places[place] = places.get(place, 0) + 1
        row = rows.setdefault((*place, each["version"]), {**each, "count": 0, "failing": 0})
        row["count"] += 1
        if each["health"]:
            row["health"] = each["health"]
            row["failing"] += not each["health"]["healthy"]
        if (each["since"] or "") > (row["since"] or ""):
            row.update(since=each["since"], deployment_id=each["deployment_id"])
    for (application, environment, _), row in rows.items():
        row["targets"] = f"{row['count']} of {places[application, environment]}"
    return list(rows.values())
