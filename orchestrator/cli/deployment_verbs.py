"""deployments watch, cancel, promote, approve, reject, retry, replan, rollback, resume."""

import click

from orchestrator.cli.attending import attend, detaching, tell_or_attend
from orchestrator.cli.context import connect
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.options import (
    deployment_argument,
    json_option,
    reason_option,
    timeout_option,
    watch_option,
)
from orchestrator.cli.output import emit_json
from orchestrator.cli.views import StandingView, headline, standing
from orchestrator.cli.watching import END_CODES, Follower, Timing
from orchestrator.client import Record
from orchestrator.domain.foreign import escaped
from orchestrator.domain.statuses import DeploymentStatus


@click.command()
@deployment_argument
@timeout_option
@json_option
def watch(*, deployment_id: int, timeout: float | None, as_json: bool) -> None:
    """Show a deployment until it ends.

    The exit code says how it ended. Ctrl-C only leaves.
    """
    attend(connect(), deployment_id, as_json=as_json, timeout_seconds=timeout)


@click.command()
@deployment_argument
@reason_option
@click.option("--wait", is_flag=True, help="Stay until nothing of it runs any more.")
@timeout_option
@json_option
def cancel(
    *, deployment_id: int, reason: str | None, wait: bool, timeout: float | None, as_json: bool
) -> None:
    """Ask for the end of a deployment.

    What runs is stopped, the rest is not begun.
    With --wait, 0 means it was cancelled; if it ended otherwise first, the code says so (5: it succeeded).
    """
    client = connect()
    found = client.cancel(deployment_id, reason=reason)
    if wait:
        with detaching(deployment_id):
            timing = Timing(timeout_seconds=timeout)
            view = StandingView()
            follower = Follower(
                client, deployment_id, view=view, timing=timing, with_log=False, with_steps=False
            )
            found = follower.run()
    _tell(found, as_json=as_json)
    raise click.exceptions.Exit(_code_of_cancel(found) if wait else ExitCode.OK)


@click.command()
@deployment_argument
@reason_option
@json_option
def promote(*, deployment_id: int, reason: str | None, as_json: bool) -> None:
    """Say that it goes on.

    A canary goes to the other targets, or a wait between two waves ends now. To stop it instead: cancel.
    """
    _tell(connect().promote(deployment_id, reason=reason), as_json=as_json)


@click.command()
@deployment_argument
@reason_option
@click.option("--plan", "plan_hash", metavar="HASH", help="Only if its plan is this one.")
@json_option
def approve(*, deployment_id: int, reason: str | None, plan_hash: str | None, as_json: bool) -> None:
    """Say yes to a deployment that asks for it; never to one of your own."""
    _tell(connect().approve(deployment_id, reason=reason, plan_hash=plan_hash), as_json=as_json)


@click.command()
@deployment_argument
@click.option("--reason", required=True, help="Why not.")
@json_option
def reject(*, deployment_id: int, reason: str, as_json: bool) -> None:
    """Say no to a deployment that asks for approval, which ends it."""
    _tell(connect().reject(deployment_id, reason=reason), as_json=as_json)


def _tell(found: Record, *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{headline(found)}  {standing(found)}")


@click.command()
@deployment_argument
@watch_option
@json_option
def retry(*, deployment_id: int, watch: bool, timeout: float | None, as_json: bool) -> None:
    """Deploy the same again, as a new deployment."""
    client = connect()
    made = client.retry(deployment_id)
    tell_or_attend(client, made, watch=watch, as_json=as_json, timeout_seconds=timeout)


@click.command()
@deployment_argument
@watch_option
@json_option
def replan(*, deployment_id: int, watch: bool, timeout: float | None, as_json: bool) -> None:
    """Replace one that has not started, after the pipeline as it is now.

    What was approved has to be approved anew: it is another plan.
    """
    client = connect()
    made = client.replan(deployment_id)
    tell_or_attend(client, made, watch=watch, as_json=as_json, timeout_seconds=timeout)


@click.command()
@deployment_argument
@reason_option
@watch_option
@json_option
def rollback(
    *, deployment_id: int, reason: str | None, watch: bool, timeout: float | None, as_json: bool
) -> None:
    """Deploy what was there before, as a new deployment."""
    client = connect()
    made = client.rollback(deployment_id, reason=reason)
    tell_or_attend(client, made, watch=watch, as_json=as_json, timeout_seconds=timeout)


@click.command()
@deployment_argument
@click.option("--answer", required=True, type=click.Choice(["retry", "skip", "fail", "rollback"]))
@click.option("--step", "step_id", type=click.IntRange(1), metavar="STEP", help="The step's id.")
@json_option
def resume(*, deployment_id: int, answer: str, step_id: int | None, as_json: bool) -> None:
    """Answer what a paused deployment asks.

    About a step whose end is unknown, because its target cannot tell; look at the target first:
    retry: it did not happen, do it. skip: it happened. fail: give it up.

    About too many targets that failed: retry: try again on those that failed last. skip: go on without them.
    rollback: put back what was there. fail: leave things as they are.
    """
    found = connect().resume(deployment_id, answer=answer, step_id=step_id)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"deployment {deployment_id}  answered: {escaped(answer)}")


@click.command()
@deployment_argument
@json_option
def claim(*, deployment_id: int, as_json: bool) -> None:
    """Take it on to answer what a paused deployment asks.

    Everybody sees that you have, and nobody else is heard. Whoever claims it after you takes it from you.
    """
    found = connect().claim(deployment_id)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"deployment {deployment_id}  claimed; answer it with `releasectl deployments resume`")


@click.command()
@deployment_argument
@json_option
def skip(*, deployment_id: int, as_json: bool) -> None:
    """Go on without the targets that failed; the same as `resume --answer skip`."""
    found = connect().resume(deployment_id, answer="skip")
    if as_json:
        emit_json(found)
    else:
        click.echo(f"deployment {deployment_id}  answered: skip")


def _code_of_cancel(deployment: Record) -> ExitCode:
    """Being cancelled is what was asked for; to have succeeded first is a conflict with it."""
    status = DeploymentStatus(deployment["status"])
    if status is DeploymentStatus.CANCELLED:
        return ExitCode.OK
    return END_CODES[status] or ExitCode.CONFLICT
