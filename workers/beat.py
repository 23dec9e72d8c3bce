"""The clock: `celery -A workers.beat beat`. It sends ticks and carries out none, so it loads nothing that this would need."""

from typing import Any

from celery.beat import PersistentScheduler
from celery.signals import after_task_publish, beat_init, setup_logging

from orchestrator import log, metrics_port
from orchestrator.config import Settings
from orchestrator.tasks import TaskName, make_celery
from workers.metrics import TICKS_SENT

app = make_celery()


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # Celery has no types
    """Sleeps until something is due. Celery's gets up 10 ms before that, and asks again and again until it is."""

    def adjust(self, n: Any, drift: float = 0.0) -> Any:
        """How long to sleep."""
        return super().adjust(n, drift)


@setup_logging.connect
def _configure_logging(**_kw: Any) -> None:
    log.configure(Settings.from_env().log_level)


@beat_init.connect
def _begin(**_kw: Any) -> None:
    log.name_process(process="beat")
    metrics_port.serve(Settings.from_env())
    after_task_publish.connect(_count, weak=False)


def _count(sender: str = "", **_kw: Any) -> None:
    if sender == TaskName.TICK:
        TICKS_SENT.inc()
