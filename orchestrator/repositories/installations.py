"""What runs where, and what ran there."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError
from orchestrator.repositories.began import BEGAN, CHANGES

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

# As `steps.touched` counts: who only had its traffic moved, or could not be reached, was not touched.
_TOUCHED_BY = text(f"""
    SELECT d.id, r.version, d.status, d.rolls_back_id, s.since, s.until, s.has_failed, u.username AS requested_by_name
    FROM targets t JOIN deployments d ON d.application_id = t.application_id AND d.environment = t.environment
    JOIN releases r ON r.id = d.release_id LEFT JOIN users u ON u.id = d.requested_by
    JOIN plans p ON p.deployment_id = d.id
    JOIN LATERAL (
        SELECT min(s.started_at) AS since, max(s.ended_at) AS until, bool_or(s.status IN ('failed', 'unknown')) AS has_failed
        FROM steps s WHERE s.deployment_id = d.id AND s.target_id = t.id AND {BEGAN}
          AND {CHANGES}
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


# A step that succeeded never changes, so the steps are the history of what `installations` says of now. What puts back is not
# counted. Each look is one step down ix_steps_history, however long the history is: the last one before the instant, the last
# one before that with another release, and the first one after it, with which this release came.
_DONE = f"""
    FROM steps s JOIN deployments d ON d.id = s.deployment_id JOIN plans p ON p.deployment_id = d.id
    WHERE s.target_id = t.id AND s.status = 'succeeded' AND s.ended_at <= CAST(:at AS timestamptz)
      AND (d.undo_from IS NULL OR s.wave_index < d.undo_from)
      AND {CHANGES}
"""
_AT = text(f"""
    SELECT a.name AS application, t.environment, t.name AS target, r.version, l.release_id, l.deployment_id,
        came.ended_at AS since
    FROM targets t JOIN applications a ON a.id = t.application_id
    JOIN LATERAL (
        SELECT d.release_id, d.id AS deployment_id {_DONE} ORDER BY s.ended_at DESC, s.id DESC LIMIT 1
    ) l ON true
    LEFT JOIN LATERAL (
        SELECT s.ended_at, s.id {_DONE} AND d.release_id <> l.release_id ORDER BY s.ended_at DESC, s.id DESC LIMIT 1
    ) other ON true
    JOIN LATERAL (
        SELECT s.ended_at {_DONE} AND (s.ended_at, s.id) > (coalesce(other.ended_at, '-infinity'), coalesce(other.id, 0))
        ORDER BY s.ended_at, s.id LIMIT 1
    ) came ON true
    JOIN releases r ON r.id = l.release_id
    WHERE t.environment = :environment AND (CAST(:application AS text) IS NULL OR a.name = :application)
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
