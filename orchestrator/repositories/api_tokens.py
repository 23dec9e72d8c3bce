"""API tokens, by what is kept of them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError
from orchestrator.repositories.users import RIGHTS

_READ = """
    SELECT t.id, t.user_id, t.name, t.hint, t.scopes, t.applications, t.environments, t.created_at, t.expires_at,
        t.last_used_at, t.revoked_at, u.username, r.username AS revoked_by_name
    FROM api_tokens t JOIN users u ON u.id = t.user_id LEFT JOIN users r ON r.id = t.revoked_by
"""

_ADD = text("""
    INSERT INTO api_tokens (user_id, name, hash, hint, scopes, applications, environments, expires_at)
    VALUES (:user_id, :name, :hash, :hint, :scopes, :applications, :environments, :expires_at) RETURNING id
""")

_REVOKE = text("""
    UPDATE api_tokens SET revoked_at = clock_timestamp(), revoked_by = :revoked_by, updated_at = clock_timestamp()
    WHERE id = :id AND revoked_at IS NULL
""")

# Written at most once a minute: a row that every request changes would be the slowest of all.
_USE = text(f"""
    WITH found AS (
        SELECT t.id AS token_id, {RIGHTS}, t.scopes, t.applications, t.environments,
            extract(epoch FROM t.expires_at) AS expires, t.last_used_at
        FROM api_tokens t JOIN users u ON u.id = t.user_id
        WHERE t.hash = :hash AND t.revoked_at IS NULL AND t.expires_at > clock_timestamp() AND u.active
    ), used AS (
        UPDATE api_tokens SET last_used_at = clock_timestamp() WHERE id = (
            SELECT token_id FROM found
            WHERE last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
    )
    SELECT * FROM found
""")


def add(session: Session, values: Mapping[str, Any]) -> int:
    """Add one; its id."""
    return int(session.execute(_ADD, values).scalar_one())


def get(session: Session, token_id: int) -> Row[Any]:
    """One of them. Raises NotFoundError."""
    row = session.execute(text(_READ + " WHERE t.id = :id"), {"id": token_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no API token {token_id}")
    return row


def page(
    session: Session, *, user_id: int | None, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Those that were not revoked, of a user or (None) of everybody, the newest first."""
    statement = text(f"""{_READ} WHERE t.revoked_at IS NULL
        AND (CAST(:user_id AS bigint) IS NULL OR t.user_id = :user_id)
        AND (CAST(:before_id AS bigint) IS NULL OR t.id < :before_id)
        ORDER BY t.id DESC OFFSET :skip LIMIT :limit""")
    params = {"user_id": user_id, "before_id": before_id, "skip": skip, "limit": limit}
    return list(session.execute(statement, params))


def revoke(session: Session, token_id: int, *, revoked_by: int) -> bool:
    """Make it worth nothing; False where it was."""
    done = session.execute(_REVOKE, {"id": token_id, "revoked_by": revoked_by})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def use(connection: Session | Connection, digest: bytes) -> Row[Any] | None:
    """Whose token this is and what it is for; None where it is worth nothing (any more)."""
    return connection.execute(_USE, {"hash": digest}).one_or_none()
