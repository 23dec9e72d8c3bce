"""What processes of every kind count for Prometheus. What only one kind has is counted in a `metrics.py` of its package."""

from functools import lru_cache
from typing import Any

from prometheus_client import Counter, Histogram
from sqlalchemy import Engine, event

from orchestrator import clock

QUERIES = Histogram(
    "release_manager_query_seconds",
    "How long statements took until Postgres had answered, by their first word.",
    ["verb"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
DEPLOYMENTS = Counter(
    "release_manager_deployments_total",
    "Deployments that came to this status, counted by the process that committed it.",
    ["environment", "status"],
)
VERBS = ("select", "insert", "update", "delete", "with")
_BEGUN = "orchestrator.begun"


def measure_queries(engine: Engine) -> None:
    """Let this engine's statements be timed; one that fails is not counted."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)


def _begin(connection: Any, *_details: Any) -> None:
    connection.info[_BEGUN] = clock.monotonic()


def _end(connection: Any, _cursor: Any, statement: str, *_details: Any) -> None:
    _histogram_of(statement).observe(clock.monotonic() - connection.info[_BEGUN])


@lru_cache(maxsize=2048)
def _histogram_of(statement: str) -> Histogram:
    words = statement.split(maxsplit=1)
    verb = words[0].lower() if words else ""
    return QUERIES.labels(verb if verb in VERBS else "other")
