"""What people said: locks and approvals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_READ = """
    SELECT l.id, l.application_id, a.name AS application, l.environment, l.reason, l.warning_only, l.created_at,
        l.expires_at, l.released_at, u.username AS created_by_name, l.created_by, r.username AS released_by_name
    FROM locks l LEFT JOIN users u ON u.id = l.created_by
    LEFT JOIN applications a ON a.id = l.application_id LEFT JOIN users r ON r.id = l.released_by
"""
_HELD = "l.released_at IS NULL AND (l.expires_at IS NULL OR l.expires_at > clock_timestamp())"

_LOCK = text("""
    INSERT INTO locks (application_id, environment, reason, warning_only, created_by, expires_at)
    VALUES (:application_id, :environment, :reason, :warning_only, :created_by, :expires_at) RETURNING id
""")

_RELEASE = text("""
    UPDATE locks SET released_at = clock_timestamp(), released_by = :released_by, updated_at = clock_timestamp()
    WHERE id = :id AND released_at IS NULL
""")

_APPROVE = text("""
    INSERT INTO approvals (deployment_id, user_id, role, teams, reason)
    VALUES (:deployment_id, :user_id, :role, :teams, :reason)
    ON CONFLICT (deployment_id, user_id) DO UPDATE SET role = EXCLUDED.role, teams = EXCLUDED.teams,
        reason = EXCLUDED.reason, at = clock_timestamp()
    WHERE :again
    RETURNING user_id
""")


def add_lock(
    session: Session,
    *,
    application_id: int | None,
    environment: str | None,
    reason: str,
    warning_only: bool,
    created_by: int | None,
    expires_at: datetime | None,
) -> int:
    """Add a lock; its id. `created_by` None: the orchestrator's own."""
    params = {
        "application_id": application_id,
        "environment": environment,
        "reason": reason,
        "warning_only": warning_only,
        "created_by": created_by,
        "expires_at": expires_at,
    }
    return int(session.execute(_LOCK, params).scalar_one())


def release_lock(session: Session, lock_id: int, *, released_by: int) -> bool:
    """Release it; False where it was released already."""
    done = session.execute(_RELEASE, {"id": lock_id, "released_by": released_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def get_lock(session: Session, lock_id: int, *, hold: bool = False) -> Row[Any]:
    """One lock; `hold` its row. Raises NotFoundError."""
    statement = text(f"{_READ} WHERE l.id = :id{' FOR NO KEY UPDATE OF l' if hold else ''}")
    row = session.execute(statement, {"id": lock_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no lock {lock_id}")
    return row


def page_of_locks(
    session: Session, *, held_only: bool, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Locks, the newest first."""
    conditions = [_HELD] if held_only else []
    if before_id is not None:
        conditions.append("l.id < :before_id")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    statement = text(f"{_READ}{where} ORDER BY l.id DESC OFFSET :skip LIMIT :limit")
    return list(session.execute(statement, {"before_id": before_id, "skip": skip, "limit": limit}))


def halts(session: Session, *, limit: int) -> list[Row[Any]]:
    """The orchestrator's own locks that are held, the newest first."""
    statement = text(f"{_READ} WHERE l.created_by IS NULL AND {_HELD} ORDER BY l.id DESC LIMIT :limit")
    return list(session.execute(statement, {"limit": limit}))


def approve(
    session: Session,
    deployment_id: int,
    *,
    user_id: int,
    role: str,
    teams: Sequence[str],
    reason: str,
    again: bool,
) -> bool:
    """Note a person's yes; False where they had said it before, unless it is to be said `again`."""
    params = {
        "deployment_id": deployment_id,
        "user_id": user_id,
        "role": role,
        "teams": list(teams),
        "reason": reason,
        "again": again,
    }
    return session.execute(_APPROVE, params).first() is not None
