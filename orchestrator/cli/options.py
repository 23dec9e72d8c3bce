"""Options that many commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="The most to list."
)
reason_option = click.option("--reason", help="Why, for those who read it later.")
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Stop waiting after this long (exit 124); the deployment goes on.",
)
deployment_argument = click.argument("deployment_id", metavar="ID", type=click.IntRange(1))


def watch_option(command: Command) -> Command:
    """`--watch`, and with it `--timeout`."""
    return click.option("--watch", is_flag=True, help="Stay and show it until it ends.")(
        timeout_option(command)
    )
