"""How much there is of what: numbers for machines that watch. What has ended well is not counted: that is most of all rows."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_FIGURES = text("""
    SELECT
        (SELECT count(*) FROM deployments WHERE status = 'pending') AS pending,
        (SELECT count(*) FROM deployments WHERE status = 'running') AS running,
        (SELECT count(*) FROM deployments WHERE status = 'paused') AS paused,
        (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(wake_at)), 0)::float FROM deployments
         WHERE wake_at < clock_timestamp()) AS overdue_seconds,
        (SELECT count(*) FROM attempts WHERE ended_at IS NULL) AS open_attempts,
        (SELECT count(*) FROM attempts WHERE ended_at IS NULL AND lease_until < clock_timestamp()) AS lapsed_leases,
        (SELECT count(*) FROM attempts WHERE ended_at IS NULL AND not_before <= clock_timestamp()
         AND (lease_until IS NULL OR lease_until <= clock_timestamp())) AS untaken_attempts,
        (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(greatest(not_before, lease_until))), 0)::float
         FROM attempts WHERE ended_at IS NULL AND not_before <= clock_timestamp()
         AND (lease_until IS NULL OR lease_until <= clock_timestamp())) AS untaken_seconds,
        (SELECT coalesce(extract(epoch FROM clock_timestamp() - max(heard_at)), -1)::float FROM heartbeats
         WHERE source = 'tick') AS tick_seconds,
        (SELECT count(*) FROM heartbeats WHERE source LIKE 'node:%'
         AND heard_at > clock_timestamp() - make_interval(secs => :silent_seconds)) AS nodes,
        (SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL) AS open_deliveries,
        (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float FROM deliveries
         WHERE next_at IS NOT NULL) AS delivery_seconds,
        (SELECT count(d.id) FROM webhooks w JOIN deliveries d ON d.webhook_id = w.id AND d.status = 'dead'
         WHERE w.removed_at IS NULL) AS dead_deliveries,
        (SELECT count(*) FROM drift_checks x JOIN installations i ON i.target_id = x.target_id
         AND i.deployment_id = x.deployment_id WHERE x.state = 'differs') AS drifted_targets
""")


def figures(session: Session, *, silent_seconds: float) -> Row[Any]:
    """All of them as they are now; `tick_seconds` -1: the clock has never ticked."""
    return session.execute(_FIGURES, {"silent_seconds": silent_seconds}).one()
