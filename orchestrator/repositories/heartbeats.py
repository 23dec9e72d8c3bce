"""Who has been heard of, and when: worker nodes poll, the clock ticks. Each is told in the same statement what there is to do."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

TICK = "tick"
NODE_PREFIX = "node:"


class Tick(NamedTuple):
    """How long after the one before it a tick came, None for the first; and of what something is due."""

    after_seconds: float | None
    deployments: bool
    health: bool
    promotions: bool
    schedules: bool


class Poll(NamedTuple):
    """Of what something is overdue."""

    deployments: bool
    health: bool


def _is_due(table: str, timer: str, *, ago: str = "") -> str:
    """The earliest is the first in the timer's index."""
    return f"coalesce((SELECT min({timer}) FROM {table}) <= clock_timestamp(){ago}, false) AS {table}"


# What the statement reads is as it was before it.
_TICK = text(f"""
    WITH before AS (SELECT heard_at FROM heartbeats WHERE source = :source)
    INSERT INTO heartbeats (source, heard_at) VALUES (:source, clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET heard_at = clock_timestamp()
    RETURNING (SELECT extract(epoch FROM clock_timestamp() - heard_at)::float FROM before) AS after_seconds,
        {_is_due("deployments", "wake_at")}, {_is_due("health_watches", "due_at")},
        {_is_due("promotions", "due_at")}, {_is_due("schedules", "due_at")}
""")

_OVERDUE = " - make_interval(secs => :overdue_seconds)"

_NODE = text(f"""
    INSERT INTO heartbeats (source, heard_at, free_bytes) VALUES (:source, clock_timestamp(), :free_bytes)
    ON CONFLICT (source) DO UPDATE SET heard_at = clock_timestamp(), free_bytes = EXCLUDED.free_bytes
    RETURNING {_is_due("deployments", "wake_at", ago=_OVERDUE)}, {_is_due("health_watches", "due_at", ago=_OVERDUE)}
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


def node(
    session: Session, node_id: str, *, free_bytes: int | None = None, overdue_seconds: float = 0.0
) -> Poll:
    """A worker of this node polls now, and has so much room where its runs are, if it can say; what is overdue by so long."""
    params = {
        "source": NODE_PREFIX + node_id,
        "free_bytes": free_bytes,
        "overdue_seconds": overdue_seconds,
    }
    return Poll._make(execute(session, _NODE, params).one())


def tick(session: Session) -> Tick:
    """The clock ticks now; what there is to do."""
    return Tick._make(execute(session, _TICK, {"source": TICK}).one())


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
    params = {"source": source, "every_seconds": every_seconds}
    return execute(session, _TURN, params).first() is not None
