"""doctor: what is unhealthy, in a sentence, and what to do about it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import click

from orchestrator import clock
from orchestrator.cli.context import connect
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.options import json_option
from orchestrator.cli.output import emit_json
from orchestrator.cli.terminal import escaped, is_fancy
from orchestrator.client import Answer, ApiError, Client, Record, UnreachableError

DISTRIBUTION = "devops-release-manager"
SKEW_SECONDS = 5.0
HEALTHY = "ok"

ADVICE = {
    "postgres": "Without it nothing works: see that it runs, and that DATABASE_URL is right.",
    "redis": "Nothing is lost, but everything is slower: see that it runs, and that REDIS_URL is right.",
    "workers": "Deployments are accepted but do not move: start a worker (`releasectl up`, "
    "or `celery -A workers.app worker -E`).",
    "beat": "Windows, retries and lost messages wait for it: start it with `celery -A workers.app beat`.",
}
OTHER_ADVICE = "Look at the log of the web process."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    says: str
    do: str = ""


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at the server, what it needs, the clocks and your login. Exit 1 if anything is wrong."""
    client = connect()
    findings = list(examine(client))
    healthy = all(finding.ok for finding in findings)
    if as_json:
        emit_json(
            {"url": client.base_url, "healthy": healthy, "findings": [asdict(each) for each in findings]}
        )
    else:
        fancy = is_fancy(sys.stdout)
        for finding in findings:
            mark = "ok " if finding.ok else "BAD"
            shown = click.style(mark, fg="green" if finding.ok else "red", bold=True) if fancy else mark
            click.echo(f"{shown}  {escaped(finding.name)}: {escaped(finding.says)}")
            if finding.do and not finding.ok:
                click.echo(f"     {finding.do}")
    raise click.exceptions.Exit(ExitCode.OK if healthy else ExitCode.FAILED)


def examine(client: Client) -> Iterator[Finding]:
    """Everything there is to look at; when the server does not answer, there is nothing more."""
    try:
        health, answer = client.health()
    except (UnreachableError, ApiError) as error:
        do = "Start it (`releasectl up`), or say where it is: RELEASECTL_URL, `releasectl login --url`."
        yield Finding("server", ok=False, says=error.message, do=do)
        return
    yield Finding("server", ok=True, says=f"{client.base_url} answers")
    for name, check in (health.get("checks") or {}).items():
        yield of_check(name, check)
    yield from _overall(health)
    yield from of_clock(answer, clock.now())
    yield from _of_version(health)
    login = _of_login(client)
    yield login
    if login.ok:
        yield from _of_installation(client)


def _of_installation(client: Client) -> Iterator[Finding]:
    """What the server finds out about itself; it tells operators only."""
    try:
        found = client.diagnosis()
    except (UnreachableError, ApiError) as error:
        is_refused = isinstance(error, ApiError) and error.status == HTTPStatus.FORBIDDEN
        says = "not looked at: that needs the role operator" if is_refused else error.message
        yield Finding("installation", ok=is_refused, says=says, do=OTHER_ADVICE)
        return
    if not found:
        yield Finding("installation", ok=True, says="everything that should move does")
    for each in found:
        yield Finding(each["code"], ok=False, says=each["says"], do=each["do"])


def of_check(name: str, check: Any) -> Finding:
    """A thing the server depends on, in a sentence."""
    fields: Record = check if isinstance(check, dict) else {"status": check}
    status = str(fields.get("status"))
    latency = fields.get("latency_ms")
    details = [f"{key} {value}" for key, value in fields.items() if key not in {"status", "latency_ms"}]
    if latency is not None:
        details.insert(0, f"answers in {latency} ms")
    says = ", ".join([status, *details])
    return Finding(name, ok=status == HEALTHY, says=says, do=ADVICE.get(name, OTHER_ADVICE))


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
        ok=abs(skew) <= SKEW_SECONDS,
        says=f"this machine is {abs(skew):.0f} s {side} the server",
        do="Tokens may seem expired and times look wrong: set both clocks by NTP.",
    )


def _overall(health: Record) -> Iterator[Finding]:
    """The server's own verdict, when none of its checks explains it."""
    explained = any(not of_check(name, check).ok for name, check in (health.get("checks") or {}).items())
    if health.get("status") != HEALTHY and not explained:
        yield Finding("health", ok=False, says=str(health.get("status")), do=OTHER_ADVICE)


def _of_version(health: Record) -> Iterator[Finding]:
    there, here = health.get("version"), version(DISTRIBUTION)
    if there is not None:
        do = f"Install the same here: pip install {DISTRIBUTION}=={there}"
        yield Finding(
            "version", ok=there == here, says=f"the server has {there}, this is {here}", do=escaped(do)
        )


def _of_login(client: Client) -> Finding:
    do = "Log in: releasectl login"
    if client.tokens.load() is None:
        return Finding("login", ok=False, says="you are not logged in", do=do)
    try:
        user = client.me()
    except (UnreachableError, ApiError) as error:
        return Finding("login", ok=False, says=error.message, do=do)
    return Finding("login", ok=True, says=f"you are {user['username']} ({user['role']})")
