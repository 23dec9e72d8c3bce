"""deploy and promote: send a release to an environment."""

from typing import Any

import click

from orchestrator.cli.attending import tell_or_attend
from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, reason_option, watch_option
from orchestrator.cli.times import read_instant

_APPLICATION = click.argument("application", metavar="APP", shell_complete=complete_application)


def _options(command: Any) -> Any:
    """What every request may say."""
    for option in reversed(
        (
            click.option(
                "--to",
                "environment",
                required=True,
                metavar="ENV",
                shell_complete=complete_environment,
                help="Where to.",
            ),
            reason_option,
            click.option(
                "--at",
                "at",
                metavar="TIME",
                help="Not before this time, such as 2026-12-01T09:00 (yours) or ...Z, or +2h.",
            ),
            click.option(
                "--expires", "expires", metavar="TIME", help="Give up if it has not started by then."
            ),
            click.option(
                "--allow-downgrade",
                is_flag=True,
                help="Let it be an older release than the one that runs there.",
            ),
            click.option(
                "--override-windows",
                is_flag=True,
                help="Start outside the windows (operators; needs --reason).",
            ),
            watch_option,
            json_option,
        )
    ):
        command = option(command)
    return command


@click.command()
@_APPLICATION
@click.argument("version")
@_options
def deploy(*, application: str, version: str, **given: Any) -> None:
    """Send release VERSION of APP to an environment.

    It is accepted at once and goes on without you. With --watch you see it, and the exit code says how it
    ended; Ctrl-C only leaves.
    """
    _request(application, version=version, **given)


@click.command()
@_APPLICATION
@click.option(
    "--from",
    "from_environment",
    required=True,
    metavar="ENV",
    shell_complete=complete_environment,
    help="Take what succeeded there last.",
)
@_options
def promote(*, application: str, from_environment: str, **given: Any) -> None:
    """Send what APP has in one environment to another.

    As with deploy, its gates are looked at when it starts.
    """
    _request(application, from_environment=from_environment, **given)


def _request(
    application: str,
    *,
    environment: str,
    at: str | None,
    expires: str | None,
    allow_downgrade: bool,
    override_windows: bool,
    watch: bool,
    timeout: float | None,
    as_json: bool,
    **given: str | None,
) -> None:
    client = connect()
    made = client.request_deployment(
        application,
        environment=environment,
        scheduled_for=read_instant("--at", at),
        expires_at=read_instant("--expires", expires),
        allow_downgrade=allow_downgrade or None,
        override_windows=override_windows or None,
        **given,
    )
    tell_or_attend(client, made, watch=watch, as_json=as_json, timeout_seconds=timeout)
