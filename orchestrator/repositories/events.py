"""The append-only, hash-chained record of what happened."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

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

_LAST_OF = text("""
    SELECT e.*, u.username FROM events e LEFT JOIN users u ON u.id = e.actor_id
    WHERE e.deployment_id = :id AND e.kind = :kind ORDER BY e.seq DESC LIMIT 1
""")


def link(
    previous: bytes,
    *,
    subject: str,
    seq: int,
    kind: str,
    actor_id: int | None,
    at: datetime,
    data: Mapping[str, Any],
) -> bytes:
    """The hash of an entry: SHA-256 over the hash before it and the entry's canonical JSON."""
    entry = {"subject": subject, "seq": seq, "kind": kind, "actor_id": actor_id, "at": at, "data": data}
    return hashlib.sha256(previous + orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).digest()


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


def last_of(session: Session, deployment_id: int, kind: str) -> Row[Any] | None:
    """The last entry of a kind about a deployment; None where there is none."""
    return session.execute(_LAST_OF, {"id": deployment_id, "kind": kind}).one_or_none()
