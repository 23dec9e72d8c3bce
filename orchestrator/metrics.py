"""What processes of every kind count for Prometheus. What only one kind has is counted in a `metrics.py` of its package."""

from functools import lru_cache

from prometheus_client import Counter, Histogram

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


def observe_query(statement: str, seconds: float) -> None:
    """Count a statement that Postgres has answered; one that fails is not counted."""
    _histogram_of(statement).observe(seconds)


@lru_cache(maxsize=2048)
def _histogram_of(statement: str) -> Histogram:
    words = statement.split(maxsplit=1)
    verb = words[0].lower() if words else ""
    return QUERIES.labels(verb if verb in VERBS else "other")
