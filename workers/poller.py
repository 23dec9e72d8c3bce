"""A worker's own look at Postgres: what the broker lost or could not carry is found and done within seconds."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from orchestrator import log
from orchestrator.repositories import deployments, heartbeats
from workers.context import WorkerContext
from workers.follower import Follower

POLL_SECONDS = 2.0
OVERDUE_SECONDS = 1.5
"""How late a deployment is before a worker takes it without a message: the tick comes first."""
AT_ONCE = 20
PUSH_SECONDS = 5.0
THREADS = 64

_logger = log.get(__name__)


class Poller:
    """Says that this node lives, and advances deployments that are overdue, in threads of its own."""

    def __init__(self, ours: WorkerContext) -> None:
        self._ours = ours
        self._follower = Follower(ours)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="overdue")

    def start(self) -> None:
        """Begin to poll, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="poller", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not self._ours.leases.stopping:
            try:
                self._poll()
            except SQLAlchemyError as error:
                _logger.warning("poll_failed", error=type(error).__name__)
            pause.wait(POLL_SECONDS)

    def _poll(self) -> None:
        with self._ours.database.transaction() as session:
            heartbeats.node(session, self._ours.worker.node)
        with self._ours.database.transaction() as session:
            due = deployments.take_due(
                session, limit=AT_ONCE, push_seconds=PUSH_SECONDS, overdue_seconds=OVERDUE_SECONDS
            )
        for row in due:
            _logger.info("overdue_deployment_advanced", deployment=row.id)
            self._pool.submit(self._follower.advance, row.id)
