"""targets scan: the keys of hosts that workers reach over SSH."""

import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_list
from orchestrator.domain.errors import MisconfiguredError
from orchestrator.targets import known_hosts
from orchestrator.targets.base import TargetError
from orchestrator.targets.known_hosts import HostKey

COLUMNS = {"host": "host", "type": "type", "fingerprint": "fingerprint", "state": "state"}


@click.group()
def targets() -> None:
    """Look after the hosts that get releases."""


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
