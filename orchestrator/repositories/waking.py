"""Who looks again, and when: `wake_at` is a deployment's one timer."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

# The clock is asked once: what is asked anew for each row cannot be looked up in an index.
_DUE = text("""
    UPDATE deployments SET wake_at = clock_timestamp() + make_interval(secs => :push_seconds)
    WHERE id IN (
        SELECT id FROM deployments WHERE wake_at <= (SELECT clock_timestamp() - make_interval(secs => :overdue_seconds))
        ORDER BY wake_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id, application_id, release_id, environment
""")

_WAKE_OVERDUE = text("""
    UPDATE deployments SET wake_at = clock_timestamp() - interval '1 minute'
    WHERE id = ANY(:ids) AND wake_at IS NOT NULL
""")

# Whoever waited for a person looks again. One that is due may be looking at the gate as it was at this very moment: its row
# is waited for, and Postgres asks again whether it is held once that look is committed.
_WAKE_HELD = text("""
    UPDATE deployments SET wake_at = clock_timestamp(), held_until = least(held_until, clock_timestamp())
    WHERE id IN (
        SELECT id FROM deployments
        WHERE status = 'pending' AND (held_by = :kind OR wake_at <= clock_timestamp() + interval '10 seconds')
          AND (CAST(:application_id AS bigint) IS NULL OR application_id = :application_id)
          AND (CAST(:environment AS text) IS NULL OR environment = :environment)
        ORDER BY priority DESC, id FOR NO KEY UPDATE)
    RETURNING id
""")

# Whoever decides about one has its row, and perhaps wakes one behind it in the queue: in that order they are waited for.
_LET_LOOKS_END = text("""
    SELECT id FROM deployments
    WHERE status = 'pending' AND (CAST(:application_id AS bigint) IS NULL OR application_id = :application_id)
      AND (CAST(:environment AS text) IS NULL OR environment = :environment)
    ORDER BY priority DESC, id FOR SHARE
""")

# One that was stopped between two waves: there are as many as slots at the most.
_WAKE_CLOSED = text("""
    UPDATE deployments SET wake_at = clock_timestamp()
    WHERE id IN (SELECT id FROM deployments WHERE status = 'paused' AND environment = :environment ORDER BY id FOR NO KEY UPDATE)
    RETURNING id
""")

# Ascending in the queue's own order, so that two endings never wait for each other.
WAKE_WAITING = """
    UPDATE deployments SET wake_at = clock_timestamp(), held_until = least(held_until, clock_timestamp())
    WHERE status = 'pending' AND id IN (
        (SELECT id FROM deployments
         WHERE application_id = :application_id AND environment = :environment AND status = 'pending'
           AND (held_by IS NULL OR held_until <= clock_timestamp())
           AND (NOT :only_behind OR priority < :priority OR (priority = :priority AND id > :id))
         ORDER BY priority DESC, id LIMIT 1)
        UNION ALL
        SELECT id FROM deployments WHERE release_id = :release_id AND status = 'pending' AND :environment = ANY(promote_after)
    )
    RETURNING id
"""
"""Wakes whom `waiting` says; part of the statement that writes what they wait for."""


# As above: one that is due may be looking at the checks as they were.
_WAKE_SOAKING = text("""
    UPDATE deployments SET wake_at = clock_timestamp(), held_until = least(held_until, clock_timestamp())
    WHERE id IN (
        SELECT id FROM deployments
        WHERE release_id = :release_id AND status = 'pending' AND :environment = ANY(promote_after) AND soak_seconds > 0
        ORDER BY priority DESC, id FOR NO KEY UPDATE)
    RETURNING id
""")


def take_due(
    session: Session, *, limit: int, push_seconds: float, overdue_seconds: float = 0.0
) -> list[Row[Any]]:
    """Deployments whose `wake_at` has come, each given to one caller only, and pushed on in case its message is lost."""
    params = {"limit": limit, "push_seconds": push_seconds, "overdue_seconds": overdue_seconds}
    return list(execute(session, _DUE, params))


def wake_overdue(session: Session, ids: Sequence[int]) -> None:
    """Make these overdue, so that the next worker which polls takes them without a message."""
    session.execute(_WAKE_OVERDUE, {"ids": list(ids)})


def wake_held(
    session: Session, kind: str, *, application_id: int | None, environment: str | None
) -> list[int]:
    """Wake those that are held by this kind of gate; None: in every application, every environment."""
    params = {"kind": kind, "application_id": application_id, "environment": environment}
    return list(session.execute(_WAKE_HELD, params).scalars())


def let_looks_end(session: Session, *, application_id: int | None, environment: str | None) -> None:
    """Wait until nobody is deciding whether one of these starts; who decides later sees what this transaction wrote."""
    session.execute(_LET_LOOKS_END, {"application_id": application_id, "environment": environment})


def waiting(
    *, application_id: int, environment: str, priority: int, only_behind: bool, release_id: int | None
) -> dict[str, Any]:
    """Parameters of `WAKE_WAITING`: the first in the slot's queue (`only_behind`: the first behind the deployment itself).

    With a release: also every deployment of it that waits for its promotion.
    """
    return {
        "application_id": application_id,
        "environment": environment,
        "priority": priority,
        "only_behind": only_behind,
        "release_id": release_id,
    }


def wake_closed(session: Session, environment: str) -> list[int]:
    """Wake those that were stopped between two waves in an environment."""
    return list(session.execute(_WAKE_CLOSED, {"environment": environment}).scalars())


def wake_soaking(session: Session, release_id: int, environment: str) -> list[int]:
    """Wake those that wait until a release has soaked in an environment."""
    return list(
        session.execute(_WAKE_SOAKING, {"release_id": release_id, "environment": environment}).scalars()
    )
