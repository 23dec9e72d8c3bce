"""A worker's own look at Postgres: what the broker lost or could not carry is found and done within seconds."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from orchestrator import clock, log
from orchestrator.repositories import health, heartbeats, waking
from workers.context import WorkerContext
from workers.follower import Follower
from workers.tasks.shell import guarded

OVERDUE_SECONDS = 1.5
"""How late a deployment is before a worker takes it without a message: the tick comes first."""
AT_ONCE = 20
PUSH_SECONDS = 5.0
THREADS = 64
STUCK_SECONDS = 60.0

_logger = log.get(__name__)


class Poller:
    """Says that this node lives, and does what is overdue of deployments and health checks, in threads of its own."""

    def __init__(self, ours: WorkerContext) -> None:
        self._ours = ours
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="overdue")
        self._polled_at = clock.monotonic()

    def lives(self) -> bool:
        """Whether it has looked lately, in vain or not: a Postgres that is away is no reason to start this process anew."""
        return clock.monotonic() - self._polled_at < STUCK_SECONDS

    def poll(self) -> None:
        """Look once."""
        self._polled_at = clock.monotonic()
        free = _free_bytes(self._ours.settings.data_dir)
        with self._ours.database.transaction() as session:
            overdue = heartbeats.node(
                session, self._ours.worker.node, free_bytes=free, overdue_seconds=OVERDUE_SECONDS
            )
        if overdue.deployments:
            self._advance()
        if overdue.health:
            self._ask_for_health()

    def _advance(self) -> None:
        with self._ours.database.transaction() as session:
            due = waking.take_due(
                session, limit=AT_ONCE, push_seconds=PUSH_SECONDS, overdue_seconds=OVERDUE_SECONDS
            )
        for row in due:
            _logger.info("overdue_deployment_advanced", deployment=row.id)
            self._pool.submit(guarded, "overdue", row.id, partial(Follower.advance, deployment_id=row.id))

    def _ask_for_health(self) -> None:
        with self._ours.database.transaction() as session:
            due = health.take_due(
                session, limit=AT_ONCE, push_seconds=PUSH_SECONDS, overdue_seconds=OVERDUE_SECONDS
            )
        for row in due:
            ask = partial(Follower.ask_for_health, deployment_id=row.deployment_id)
            self._pool.submit(guarded, "overdue health check", row.deployment_id, ask)


def _free_bytes(folder: Path) -> int | None:
    """None where the disk does not say: the node lives all the same."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
