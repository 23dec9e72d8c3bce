"""The only place that asks the machine what time it is."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The instant, aware, UTC. Leases are never compared with it: those ask Postgres."""
    return datetime.now(UTC)


def now_ns() -> int:
    """Nanoseconds since the epoch, as traces count time."""
    return time.time_ns()


def monotonic() -> float:
    """Seconds on a clock that never jumps and goes on while the machine sleeps; only differences mean something."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
