"""targets list, check, scan: what is on them, whether that is so, and the keys of those that are reached over SSH."""

import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from orchestrator import clock
from orchestrator.cli import watching
from orchestrator.cli.completion import complete_application, complete_environment
from orchestrator.cli.context import connect
from orchestrator.cli.exits import ExitCode, WaitTimedOutError
from orchestrator.cli.options import json_option
from orchestrator.cli.output import Columns, emit_list, when
from orchestrator.client import Record
from orchestrator.domain.errors import MisconfiguredError
from orchestrator.targets import known_hosts
from orchestrator.targets.base import TargetError
from orchestrator.targets.known_hosts import HostKey

COLUMNS = {"host": "host", "type": "type", "fingerprint": "fingerprint", "state": "state"}


LISTED: Columns = {
    "application": "application",
    "environment": "environment",
    "target": "target",
    "kind": "kind",
    "version": lambda each: each["version"] or "(nothing)",
    "deployment": "deployment_id",
    "since": when("since"),
    "runs": lambda each: _said(each["drift"]),
}
LOOK_SECONDS = 0.5
CHECK_SECONDS = 60.0


@click.group()
def targets() -> None:
    """Look after the things that get releases."""


@targets.command("list")
@click.argument("application", metavar="[APP]", required=False, shell_complete=complete_application)
@click.option(
    "--env", "environment", metavar="ENV", shell_complete=complete_environment, help="Only this environment."
)
@json_option
def list_targets(*, application: str | None, environment: str | None, as_json: bool) -> None:
    """List targets with what was installed, and what they said when they were asked for it last."""
    found = connect().items("/installations", application=application, environment=environment)
    emit_list(found, LISTED, as_json=as_json, empty="There are no targets yet.")


@targets.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.option("--env", "environment", metavar="ENV", required=True, shell_complete=complete_environment)
@click.option(
    "--timeout", type=click.FloatRange(0), metavar="SECONDS", default=CHECK_SECONDS, show_default=True
)
@json_option
def check(*, application: str, environment: str, timeout: float, as_json: bool) -> None:
    """Ask the targets of APP in ENV what runs there; exit 1 where that is not what was installed.

    The pipeline says how, with `drift`. Exit 124 if not all of them were asked in time.
    """
    client = connect()
    asked = client.call(
        "POST", "/installations/check", body={"application": application, "environment": environment}
    )
    since, deadline = datetime.fromisoformat(asked["asked_at"]), clock.monotonic() + timeout
    while True:
        rows = list(client.items("/installations", application=application, environment=environment))
        answered = [
            each
            for each in rows
            if each["drift"] and datetime.fromisoformat(each["drift"]["checked_at"]) >= since
        ]
        if len(answered) >= asked["targets"] or clock.monotonic() >= deadline:
            break
        watching.pause(LOOK_SECONDS)
    emit_list(answered, LISTED, as_json=as_json, empty="None of them has been asked.")
    if len(answered) < asked["targets"]:
        raise WaitTimedOutError(
            f"only {len(answered)} of {asked['targets']} were asked within {timeout:g} s;"
            " while a deployment goes on there, nobody asks"
        )
    if any(each["drift"]["state"] == "differs" for each in answered):
        raise click.exceptions.Exit(ExitCode.FAILED)


def _said(drift: Record | None) -> str:
    """Empty where nobody asked."""
    if drift is None:
        return ""
    return "as installed" if drift["state"] == "same" else f"{drift['state']}: {drift['detail']}"


@targets.command()
@click.argument("hosts", metavar="HOST[:PORT]...", nargs=-1, required=True)
@click.option(
    "--file",
    "given",
    type=click.Path(path_type=Path),
    help="Instead of known_hosts in the worker's DATA_DIR.",
)
@click.option("--yes", is_flag=True, help="Record new keys without asking.")
@click.option("--replace", is_flag=True, help="Put changed keys in the place of recorded ones, too.")
@json_option
def scan(*, hosts: tuple[str, ...], given: Path | None, yes: bool, replace: bool, as_json: bool) -> None:
    """Show the keys that hosts answer with, and record them for the workers of this node.

    Compare the fingerprints with what `ssh-keygen -lf` says at the host. For a host behind another one:
    `ssh bastion ssh-keyscan web-a | releasectl targets scan --yes -`
    """
    file = given or Path(os.environ.get("DATA_DIR") or ".data") / "known_hosts"
    found = _found(hosts)
    before = known_hosts.recorded(file)
    rows = [
        {
            "host": each.place,
            "type": each.kind,
            "fingerprint": each.fingerprint,
            "state": each.state_in(before),
        }
        for each in found
    ]
    emit_list(rows, COLUMNS, as_json=as_json, empty="No keys were found.")
    _refuse_changed(found, before, replace=replace)
    missing = [each for each in found if each.state_in(before) != "recorded"]
    if not missing:
        click.echo(f"All of them are recorded in {file}.", err=True)
        return
    if not yes:
        click.confirm(f"Record {len(missing)} in {file}?", abort=True, err=True)
    note = f"recorded {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by {getpass.getuser()}"
    try:
        known_hosts.record(file, missing, note=note)
    except OSError as error:
        raise MisconfiguredError(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"Recorded {len(missing)} in {file}.", err=True)


def _found(hosts: tuple[str, ...]) -> list[HostKey]:
    found: list[HostKey] = []
    for host in hosts:
        if host == "-":
            found += known_hosts.read(sys.stdin.read())
            continue
        name, port = _split(host)
        try:
            found += known_hosts.scan(name, port)
        except TargetError as error:
            raise MisconfiguredError(str(error)) from error
    return list(dict.fromkeys(found))


def _split(host: str) -> tuple[str, int]:
    """`host`, `host:port`, `[address]:port`, or an address with colons of its own."""
    name, colon, port = host.rpartition(":")
    if not colon or (":" in name and not name.startswith("[")):
        return host.strip("[]"), 22
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise click.UsageError(f"{host}: the port must be a number from 1 to 65535")
    return name.strip("[]"), int(port)


def _refuse_changed(found: list[HostKey], before: list[HostKey], *, replace: bool) -> None:
    changed = sorted({each.place for each in found if each.state_in(before) == "changed"})
    if changed and not replace:
        raise MisconfiguredError(
            f"{', '.join(changed)} has another key than the recorded one. Somebody else may be answering. "
            "If you know why it changed, add --replace."
        )
