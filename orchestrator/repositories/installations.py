"""What runs where, and what ran there."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_PAGE = """
    SELECT a.name AS application, t.environment, t.name AS target, r.version, i.release_id, i.deployment_id, i.since, t.id,
        t.kind, h.healthy, h.detail, h.checked_at,
        x.state AS drift, x.detail AS drift_detail, x.since AS drift_since, x.checked_at AS drift_checked_at
    FROM targets t JOIN applications a ON a.id = t.application_id JOIN environments e ON e.name = t.environment
    LEFT JOIN installations i ON i.target_id = t.id LEFT JOIN releases r ON r.id = i.release_id
    LEFT JOIN (
        SELECT h.target_id, h.healthy, h.detail, h.checked_at FROM target_health h
        JOIN health_watches w ON w.deployment_id = h.deployment_id
        WHERE w.left_by IS NULL AND h.healthy IS NOT NULL
    ) h ON h.target_id = t.id
    LEFT JOIN drift_checks x ON x.target_id = t.id AND x.deployment_id = i.deployment_id
    WHERE (t.active OR i.target_id IS NOT NULL)
"""

# As `steps.touched` counts: who only had its traffic moved was not touched.
_TOUCHED_BY = text("""
    SELECT d.id, r.version, d.status, d.rolls_back_id, s.since, s.until, s.has_failed, u.username AS requested_by_name
    FROM targets t JOIN deployments d ON d.application_id = t.application_id AND d.environment = t.environment
    JOIN releases r ON r.id = d.release_id LEFT JOIN users u ON u.id = d.requested_by
    JOIN plans p ON p.deployment_id = d.id
    JOIN LATERAL (
        SELECT min(s.started_at) AS since, max(s.ended_at) AS until, bool_or(s.status IN ('failed', 'unknown')) AS has_failed
        FROM steps s WHERE s.deployment_id = d.id AND s.target_id = t.id AND s.started_at IS NOT NULL
          AND p.document -> 'actions' -> CAST(s.action_index AS int) ->> 'kind' = 'run'
    ) s ON s.since IS NOT NULL
    WHERE t.id = :target_id ORDER BY d.id DESC LIMIT :limit
""")


def page(
    session: Session, *, application: str | None, environment: str | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Targets with what runs on each, by application, environment and the pipeline's order; nulls for nothing yet.

    `healthy`, `detail` and `checked_at` are of the last health check since the release came, null where nobody asked;
    `drift` and what begins with it of the last time it was asked what runs there.
    """
    conditions = ""
    if application is not None:
        conditions += " AND a.name = :application"
    if environment is not None:
        conditions += " AND t.environment = :environment"
    statement = text(
        f"{_PAGE}{conditions} ORDER BY a.name, e.position, t.environment, t.position, t.id OFFSET :skip LIMIT :limit"
    )
    params = {"application": application, "environment": environment, "skip": skip, "limit": limit}
    return list(session.execute(statement, params))


def get(session: Session, target_id: int) -> Row[Any]:
    """A target with what runs on it, as `page` gives it. Raises NotFoundError."""
    row = session.execute(text(f"{_PAGE} AND t.id = :id"), {"id": target_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no target {target_id}")
    return row


def touched_by(session: Session, target_id: int, *, limit: int) -> list[Row[Any]]:
    """The deployments that began to change something on a target, the newest first."""
    return list(session.execute(_TOUCHED_BY, {"target_id": target_id, "limit": limit}))


# A step that succeeded never changes, so the steps are the history of what `installations` says of now.
_AT = text("""
    WITH done AS (
        SELECT s.target_id, d.release_id, d.id AS deployment_id, s.ended_at, s.id,
            lag(d.release_id) OVER here IS DISTINCT FROM d.release_id AS came
        FROM deployments d
        JOIN steps s ON s.deployment_id = d.id AND s.status = 'succeeded' AND s.ended_at <= CAST(:at AS timestamptz)
        JOIN plans p ON p.deployment_id = d.id
        WHERE d.environment = :environment AND d.started_at <= CAST(:at AS timestamptz)
          AND (CAST(:application AS text) IS NULL
               OR d.application_id = (SELECT a.id FROM applications a WHERE a.name = :application))
          AND p.document -> 'actions' -> CAST(s.action_index AS int) ->> 'kind' = 'run'
        WINDOW here AS (PARTITION BY s.target_id ORDER BY s.ended_at, s.id)
    ), last AS (
        SELECT DISTINCT ON (target_id) target_id, release_id, deployment_id,
            max(ended_at) FILTER (WHERE came) OVER (PARTITION BY target_id) AS since
        FROM done ORDER BY target_id, ended_at DESC, id DESC
    )
    SELECT a.name AS application, t.environment, t.name AS target, r.version, l.release_id, l.deployment_id, l.since
    FROM last l JOIN targets t ON t.id = l.target_id JOIN applications a ON a.id = t.application_id
    JOIN releases r ON r.id = l.release_id
    ORDER BY a.name, t.position, t.id OFFSET :skip LIMIT :limit
""")


def page_at(
    session: Session, environment: str, *, application: str | None, at: datetime | None, skip: int, limit: int
) -> list[Row[Any]]:
    """The targets that had something at an instant (None: now), with what that was, by application and the pipeline's order."""
    params = {
        "environment": environment,
        "application": application,
        "at": at or "infinity",
        "skip": skip,
        "limit": limit,
    }
    return list(session.execute(_AT, params))
