"""hook add, list, show, remove: letting others announce releases."""

import click

from orchestrator.cli.completion import complete_application
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_json, emit_list, emit_record
from orchestrator.domain.inbound import Sender

FIELDS: Columns = {
    "hook": "id",
    "from": "sender",
    "application": "application",
    "prefix": "tag_prefix",
    "path": "path",
    "by": "created_by",
}
_id = click.argument("hook_id", metavar="ID", type=click.IntRange(1))


@click.group()
def hook() -> None:
    """Let GitHub, GitLab and others announce releases."""


@hook.command("add")
@click.argument("sender", type=click.Choice([str(each) for each in Sender]))
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.option(
    "--tag-prefix",
    default="v",
    show_default=True,
    help="What stands before the version in a tag, if it does.",
)
@json_option
def add(*, sender: str, application: str, tag_prefix: str, as_json: bool) -> None:
    """Let SENDER announce releases of APP, in your name.

    The secret goes to stdout, this once: give it to the sender with the path.
    """
    client = connect()
    body = {"sender": sender, "application": application, "tag_prefix": tag_prefix}
    made = client.call("POST", "/hooks/", body=body)
    if as_json:
        emit_json(made)
        return
    click.echo(f"hook {made['id']}: messages go to {client.base_url}{made['path']}", err=True)
    click.echo("nobody can show its secret again:", err=True)
    click.echo(made["secret"])


@hook.command("list")
@limit_option
@json_option
def list_hooks(*, limit: int, as_json: bool) -> None:
    """List those that were not removed."""
    emit_list(connect().items("/hooks/", limit=limit), FIELDS, as_json=as_json, empty="There are no hooks.")


@hook.command()
@_id
@json_option
def show(*, hook_id: int, as_json: bool) -> None:
    """Show one."""
    emit_record(connect().call("GET", f"/hooks/{hook_id}"), FIELDS, as_json=as_json)


@hook.command()
@_id
@json_option
def remove(*, hook_id: int, as_json: bool) -> None:
    """Believe it nothing more."""
    emit_record(connect().call("DELETE", f"/hooks/{hook_id}"), FIELDS, as_json=as_json)
