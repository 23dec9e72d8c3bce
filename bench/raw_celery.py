"""The baseline: a Celery task that does nothing, on the same broker, with the same settings."""

import itertools
import os
from pathlib import Path

from celery import Celery

app = Celery("raw", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    task_default_queue="raw",
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_send_task_events=True,
)
_done = itertools.count(1)


@app.task(name="raw.nothing")
def nothing() -> None:
    """Count, so that the measurement knows when all are done."""
    Path(os.environ["RAW_DONE"]).write_text(str(next(_done)))


@app.task(name="raw.noop")
def noop() -> None:
    """Do nothing."""
