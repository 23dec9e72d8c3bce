"""audit list, export, verify: what happened, and whether that is all of it."""

from pathlib import Path

import click
import orjson

from orchestrator.cli.context import connect
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.options import json_option, limit_option
from orchestrator.cli.output import Columns, emit_json, emit_list
from orchestrator.domain.audit import Fault, Seal
from orchestrator.domain.audit import verify as faults_of
from orchestrator.domain.foreign import escaped

MOST_SHOWN = 20
TELL_EVERY = 10_000
FIELDS: Columns = {
    "at": "at",
    "subject": "subject",
    "event": "kind",
    "by": "actor",
    "what": lambda entry: " ".join(
        f"{key}={value}" for key, value in entry["data"].items() if value is not None
    ),
}


@click.group()
def audit() -> None:
    """Say what happened, and prove that nothing was changed or left out."""


@audit.command("list")
@click.option("--subject", metavar="SUBJECT", help="Such as deployment:42, user:3, lock:7.")
@limit_option
@json_option
def list_entries(*, subject: str | None, limit: int, as_json: bool) -> None:
    """List what happened, the oldest first (operators)."""
    found = connect().items("/audit/", limit=limit, subject=subject)
    emit_list(found, FIELDS, as_json=as_json, empty="Nothing happened.")


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def export(*, file: Path, as_json: bool) -> None:
    """Write everything that happened to FILE, an entry a line, and a seal at the end (operators).

    Keep the digest it prints elsewhere: who may change the file cannot change that.
    """
    seal, partial = Seal(), file.with_name(f"{file.name}.partial")
    with partial.open("wb") as written:
        for entry in connect().items("/audit/"):
            written.write(orjson.dumps(entry) + b"\n")
            seal.add(entry)
            if seal.entries % TELL_EVERY == 0:
                click.echo(f"{seal.entries} entries", err=True)
        written.write(orjson.dumps(seal.document()) + b"\n")
    partial.replace(file)
    _tell(seal, as_json=as_json)


@audit.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--digest", metavar="DIGEST", help="What the export printed; without it only the file is asked."
)
@json_option
def verify(*, file: Path, digest: str | None, as_json: bool) -> None:
    """Check an export, without any server: each entry that was changed, moved, left out or cut off.

    The exit code is 1 where something is wrong.
    """
    with file.open("rb") as lines:
        faults = list(faults_of(lines))
    seal = _seal_of(file)
    if digest is not None and seal["digest"] != digest:
        faults.append(
            Fault(int(str(seal["entries"])) + 1, "is the seal of another export: its digest is another")
        )
    if as_json:
        emit_json({"seal": seal, "faults": [{"line": each.line, "says": each.says} for each in faults]})
    else:
        for fault in faults[:MOST_SHOWN]:
            click.echo(f"line {fault.line}: {escaped(fault.says)}")
        if len(faults) > MOST_SHOWN:
            click.echo(f"and {len(faults) - MOST_SHOWN} more")
        if not faults:
            click.echo(f"{seal['entries']} entries, each as it was written; digest {seal['digest']}")
    raise click.exceptions.Exit(ExitCode.FAILED if faults else ExitCode.OK)


def _seal_of(file: Path) -> dict[str, object]:
    """What the last line says; nothing of that where it is none."""
    *_, last = [b"", *file.read_bytes().rstrip(b"\n").rsplit(b"\n", 1)]
    try:
        found = orjson.loads(last)["seal"]
        return {"entries": int(found["entries"]), "digest": str(found["digest"])}
    except (ValueError, TypeError, KeyError):
        return {"entries": 0, "digest": ""}


def _tell(seal: Seal, *, as_json: bool) -> None:
    document = seal.document()["seal"]
    if as_json:
        emit_json(document)
    else:
        click.echo(f"{document['entries']} entries, digest {document['digest']}")
