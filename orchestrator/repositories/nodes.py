"""Which worker nodes have been heard of, and when."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_SEEN = text("""
    INSERT INTO worker_nodes (id, seen_at) VALUES (:id, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
""")


def seen(session: Session, node: str) -> None:
    """A worker of this node polls now."""
    session.execute(_SEEN, {"id": node})


def last_seen(session: Session) -> datetime | None:
    """When any worker polled last."""
    found: datetime | None = session.execute(text("SELECT max(seen_at) FROM worker_nodes")).scalar()
    return found
