"""Deployments that are requested again and again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_READ = """
    SELECT s.*, a.name AS application, u.username AS created_by_name, r.username AS removed_by_name
    FROM schedules s JOIN applications a ON a.id = s.application_id JOIN users u ON u.id = s.created_by
    LEFT JOIN users r ON r.id = s.removed_by
"""

_ADD = text("""
    INSERT INTO schedules (application_id, environment, from_environment, cron, zone, reason, created_by, next_at, due_at)
    VALUES (:application_id, :environment, :from_environment, :cron, :zone, :reason, :created_by, :next_at, :next_at)
    RETURNING id
""")

_REMOVE = text("""
    UPDATE schedules SET removed_at = clock_timestamp(), removed_by = :removed_by, due_at = NULL, next_at = NULL,
        updated_at = clock_timestamp()
    WHERE id = :id AND removed_at IS NULL
""")

_TAKE = text("""
    UPDATE schedules SET due_at = clock_timestamp() + make_interval(secs => :push_seconds)
    WHERE id IN (SELECT id FROM schedules WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING id
""")

_DONE = text("""
    UPDATE schedules SET next_at = :next_at, due_at = :next_at, last_outcome = :outcome,
        last_deployment_id = coalesce(:deployment_id, last_deployment_id), updated_at = clock_timestamp()
    WHERE id = :id
""")


def add(session: Session, values: Mapping[str, Any]) -> int:
    """Add one; its id."""
    return int(session.execute(_ADD, values).scalar_one())


def get(session: Session, schedule_id: int, *, lock: bool = False) -> Row[Any]:
    """One of them. Raises NotFoundError."""
    statement = text(f"{_READ} WHERE s.id = :id{' FOR UPDATE OF s' if lock else ''}")
    row = session.execute(statement, {"id": schedule_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no schedule {schedule_id}")
    return row


def page(session: Session, *, before_id: int | None, skip: int, limit: int) -> list[Row[Any]]:
    """Those that were not removed, the newest first."""
    before = " AND s.id < :before_id" if before_id is not None else ""
    statement = text(
        f"{_READ} WHERE s.removed_at IS NULL{before} ORDER BY s.id DESC OFFSET :skip LIMIT :limit"
    )
    return list(session.execute(statement, {"before_id": before_id, "skip": skip, "limit": limit}))


def of_environment(
    session: Session, environment: str, *, application: str | None, limit: int
) -> list[Row[Any]]:
    """Those that go on in an environment, of one application or (None) of all."""
    statement = text(f"""{_READ} WHERE s.removed_at IS NULL AND s.environment = :environment
        AND (CAST(:application AS text) IS NULL OR a.name = :application) ORDER BY s.id LIMIT :limit""")
    params = {"environment": environment, "application": application, "limit": limit}
    return list(session.execute(statement, params))


def remove(session: Session, schedule_id: int, *, removed_by: int) -> bool:
    """Request nothing more; False where that was so."""
    done = session.execute(_REMOVE, {"id": schedule_id, "removed_by": removed_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def take_due(session: Session, *, limit: int, push_seconds: float) -> list[int]:
    """Those whose time has come, each given to one caller only, and again if that comes to no end."""
    return list(session.execute(_TAKE, {"limit": limit, "push_seconds": push_seconds}).scalars())


def finish(
    session: Session, schedule_id: int, *, next_at: datetime | None, outcome: str, deployment_id: int | None
) -> None:
    """Write what came of an occurrence, and when the next one is."""
    params = {"id": schedule_id, "next_at": next_at, "outcome": outcome, "deployment_id": deployment_id}
    session.execute(_DONE, params)
