"""`python -m stream [--host ADDRESS] [--port PORT]`: serve those who follow deployments."""

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn

from orchestrator import log, metrics_port
from orchestrator.config import Settings
from orchestrator.domain.errors import OrchestratorError
from orchestrator.packages import check_packages
from stream.app import create_app

GRACE_SECONDS = 5
SPARE_FILES = 200
"""Open files beside those of the followers: connections to Postgres, connections that are refused."""


class Server(uvicorn.Server):
    """Sends followers away when it is told to end: they would never go by themselves."""

    def __init__(self, config: uvicorn.Config, *, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, *args: object, **options: object) -> None:
        """Remember the loop: a signal comes outside of it."""
        self._loop = asyncio.get_running_loop()
        await super().startup(*args, **options)  # type: ignore[arg-type]  # handed on as it came

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM and SIGINT."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_exit)


def main(argv: Sequence[str]) -> int:
    """Serve until a signal; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m stream", description="Serve those who follow deployments."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    options = parser.parse_args(argv)
    try:
        settings = Settings.from_env()
        log.configure(settings.log_level)
        log.name_process(process="stream")
        check_packages()
    except OrchestratorError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    # uvicorn takes the signal while it serves, and raises it again when all is done: that is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _allow_open_files(settings.stream_limit + SPARE_FILES)
    app = create_app(settings)
    metrics_port.serve(settings)
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        http="h11",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=4096,
    )
    Server(config, on_exit=lambda: app.state.cut_everybody("this process ends; come back")).run()
    return 0


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit, which is often 1,024, as far as the hard one lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
