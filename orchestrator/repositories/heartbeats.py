"""Who has been heard of, and when: worker nodes poll, the clock ticks."""

from sqlalchemy import text
from sqlalchemy.orm import Session

TICK = "tick"
NODE_PREFIX = "node:"

_HEARD = text("""
    INSERT INTO heartbeats (source, heard_at) VALUES (:source, clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET heard_at = clock_timestamp()
""")

# What the statement reads is as it was before it.
_TICK = text("""
    WITH before AS (SELECT heard_at FROM heartbeats WHERE source = :source)
    INSERT INTO heartbeats (source, heard_at) VALUES (:source, clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET heard_at = clock_timestamp()
    RETURNING (SELECT extract(epoch FROM clock_timestamp() - heard_at)::float FROM before)
""")

_NODE = text("""
    INSERT INTO heartbeats (source, heard_at, free_bytes) VALUES (:source, clock_timestamp(), :free_bytes)
    ON CONFLICT (source) DO UPDATE SET heard_at = clock_timestamp(), free_bytes = EXCLUDED.free_bytes
""")

_TURN = text("""
    INSERT INTO heartbeats (source, heard_at) VALUES (:source, clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET heard_at = clock_timestamp()
        WHERE heartbeats.heard_at < clock_timestamp() - make_interval(secs => :every_seconds)
    RETURNING source
""")

_SILENCE = text("""
    SELECT extract(epoch FROM clock_timestamp() - max(heard_at))::float FROM heartbeats WHERE source LIKE :source
""")


def node(session: Session, node_id: str, *, free_bytes: int | None = None) -> None:
    """A worker of this node polls now, and has so much room where its runs are, if it can say."""
    session.execute(_NODE, {"source": NODE_PREFIX + node_id, "free_bytes": free_bytes})


def tick(session: Session) -> float | None:
    """The clock ticks now; how long after the tick before this one, in seconds. None: it is the first."""
    found: float | None = session.execute(_TICK, {"source": TICK}).scalar()
    return found


def node_silence_seconds(session: Session) -> float | None:
    """How long ago any worker polled; None: never."""
    found: float | None = session.execute(_SILENCE, {"source": NODE_PREFIX + "%"}).scalar()
    return found


def tick_silence_seconds(session: Session) -> float | None:
    """How long ago the clock ticked; None: never."""
    found: float | None = session.execute(_SILENCE, {"source": TICK}).scalar()
    return found


def take_turn(session: Session, source: str, *, every_seconds: float) -> bool:
    """Whether it is the caller, of all who ask, that does now what is done this often."""
    return session.execute(_TURN, {"source": source, "every_seconds": every_seconds}).first() is not None
