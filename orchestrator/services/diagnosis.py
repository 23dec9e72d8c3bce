"""What is unhealthy in an installation: each thing with its evidence and what to do about it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, queue
from orchestrator.checks.http import HttpCheck
from orchestrator.config import Settings
from orchestrator.repositories import diagnosis, heartbeats

SILENT_SECONDS = 15.0
OVERDUE_SECONDS = 30.0
LONG_TRANSACTION_SECONDS = 60.0
HELD_LONG_SECONDS = 24 * 3600.0
SKEW_SECONDS = 2.0
DEEP_QUEUE = 1000
LITTLE_BYTES = 512 * 1024 * 1024

START_WORKER = "celery -A workers.app worker --pool threads --concurrency 200 -E -Q deployments,default"
START_BEAT = "celery -A workers.beat beat"
START_STREAM = "python -m stream"
STREAM_PATIENCE_SECONDS = 1.0


class Severity(StrEnum):
    """How bad it is: an error keeps something from happening, a warning may become one."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One unhealthy thing: a stable code, what is so, what shows it, and what to do."""

    severity: Severity = Severity.ERROR
    code: str
    says: str
    do: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def examine(
    session: Session, settings: Settings, *, is_migrated: Callable[[str | None], bool]
) -> list[Finding]:
    """Everything that is unhealthy now; empty: nothing is. `is_migrated`: whether the code can use these tables."""
    revision = diagnosis.revision(session)
    if not is_migrated(revision):  # then nothing else may be asked of them
        return [_behind(revision)]
    nodes = diagnosis.nodes(session)
    return [
        *_workers(nodes, settings),
        *_disks(nodes, settings),
        *_clock(session),
        *_broker(nodes, settings),
        *_stream(settings),
        *_questions(session),
        *_attempts(session),
        *_stuck(session),
        *_database(session),
        *_webhooks(session),
    ]


def _behind(revision: str | None) -> Finding:
    return Finding(
        code="tables_behind",
        says=f"the tables are older than the code: {revision or 'there are none'}",
        do="`python -m orchestrator.bootstrap migrate`",
        evidence={"revision": revision},
    )


def _workers(nodes: list[Row[Any]], settings: Settings) -> Iterator[Finding]:
    if not any(node.seconds < SILENT_SECONDS for node in nodes):
        last = f"the last was heard {_ago(nodes[0].seconds)}" if nodes else "none was ever heard"
        yield Finding(
            code="no_worker",
            says=f"no worker polls; {last}",
            do=f"start one: `{START_WORKER}`",
            evidence={"heard_seconds_ago": {node.node: round(node.seconds) for node in nodes}},
        )
    for node in nodes:
        if node.open_runs and node.seconds >= SILENT_SECONDS:
            yield Finding(
                code="node_away",
                says=f"node {node.node}, on which {_count(node.open_runs, 'run')} live, was last heard {_ago(node.seconds)}",
                do=f"start a worker with its DATA_DIR: `{START_WORKER}`; {settings.node_lost_seconds:g} s after it"
                " was last heard, its steps become unknown and a person is asked",
                evidence={
                    "node": node.node,
                    "open_runs": node.open_runs,
                    "heard_seconds_ago": round(node.seconds),
                },
            )


def _disks(nodes: list[Row[Any]], settings: Settings) -> Iterator[Finding]:
    for node in nodes:
        if node.seconds < SILENT_SECONDS and node.free_bytes is not None and node.free_bytes < LITTLE_BYTES:
            left = f"{node.free_bytes / 1024**2:.0f} MiB"
            yield Finding(
                severity=Severity.WARNING,
                code="disk_low",
                says=f"node {node.node} has {left} left where its runs are; a run that finds no room fails",
                do="remove what fills the disk of its DATA_DIR, or lower RUN_RETENTION_HOURS"
                f" ({settings.run_retention_hours} now)",
                evidence={"node": node.node, "free_bytes": node.free_bytes},
            )


def _clock(session: Session) -> Iterator[Finding]:
    silence = heartbeats.tick_silence_seconds(session)
    if silence is None or silence >= SILENT_SECONDS:
        last = "never ticked" if silence is None else f"ticked last {_ago(silence)}"
        yield Finding(
            code="clock_silent",
            says=f"the clock {last}; workers find what is due themselves, a little later",
            do=f"start it: `{START_BEAT}`",
            evidence={"ticked_seconds_ago": None if silence is None else round(silence)},
        )


def _broker(nodes: list[Row[Any]], settings: Settings) -> Iterator[Finding]:
    depths = queue.depths(settings.redis_url, [node.node for node in nodes])
    if depths is None:
        yield Finding(
            code="broker_away",
            says="Redis does not answer; deployments start all the same, a few seconds later",
            do='see that it runs, and that REDIS_URL is right: `redis-cli -u "$REDIS_URL" ping`',
        )
    elif why := queue.refusal(settings.redis_url):
        yield Finding(
            code="broker_refuses",
            says=f"Redis answers and takes no messages ({why}); deployments start all the same, a few seconds later",
            do="see its memory and its disk, and that REDIS_URL leads to no replica: "
            '`redis-cli -u "$REDIS_URL" info`',
            evidence={"answer": why},
        )
    for name, depth in (depths or {}).items():
        if depth > DEEP_QUEUE:
            yield Finding(
                severity=Severity.WARNING,
                code="deep_queue",
                says=f"{depth:,} messages wait in the queue {name}",
                do=f"start more workers: `{START_WORKER}`; or see in Flower why they do not take them",
                evidence={"queue": name, "messages": depth},
            )


def _stream(settings: Settings) -> Iterator[Finding]:
    """Asked as a follower asks, but without a token: a stream that serves says 401."""
    url = settings.stream_url.rstrip("/")
    if not url:
        return
    probe = HttpCheck(f"{url}/api/v1/deployments/1/stream", status=401).probe(STREAM_PATIENCE_SECONDS)
    if not probe.ok:
        yield Finding(
            severity=Severity.WARNING,
            code="stream_away",
            says=f"the stream at STREAM_URL ({url}) serves nobody: {probe.detail}; who watches polls",
            do=f"start it: `{START_STREAM}`; if it is full, start more of them or raise STREAM_LIMIT",
            evidence={"stream_url": url, "answer": probe.detail},
        )


def _questions(session: Session) -> Iterator[Finding]:
    for row in diagnosis.asking(session):
        about = f"deployment {row.id} ({row.application} {row.version} -> {row.environment})"
        if not row.steps:
            yield Finding(
                code="asks_a_person",
                says=f"{about}: too many targets failed",
                do=f"say what to do: `releasectl deployments resume {row.id} --answer retry` (or skip, rollback, fail)",
                evidence={"deployment_id": row.id, "answer_by": row.answer_by.isoformat()},
            )
            continue
        yield Finding(
            code="asks_a_person",
            says=f"{about}: the end of {_count(len(row.steps), 'step')} is unknown",
            do=f"look at the targets, then `releasectl deployments resume {row.id} --answer retry` (or skip, or fail)",
            evidence={"deployment_id": row.id, "step_ids": row.steps},
        )


def _stuck(session: Session) -> Iterator[Finding]:
    for row in diagnosis.overdue(session, seconds=OVERDUE_SECONDS):
        yield Finding(
            code="overdue",
            says=f"deployment {row.id} ({row.application} -> {row.environment}) should have been looked at {_ago(row.seconds)}",
            do=f"see that workers run and what their logs say of it; `releasectl deployments events {row.id}`",
            evidence={"deployment_id": row.id, "late_seconds": round(row.seconds)},
        )
    for row in diagnosis.held_long(session, seconds=HELD_LONG_SECONDS):
        yield Finding(
            severity=Severity.WARNING,
            code="held_long",
            says=f"deployment {row.id} has held {row.application} in {row.environment} since {_ago(row.seconds)}",
            do=f"`releasectl deployments show {row.id}`; if it is of no use any more,"
            f" `releasectl deployments cancel {row.id}`",
            evidence={"deployment_id": row.id, "held_seconds": round(row.seconds)},
        )


def _attempts(session: Session) -> Iterator[Finding]:
    """Those that nobody follows, and those whose target does not do what it should."""
    for row in diagnosis.not_well(session, seconds=OVERDUE_SECONDS):
        evidence = {
            "deployment_id": row.deployment_id,
            "attempt_id": row.attempt_id,
            "target": row.target_name,
        }
        if not row.lapsed:
            yield Finding(
                severity=Severity.WARNING,
                code="target_trouble",
                says=f"deployment {row.deployment_id} does not go on at {row.target_name} ({row.kind}), and tries again:"
                f" {row.trouble}",
                do="see that the target is up and its settings in the pipeline are right, on the worker as well;"
                f" if it is not to be had, `releasectl deployments cancel {row.deployment_id}`",
                evidence={**evidence, "kind": row.kind, "trouble": row.trouble},
            )
            continue
        bound = f"; it lives on node {row.node}" if row.node else ""
        yield Finding(
            code="nobody_follows",
            says=f"nobody has followed attempt {row.attempt_id} of deployment {row.deployment_id} on {row.target_name}"
            f" since {_ago(row.seconds)}{bound}",
            do="see that workers of that node run, and what their logs say of it;"
            f" `releasectl deployments steps {row.deployment_id}`",
            evidence={
                **evidence,
                "node": row.node,
                "worker": row.worker,
                "lapsed_seconds_ago": round(row.seconds),
            },
        )


def _database(session: Session) -> Iterator[Finding]:
    for row in diagnosis.long_transactions(session, seconds=LONG_TRANSACTION_SECONDS):
        name = f" of {row.application_name}" if row.application_name else ""
        yield Finding(
            severity=Severity.WARNING,
            code="long_transaction",
            says=f"a transaction{name} (pid {row.pid}, {row.state}) was begun {_ago(row.seconds)};"
            " what is shown of logs that are being written waits for it",
            do=f'end it, if it is of no use: `psql "$DATABASE_URL" -c "SELECT pg_terminate_backend({row.pid})"`',
            evidence={
                "pid": row.pid,
                "state": row.state,
                "database": row.database,
                "open_seconds": round(row.seconds),
            },
        )
    skew = (clock.now() - diagnosis.postgres_time(session)).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        yield Finding(
            severity=Severity.WARNING,
            code="clocks_differ",
            says=f"the clocks of the web server and of Postgres differ by {abs(skew):.1f} s;"
            " leases are not affected, times that are shown are",
            do="set both by NTP: `timedatectl set-ntp true`",
            evidence={"ahead_of_postgres_seconds": round(skew, 3)},
        )


def _webhooks(session: Session) -> Iterator[Finding]:
    for row in diagnosis.untold(session):
        evidence = {"webhook_id": row.id, "dead": row.dead}
        if row.disabled_because is not None:
            yield Finding(
                severity=Severity.WARNING,
                code="webhook_disabled",
                says=f"webhook {row.id} ({row.name}) is told nothing more: {row.disabled_because}",
                do=f"make another one; `releasectl webhook remove {row.id}`",
                evidence=evidence,
            )
        else:
            yield Finding(
                severity=Severity.WARNING,
                code="untold",
                says=f"webhook {row.id} ({row.name}) was not told {_count(row.dead, 'event')}, after a day of trying",
                do=f"`releasectl webhook deliveries {row.id} --status dead` says why;"
                f" then `releasectl webhook replay {row.id}`",
                evidence=evidence,
            )


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}{'s' if unit == 'day' else ''} ago"
    return f"{seconds:.0f} s ago"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
