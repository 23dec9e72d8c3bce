"""webhook add, list, show, deliveries, replay, rotate, test, remove: whom to tell what happens."""

import sys

import click

from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, Record, emit_json, emit_list, emit_record, when

FIELDS: Columns = {
    "webhook": "id",
    "name": "name",
    "kind": "kind",
    "to": lambda found: " ".join(str(value) for value in found["settings"].values()),
    "events": lambda found: ", ".join(found["events"]),
    "applications": lambda found: ", ".join(found["applications"]) or "all",
    "environments": lambda found: ", ".join(found["environments"]) or "all",
    "disabled": "disabled_because",
    "by": "created_by",
}
DELIVERY: Columns = {
    "delivery": "id",
    "event": "event",
    "about": "subject",
    "status": "status",
    "tries": "tries",
    "last": when("last_at"),
    "answer": "last_detail",
    "next": when("next_at"),
}
_id = click.argument("webhook_id", metavar="ID", type=click.IntRange(1))


@click.group()
def webhook() -> None:
    """Tell programs and people what happens."""


@webhook.command("add")
@click.argument("url", required=False)
@click.option("--name", required=True, help="What you call it.")
@click.option("--kind", default="webhook", show_default=True, help="webhook, slack, email or github.")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the kind, once or more; KEY=- reads it from stdin, so that no list of processes shows it.",
)
@click.option(
    "--event",
    "events",
    multiple=True,
    required=True,
    metavar="KIND",
    help="Such as deployment.failed, 'deployment.*' or '*'; once or more.",
)
@click.option(
    "--application",
    "applications",
    multiple=True,
    metavar="APP",
    shell_complete=complete_application,
    help="Only this one (and others named); all if not given.",
)
@click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="ENV",
    shell_complete=complete_environment,
    help="Only this one (and others named); all if not given.",
)
@json_option
def add(  # noqa: PLR0917 - click passes them by name
    url: str | None,
    name: str,
    kind: str,
    given: tuple[str, ...],
    events: tuple[str, ...],
    applications: tuple[str, ...],
    environments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell URL, or another kind of receiver, what happens from now on.

    The secret of its signatures goes to stdout, this once: give it to the receiver.
    """
    body = {
        "name": name,
        "kind": kind,
        "settings": read_settings(given) | ({} if url is None else {"url": url}),
        "events": list(events),
        "applications": list(applications),
        "environments": list(environments),
    }
    _emit_secret(connect().call("POST", "/webhooks/", body=body), as_json=as_json)


@webhook.command("list")
@limit_option
@json_option
def list_webhooks(*, limit: int, as_json: bool) -> None:
    """List those that were not removed."""
    found = connect().items("/webhooks/", limit=limit)
    emit_list(found, FIELDS, as_json=as_json, empty="There are no webhooks.")


@webhook.command()
@_id
@json_option
def show(*, webhook_id: int, as_json: bool) -> None:
    """Show one."""
    emit_record(connect().call("GET", f"/webhooks/{webhook_id}"), FIELDS, as_json=as_json)


@webhook.command()
@_id
@click.option("--status", type=click.Choice(["pending", "delivered", "dead"]))
@click.option("--delivery", type=click.IntRange(1), metavar="ID", help="Show the tries of this one.")
@limit_option
@json_option
def deliveries(
    *, webhook_id: int, status: str | None, delivery: int | None, limit: int, as_json: bool
) -> None:
    """List what it was told, or is to be told."""
    path = f"/webhooks/{webhook_id}/deliveries"
    if delivery is None:
        found = connect().items(path, limit=limit, status=status)
        emit_list(found, DELIVERY, as_json=as_json, empty="Nothing was told.")
        return
    one = connect().call("GET", f"{path}/{delivery}")
    emit_record(one, DELIVERY, as_json=as_json)
    if not as_json:
        tries: Columns = {
            "tried": when("at"),
            "took": lambda each: f"{each['milliseconds']} ms",
            "answer": "detail",
        }
        emit_list(one["log"], tries, as_json=False, empty="It was not tried yet.")


@webhook.command()
@_id
@click.option(
    "--delivery", type=click.IntRange(1), metavar="ID", help="This one; all dead ones if not given."
)
@json_option
def replay(*, webhook_id: int, delivery: int | None, as_json: bool) -> None:
    """Have it told again what was given up, or one delivery whatever became of it."""
    if delivery is not None:
        path = f"/webhooks/{webhook_id}/deliveries/{delivery}/replay"
        emit_record(connect().call("POST", path), DELIVERY, as_json=as_json)
        return
    found = connect().call("POST", f"/webhooks/{webhook_id}/replay")
    emit_record(found, {"replayed": "replayed"}, as_json=as_json)


@webhook.command()
@_id
@json_option
def rotate(*, webhook_id: int, as_json: bool) -> None:
    """Give it another secret, on stdout, this once; for a day messages are signed with the old one as well."""
    _emit_secret(connect().call("POST", f"/webhooks/{webhook_id}/rotate"), as_json=as_json)


@webhook.command()
@_id
@json_option
def test(*, webhook_id: int, as_json: bool) -> None:
    """Have it told a test; `deliveries` shows what came of it."""
    emit_record(connect().call("POST", f"/webhooks/{webhook_id}/test"), DELIVERY, as_json=as_json)


@webhook.command()
@_id
@json_option
def remove(*, webhook_id: int, as_json: bool) -> None:
    """Tell it nothing more."""
    emit_record(connect().call("DELETE", f"/webhooks/{webhook_id}"), FIELDS, as_json=as_json)


def read_settings(given: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` as a mapping; a value `-` is a line of stdin."""
    settings = {}
    for each in given:
        key, found, value = each.partition("=")
        if not found or not key:
            raise click.BadParameter(f"{each!r} is not KEY=VALUE", param_hint="--set")
        settings[key] = sys.stdin.readline().rstrip("\r\n") if value == "-" else value
    return settings


def _emit_secret(made: Record, *, as_json: bool) -> None:
    if as_json:
        emit_json(made)
        return
    if made["secret"] is None:
        click.echo(f"webhook {made['id']}", err=True)
        return
    click.echo(f"webhook {made['id']}; nobody can show its secret again:", err=True)
    click.echo(made["secret"])
