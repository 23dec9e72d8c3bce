"""What gunicorn is told: `gunicorn -c python:api.serving ... api.wsgi:app`. Its processes count into one folder."""

import os
import shutil
import tempfile
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
os.environ.setdefault(
    _FOLDER, tempfile.mkdtemp(prefix="release-manager-metrics-")
)  # before api.metrics is read


def child_exit(_server: Any, worker: Any) -> None:
    """A process ended: what it counted stays, what it held does not."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """The web server ends."""
    shutil.rmtree(os.environ[_FOLDER], ignore_errors=True)
