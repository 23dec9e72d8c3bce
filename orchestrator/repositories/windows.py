"""Windows and freezes of environments."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_READ = """
    SELECT w.id, w.environment, w.document, w.created_at, w.removed_at, w.created_by,
        u.username AS created_by_name, r.username AS removed_by_name
    FROM window_rules w JOIN users u ON u.id = w.created_by LEFT JOIN users r ON r.id = w.removed_by
"""

_ADD = text("""
    INSERT INTO window_rules (environment, document, created_by)
    VALUES (:environment, CAST(:document AS jsonb), :created_by) RETURNING id
""")

_REMOVE = text("""
    UPDATE window_rules SET removed_at = clock_timestamp(), removed_by = :removed_by, updated_at = clock_timestamp()
    WHERE id = :id AND removed_at IS NULL
""")


def add(session: Session, *, environment: str, document: Mapping[str, Any], created_by: int) -> int:
    """Add a rule; its id."""
    params = {
        "environment": environment,
        "document": orjson.dumps(document).decode(),
        "created_by": created_by,
    }
    return int(session.execute(_ADD, params).scalar_one())


def remove(session: Session, rule_id: int, *, removed_by: int) -> bool:
    """Let it hold no more; False where it did not."""
    done = session.execute(_REMOVE, {"id": rule_id, "removed_by": removed_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def get(session: Session, kind: str, rule_id: int, *, lock: bool = False) -> Row[Any]:
    """One window or one freeze. Raises NotFoundError."""
    held = " FOR NO KEY UPDATE OF w" if lock else ""
    statement = text(f"{_READ} WHERE w.id = :id AND w.document ->> 'kind' = :kind{held}")
    row = session.execute(statement, {"id": rule_id, "kind": kind}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no {kind} {rule_id}")
    return row


_FOR = text("""
    SELECT (SELECT json_agg(json_build_object(
            'id', w.id, 'made_at', extract(epoch FROM w.created_at), 'document', w.document) ORDER BY w.id)
        FROM window_rules w WHERE w.environment = :environment AND w.removed_at IS NULL) AS rules,
        (SELECT p.document -> 'labels' FROM applications a
         JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision WHERE a.name = :application) AS labels
""")


def of_environment(session: Session, environment: str, *, application: str | None) -> Row[Any]:
    """The `rules` that hold in an environment (null: none), and the `labels` of an application."""
    return session.execute(_FOR, {"environment": environment, "application": application}).one()


def page(
    session: Session, kind: str, *, environment: str | None, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Windows, or freezes, that hold, the newest first."""
    conditions = ["w.removed_at IS NULL", "w.document ->> 'kind' = :kind"]
    if environment is not None:
        conditions.append("w.environment = :environment")
    if before_id is not None:
        conditions.append("w.id < :before_id")
    statement = text(f"{_READ} WHERE {' AND '.join(conditions)} ORDER BY w.id DESC OFFSET :skip LIMIT :limit")
    params = {"kind": kind, "environment": environment, "before_id": before_id, "skip": skip, "limit": limit}
    return list(session.execute(statement, params))
