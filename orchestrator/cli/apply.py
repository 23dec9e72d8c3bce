"""apply: store a pipeline; what is wrong with it is told like a compiler does."""

import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.context import connect
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json
from orchestrator.client import ApiError
from orchestrator.domain.errors import FieldProblem
from orchestrator.domain.foreign import cleaned, escaped


@click.command()
@click.option(
    "-f", "--file", "file", required=True, type=click.Path(dir_okay=False), help="YAML; - is stdin."
)
@click.option("--application", metavar="APP", help="The application, if the file does not name it.")
@click.option("--dry-run", is_flag=True, help="Check it at the server, change nothing.")
@json_option
def apply(*, file: str, application: str | None, dry_run: bool, as_json: bool) -> None:
    """Store the pipeline of an application: its environments, and how to deploy in each."""
    source = _read(file)
    name = "<stdin>" if file == "-" else file
    target = application or _application_of(source, file=name)
    try:
        found = connect().apply_pipeline(target, source, dry_run=dry_run)
    except ApiError as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY or not error.problem.errors:
            raise
        if as_json:
            emit_json({"errors": [_as_record(each) for each in error.problem.errors]})
        _tell_all(error.problem.errors, source=source, file=name)
        raise click.exceptions.Exit(ExitCode.USAGE) from error
    for warning in found.get("warnings") or ():
        click.echo(f"{name}: warning: {escaped(_text_of(warning))}", err=True)
    if as_json:
        emit_json(found)
    else:
        click.echo(_summary(found, dry_run=dry_run))


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error


def _application_of(source: bytes, *, file: str) -> str:
    """The name in the file. What is no YAML is told here: it has no name to ask the server with."""
    import yaml  # noqa: PLC0415 - only this command needs it

    try:
        found = yaml.safe_load(source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = FieldProblem("", error.problem or "not YAML", mark.line + 1 if mark else None)
        _tell_all((problem,), source=source, file=file)
        raise click.exceptions.Exit(ExitCode.USAGE) from error
    except yaml.YAMLError as error:
        raise click.UsageError(f"{file} is not YAML: {escaped(error)}") from error
    name = found.get("application") if isinstance(found, dict) else None
    if not isinstance(name, str) or not name:
        raise click.UsageError(f"{file} names no application: begin it with `application: NAME`.")
    return name


def _summary(found: dict[str, Any], *, dry_run: bool) -> str:
    names = [each["name"] if isinstance(each, dict) else each for each in found.get("environments") or ()]
    where = escaped(" -> ".join(str(name) for name in names))
    what = escaped(found["application"])
    if dry_run:
        return (
            f"{what}: valid, {'would change' if found.get('changed') else 'nothing would change'} ({where})"
        )
    state = "stored as" if found.get("changed") else "unchanged at"
    return f"{what}: {state} revision {escaped(found['revision'])} ({where})"


def _tell_all(problems: tuple[FieldProblem, ...], *, source: bytes, file: str) -> None:
    lines = source.decode("utf-8", "replace").splitlines()
    for problem in problems:
        for told in marked(problem, lines=lines, file=file):
            click.echo(told, err=True)
    click.echo(f"releasectl: {file} was not stored: {len(problems)} to mend.", err=True)


def marked(problem: FieldProblem, *, lines: list[str], file: str) -> list[str]:
    """`file:line: where: what`, then the line itself with a caret under what is meant."""
    path = dotted(problem.pointer)
    known = problem.line is not None and 1 <= problem.line <= len(lines)
    place = f"{file}:{problem.line}" if problem.line is not None else file
    told = [": ".join(part for part in (place, escaped(path), escaped(problem.detail)) if part)]
    if known and problem.line is not None:
        text = cleaned(lines[problem.line - 1].replace("\t", " "), colours=False)
        last = path.rpartition(".")[2]
        at = text.find(last) if last and last in text else len(text) - len(text.lstrip())
        length = len(last) if last and last in text else 1
        told += [f"  {problem.line:>4} | {text}", f"       | {' ' * at}{'^' * length}"]
    return told


def dotted(pointer: str) -> str:
    """A JSON pointer as people write it: /environments/production/after -> environments.production.after."""
    parts = pointer.strip("/").split("/")
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _as_record(problem: FieldProblem) -> dict[str, object]:
    return {"pointer": problem.pointer, "detail": problem.detail, "line": problem.line}


def _text_of(warning: object) -> str:
    if isinstance(warning, dict):
        line = f"line {warning['line']}: " if warning.get("line") else ""
        return f"{line}{warning.get('detail') or warning.get('message') or warning}"
    return str(warning)
