"""Who may tell us of releases, and what they told."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_READ = """
    SELECT h.id, h.sender, h.tag_prefix, h.secret, h.created_by, h.created_at, h.removed_at, h.removed_by, a.name AS application,
        u.username AS created_by_name, r.username AS removed_by_name
    FROM hooks h JOIN applications a ON a.id = h.application_id JOIN users u ON u.id = h.created_by
    LEFT JOIN users r ON r.id = h.removed_by
"""

_ADD = text("""
    INSERT INTO hooks (sender, application_id, tag_prefix, secret, created_by)
    VALUES (:sender, :application_id, :tag_prefix, :secret, :created_by) RETURNING id
""")

_REMOVE = text("""
    UPDATE hooks SET removed_at = clock_timestamp(), removed_by = :removed_by, secret = NULL, updated_at = clock_timestamp()
    WHERE id = :id AND removed_at IS NULL
""")

# The same message a second time waits here until the first has been answered, or has failed.
_TAKE = text("""
    INSERT INTO hook_receipts (hook_id, key) VALUES (:hook_id, :key) ON CONFLICT DO NOTHING RETURNING key
""")

_ANSWER = text("SELECT answer FROM hook_receipts WHERE hook_id = :hook_id AND key = :key")

_FILL = text("""
    UPDATE hook_receipts SET answer = CAST(:answer AS jsonb) WHERE hook_id = :hook_id AND key = :key
""")

_PRUNE = text("""
    DELETE FROM hook_receipts WHERE (hook_id, key) IN (
        SELECT hook_id, key FROM hook_receipts WHERE created_at < clock_timestamp() - make_interval(days => :days)
        ORDER BY created_at LIMIT :limit)
""")


def add(session: Session, values: Mapping[str, Any]) -> int:
    """Add one; its id."""
    return int(session.execute(_ADD, values).scalar_one())


def get(session: Session, hook_id: int, *, lock: bool = False) -> Row[Any]:
    """One of them. Raises NotFoundError."""
    statement = text(f"{_READ} WHERE h.id = :id{' FOR NO KEY UPDATE OF h' if lock else ''}")
    row = session.execute(statement, {"id": hook_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no hook {hook_id}")
    return row


def page(session: Session, *, before_id: int | None, skip: int, limit: int) -> list[Row[Any]]:
    """Those that were not removed, the newest first."""
    statement = text(f"""{_READ} WHERE h.removed_at IS NULL AND (CAST(:before_id AS bigint) IS NULL OR h.id < :before_id)
        ORDER BY h.id DESC OFFSET :skip LIMIT :limit""")
    return list(session.execute(statement, {"before_id": before_id, "skip": skip, "limit": limit}))


def remove(session: Session, hook_id: int, *, removed_by: int) -> bool:
    """Believe it nothing more; False where that was so."""
    done = session.execute(_REMOVE, {"id": hook_id, "removed_by": removed_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def take(session: Session, hook_id: int, key: str) -> dict[str, Any] | None:
    """Be the first with this message (None), or learn what it was answered, once that is committed."""
    params = {"hook_id": hook_id, "key": key}
    while session.execute(_TAKE, params).first() is None:
        row = session.execute(_ANSWER, params).one_or_none()
        if row is not None:  # else it was pruned between the two statements
            return dict(row.answer)
    return None


def fill(session: Session, hook_id: int, key: str, answer: Mapping[str, Any]) -> None:
    """Keep what a message was answered."""
    params = {"hook_id": hook_id, "key": key, "answer": orjson.dumps(answer).decode()}
    session.execute(_FILL, params)


def prune(session: Session, *, days: int, limit: int) -> int:
    """Forget what was told long ago; how many."""
    return int(session.execute(_PRUNE, {"days": days, "limit": limit}).rowcount)  # type: ignore[attr-defined]
