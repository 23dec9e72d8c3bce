"""What runs where."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_PAGE = """
    SELECT a.name AS application, t.environment, t.name AS target, r.version, i.release_id, i.deployment_id, i.since, t.id,
        h.healthy, h.detail, h.checked_at
    FROM targets t JOIN applications a ON a.id = t.application_id JOIN environments e ON e.name = t.environment
    LEFT JOIN installations i ON i.target_id = t.id LEFT JOIN releases r ON r.id = i.release_id
    LEFT JOIN (
        SELECT h.target_id, h.healthy, h.detail, h.checked_at FROM target_health h
        JOIN health_watches w ON w.deployment_id = h.deployment_id
        WHERE w.left_by IS NULL AND h.healthy IS NOT NULL
    ) h ON h.target_id = t.id
    WHERE (t.active OR i.target_id IS NOT NULL)
"""


def page(
    session: Session, *, application: str | None, environment: str | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Targets with what runs on each, by application, environment and the pipeline's order; nulls for nothing yet.

    `healthy`, `detail` and `checked_at` are of the last health check since the release came, null where nobody asked.
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
