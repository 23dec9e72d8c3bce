"""Roles for one application."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_READ = """
    SELECT g.id, g.application_id, a.name AS application, g.user_id, g.team, g.role, g.environments, g.created_at,
        g.removed_at, u.username AS "user", c.username AS created_by, r.username AS removed_by
    FROM grants g JOIN applications a ON a.id = g.application_id JOIN users c ON c.id = g.created_by
    LEFT JOIN users u ON u.id = g.user_id LEFT JOIN users r ON r.id = g.removed_by
"""

_ADD = text("""
    INSERT INTO grants (application_id, user_id, team, role, environments, created_by)
    VALUES (:application_id, :user_id, :team, :role, :environments, :created_by)
    ON CONFLICT DO NOTHING RETURNING id
""")

_REMOVE = text("""
    UPDATE grants SET removed_at = clock_timestamp(), removed_by = :removed_by, updated_at = clock_timestamp()
    WHERE id = :id AND removed_at IS NULL
""")

_FILTERS = {
    "application": "a.name = :application",
    "user": "lower(u.username) = lower(:user)",
    "team": "g.team = :team",
}


def add(session: Session, values: Mapping[str, Any]) -> int | None:
    """Add one; its id, or None where the same user or team has that role there already."""
    found: int | None = session.execute(_ADD, values).scalar()
    return found


def get(session: Session, grant_id: int, *, lock: bool = False) -> Row[Any]:
    """One of them. Raises NotFoundError."""
    statement = text(f"{_READ} WHERE g.id = :id{' FOR UPDATE OF g' if lock else ''}")
    row = session.execute(statement, {"id": grant_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no grant {grant_id}")
    return row


def page(
    session: Session, filters: Mapping[str, str], *, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Those that were not removed, the newest first."""
    wanted = "".join(f" AND {_FILTERS[name]}" for name in filters)
    statement = text(f"""{_READ} WHERE g.removed_at IS NULL{wanted}
        AND (CAST(:before_id AS bigint) IS NULL OR g.id < :before_id)
        ORDER BY g.id DESC OFFSET :skip LIMIT :limit""")
    params = {**filters, "before_id": before_id, "skip": skip, "limit": limit}
    return list(session.execute(statement, params))


def remove(session: Session, grant_id: int, *, removed_by: int) -> bool:
    """Take it away; False where it was."""
    done = session.execute(_REMOVE, {"id": grant_id, "removed_by": removed_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]
