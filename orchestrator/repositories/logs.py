"""What attempts wrote, byte for byte."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

# Appends only at the very end and only under the newest token: a byte is stored once, in order, or not at all.
_APPEND = text("""
    WITH grown AS (
        UPDATE attempts SET output_bytes = :end, left_out_bytes = left_out_bytes + :left_out
        WHERE id = :attempt AND token = :token AND output_bytes = :start AND ended_at IS NULL
        RETURNING id, deployment_id, step_id
    ), written AS (
        INSERT INTO log_chunks (deployment_id, step_id, attempt_id, start_byte, data)
        SELECT deployment_id, step_id, id, :start, :data FROM grown WHERE length(CAST(:data AS bytea)) > 0
    )
    SELECT id FROM grown
""")

_COLUMNS = "id, xid, step_id, attempt_id, start_byte, data, at"

# Backwards from the end, and never more than the bound: what a tail costs does not grow with the log.
_READ_BACK = """
    SELECT c.id, c.xid::text AS xid, c.step_id, c.attempt_id, c.start_byte, c.data, c.at,
        s.target_name, s.wave_index, a.number AS attempt
    FROM (SELECT {columns}, sum(length(data)) OVER (ORDER BY xid DESC, id DESC) AS size FROM (
            SELECT {columns} FROM log_chunks WHERE {scope} = :scope
              AND (:ended OR xid < pg_snapshot_xmin(pg_current_snapshot()))
            ORDER BY xid DESC, id DESC LIMIT :limit) c) c
    JOIN steps s ON s.id = c.step_id JOIN attempts a ON a.id = c.attempt_id
    WHERE c.size <= :most_bytes OR c.size = length(c.data) ORDER BY c.xid, c.id
"""
_READ_BACK_DEPLOYMENT = text(_READ_BACK.format(scope="deployment_id", columns=_COLUMNS))
_READ_BACK_STEP = text(_READ_BACK.format(scope="step_id", columns=_COLUMNS))

# Ids grow with time, so the oldest are where the primary key begins.
_PRUNE = text("""
    DELETE FROM log_chunks WHERE id IN (
        SELECT id FROM (SELECT id, at FROM log_chunks ORDER BY id LIMIT :limit) oldest
        WHERE at < clock_timestamp() - make_interval(days => :days))
""")

_PRUNED = """
    SELECT EXISTS (SELECT 1 FROM steps s JOIN attempts a ON a.step_id = s.id WHERE {scope} = :scope AND a.output_bytes > 0
      AND NOT EXISTS (SELECT 1 FROM log_chunks c WHERE c.attempt_id = a.id AND c.start_byte = 0))
"""
_PRUNED_DEPLOYMENT = text(_PRUNED.format(scope="s.deployment_id"))
_PRUNED_STEP = text(_PRUNED.format(scope="s.id"))

_STORED = text("SELECT output_bytes FROM attempts WHERE id = :attempt AND token = :token")

# Only pieces of transactions that all ended are handed out, so that a reader's cursor never passes one that appears later.
_READ = """
    SELECT c.id, c.xid::text AS xid, c.step_id, c.attempt_id, c.start_byte, c.at,
        CASE WHEN c.size <= :most_bytes OR c.size = length(c.data) THEN c.data END AS data,
        s.target_name, s.wave_index, a.number AS attempt
    FROM (SELECT {columns}, sum(length(data)) OVER (ORDER BY xid, id) AS size FROM (
            SELECT {columns} FROM log_chunks WHERE {scope} = :scope AND (xid, id) > (CAST(:xid AS xid8), :id)
              AND (:ended OR xid < pg_snapshot_xmin(pg_current_snapshot()))
            ORDER BY xid, id LIMIT :limit) c) c
    JOIN steps s ON s.id = c.step_id JOIN attempts a ON a.id = c.attempt_id
    ORDER BY c.xid, c.id
"""
_READ_DEPLOYMENT = text(_READ.format(scope="deployment_id", columns=_COLUMNS))
_READ_STEP = text(_READ.format(scope="step_id", columns=_COLUMNS))


def append(
    session: Session, attempt_id: int, token: int, *, start: int, end: int, data: bytes, left_out: int
) -> bool:
    """Store what stands for the bytes from `start` to `end`; False where the lease is lost or they are not next."""
    params = {
        "attempt": attempt_id,
        "token": token,
        "start": start,
        "end": end,
        "data": data,
        "left_out": left_out,
    }
    return execute(session, _APPEND, params).first() is not None


def stored_bytes(session: Session, attempt_id: int, token: int) -> int | None:
    """How much is stored under this lease; None where the lease is lost."""
    found: int | None = execute(session, _STORED, {"attempt": attempt_id, "token": token}).scalar()
    return found


def read(
    session: Session,
    *,
    deployment_id: int,
    step_id: int | None,
    after: tuple[int, int],
    limit: int,
    most_bytes: int,
    ended: bool = False,
) -> list[Row[Any]]:
    """Pieces after a cursor (transaction, id), in order, of a deployment or of one of its steps.

    Of those past `most_bytes` together (but for the first) `data` is None: a page need not read what it cannot hold.
    `ended`: the deployment was seen to have ended before, so every piece is there and none can appear later.
    """
    statement, scope = (_READ_DEPLOYMENT, deployment_id) if step_id is None else (_READ_STEP, step_id)
    params = {
        "scope": scope,
        "xid": str(after[0]),
        "id": after[1],
        "limit": limit,
        "most_bytes": most_bytes,
        "ended": ended,
    }
    return list(session.execute(statement, params))


def read_back(
    session: Session,
    *,
    deployment_id: int,
    step_id: int | None,
    limit: int,
    most_bytes: int,
    ended: bool = False,
) -> list[Row[Any]]:
    """The last pieces, in order: at most `limit` of them, together at most `most_bytes` unless one alone is larger."""
    statement, scope = (
        (_READ_BACK_DEPLOYMENT, deployment_id) if step_id is None else (_READ_BACK_STEP, step_id)
    )
    params = {"scope": scope, "limit": limit, "most_bytes": most_bytes, "ended": ended}
    return list(session.execute(statement, params))


def prune(session: Session, *, days: int, limit: int) -> int:
    """Remove pieces older than that, the oldest first, at most `limit`; how many."""
    done = session.execute(_PRUNE, {"days": days, "limit": limit})
    return int(done.rowcount)  # type: ignore[attr-defined]


def is_pruned(session: Session, *, deployment_id: int, step_id: int | None) -> bool:
    """Whether something was written whose beginning is not kept any more."""
    statement, scope = (_PRUNED_DEPLOYMENT, deployment_id) if step_id is None else (_PRUNED_STEP, step_id)
    return bool(session.execute(statement, {"scope": scope}).scalar())


def any_after(session: Session, *, deployment_id: int, step_id: int | None, after: tuple[int, int]) -> bool:
    """Whether there are pieces after a cursor, those included that `read` holds back for now."""
    scope = "deployment_id = :scope" if step_id is None else "step_id = :scope"
    statement = text(
        f"SELECT EXISTS (SELECT 1 FROM log_chunks WHERE {scope} AND (xid, id) > (CAST(:xid AS xid8), :id))"
    )
    params = {"scope": deployment_id if step_id is None else step_id, "xid": str(after[0]), "id": after[1]}
    return bool(session.execute(statement, params).scalar())
