"""Which request a person sent under which Idempotency-Key, and what it made."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

# A second request with the same key waits here until the first has committed or rolled back.
_TAKE = text("""
    INSERT INTO idempotency_keys (user_id, key, request_hash) VALUES (:user_id, :key, :request_hash)
    ON CONFLICT DO NOTHING RETURNING key
""")

_FIND = text("SELECT request_hash, made_id FROM idempotency_keys WHERE user_id = :user_id AND key = :key")

_FILL = text("UPDATE idempotency_keys SET made_id = :made_id WHERE user_id = :user_id AND key = :key")


@dataclass(frozen=True, slots=True)
class Taken:
    """The first request under a key, and what it made."""

    request_hash: bytes
    made_id: int | None


def take(session: Session, user_id: int, key: str, *, request_hash: bytes) -> Taken | None:
    """Be the first under this key (None), or learn of the one who was, once that one has committed."""
    params = {"user_id": user_id, "key": key, "request_hash": request_hash}
    while execute(session, _TAKE, params).first() is None:
        row = execute(session, _FIND, {"user_id": user_id, "key": key}).one_or_none()
        if row is not None:  # else it was removed between the two statements
            return Taken(bytes(row.request_hash), row.made_id)
    return None


def fill(session: Session, user_id: int, key: str, *, made_id: int) -> None:
    """Write what the first request made."""
    execute(session, _FILL, {"user_id": user_id, "key": key, "made_id": made_id})


def prune(session: Session, *, hours: int, limit: int) -> int:
    """Remove keys older than that, at most `limit`; how many."""
    statement = text("""
        DELETE FROM idempotency_keys WHERE (user_id, key) IN (
            SELECT user_id, key FROM idempotency_keys
            WHERE created_at < clock_timestamp() - make_interval(hours => :hours) ORDER BY created_at LIMIT :limit)
    """)
    done = session.execute(statement, {"hours": hours, "limit": limit})
    return int(done.rowcount)  # type: ignore[attr-defined]
