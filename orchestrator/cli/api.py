"""api: any request, with this user's tokens."""

import json
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.context import connect
from orchestrator.cli.exits import show_error
from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json
from orchestrator.client import API, Answer, ApiError
from orchestrator.client.problems import problem_of
from orchestrator.domain.foreign import cleaned

OUTSIDE = ("/api/", "/health", "/metrics", "/openapi.json", "/docs")


@click.command()
@click.argument("method")
@click.argument("path")
@click.option("-f", "--field", "texts", multiple=True, metavar="KEY=TEXT", help="A field of the body.")
@click.option(
    "-F", "--typed", multiple=True, metavar="KEY=JSON", help="A field that is no text: 3, true, []."
)
@click.option("--input", "source", metavar="FILE", help="Send this file as the body; - is stdin.")
@click.option(
    "-H", "--header", "lines", multiple=True, metavar="NAME:VALUE", help="A header, such as If-Match."
)
@click.option("--content-type", default="application/json", show_default=True)
@json_option
def api(
    *,
    method: str,
    path: str,
    texts: tuple[str, ...],
    typed: tuple[str, ...],
    source: str | None,
    lines: tuple[str, ...],
    content_type: str,
    as_json: bool,
) -> None:
    """Send METHOD to PATH and print the answer; PATH is under /api/v1 unless it begins with /api/ or /health.

    releasectl api POST /releases/ -f name=shop -f version=1.0.0
    """
    fields = dict([_pair(each) for each in texts] + [_typed_pair(each) for each in typed])
    if fields and source:
        raise click.UsageError("Give fields or --input, not both.")
    body = _read(source) if source else json.dumps(fields).encode() if fields else None
    place = path if path.startswith("/") else f"/{path}"
    headers = dict(_header(each) for each in lines)
    if body is not None:
        headers["Content-Type"] = content_type
    full = place if place.startswith(OUTSIDE) else API + place
    answer = connect().request(method.upper(), full, body=body, headers=headers)
    _print(answer, as_json=as_json)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise click.exceptions.Exit(show_error(ApiError(problem_of(answer))))


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json or "json" in answer.headers.get("Content-Type", ""):
        emit_json(answer.json())
        return
    for line in answer.body.decode("utf-8", "replace").splitlines():
        click.echo(cleaned(line, colours=False) if sys.stdout.isatty() else line)


def _pair(field: str) -> tuple[str, Any]:
    key, equals, value = field.partition("=")
    if not equals or not key:
        raise click.UsageError(f"{field!r}: write it as KEY=VALUE.")
    return key, value


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise click.UsageError(f"{line!r}: write it as NAME:VALUE.")
    return name.strip(), value.strip()


def _typed_pair(field: str) -> tuple[str, Any]:
    key, value = _pair(field)
    try:
        return key, json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"{field!r}: {value!r} is not JSON.") from error


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{source} cannot be read: {error.strerror}") from error
