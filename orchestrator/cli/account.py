"""login, logout, password, whoami."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from orchestrator.cli.context import ConfigFile, connect, find_server, remember
from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json, emit_record
from orchestrator.cli.single_sign_on import sign_on
from orchestrator.client import UnreachableError
from orchestrator.domain.foreign import escaped

USER_FIELDS = {"username": "username", "e-mail": "email", "role": "role", "id": "id", "since": "created_at"}


def password_from(*, from_stdin: bool, confirm: bool = False) -> str:
    """From the first line of stdin, RELEASECTL_PASSWORD, or asked for; never from the command line."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    given = os.environ.get("RELEASECTL_PASSWORD")
    if given:
        return given
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


@click.command()
@click.option("--url", metavar="URL", help="The server; it becomes the one that all commands talk to.")
@click.option("--username", help="User name or e-mail; asked for if not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@click.option("--sso", is_flag=True, help="In your browser, at the OpenID Connect provider of the server.")
@json_option
def login(*, url: str | None, username: str | None, password_stdin: bool, sso: bool, as_json: bool) -> None:
    """Log in to a server and keep the tokens, readable by you only.

    Without --sso, --password-stdin or RELEASECTL_PASSWORD the password is asked for.
    """
    if sso and (username or password_stdin):
        raise click.UsageError("--sso takes no user name and no password: the provider asks for them")
    chosen = url or find_server(os.environ, ConfigFile.of(os.environ), directory=Path.cwd()).url
    client = connect(chosen)
    _warn_of_plain_http(client.base_url)
    if sso:
        client.login_by_provider(sign_on(client))
    else:
        name = username or str(click.prompt("Username", err=True))
        client.login(name, password_from(from_stdin=password_stdin))
    user = client.me()
    remember(client, username=user["username"], is_default=url is not None)
    if as_json:
        emit_json({"url": client.base_url, "user": user})
    else:
        click.echo(
            f"Logged in to {client.base_url} as {escaped(user['username'])} ({escaped(user['role'])})."
        )
    if os.environ.get("RELEASECTL_TOKEN"):
        click.echo("RELEASECTL_TOKEN is set: commands use it, not this login.", err=True)


@click.command()
@click.option("--everywhere", is_flag=True, help="End all your logins, on other machines too.")
@json_option
def logout(*, everywhere: bool, as_json: bool) -> None:
    """End the login at the server and forget the tokens."""
    client = connect()
    if client.tokens.load() is None:
        click.echo("You are not logged in.", err=True)
    else:
        try:
            client.logout(everywhere=everywhere)
        except UnreachableError as error:
            click.echo(f"The tokens are forgotten here, but not ended there: {error.message}", err=True)
    if as_json:
        emit_json({"url": client.base_url})


@click.command()
@json_option
def password(as_json: bool) -> None:
    """Change your password; your other logins end.

    Both are asked for, or read from stdin, a line each, where that is no terminal.
    """
    if sys.stdin.isatty():
        current = str(click.prompt("Current password", hide_input=True, err=True))
        new = str(click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        current, new = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    client = connect()
    client.call("POST", "/auth/password", body={"current_password": current, "password": new})
    if as_json:
        emit_json({"url": client.base_url})
    else:
        click.echo("Your password is changed; your other logins have ended.", err=True)


@click.command()
@json_option
def whoami(as_json: bool) -> None:
    """Show who you are to the server."""
    client = connect()
    user = client.me()
    if not as_json:
        click.echo(f"at {client.base_url}", err=True)
    emit_record(user, USER_FIELDS, as_json=as_json)


def _warn_of_plain_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        click.echo(f"Warning: {url} is not encrypted; others on the way can read the password.", err=True)
