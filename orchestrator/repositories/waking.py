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

# Whoever decides about one has its row, and perhaps wakes one behind it in the queue: in that order they are waited for.
_LET_LOOKS_END = text("""
    SELECT id FROM deployments
    WHERE status = 'pending' AND (CAST(:application_id AS bigint) IS NULL OR application_id = :application_id)
      AND (CAST(:environment AS text) IS NULL OR environment = :environment)
    ORDER BY priority DESC, id FOR NO KEY UPDATE
""")

# Whoever ends one that has begun wakes others of its slot.
_LET_LOOKS_BETWEEN_END = text("""
    SELECT id FROM deployments
    WHERE status IN ('running', 'paused') AND when_closed <> 'finish' AND environment = :environment
    ORDER BY id FOR NO KEY UPDATE
""")

# Only these are waited for: who is found to be held at this very moment looks again soon by itself, and a worker that stands
# still while it decides about another one is not to keep all others from starting.
_WAKE_HELD = text("""
    UPDATE deployments SET wake_at = clock_timestamp(), held_until = least(held_until, clock_timestamp())
    WHERE id IN (
        SELECT id FROM deployments
        WHERE status = 'pending' AND held_by = ANY(:kinds)
          AND (CAST(:application_id AS bigint) IS NULL OR application_id = :application_id)
          AND (CAST(:environment AS text) IS NULL OR environment = :environment)
        ORDER BY priority DESC, id FOR NO KEY UPDATE)
    RETURNING id
""")

# One that was stopped between two waves: there are as many as slots at the most.
_WAKE_CLOSED = text("""
    UPDATE deployments SET wake_at = clock_timestamp()
    WHERE status = 'paused' AND environment = :environment
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


# All of them, for each may be looking at the checks as they were.
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


def let_looks_end(session: Session, *, application_id: int | None, environment: str | None) -> None:
    """Wait until nobody is deciding whether one of these starts; None: of every application, in every environment.

    Who decides later sees what this transaction wrote.
    """
    session.execute(_LET_LOOKS_END, {"application_id": application_id, "environment": environment})


def let_looks_between_end(session: Session, environment: str) -> None:
    """As `let_looks_end`, of those that begin no wave there while it is closed. To be called before it.

    What was decided before is seen by the next statements, so `wake_closed` overlooks none.
    """
    session.execute(_LET_LOOKS_BETWEEN_END, {"environment": environment})


def wake_held(
    session: Session, kinds: Sequence[str], *, application_id: int | None, environment: str | None
) -> list[int]:
    """Wake those that are held by gates of these kinds; None: in every application, every environment."""
    params = {"kinds": list(kinds), "application_id": application_id, "environment": environment}
    return list(session.execute(_WAKE_HELD, params).scalars())


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
