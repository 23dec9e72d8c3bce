"""Whom to tell what happened."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_READ = """
    SELECT w.id, w.name, w.kind, w.settings, w.secrets, w.events, w.applications, w.environments, w.created_by, w.created_at,
        w.disabled_at, w.disabled_because, w.removed_at, w.removed_by, u.username AS created_by_name, r.username AS removed_by_name
    FROM webhooks w JOIN users u ON u.id = w.created_by LEFT JOIN users r ON r.id = w.removed_by
"""

_ADD = text("""
    INSERT INTO webhooks (name, kind, settings, secrets, events, applications, environments, at_once, created_by, after_event_id)
    VALUES (:name, :kind, CAST(:settings AS jsonb), :secrets, :events, :applications, :environments, :at_once, :created_by,
        (SELECT coalesce(max(id), 0) FROM events))
    RETURNING id
""")

_RESEAL = text("UPDATE webhooks SET secrets = :secrets, updated_at = clock_timestamp() WHERE id = :id")

_REMOVE = text("""
    UPDATE webhooks SET removed_at = clock_timestamp(), removed_by = :removed_by, secrets = NULL,
        updated_at = clock_timestamp()
    WHERE id = :id AND removed_at IS NULL
""")

_DISABLE = text("""
    UPDATE webhooks SET disabled_at = clock_timestamp(), disabled_because = :because, updated_at = clock_timestamp()
    WHERE id = :id AND disabled_at IS NULL AND removed_at IS NULL
""")


def add(session: Session, values: Mapping[str, Any]) -> int:
    """Add one; its id. It is told what happens from now on."""
    params = {**values, "settings": orjson.dumps(values["settings"]).decode()}
    return int(session.execute(_ADD, params).scalar_one())


def count(session: Session) -> int:
    """How many there are that were not removed."""
    return int(session.execute(text("SELECT count(*) FROM webhooks WHERE removed_at IS NULL")).scalar_one())


def get(session: Session, webhook_id: int, *, lock: bool = False) -> Row[Any]:
    """One of them. Raises NotFoundError."""
    statement = text(f"{_READ} WHERE w.id = :id{' FOR NO KEY UPDATE OF w' if lock else ''}")
    row = session.execute(statement, {"id": webhook_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no webhook {webhook_id}")
    return row


def page(session: Session, *, before_id: int | None, skip: int, limit: int) -> list[Row[Any]]:
    """Those that were not removed, the newest first."""
    statement = text(f"""{_READ} WHERE w.removed_at IS NULL AND (CAST(:before_id AS bigint) IS NULL OR w.id < :before_id)
        ORDER BY w.id DESC OFFSET :skip LIMIT :limit""")
    return list(session.execute(statement, {"before_id": before_id, "skip": skip, "limit": limit}))


def reseal(session: Session, webhook_id: int, secrets: bytes) -> None:
    """Keep other secrets."""
    session.execute(_RESEAL, {"id": webhook_id, "secrets": secrets})


def remove(session: Session, webhook_id: int, *, removed_by: int) -> bool:
    """Tell it nothing more and forget its secrets; False where that was so."""
    done = session.execute(_REMOVE, {"id": webhook_id, "removed_by": removed_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def disable(session: Session, webhook_id: int, because: str) -> bool:
    """Tell it nothing more; False where that was so."""
    done = session.execute(_DISABLE, {"id": webhook_id, "because": because})
    return bool(done.rowcount)  # type: ignore[attr-defined]
