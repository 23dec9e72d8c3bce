"""What a supervised process is."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.domain.errors import UnavailableError


class StartFailedError(UnavailableError):
    """A process did not start."""

    code = "start_failed"


class StoppedError(UnavailableError):
    """Stopped while it was starting."""

    code = "stopped"


@dataclass(frozen=True, slots=True)
class Account:
    """The user a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """How one process is started, found healthy, and ended."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str
    account: Account | None = None
    """None: the user who runs the supervisor."""
    queues: tuple[str, ...] = ()
    """The Celery queues it serves."""
    prepare: Callable[[], None] | None = None
    """Runs before each start, also before a restart: clears what a killed predecessor left."""
    healthy: Callable[[], bool] | None = None
    """Asked until it says yes; None: healthy as soon as it runs."""
    healthy_within_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 25.0
    """Between the stop signal and the kill of its whole session."""
    is_store: bool = False
    """Stores are stopped last, and are closed rather than killed when the supervisor dies."""
