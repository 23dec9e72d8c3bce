"""What gunicorn is told: `gunicorn -c python:api.serving ... api.wsgi:app`. Its processes count into one folder."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where they count; a new temporary folder if it is not set. The processes read it before they read `api.metrics`."""


def on_starting(_server: Any) -> None:
    """Begin with an empty folder, whatever a killed predecessor left in it."""
    named = os.environ.get(FOLDER)
    if named is None:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="release-manager-metrics-")
        return
    Path(named).mkdir(parents=True, exist_ok=True)
    for left in Path(named).glob("*.db"):
        left.unlink()


def child_exit(_server: Any, worker: Any) -> None:
    """A process ended: what it counted stays, what it held does not."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """The web server ends."""
    shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
