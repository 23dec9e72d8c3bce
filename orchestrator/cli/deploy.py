"""deploy: send a release to an environment."""

import click

from orchestrator.cli.attending import tell_or_attend
from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, reason_option, watch_option
from orchestrator.cli.times import read_instant


@click.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.argument("version")
@click.option(
    "--to", "environment", required=True, metavar="ENV", shell_complete=complete_environment, help="Where to."
)
@reason_option
@click.option(
    "--at",
    "at",
    metavar="TIME",
    help="Not before this time, such as 2026-12-01T09:00 (yours) or ...Z, or +2h.",
)
@click.option("--expires", "expires", metavar="TIME", help="Give up if it has not started by then.")
@click.option(
    "--allow-downgrade", is_flag=True, help="Let it be an older release than the one that runs there."
)
@click.option(
    "--override-windows", is_flag=True, help="Start outside the windows (operators; needs --reason)."
)
@watch_option
@json_option
def deploy(
    *,
    application: str,
    version: str,
    environment: str,
    reason: str | None,
    at: str | None,
    expires: str | None,
    allow_downgrade: bool,
    override_windows: bool,
    watch: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Send release VERSION of APP to an environment.

    It is accepted at once and goes on without you. With --watch you see it, and the exit code says how it
    ended; Ctrl-C only leaves.
    """
    client = connect()
    made = client.request_deployment(
        application,
        version,
        environment=environment,
        reason=reason,
        scheduled_for=read_instant("--at", at),
        expires_at=read_instant("--expires", expires),
        allow_downgrade=allow_downgrade or None,
        override_windows=override_windows or None,
    )
    tell_or_attend(client, made, watch=watch, as_json=as_json, timeout_seconds=timeout)
