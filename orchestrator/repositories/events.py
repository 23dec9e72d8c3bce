"""The append-only, hash-chained record of what happened."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.audit import link

FROM_JSON = """
    INSERT INTO events (subject, seq, deployment_id, kind, actor_id, at, data, hash)
    SELECT subject, seq, deployment_id, kind, actor_id, at, data, decode(hash, 'hex')
    FROM json_to_recordset(CAST(:events AS json)) AS e(subject text, seq bigint, deployment_id bigint, kind text,
        actor_id bigint, at timestamptz, data jsonb, hash text)
"""
"""Writes entries that `entry` made; also a part of larger statements."""

_INSERT = text(FROM_JSON)

_HEAD = text("SELECT seq, hash FROM events WHERE subject = :subject ORDER BY seq DESC LIMIT 1")

_OF_DEPLOYMENT = text("""
    SELECT e.*, u.username FROM events e LEFT JOIN users u ON u.id = e.actor_id
    WHERE e.deployment_id = :id AND e.seq > :after ORDER BY e.seq LIMIT :limit
""")

_NEWEST_OF_DEPLOYMENT = text("""
    SELECT e.*, u.username FROM events e LEFT JOIN users u ON u.id = e.actor_id
    WHERE e.deployment_id = :id ORDER BY e.seq DESC LIMIT :limit
""")

_LAST_OF = text("""
    SELECT e.*, u.username FROM events e LEFT JOIN users u ON u.id = e.actor_id
    WHERE e.deployment_id = :id AND e.kind = :kind ORDER BY e.seq DESC LIMIT 1
""")


def entry(
    *,
    subject: str,
    seq: int,
    previous: bytes,
    kind: str,
    actor_id: int | None,
    at: datetime,
    data: Mapping[str, Any],
    deployment_id: int | None,
) -> tuple[bytes, dict[str, Any]]:
    """The hash and the row of the entry that follows `previous`. The unique (subject, seq) refuses a second one."""
    digest = link(previous, subject=subject, seq=seq, kind=kind, actor_id=actor_id, at=at, data=data)
    row = {
        "subject": subject,
        "seq": seq,
        "deployment_id": deployment_id,
        "kind": kind,
        "actor_id": actor_id,
        "at": at,
        "data": data,
        "hash": digest.hex(),
    }
    return digest, row


def insert(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add entries that `entry` made."""
    session.execute(_INSERT, {"events": orjson.dumps(rows).decode()})


def head(session: Session, subject: str) -> tuple[int, bytes]:
    """The last entry's number and hash; (0, b"") before the first."""
    row = session.execute(_HEAD, {"subject": subject}).one_or_none()
    return (row.seq, bytes(row.hash)) if row else (0, b"")


def of_deployment(session: Session, deployment_id: int, *, after: int, limit: int) -> list[Row[Any]]:
    """Entries about a deployment, in order."""
    return list(session.execute(_OF_DEPLOYMENT, {"id": deployment_id, "after": after, "limit": limit}))


def newest_of_deployment(session: Session, deployment_id: int, *, limit: int) -> list[Row[Any]]:
    """The last entries about a deployment, in order."""
    found = session.execute(_NEWEST_OF_DEPLOYMENT, {"id": deployment_id, "limit": limit}).all()
    return list(reversed(found))


def last_of(session: Session, deployment_id: int, kind: str) -> Row[Any] | None:
    """The last entry of a kind about a deployment; None where there is none."""
    return session.execute(_LAST_OF, {"id": deployment_id, "kind": kind}).one_or_none()


_PAGE = text("""
    SELECT e.id, e.subject, e.seq, e.kind, e.at, e.actor_id, u.username AS actor, e.data, encode(e.hash, 'hex') AS hash
    FROM events e LEFT JOIN users u ON u.id = e.actor_id
    WHERE e.id > :after AND (CAST(:subject AS text) IS NULL OR e.subject = :subject)
    ORDER BY e.id OFFSET :skip LIMIT :limit
""")


def page(session: Session, *, subject: str | None, after: int, skip: int, limit: int) -> list[Row[Any]]:
    """Entries about everything, or about one subject, the oldest first."""
    params = {"subject": subject, "after": after, "skip": skip, "limit": limit}
    return list(session.execute(_PAGE, params))


_NEWEST = text("""
    SELECT e.id, e.subject, e.seq, e.kind, e.at, e.actor_id, u.username AS actor, e.data, encode(e.hash, 'hex') AS hash
    FROM events e LEFT JOIN users u ON u.id = e.actor_id
    WHERE (CAST(:before AS bigint) IS NULL OR e.id < :before) AND (CAST(:subject AS text) IS NULL OR e.subject = :subject)
    ORDER BY e.id DESC OFFSET :skip LIMIT :limit
""")


def newest(
    session: Session, *, subject: str | None, before: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """As `page`, the newest first."""
    params = {"subject": subject, "before": before, "skip": skip, "limit": limit}
    return list(session.execute(_NEWEST, params))
