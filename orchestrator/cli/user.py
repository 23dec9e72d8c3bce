"""user create, change, list."""

import click

from orchestrator.cli.account import USER_FIELDS, password_from
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when

ROLES = ["viewer", "deployer", "operator", "admin"]


@click.group()
def user() -> None:
    """Create, change and list users."""


@user.command()
@click.argument("username")
@click.option("--email", required=True)
@click.option("--role", type=click.Choice(ROLES))
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@json_option
def create(*, username: str, email: str, role: str | None, password_stdin: bool, as_json: bool) -> None:
    """Create a user. The first one becomes admin; after that an admin creates them."""
    password = password_from(from_stdin=password_stdin, confirm=True)
    body = {"username": username, "email": email, "password": password, **({"role": role} if role else {})}
    emit_record(connect().create("/users/", body), USER_FIELDS, as_json=as_json)


@user.command()
@click.argument("user_id", metavar="ID", type=click.IntRange(1))
@click.option("--role", type=click.Choice(ROLES))
@click.option("--team", "teams", multiple=True, metavar="TEAM", help="All teams they are in.")
@click.option("--no-teams", is_flag=True, help="They are in no team.")
@click.option("--active/--inactive", default=None, help="Who is inactive is logged out at once.")
@click.option("--email")
@json_option
def change(*, user_id: int, teams: tuple[str, ...], no_teams: bool, as_json: bool, **given: object) -> None:
    """Change a user (admins); people may change their own --email."""
    body = {name: value for name, value in given.items() if value is not None}
    if teams or no_teams:
        body["teams"] = list(teams)
    emit_record(connect().call("PATCH", f"/users/{user_id}", body=body), USER_FIELDS, as_json=as_json)


@user.command("list")
@limit_option
@json_option
def list_users(limit: int, as_json: bool) -> None:
    """List users."""
    columns: Columns = {
        "id": "id",
        "username": "username",
        "e-mail": "email",
        "role": "role",
        "teams": lambda found: ", ".join(found["teams"]),
        "active": lambda found: "yes" if found.get("active") else "no",
        "created": when("created_at"),
    }
    emit_list(connect().items("/users/", limit=limit), columns, as_json=as_json, empty="There are no users.")
