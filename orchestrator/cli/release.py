"""release create, list, show."""

import hashlib
import sys
from pathlib import Path

import click

from orchestrator.cli.completion import complete_application
from orchestrator.cli.context import connect
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_list, emit_record, when
from orchestrator.cli.times import read_instant
from orchestrator.client import Record
from orchestrator.domain.errors import NotFoundError

FIELDS = {
    "id": "id",
    "application": "name",
    "version": "version",
    "status": "status",
    "artifact": "artifact",
    "SHA-256": "artifact_sha256",
    "created by": "created_by",
    "created": "created_at",
    "committed": "committed_at",
    "changes": "changes",
}


@click.group()
def release() -> None:
    """Record and look up releases: immutable versions of applications."""


@release.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.argument("version")
@click.option("--artifact", help="What is shipped: an image, a file's URL, a commit.")
@click.option(
    "--sha256",
    metavar="HEX|@FILE",
    help="The artifact's checksum, for `files`; @FILE computes it of a file here.",
)
@click.option("--changes", metavar="TEXT|@FILE", help="What is new; @FILE reads a file, @- reads stdin.")
@click.option(
    "--committed-at",
    metavar="TIME",
    help='When its change was committed: "$(git log -1 --format=%cI)". Lead times are counted from it.',
)
@json_option
def create(
    *,
    application: str,
    version: str,
    artifact: str | None,
    sha256: str | None,
    changes: str | None,
    committed_at: str | None,
    as_json: bool,
) -> None:
    """Record VERSION of APP. A version that is there already is a conflict (exit 5)."""
    body = {
        "name": application,
        "version": version,
        "artifact": artifact,
        "artifact_sha256": _checksum(sha256),
        "changes": _text(changes),
        "committed_at": read_instant("--committed-at", committed_at),
    }
    made = connect().create("/releases/", {key: value for key, value in body.items() if value is not None})
    emit_record(made, FIELDS, as_json=as_json)


@release.command("list")
@click.argument("application", metavar="[APP]", required=False, shell_complete=complete_application)
@click.option("--status", help="Only those with this status.")
@limit_option
@json_option
def list_releases(*, application: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List releases, the newest first."""
    columns: Columns = {**{name: FIELDS[name] for name in list(FIELDS)[:5]}, "created": when("created_at")}
    found = connect().items("/releases/", limit=limit, name=application, status=status)
    emit_list(found, columns, as_json=as_json, empty="There are no such releases.")


@release.command()
@click.argument("application", metavar="APP", shell_complete=complete_application)
@click.argument("version")
@json_option
def show(*, application: str, version: str, as_json: bool) -> None:
    """Show one release."""
    found: Record | None = next(
        connect().items("/releases/", limit=1, name=application, version=version), None
    )
    if found is None:
        raise NotFoundError(f"There is no release {application} {version}: see `releasectl release list`.")
    emit_record(found, FIELDS, as_json=as_json)


def _checksum(sha256: str | None) -> str | None:
    if sha256 is None or not sha256.startswith("@"):
        return sha256 and sha256.lower()
    try:
        with Path(sha256[1:]).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise click.UsageError(f"--sha256: {sha256[1:]} cannot be read: {error}") from error


def _text(changes: str | None) -> str | None:
    if changes is None or not changes.startswith("@"):
        return changes
    if changes == "@-":
        return sys.stdin.read()
    try:
        return Path(changes[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--changes: {changes[1:]} cannot be read: {error}") from error
