"""Numbers for Prometheus: what this web server did, and how the engine stands as Postgres tells it."""

import os
from collections.abc import Iterator
from functools import cache

from flask import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy import Row

from api.serving import FOLDER

REQUESTS = Histogram(
    "release_manager_http_request_seconds",
    "How long requests took, by method, route and status.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
CACHE = Counter(
    "release_manager_cache_lookups_total", "Looks into the cache, by what came of them.", ["result"]
)

ENGINE = {
    "pending": ("deployments_pending", "Deployments that have not started."),
    "running": ("deployments_running", "Deployments that run."),
    "paused": ("deployments_paused", "Deployments that wait for a person or for a window."),
    "overdue_seconds": (
        "engine_overdue_seconds",
        "How late the deployment is that should have been looked at first.",
    ),
    "open_attempts": ("attempts_open", "Attempts that have not ended."),
    "lapsed_leases": (
        "leases_lapsed",
        "Attempts whose worker has fallen silent and which nobody has taken over yet.",
    ),
    "untaken_attempts": ("attempts_untaken", "Attempts that a worker could take now and none has taken."),
    "untaken_seconds": (
        "attempts_untaken_seconds",
        "How long the one of them waits that waits longest: how many workers are missing.",
    ),
    "tick_seconds": ("tick_silence_seconds", "How long ago the clock ticked; -1: never."),
    "nodes": ("worker_nodes", "Nodes whose workers polled lately."),
    "open_deliveries": ("deliveries_open", "Deliveries to webhooks that are still to be told."),
    "delivery_seconds": (
        "deliveries_oldest_seconds",
        "How long ago the one of them that is oldest was made.",
    ),
    "dead_deliveries": (
        "deliveries_dead",
        "Deliveries that were given up and are kept, of webhooks that there are.",
    ),
    "drifted_targets": ("targets_drifted", "Targets on which something else runs than what was installed."),
}


class Figures(Collector):
    """One row of figures as gauges."""

    def __init__(self, row: Row[tuple[float, ...]], queues: dict[str, int] | None) -> None:
        self._row, self._queues = row, queues

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give each of them."""
        for name, (suffix, meaning) in ENGINE.items():
            yield GaugeMetricFamily(
                f"release_manager_{suffix}", meaning, value=float(getattr(self._row, name))
            )
        depth = GaugeMetricFamily(
            "release_manager_queue_messages", "Messages that wait in the broker.", labels=["queue"]
        )
        for queue, messages in (self._queues or {}).items():
            depth.add_metric([queue], messages)
        yield depth


def observe(asked: Request, status: int, seconds: float) -> None:
    """Count a request that is answered now."""
    route = asked.url_rule.rule if asked.url_rule is not None else "none"
    _answers(asked.method, route, status).observe(seconds)


def note_lookup(result: str) -> None:
    """Count a look into the cache."""
    _lookups(result).inc()


# prometheus_client looks for the one with these labels under a lock.
@cache
def _answers(method: str, route: str, status: int) -> Histogram:
    return REQUESTS.labels(method, route, str(status))


@cache
def _lookups(result: str) -> Counter:
    return CACHE.labels(result)


def exposition(figures: Collector) -> Response:
    """Everything as Prometheus reads it: of all processes of this web server, and the engine's figures."""
    shared = CollectorRegistry()
    if os.environ.get(FOLDER):
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    body = generate_latest(shared if os.environ.get(FOLDER) else REGISTRY)
    engine = CollectorRegistry()
    engine.register(figures)
    return Response(body + generate_latest(engine), content_type=CONTENT_TYPE_LATEST)
