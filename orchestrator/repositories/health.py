"""Health checks between deployments: what is due, who asks it, what was said."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.models.health import HealthWatch
from orchestrator.repositories.columns import columns

# One that a starting deployment did not see is left behind here.
_ADD = text("""
    WITH left_behind AS (
        UPDATE health_watches w SET left_by = d.id, due_at = NULL FROM deployments d
        WHERE d.id = :id AND w.application_id = d.application_id AND w.environment = d.environment AND w.left_by IS NULL
    )
    INSERT INTO health_watches (deployment_id, application_id, environment, release_id, soaks, counts_from, checked_at, due_at)
    SELECT d.id, d.application_id, d.environment, d.release_id, s.soaks, d.ended_at, d.ended_at,
        CASE WHEN cardinality(s.soaks) > 0 THEN d.ended_at END
    FROM deployments d, LATERAL (
        SELECT ARRAY(SELECT CAST(e AS bigint) FROM jsonb_array_elements_text(d.health -> 'soaks') e) AS soaks) s
    WHERE d.id = :id
""")

_TAKE_DUE = text("""
    WITH due AS (
        UPDATE health_watches SET due_at = clock_timestamp() + make_interval(secs => :push_seconds)
        WHERE deployment_id IN (
            SELECT deployment_id FROM health_watches
            WHERE due_at <= clock_timestamp() - make_interval(secs => :overdue_seconds)
            ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING deployment_id, environment
    )
    SELECT due.deployment_id, due.environment, r.name AS application, r.version
    FROM due JOIN deployments d ON d.id = due.deployment_id JOIN releases r ON r.id = d.release_id
""")

_FIND = text("""
    SELECT d.id AS deployment_id, d.application_id, d.release_id, d.environment, d.strategy, d.rolls_back_id, d.health,
        r.name AS application, r.version, r.artifact, r.artifact_sha256, p.created_at AS pipeline_created_at,
        (SELECT u.username FROM users u WHERE u.id = d.requested_by) AS requested_by_name,
        (SELECT pr.version FROM deployments b JOIN releases pr ON pr.id = b.release_id
         WHERE b.application_id = d.application_id AND b.environment = d.environment AND b.status = 'succeeded'
           AND b.id < d.id ORDER BY b.id DESC LIMIT 1) AS previous_version
    FROM deployments d JOIN releases r ON r.id = d.release_id
    JOIN pipelines p ON p.application_id = d.application_id AND p.revision = CAST(d.health ->> 'revision' AS bigint)
    WHERE d.id = :id
""")

_LOCK = text(f"""
    SELECT {columns(HealthWatch, "w")}, clock_timestamp() AS now FROM health_watches w
    WHERE w.deployment_id = :id AND w.due_at IS NOT NULL FOR NO KEY UPDATE
""")

_BEGIN = text("""
    WITH asked AS (
        INSERT INTO target_health AS h (target_id, deployment_id, counts_from, checked_at, due_at)
        SELECT t.id, w.deployment_id, w.counts_from, w.checked_at, clock_timestamp()
        FROM health_watches w JOIN targets t ON t.application_id = w.application_id AND t.environment = w.environment
        WHERE w.deployment_id = :id AND t.name = ANY(:names)
        ON CONFLICT (target_id) DO UPDATE SET deployment_id = EXCLUDED.deployment_id, healthy = NULL, detail = '',
            counts_from = EXCLUDED.counts_from, checked_at = EXCLUDED.checked_at, asked_at = NULL, due_at = EXCLUDED.due_at
        RETURNING h.target_id
    )
    UPDATE health_watches SET targets = (SELECT count(*) FROM asked) WHERE deployment_id = :id
""")

_TAKE_TARGETS = text("""
    WITH taken AS (
        UPDATE target_health SET asked_at = clock_timestamp(), due_at = clock_timestamp() + make_interval(secs => :lease_seconds)
        WHERE target_id IN (
            SELECT target_id FROM target_health WHERE deployment_id = :id AND due_at <= clock_timestamp()
            ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING target_id, asked_at
    )
    SELECT taken.target_id, taken.asked_at, t.name FROM taken JOIN targets t ON t.id = taken.target_id ORDER BY t.position, t.id
""")

# Where more is due, whoever asks goes on with it; another looks only if that comes to no end.
_NEXT_LOOK = """CASE WHEN min(due_at) <= clock_timestamp() THEN clock_timestamp() + interval '3 seconds' ELSE min(due_at) END"""

_LOOK_AGAIN = text(f"""
    UPDATE health_watches SET due_at = (SELECT {_NEXT_LOOK} FROM target_health WHERE deployment_id = :id)
    WHERE deployment_id = :id
""")

_TARGETS = text("""
    SELECT h.target_id, h.counts_from, h.checked_at, h.asked_at, t.name FROM target_health h JOIN targets t ON t.id = h.target_id
    WHERE h.deployment_id = :id AND h.target_id = ANY(:ids) ORDER BY t.position, t.id
""")

_PUT = text("""
    UPDATE target_health h SET healthy = x.healthy, detail = x.detail, counts_from = x.counts_from,
        checked_at = x.checked_at, due_at = x.due_at
    FROM json_to_recordset(CAST(:states AS json)) AS x(target_id bigint, healthy boolean, detail text,
        counts_from timestamptz, checked_at timestamptz, due_at timestamptz)
    WHERE h.target_id = x.target_id AND h.deployment_id = :id
""")

_TOGETHER = text(f"""
    SELECT max(counts_from) AS counts_from, min(checked_at) AS checked_at, {_NEXT_LOOK} AS due_at,
        count(*) FILTER (WHERE NOT healthy) AS failing
    FROM target_health WHERE deployment_id = :id
""")

_WRITE = text("""
    UPDATE health_watches SET counts_from = :counts_from, checked_at = :checked_at, because = :because, failing = :failing,
        due_at = :due_at
    WHERE deployment_id = :id
""")


_DOWN = text("""
    SELECT t.name FROM health_watches w JOIN target_health h ON h.deployment_id = w.deployment_id
    JOIN targets t ON t.id = h.target_id
    WHERE w.application_id = :application_id AND w.environment = :environment AND w.left_by IS NULL AND NOT h.healthy
""")


def down(session: Session, application_id: int, environment: str) -> set[str]:
    """The targets of a slot whose last health check failed, as far as anybody asks them."""
    params = {"application_id": application_id, "environment": environment}
    return set(session.execute(_DOWN, params).scalars())


def add(session: Session, deployment_id: int) -> None:
    """Have the environment of a deployment that has just succeeded asked for its health."""
    session.execute(_ADD, {"id": deployment_id})


def take_due(
    session: Session, *, limit: int, push_seconds: float, overdue_seconds: float = 0.0
) -> list[Row[Any]]:
    """Watches whose time has come, each given to one caller only, and pushed on in case its message is lost."""
    params = {"limit": limit, "push_seconds": push_seconds, "overdue_seconds": overdue_seconds}
    return list(session.execute(_TAKE_DUE, params))


def find(session: Session, deployment_id: int) -> Row[Any] | None:
    """What a health check of a deployment's release needs to know; None where nobody asks for it."""
    return session.execute(_FIND, {"id": deployment_id}).one_or_none()


def lock(session: Session, deployment_id: int) -> Row[Any] | None:
    """Take a watch for this transaction; None where nothing is to be asked any more."""
    return session.execute(_LOCK, {"id": deployment_id}).one_or_none()


def begin(session: Session, deployment_id: int, names: Sequence[str]) -> None:
    """Have each of these targets asked from now on."""
    session.execute(_BEGIN, {"id": deployment_id, "names": list(names)})


def take_targets(session: Session, deployment_id: int, *, limit: int, lease_seconds: float) -> list[Row[Any]]:
    """Targets of a watch that are due, each given to one caller only, and again if no answer comes."""
    params = {"id": deployment_id, "limit": limit, "lease_seconds": lease_seconds}
    taken = list(session.execute(_TAKE_TARGETS, params))
    session.execute(_LOOK_AGAIN, {"id": deployment_id})
    return taken


def targets(session: Session, deployment_id: int, ids: Sequence[int]) -> dict[int, Row[Any]]:
    """What is known of these targets, by their ids; those that another watch asks are left out."""
    found = session.execute(_TARGETS, {"id": deployment_id, "ids": list(ids)})
    return {row.target_id: row for row in found}


def put(session: Session, deployment_id: int, states: Sequence[Mapping[str, Any]]) -> Row[Any]:
    """Write what is known of targets now; what that makes of all of them together."""
    session.execute(_PUT, {"id": deployment_id, "states": orjson.dumps(states).decode()})
    return session.execute(_TOGETHER, {"id": deployment_id}).one()


def write(session: Session, deployment_id: int, values: Mapping[str, Any]) -> None:
    """Write what is known of all targets together."""
    session.execute(_WRITE, {**values, "id": deployment_id})
