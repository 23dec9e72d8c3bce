"""What is unhealthy in an installation: each thing with its evidence and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from orchestrator import clock, queue
from orchestrator.config import Settings
from orchestrator.repositories import diagnosis, heartbeats

SILENT_SECONDS = 15.0
OVERDUE_SECONDS = 30.0
LONG_TRANSACTION_SECONDS = 60.0
HELD_LONG_SECONDS = 24 * 3600.0
SKEW_SECONDS = 2.0
DEEP_QUEUE = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One unhealthy thing: a stable code, what is so, and what to do."""

    code: str
    says: str
    do: str


def examine(session: Session, settings: Settings) -> list[Finding]:
    """Everything that is unhealthy now; empty: nothing is."""
    return [
        *_processes(session, settings),
        *_broker(session),
        *_deployments(session, settings),
        *_database(session),
    ]


def _processes(session: Session, settings: Settings) -> Iterator[Finding]:
    nodes = diagnosis.nodes(session)
    if not any(node.seconds < SILENT_SECONDS for node in nodes):
        last = f"the last was heard {_ago(nodes[0].seconds)}" if nodes else "none was ever heard"
        yield Finding(
            "no_worker",
            f"no worker polls; {last}",
            "start one: `celery -A workers.app worker --pool threads -Q deployments,default`",
        )
    for node in nodes:
        if node.open_runs and node.seconds >= SILENT_SECONDS:
            minutes = int(settings.node_lost_seconds // 60)
            yield Finding(
                "node_away",
                f"node {node.node}, on which {_count(node.open_runs, 'run')} live, was last heard {_ago(node.seconds)}",
                f"start a worker with its DATA_DIR; after {minutes} min its steps become unknown and a person is asked",
            )
    silence = heartbeats.tick_silence_seconds(session)
    if silence is None or silence >= SILENT_SECONDS:
        last = "never ticked" if silence is None else f"ticked last {_ago(silence)}"
        yield Finding(
            "clock_silent",
            f"the clock {last}; workers find what is due themselves, a little later",
            "start it: `celery -A workers.app beat`",
        )


def _broker(session: Session) -> Iterator[Finding]:
    nodes = [node.node for node in diagnosis.nodes(session) if node.seconds < SILENT_SECONDS]
    depths = queue.depths(nodes)
    if depths is None:
        yield Finding(
            "broker_away",
            "Redis does not answer; deployments start all the same, a few seconds later",
            "see that it runs, and that REDIS_URL is right",
        )
    for name, depth in (depths or {}).items():
        if depth > DEEP_QUEUE:
            yield Finding(
                "deep_queue",
                f"{depth:,} messages wait in the queue {name}",
                "start more workers, or see why they do not take them (Flower)",
            )


def _deployments(session: Session, settings: Settings) -> Iterator[Finding]:
    for row in diagnosis.asking(session):
        yield Finding(
            "asks_a_person",
            f"deployment {row.id} ({row.application} {row.version} -> {row.environment}): the end of "
            f"{_count(row.unknown, 'step')} is unknown",
            f"look at the targets, then `releasectl deployments resume {row.id} --answer retry|skip|fail`",
        )
    for row in diagnosis.overdue(session, seconds=OVERDUE_SECONDS):
        yield Finding(
            "overdue",
            f"deployment {row.id} ({row.application} -> {row.environment}) should have been looked at {_ago(row.seconds)}",
            "see that workers run and what their logs say of it",
        )
    for row in diagnosis.lapsed(session, seconds=OVERDUE_SECONDS):
        bound = f"; it lives on node {row.node}" if row.node else ""
        yield Finding(
            "nobody_follows",
            f"nobody has followed attempt {row.attempt_id} of deployment {row.deployment_id} on {row.target_name}"
            f" since {_ago(row.seconds)}{bound}",
            "see that workers of that node run, and what their logs say of it",
        )
    for row in diagnosis.held_long(session, seconds=HELD_LONG_SECONDS):
        yield Finding(
            "held_long",
            f"deployment {row.id} has held {row.application} in {row.environment} since {_ago(row.seconds)}",
            f"`releasectl deployments show {row.id}`; cancel it if it is of no use any more",
        )


def _database(session: Session) -> Iterator[Finding]:
    for row in diagnosis.long_transactions(session, seconds=LONG_TRANSACTION_SECONDS):
        name = f" of {row.application_name}" if row.application_name else ""
        yield Finding(
            "long_transaction",
            f"a transaction{name} (pid {row.pid}, {row.state}) was begun {_ago(row.seconds)}; live logs wait for it",
            f"end it, if it is of no use: SELECT pg_terminate_backend({row.pid})",
        )
    skew = abs((diagnosis.postgres_time(session) - clock.now()).total_seconds())
    if skew > SKEW_SECONDS:
        yield Finding(
            "clocks_differ",
            f"the clocks of the web server and of Postgres differ by {skew:.1f} s",
            "set both by NTP; leases are not affected, times shown are",
        )


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}{'s' if unit == 'day' else ''} ago"
    return f"{seconds:.0f} s ago"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
