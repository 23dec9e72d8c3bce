"""token create, list, revoke: for machines."""

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_json, emit_list, emit_record, when
from orchestrator.cli.times import read_instant
from orchestrator.domain.limits import SCOPES

FIELDS: Columns = {
    "id": "id",
    "name": "name",
    "begins": "hint",
    "of": "username",
    "for": lambda found: ", ".join(found["scopes"]),
    "applications": lambda found: ", ".join(found["applications"]) or "all",
    "environments": lambda found: ", ".join(found["environments"]) or "all",
    "expires": when("expires_at"),
    "used": when("last_used_at"),
}


@click.group()
def token() -> None:
    """Make API tokens for machines, list and revoke them."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([str(scope) for scope in SCOPES]),
    help="What it may do, of what you may; reading is part of each.",
)
@click.option(
    "--application",
    "applications",
    multiple=True,
    metavar="APP",
    shell_complete=complete_application,
    help="Let it change only this one (and others named); all if not given.",
)
@click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="ENV",
    shell_complete=complete_environment,
    help="Let it change only this one (and others named); all if not given.",
)
@click.option("--expires", metavar="TIME", help="Such as +30d; in 90 days if not given.")
@json_option
def create(
    *,
    name: str,
    scopes: tuple[str, ...],
    applications: tuple[str, ...],
    environments: tuple[str, ...],
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a token called NAME. It goes to stdout, this once: give it to a machine as RELEASECTL_TOKEN."""
    body = {
        "name": name,
        "scopes": list(scopes),
        "applications": list(applications),
        "environments": list(environments),
        "expires_at": read_instant("--expires", expires),
    }
    made = connect().call("POST", "/tokens/", body=body)
    if as_json:
        emit_json(made)
        return
    click.echo(f"token {made['id']}, until {made['expires_at']}; nobody can show it again:", err=True)
    click.echo(made["token"])


@token.command("list")
@click.option("--all", "everybodys", is_flag=True, help="Those of everybody (admins).")
@limit_option
@json_option
def list_tokens(*, everybodys: bool, limit: int, as_json: bool) -> None:
    """List the tokens that were not revoked."""
    query = {"all": "true"} if everybodys else {}
    found = connect().items("/tokens/", limit=limit, **query)
    emit_list(found, FIELDS, as_json=as_json, empty="There are no tokens.")


@token.command()
@click.argument("token_id", metavar="ID", type=click.IntRange(1))
@json_option
def revoke(*, token_id: int, as_json: bool) -> None:
    """Make a token worth nothing, at once."""
    emit_record(connect().call("DELETE", f"/tokens/{token_id}"), FIELDS, as_json=as_json)
