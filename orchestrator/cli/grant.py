"""grant list, add, remove: roles for one application."""

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when
from orchestrator.domain.access import GRANTED_ROLES

FIELDS: Columns = {
    "id": "id",
    "application": "application",
    "who": lambda found: found["user"] or f"team {found['team']}",
    "role": "role",
    "environments": lambda found: ", ".join(found["environments"]) or "all",
    "by": "created_by",
    "since": when("created_at"),
}
user_option = click.option("--user", metavar="NAME")
team_option = click.option("--team", metavar="TEAM")


@click.group()
def grant() -> None:
    """Give a user or a team a role for one application, and take it away."""


@grant.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.argument("role", type=click.Choice([str(role) for role in GRANTED_ROLES]))
@user_option
@team_option
@click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="ENV",
    shell_complete=complete_environment,
    help="Only in this one (and others named); in all that are not restricted if not given.",
)
@json_option
def add(
    *,
    application: str,
    role: str,
    user: str | None,
    team: str | None,
    environments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Give --user or --team the ROLE for APP, from their next request on.

    The application's owner and admins may, and nobody gives more than they have there.
    """
    if (user is None) == (team is None):
        raise click.UsageError("Give --user or --team, one of them.")
    body = {
        "application": application,
        "role": role,
        "environments": list(environments),
        **({"user": user} if user else {"team": team}),
    }
    emit_record(connect().create("/grants/", body), FIELDS, as_json=as_json)


@grant.command("list")
@click.option("--application", metavar="APP", shell_complete=complete_application)
@user_option
@team_option
@limit_option
@json_option
def list_grants(*, limit: int, as_json: bool, **given: str | None) -> None:
    """List the grants that were not removed."""
    query = {name: value for name, value in given.items() if value is not None}
    found = connect().items("/grants/", limit=limit, **query)
    emit_list(found, FIELDS, as_json=as_json, empty="There are no grants.")


@grant.command()
@click.argument("grant_id", metavar="ID", type=click.IntRange(1))
@json_option
def remove(*, grant_id: int, as_json: bool) -> None:
    """Take a role away, from the next request on."""
    emit_record(connect().call("DELETE", f"/grants/{grant_id}"), FIELDS, as_json=as_json)
