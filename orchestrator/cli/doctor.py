"""doctor: what is unhealthy, in a sentence, and what to do about it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import click

from orchestrator import clock
from orchestrator.cli.context import connect
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json
from orchestrator.cli.terminal import is_fancy
from orchestrator.client import (
    NO_DEPLOYMENT,
    Answer,
    ApiError,
    Client,
    DeploymentStream,
    Record,
    UnreachableError,
)
from orchestrator.domain.foreign import escaped

DISTRIBUTION = "devops-release-manager"
SKEW_SECONDS = 5.0
STREAM_SECONDS = 5.0
"""How long the stream process may take to refuse."""
HEALTHY = "ok"

ADVICE = {
    "postgres": "Without it nothing works: see that it runs, and that DATABASE_URL is right.",
    "redis": "Nothing is lost, but everything is slower: see that it runs, and that REDIS_URL is right.",
    "workers": "Deployments are accepted but do not move: start a worker (`releasectl up`, "
    "or `celery -A workers.app worker -E`).",
    "beat": "Windows, retries and lost messages wait for it: start it with `celery -A workers.beat beat`.",
}
OTHER_ADVICE = "Look at the log of the web process."


class Severity(StrEnum):
    """How a thing was found; only errors make the exit code 1."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


_SHOWN = {
    Severity.OK: ("ok  ", "green"),
    Severity.WARNING: ("WARN", "yellow"),
    Severity.ERROR: ("BAD ", "red"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `code`: its stable name."""

    code: str
    severity: Severity
    says: str
    do: str = ""
    evidence: Record = field(default_factory=dict)


def verdict(*, ok: bool) -> Severity:
    """That of a thing which is an error unless it is well."""
    return Severity.OK if ok else Severity.ERROR


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at the server, what it needs, the clocks, your login and whatever should move and does not.

    Exit 1 if anything is wrong; warnings alone are exit 0.
    """
    client = connect()
    findings = list(examine(client))
    healthy = all(finding.severity is not Severity.ERROR for finding in findings)
    if as_json:
        emit_json(
            {"url": client.base_url, "healthy": healthy, "findings": [asdict(each) for each in findings]}
        )
    else:
        _print(findings)
    raise click.exceptions.Exit(ExitCode.OK if healthy else ExitCode.FAILED)


def _print(findings: list[Finding]) -> None:
    fancy = is_fancy(sys.stdout)
    for finding in findings:
        text, colour = _SHOWN[finding.severity]
        shown = click.style(text, fg=colour, bold=True) if fancy else text
        click.echo(f"{shown}  {escaped(finding.code)}: {escaped(finding.says)}")
        if finding.do and finding.severity is not Severity.OK:
            click.echo(f"      {escaped(finding.do)}")


def examine(client: Client) -> Iterator[Finding]:
    """Everything there is to look at; when the server does not answer, there is nothing more."""
    try:
        health, answer = client.health()
    except (UnreachableError, ApiError) as error:
        do = "Start it (`releasectl up`), or say where it is: RELEASECTL_URL, `releasectl login --url`."
        yield Finding("server", Severity.ERROR, error.message, do)
        return
    yield Finding("server", Severity.OK, f"{client.base_url} answers")
    for name, check in (health.get("checks") or {}).items():
        yield of_check(name, check)
    yield from _overall(health)
    yield from of_clock(answer, clock.now())
    yield from _of_version(health)
    login = _of_login(client)
    yield login
    if login.severity is Severity.OK:
        yield of_stream(client)
        yield from _of_installation(client)


def of_stream(client: Client) -> Finding:
    """Whether followers are served, asked with a deployment that cannot be: a stream process says just that."""
    do = "See that it runs (`python -m stream`), and that STREAM_URL leads to it from here."
    try:
        refusal = DeploymentStream(client, NO_DEPLOYMENT, silence_seconds=STREAM_SECONDS).refusal()
    except (UnreachableError, ApiError) as error:
        return Finding("stream", Severity.WARNING, f"{error.message}; releasectl polls instead", do)
    code = refusal.code if refusal else None
    if code == "not_found":
        return Finding("stream", Severity.OK, "followers are served")
    if code == "stream_unavailable":
        return Finding("stream", Severity.OK, "the server has none (STREAM_URL is not set): releasectl polls")
    said = (
        f"{refusal.status} {refusal.detail or refusal.title}" if refusal else "something else answers there"
    )
    return Finding("stream", Severity.WARNING, f"{said}; releasectl polls instead", do)


def _of_installation(client: Client) -> Iterator[Finding]:
    """What the server finds out about itself; it tells operators only."""
    try:
        found = client.diagnosis()
    except (UnreachableError, ApiError) as error:
        is_refused = isinstance(error, ApiError) and error.status == HTTPStatus.FORBIDDEN
        says = "not looked at: that needs the role operator" if is_refused else error.message
        yield Finding("installation", verdict(ok=is_refused), says, OTHER_ADVICE)
        return
    if not found:
        yield Finding("installation", Severity.OK, "everything that should move does")
    for each in found:
        yield Finding(each["code"], Severity(each["severity"]), each["says"], each["do"], each["evidence"])


def of_check(name: str, check: Any) -> Finding:
    """A thing the server depends on, in a sentence."""
    fields: Record = check if isinstance(check, dict) else {"status": check}
    status = str(fields.get("status"))
    latency = fields.get("latency_ms")
    details = [f"{key} {value}" for key, value in fields.items() if key not in {"status", "latency_ms"}]
    if latency is not None:
        details.insert(0, f"answers in {latency} ms")
    says = ", ".join([status, *details])
    return Finding(name, verdict(ok=status == HEALTHY), says, ADVICE.get(name, OTHER_ADVICE))


def of_clock(answer: Answer, now: datetime) -> Iterator[Finding]:
    """How far this machine's clock and the server's are apart (its Date header counts whole seconds)."""
    said = answer.headers.get("Date")
    if not said:
        return
    try:
        skew = (now - parsedate_to_datetime(said)).total_seconds()
    except (TypeError, ValueError):
        return
    side = "ahead of" if skew > 0 else "behind"
    yield Finding(
        "clock",
        verdict(ok=abs(skew) <= SKEW_SECONDS),
        f"this machine is {abs(skew):.0f} s {side} the server",
        "Tokens may seem expired and times look wrong: set both clocks by NTP.",
    )


def _overall(health: Record) -> Iterator[Finding]:
    """The server's own verdict, when none of its checks explains it."""
    explained = any(
        of_check(name, check).severity is not Severity.OK
        for name, check in (health.get("checks") or {}).items()
    )
    if health.get("status") != HEALTHY and not explained:
        yield Finding("health", Severity.ERROR, str(health.get("status")), OTHER_ADVICE)


def _of_version(health: Record) -> Iterator[Finding]:
    there, here = health.get("version"), version(DISTRIBUTION)
    if there is not None:
        do = f"Install the same here: pip install {DISTRIBUTION}=={there}"
        says = f"the server has {there}, this is {here}"
        yield Finding("version", Severity.OK if there == here else Severity.WARNING, says, do)


def _of_login(client: Client) -> Finding:
    do = "Log in: releasectl login"
    if client.tokens.load() is None:
        return Finding("login", Severity.ERROR, "you are not logged in", do)
    try:
        user = client.me()
    except (UnreachableError, ApiError) as error:
        return Finding("login", Severity.ERROR, error.message, do)
    return Finding("login", Severity.OK, f"you are {user['username']} ({user['role']})")
