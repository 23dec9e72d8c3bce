"""insights: how deploying goes, and the deployments behind each number."""

from datetime import datetime
from typing import Any

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_json, emit_list
from orchestrator.client import Record
from orchestrator.domain.durations import rough_duration
from orchestrator.domain.insights import PRODUCTION, By, Group

NOT_ENOUGH = "not enough data"
_DAY = click.DateTime(["%Y-%m-%d"])
_COUNTED: Columns = {
    "id": "id",
    "application": "application",
    "version": "version",
    "environment": "environment",
    "status": "status",
    "ended": "ended_at",
    "lead": lambda each: _length(each["lead_seconds"], ""),
    "recovered": lambda each: _length(each["recovery_seconds"], ""),
    "waited": lambda each: _length(each["waited_seconds"], ""),
    "rework": "rework",
}


@click.command()
@click.argument("application", metavar="[APP]", required=False, shell_complete=complete_application)
@click.option(
    "--environment",
    "--env",
    "environment",
    metavar="ENV",
    default=PRODUCTION,
    show_default=True,
    shell_complete=complete_environment,
    help="Which one is production for this.",
)
@click.option(
    "--from", "first", metavar="DATE", type=_DAY, help="The first day; 30 days before --to if not given."
)
@click.option(
    "--to", "until", metavar="DATE", type=_DAY, help="The day after the last one; tomorrow if not given."
)
@click.option("--zone", metavar="ZONE", help="Whose days, such as Europe/Berlin; UTC if not given.")
@click.option("--by", type=click.Choice([each.value for each in By]), help="What the period is cut into.")
@click.option(
    "--of",
    "group",
    type=click.Choice([each.value for each in Group]),
    help="List the deployments behind this number.",
)
@click.option("--reason", metavar="GATE", help="With `--of waited`: for what.")
@limit_option
@json_option
def insights(
    *,
    application: str | None,
    environment: str,
    first: datetime | None,
    until: datetime | None,
    zone: str | None,
    by: str | None,
    group: str | None,
    reason: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Measure how deploying APP (or everything) goes: the five measures of DORA, durations, waits, busy slots."""
    query: dict[str, Any] = {
        "application": application,
        "environment": environment,
        "from": first.date().isoformat() if first else None,
        "to": until.date().isoformat() if until else None,
        "zone": zone,
        "by": by,
    }
    if group is not None:
        found = connect().items("/insights/deployments", limit=limit, **query, group=group, reason=reason)
        emit_list(found, _COUNTED, as_json=as_json, empty="There are no such deployments.")
        return
    shown = connect().call("GET", "/insights", query=query)
    if as_json:
        emit_json(shown)
        return
    click.echo(f"{shown['environment']}, {shown['from']} up to {shown['to']} ({shown['zone']})\n")
    emit_list(_measures(shown), {"measure": "name", "value": "value", "of": "of"}, as_json=False, empty="")
    _more("waited for", shown["waits"], "reason", "total_seconds")
    _more("busiest slots", shown["slots"], "application", "busy_seconds")
    click.echo()
    emit_list(shown["parts"], _PARTS, as_json=False, empty="")


def _measures(shown: Record) -> list[Record]:
    found, runs = shown["measures"], shown["durations"]
    often, lead = found["deployment_frequency"], found["change_lead_time"]
    recovery = found["failed_deployment_recovery_time"]
    per_day = NOT_ENOUGH if often["per_day"] is None else f"{often['per_day']:.2f} a day"
    return [
        _row(
            "change lead time",
            _spread(lead),
            f"{lead['count']} changes, {lead['without_commit']} without commit",
        ),
        _row("deployment frequency", per_day, f"{often['count']} in {often['days']:.1f} days"),
        _row(
            "failed deployment recovery time",
            _spread(recovery),
            f"{recovery['count']} recovered, {recovery['open']} not yet",
        ),
        _rate("change fail rate", found["change_fail_rate"], "changes"),
        _rate("deployment rework rate", found["deployment_rework_rate"], "deployments"),
        _row("duration", _spread(runs), f"{runs['count']} that succeeded"),
    ]


def _row(name: str, value: str, of: str) -> Record:
    return {"name": name, "value": value, "of": of}


def _rate(name: str, found: Record, of: str) -> Record:
    value = NOT_ENOUGH if found["rate"] is None else f"{found['rate']:.1%}"
    return _row(name, value, f"{found['count']} of {found['of']} {of}")


def _spread(found: Record) -> str:
    """Half of them within; nine of ten within."""
    half = _length(found["p50_seconds"], NOT_ENOUGH)
    return half if found["p90_seconds"] is None else f"{half}, 90% within {_length(found['p90_seconds'], '')}"


def _length(seconds: float | None, otherwise: str) -> str:
    return otherwise if seconds is None else rough_duration(seconds)


def _more(heading: str, records: list[Record], name: str, total: str) -> None:
    """Another table, if it has anything."""
    if records:
        click.echo()
        columns: Columns = {
            heading: name,
            "deployments": "count",
            "in all": lambda each: _length(each[total], ""),
        }
        emit_list(records, columns, as_json=False, empty="")


_PARTS: Columns = {
    "from": "from",
    "deployed": lambda each: each["measures"]["deployment_frequency"]["count"],
    "failed": lambda each: each["measures"]["change_fail_rate"]["count"],
    "rework": lambda each: each["measures"]["deployment_rework_rate"]["count"],
    "lead": lambda each: _length(each["measures"]["change_lead_time"]["p50_seconds"], ""),
    "recovery": lambda each: _length(each["measures"]["failed_deployment_recovery_time"]["p50_seconds"], ""),
}
