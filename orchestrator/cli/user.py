"""user create, list."""

import click

from orchestrator.cli.account import USER_FIELDS, password_from
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when


@click.group()
def user() -> None:
    """Create and list users."""


@user.command()
@click.argument("username")
@click.option("--email", required=True)
@click.option("--role", type=click.Choice(["viewer", "deployer", "operator", "admin"]))
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@json_option
def create(*, username: str, email: str, role: str | None, password_stdin: bool, as_json: bool) -> None:
    """Create a user. The first one becomes admin; after that an admin creates them."""
    password = password_from(from_stdin=password_stdin, confirm=True)
    body = {"username": username, "email": email, "password": password, **({"role": role} if role else {})}
    emit_record(connect().create("/users/", body), USER_FIELDS, as_json=as_json)


@user.command("list")
@limit_option
@json_option
def list_users(limit: int, as_json: bool) -> None:
    """List users."""
    columns: Columns = {
        "username": "username",
        "e-mail": "email",
        "role": "role",
        "active": lambda found: "yes" if found.get("active") else "no",
        "created": when("created_at"),
    }
    emit_list(connect().items("/users/", limit=limit), columns, as_json=as_json, empty="There are no users.")
