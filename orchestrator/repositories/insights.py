"""What became of the deployments of a period: counted, and listed. docs/insights.md defines each word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.insights import Group

MOST_SLOTS = 10
LEAST_WAIT_SECONDS = 1
"""A shorter rest is our own work, and no waiting for the slot."""

_UNDONE = """
    SELECT b.id, b.started_at, b.created_at FROM deployments b
    WHERE b.rolls_back_id = {of}.id AND b.started_at IS NOT NULL ORDER BY b.id LIMIT 1
"""

# Each slot has one deployment at a time, so those of a slot end one after the other.
_FINISHED = f"""
    SELECT d.id, d.application_id, d.release_id, d.environment, d.status, d.requested_by, d.created_at, d.started_at,
        d.deployed_at, d.ended_at, d.rolls_back_id, d.retry_of_id, d.holds_kept, r.name AS application, r.version,
        r.committed_at, undone.id AS rolled_back_by_id, undone.started_at AS undone_at, d.rolls_back_id IS NULL AS is_change,
        d.status = 'failed' OR undone.id IS NOT NULL AS has_failed
    FROM deployments d
    JOIN releases r ON r.id = d.release_id
    LEFT JOIN LATERAL ({_UNDONE.format(of="d")}) undone ON true
    WHERE d.environment = :environment {{of_application}} AND d.started_at IS NOT NULL
      AND d.ended_at >= :start AND d.ended_at < :end
      AND (d.status IN ('succeeded', 'failed') OR undone.id IS NOT NULL)
"""

_JUDGED = f"""
    SELECT f.*, recovery.id AS recovered_by_id,
        CASE WHEN f.is_change AND f.has_failed
             THEN extract(epoch FROM recovery.ended_at - f.ended_at)::float END AS recovery_seconds,
        arrival.arrived AS is_arrival,
        CASE WHEN arrival.arrived AND f.committed_at IS NOT NULL
             THEN greatest(0, extract(epoch FROM f.deployed_at - f.committed_at)::float) END AS lead_seconds,
        CASE WHEN f.rolls_back_id IS NOT NULL THEN 'rollback' WHEN retried.id IS NOT NULL THEN 'retry'
             WHEN lying.id IS NOT NULL THEN 'fix' END AS rework
    FROM finished f
    LEFT JOIN LATERAL (
        SELECT s.id, s.ended_at FROM deployments s
        WHERE f.is_change AND f.has_failed AND s.application_id = f.application_id AND s.environment = f.environment
          AND s.started_at IS NOT NULL AND s.status = 'succeeded'
          AND s.ended_at > CASE WHEN f.status = 'succeeded' THEN f.undone_at ELSE f.ended_at END
          AND NOT EXISTS (SELECT 1 FROM deployments b WHERE b.rolls_back_id = s.id AND b.started_at IS NOT NULL)
        ORDER BY s.ended_at, s.id LIMIT 1
    ) recovery ON true
    CROSS JOIN LATERAL (
        SELECT f.is_change AND f.status = 'succeeded' AND NOT EXISTS (
            SELECT 1 FROM deployments e WHERE e.release_id = f.release_id AND e.environment = f.environment
              AND e.status = 'succeeded' AND e.ended_at < f.ended_at) AS arrived
    ) arrival
    LEFT JOIN LATERAL (
        SELECT o.id FROM deployments o WHERE o.id = f.retry_of_id AND o.started_at IS NOT NULL
          AND (o.status = 'failed' OR EXISTS (
              SELECT 1 FROM deployments b WHERE b.rolls_back_id = o.id AND b.started_at IS NOT NULL))
    ) retried ON true
    LEFT JOIN LATERAL (
        SELECT p.id FROM (
            SELECT q.id, q.status, u.created_at AS undone_since FROM deployments q
            LEFT JOIN LATERAL ({_UNDONE.format(of="q")}) u ON true
            WHERE q.application_id = f.application_id AND q.environment = f.environment
              AND q.started_at IS NOT NULL AND q.ended_at <= f.created_at
              AND (q.status IN ('succeeded', 'failed') OR u.created_at <= f.created_at)
            ORDER BY q.ended_at DESC, q.id DESC LIMIT 1
        ) p WHERE p.status = 'failed' OR p.undone_since <= f.created_at
    ) lying ON true
"""

_SUMS = """
    WITH finished AS ({finished}), judged AS ({judged})
    SELECT bucket, count(*) AS finished,
        count(*) FILTER (WHERE is_change) AS changes,
        count(*) FILTER (WHERE is_change AND status = 'succeeded') AS deployed,
        count(*) FILTER (WHERE is_change AND has_failed) AS failed,
        count(recovery_seconds) AS recovered,
        count(rework) AS rework,
        count(*) FILTER (WHERE is_arrival) AS arrivals,
        count(lead_seconds) AS leads,
        count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY lead_seconds) AS lead,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY recovery_seconds) AS recovery,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - started_at)::float)
            FILTER (WHERE status = 'succeeded') AS duration
    FROM (SELECT *, width_bucket(ended_at, CAST(:bounds AS timestamptz[])) AS bucket FROM judged) x
    GROUP BY GROUPING SETS ((), (bucket)) ORDER BY bucket NULLS FIRST
"""

_WAITED = """
    SELECT f.id, h.kind, sum(extract(epoch FROM h.until - h.since))::float AS seconds
    FROM finished f JOIN holds h ON h.deployment_id = f.id WHERE f.holds_kept GROUP BY f.id, h.kind
    UNION ALL
    SELECT f.id, 'slot', rest.seconds FROM finished f CROSS JOIN LATERAL (
        SELECT extract(epoch FROM f.started_at - f.created_at)::float
            - coalesce(sum(extract(epoch FROM h.until - h.since)), 0)::float AS seconds
        FROM holds h WHERE h.deployment_id = f.id) rest
    WHERE f.holds_kept AND rest.seconds >= :least_wait_seconds
"""

_WAITS = """
    WITH finished AS ({finished}), waited AS ({waited})
    SELECT kind, count(*) AS n, sum(seconds) AS total_seconds,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) AS spread
    FROM waited GROUP BY kind ORDER BY total_seconds DESC, kind
"""

_SLOTS = """
    WITH finished AS ({finished})
    SELECT application, environment, count(*) AS n,
        sum(extract(epoch FROM ended_at - started_at))::float AS busy_seconds
    FROM finished GROUP BY application, environment ORDER BY busy_seconds DESC, application LIMIT :most_slots
"""

_OF_GROUP: Mapping[Group, str] = MappingProxyType(
    {
        Group.FINISHED: "true",
        Group.SUCCEEDED: "status = 'succeeded'",
        Group.DEPLOYED: "is_change AND status = 'succeeded'",
        Group.CHANGES: "is_change",
        Group.FAILED: "is_change AND has_failed",
        Group.RECOVERED: "recovery_seconds IS NOT NULL",
        Group.UNRECOVERED: "is_change AND has_failed AND recovery_seconds IS NULL",
        Group.REWORK: "rework IS NOT NULL",
        Group.LEAD_KNOWN: "lead_seconds IS NOT NULL",
        Group.LEAD_UNKNOWN: "is_arrival AND lead_seconds IS NULL",
        Group.WAITED: "waited_seconds IS NOT NULL",
    }
)

_LIST = """
    WITH finished AS ({finished}), judged AS ({judged}), waited AS ({waited})
    SELECT * FROM (
        SELECT j.*, w.seconds AS waited_seconds, u.username AS requested_by_name
        FROM judged j LEFT JOIN users u ON u.id = j.requested_by
        LEFT JOIN waited w ON w.id = j.id AND w.kind = :reason
        WHERE CAST(:before_id AS bigint) IS NULL OR j.id < :before_id
    ) x WHERE {condition} ORDER BY id DESC OFFSET :skip LIMIT :limit
"""

_SEEN_FROM = text("""
    SELECT min(created_at) FROM targets WHERE environment = :environment
      AND (CAST(:application_id AS bigint) IS NULL OR application_id = :application_id)
""")


@dataclass(frozen=True, slots=True)
class Scope:
    """Deployments of one application (None: of all) that ended in an environment, from an instant up to another."""

    application_id: int | None
    environment: str
    start: datetime
    end: datetime

    def params(self) -> dict[str, Any]:
        """What the statements refer to."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def sums(session: Session, scope: Scope, bounds: Sequence[datetime]) -> list[Row[Any]]:
    """Counts and percentiles: first of all, then of each part that begins with one of `bounds`; parts without any are left out."""
    return list(session.execute(_of(_SUMS, scope), scope.params() | {"bounds": list(bounds)}))


def waits(session: Session, scope: Scope) -> list[Row[Any]]:
    """How long deployments were held before they started, by what held them, the longest in all first."""
    params = scope.params() | {"least_wait_seconds": LEAST_WAIT_SECONDS}
    return list(session.execute(_of(_WAITS, scope), params))


def slots(session: Session, scope: Scope) -> list[Row[Any]]:
    """The slots in which deployments ran the longest, in all."""
    return list(session.execute(_of(_SLOTS, scope), scope.params() | {"most_slots": MOST_SLOTS}))


def page(
    session: Session,
    scope: Scope,
    group: Group,
    *,
    reason: str | None,
    before_id: int | None,
    skip: int,
    limit: int,
) -> list[Row[Any]]:
    """The deployments of a group, the newest first; `reason`: what held those that waited."""
    params = scope.params() | {
        "least_wait_seconds": LEAST_WAIT_SECONDS,
        "reason": reason,
        "before_id": before_id,
        "skip": skip,
        "limit": limit,
    }
    return list(session.execute(_of(_LIST, scope, condition=_OF_GROUP[group]), params))


def seen_from(session: Session, scope: Scope) -> datetime | None:
    """Since when there could be deployments of it; None: there cannot be any yet."""
    found: datetime | None = session.execute(_SEEN_FROM, scope.params()).scalar()
    return found


def _of(statement: str, scope: Scope, **more: str) -> Any:
    """With one application in the text of the statement Postgres takes the index that begins with it."""
    of_application = "AND d.application_id = :application_id" if scope.application_id is not None else ""
    finished = _FINISHED.format(of_application=of_application)
    return text(statement.format(finished=finished, judged=_JUDGED, waited=_WAITED, **more))
