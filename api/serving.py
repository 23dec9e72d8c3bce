"""What gunicorn is told: `gunicorn -c python:api.serving ... api.wsgi:app`. Its processes count into one folder.

prometheus_client decides where it counts when it is imported, so nothing here may import it before the folder is named.
"""

import gc
import os
import re
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from flask import Flask

from orchestrator import log
from orchestrator.config import Settings
from orchestrator.domain.errors import MisconfiguredError
from orchestrator.packages import check_packages

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where they count; a new temporary folder if it is not set."""
_COUNTED = re.compile(r"(counter|gauge_[a-z]+|histogram|summary)_[0-9]+\.db")
"""What prometheus_client's files are called; others in a folder that was named to us are somebody else's."""


def on_starting(server: Any) -> None:
    """Refuse what cannot work before anything is started; begin with an empty folder, whatever a killed predecessor left in it.

    Its processes are copies of this one, so what they import is read once, the application made once, and both kept once in
    memory: nothing looks for garbage among them, which would write to each of them.
    """
    gc.disable()
    try:
        settings = Settings.from_env()
        log.configure(settings.log_level)
        check_packages()
        log.name_process(process="web")
        server.log.error_log.handlers.clear()
        server.log.error_log.propagate = True
        _name_folder()
        import_module("api.app").application()
    except MisconfiguredError as error:
        sys.exit(error.message)
    gc.freeze()


def post_fork(_server: Any, _worker: Any) -> None:
    """A process begins: what is made from now on is its own."""
    gc.enable()


def _name_folder() -> None:
    named = os.environ.get(FOLDER)
    if named is None:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="release-manager-metrics-")
        return
    Path(named).mkdir(parents=True, exist_ok=True)
    _empty(Path(named))


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        if _COUNTED.fullmatch(file.name):
            file.unlink()


def worker_exit(_server: Any, worker: Any) -> None:
    """A process is about to end: what it counted of requests is told, and nothing is begun any more."""
    from api.app import close  # noqa: PLC0415  # see above

    served = getattr(worker, "wsgi", None)
    if isinstance(served, Flask):
        close(served)


def child_exit(_server: Any, worker: Any) -> None:
    """A process ended: what it counted stays, what it held does not."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # see above

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """The web server ends: what it counted is forgotten."""
    folder = Path(os.environ[FOLDER])
    with suppress(OSError):  # others keep something there
        _empty(folder)
        folder.rmdir()
