"""What a worker process does now and then beside its tasks, each in a thread of its own that ends with the process."""

import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from orchestrator import log
from workers.context import WorkerContext
from workers.tasks.shell import at_the_edge

_logger = log.get(__name__)


def start(ours: WorkerContext, name: str, do: Callable[[], object], *, every_seconds: float) -> None:
    """Call `do` at once and then again and again, whatever it raises; that Postgres or the disk refuse is said in a line."""

    def try_once() -> None:
        try:
            do()
        except (SQLAlchemyError, OSError) as error:
            _logger.warning("chore_failed", chore=name, error=type(error).__name__)

    def run() -> None:
        pause = threading.Event()
        while not ours.leases.stopping:
            at_the_edge(name, 0, try_once)
            pause.wait(every_seconds)

    threading.Thread(target=run, name=name, daemon=True).start()
