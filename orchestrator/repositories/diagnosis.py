"""What does not move and should: each question bounded to a few rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

MOST = 20
"""Rows of one kind that are looked at; whoever has more has enough to do with these."""
MOST_DEAD = 1000

_NAMED = """
    d.id, r.name AS application, r.version, d.environment
    FROM deployments d JOIN releases r ON r.id = d.release_id
"""

_OVERDUE = text(f"""
    SELECT extract(epoch FROM clock_timestamp() - d.wake_at)::float AS seconds, {_NAMED}
    WHERE d.wake_at < clock_timestamp() - make_interval(secs => :seconds) ORDER BY d.wake_at LIMIT {MOST}
""")

_HELD_LONG = text(f"""
    SELECT extract(epoch FROM clock_timestamp() - d.started_at)::float AS seconds, {_NAMED}
    WHERE d.status IN ('running', 'paused') AND d.started_at < clock_timestamp() - make_interval(secs => :seconds)
    ORDER BY d.started_at LIMIT {MOST}
""")

_ASKING = text(f"""
    SELECT * FROM (
        SELECT d.answer_by, ARRAY(SELECT s.id FROM steps s WHERE s.deployment_id = d.id AND s.status = 'unknown' ORDER BY s.id
                     LIMIT {MOST}) AS steps, {_NAMED} WHERE d.status = 'paused'
    ) paused WHERE steps <> '{{}}' OR answer_by IS NOT NULL ORDER BY id LIMIT {MOST}
""")

_NOT_WELL = text(f"""
    SELECT extract(epoch FROM clock_timestamp() - a.lease_until)::float AS seconds,
        a.lease_until < clock_timestamp() - make_interval(secs => :seconds) AS lapsed, a.id AS attempt_id, a.deployment_id,
        a.worker, a.node, a.trouble, s.target_name, s.target ->> 'kind' AS kind
    FROM deployments d JOIN attempts a ON a.deployment_id = d.id AND a.ended_at IS NULL JOIN steps s ON s.id = a.step_id
    WHERE d.status IN ('running', 'paused')
      AND (a.lease_until < clock_timestamp() - make_interval(secs => :seconds) OR a.trouble <> '')
    ORDER BY a.lease_until LIMIT {MOST}
""")

_NODES = text("""
    SELECT substr(h.source, :prefix + 1) AS node, h.free_bytes,
        extract(epoch FROM clock_timestamp() - h.heard_at)::float AS seconds,
        (SELECT count(*) FROM deployments d JOIN attempts a ON a.deployment_id = d.id
         WHERE d.status IN ('running', 'paused') AND a.ended_at IS NULL AND 'node:' || a.node = h.source) AS open_runs
    FROM heartbeats h WHERE h.source LIKE 'node:%' ORDER BY h.heard_at DESC LIMIT 200
""")

_LONG_TRANSACTIONS = text(f"""
    SELECT pid, coalesce(application_name, '') AS application_name, state, datname AS database,
        extract(epoch FROM clock_timestamp() - xact_start)::float AS seconds
    FROM pg_stat_activity
    WHERE xact_start < clock_timestamp() - make_interval(secs => :seconds) AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT {MOST}
""")

_UNTOLD = text(f"""
    SELECT w.id, w.name, w.disabled_because, d.dead
    FROM webhooks w CROSS JOIN LATERAL (SELECT count(*) AS dead FROM (
        SELECT 1 FROM deliveries WHERE webhook_id = w.id AND status = 'dead' LIMIT {MOST_DEAD}) x) d
    WHERE w.removed_at IS NULL AND (w.disabled_at IS NOT NULL OR d.dead > 0) ORDER BY w.id LIMIT {MOST}
""")


def overdue(session: Session, *, seconds: float) -> list[Row[Any]]:
    """Deployments whose time to be looked at passed that long ago."""
    return list(session.execute(_OVERDUE, {"seconds": seconds}))


def held_long(session: Session, *, seconds: float) -> list[Row[Any]]:
    """Deployments that have held their slot for longer than that."""
    return list(session.execute(_HELD_LONG, {"seconds": seconds}))


def asking(session: Session) -> list[Row[Any]]:
    """Deployments that wait for a person, and the first steps each asks about."""
    return list(session.execute(_ASKING))


def not_well(session: Session, *, seconds: float) -> list[Row[Any]]:
    """Attempts that nobody has held for that long, which are `lapsed`, or that do not go on at their targets."""
    return list(session.execute(_NOT_WELL, {"seconds": seconds}))


def nodes(session: Session) -> list[Row[Any]]:
    """Worker nodes: how long each has been silent, how much room it has, how many runs that have not ended live on it."""
    return list(session.execute(_NODES, {"prefix": len("node:")}))


def long_transactions(session: Session, *, seconds: float) -> list[Row[Any]]:
    """Transactions anywhere in the database server that have been open for that long."""
    return list(session.execute(_LONG_TRANSACTIONS, {"seconds": seconds}))


def untold(session: Session) -> list[Row[Any]]:
    """Webhooks that are told nothing more, or were not told something; `dead` counts up to MOST_DEAD."""
    return list(session.execute(_UNTOLD))


def postgres_time(session: Session) -> datetime:
    """What time it is for Postgres."""
    found: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found


def revision(session: Session) -> str | None:
    """Which migrations the tables have seen; None: there are no tables."""
    if session.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    found: str | None = session.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()
    return found
