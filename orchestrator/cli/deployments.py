"""deployments: list, show, steps, events; the verbs are in deployment_verbs, the log in deployment_logs."""

import json

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.deployment_logs import logs
from orchestrator.cli.deployment_verbs import (
    approve,
    cancel,
    claim,
    promote,
    reject,
    replan,
    resume,
    retry,
    rollback,
    skip,
    watch,
)
from orchestrator.cli.options import deployment_argument, json_option, limit_option
from orchestrator.cli.output import Columns, cell_of, emit_list, emit_record, when
from orchestrator.cli.views import standing, waits
from orchestrator.client import Record
from orchestrator.domain.durations import format_duration
from orchestrator.domain.statuses import DeploymentStatus, StepStatus


@click.group()
def deployments() -> None:
    """Watch and steer deployments."""


for verb in (watch, logs, cancel, promote, approve, reject, retry, replan, rollback, claim, resume, skip):
    deployments.add_command(verb)


@deployments.command("list")
@click.option("--application", metavar="APP", shell_complete=complete_application)
@click.option("--environment", "--env", metavar="ENV", shell_complete=complete_environment)
@click.option("--version", metavar="VERSION")
@click.option("--status", type=click.Choice([str(each) for each in DeploymentStatus]))
@limit_option
@json_option
def list_deployments(
    *,
    application: str | None,
    environment: str | None,
    version: str | None,
    status: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List deployments, the newest first."""
    columns: Columns = {
        "id": "id",
        "application": "application",
        "version": "version",
        "environment": "environment",
        "status": "status",
        "steps": _steps_done,
        "requested": when("requested_at"),
        "by": "requested_by",
    }
    found = connect().items(
        "/deployments/",
        limit=limit,
        application=application,
        environment=environment,
        version=version,
        status=status,
    )
    emit_list(found, columns, as_json=as_json, empty="There are no such deployments.")


@deployments.command()
@deployment_argument
@json_option
def show(deployment_id: int, as_json: bool) -> None:
    """Show one deployment, and what it waits for."""
    client = connect()
    found = client.deployment(deployment_id)
    fields: Columns = {
        "deployment": "id",
        "application": "application",
        "version": "version",
        "environment": "environment",
        "standing": standing,
        "strategy": "strategy",
        "reason": "reason",
        "requested by": "requested_by",
        "requested": "requested_at",
        "started": "started_at",
        "ended": "ended_at",
        "cancel asked": "cancel_requested_at",
        "rolls back": "rolls_back_id",
        "retries": "retry_of_id",
        "rolled back by": "rolled_back_by_id",
        "replaced by": "replaced_by_id",
    }
    if found["started_at"] and not as_json:
        reached = _reach(client.call("GET", f"/deployments/{deployment_id}/touched"))
        fields = {**fields, "touched": lambda _: reached}
    emit_record(found, fields, as_json=as_json)
    if not as_json:
        for line in waits(found):
            click.echo(line)


def _reach(touched: Record) -> str:
    lasted = format_duration(round(touched["seconds"]))
    so_far = "" if touched["until"] else " so far"
    return f"{touched['targets']} of {touched['of']} targets, for {lasted}{so_far}"


@deployments.command()
@deployment_argument
@click.option("--wave", type=click.IntRange(1), help="Only this wave; the first is 1.")
@click.option("--status", type=click.Choice([str(each) for each in StepStatus]))
@click.option("--limit", type=click.IntRange(1), help="The most to list; all if not given.")
@json_option
def steps(
    *, deployment_id: int, wave: int | None, status: str | None, limit: int | None, as_json: bool
) -> None:
    """List the steps of a deployment, in order."""
    columns: Columns = {
        "id": "id",
        "wave": lambda step: step["wave"] + 1,
        "target": "target",
        "step": lambda step: step.get("title") or step["action"],
        "status": "status",
        "attempt": "attempt",
        "exit": "exit_code",
        "failure": "failure",
    }
    index = None if wave is None else wave - 1
    found = connect().items(f"/deployments/{deployment_id}/steps", limit=limit, wave=index, status=status)
    emit_list(found, columns, as_json=as_json, empty="There are no such steps.")


@deployments.command()
@deployment_argument
@click.option("--limit", type=click.IntRange(1), help="The most to list; all if not given.")
@json_option
def events(*, deployment_id: int, limit: int | None, as_json: bool) -> None:
    """List what happened to it: who did what, when."""
    columns: Columns = {"at": when("at"), "event": "kind", "by": "actor", "what": _told}
    found = connect().items(f"/deployments/{deployment_id}/events", limit=limit)
    emit_list(found, columns, as_json=as_json, empty="Nothing happened to it yet.")


def _steps_done(deployment: Record) -> str:
    progress = deployment["progress"]
    return f"{progress['succeeded']}/{progress['steps']}"


def _told(event: Record) -> str:
    data = event.get("data") or {}
    return " ".join(f"{key}={_short(data, key)}" for key in data if data[key] is not None)


def _short(data: Record, key: str) -> str:
    value = data[key]
    return json.dumps(value) if isinstance(value, dict | list) else cell_of(data, key)
