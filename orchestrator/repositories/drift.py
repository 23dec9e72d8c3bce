"""Asking targets what runs there: which are asked, when they are due, and what they said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

# Each pipeline is read once: it is as long as it has targets, and to read it for each of these takes minutes with 10,000.
_ASKED = """
    SELECT a.id AS application_id, e.key AS environment
    FROM applications a JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision
    CROSS JOIN LATERAL json_each(p.document -> 'environments') e
    WHERE {scope} AND e.value -> 'drift' IS NOT NULL
"""
_ASKED_TARGETS = f"""
    WITH asked AS MATERIALIZED ({_ASKED})
    SELECT t.id, clock_timestamp() FROM asked
    JOIN targets t ON t.application_id = asked.application_id AND t.environment = asked.environment AND t.active
    JOIN installations i ON i.target_id = t.id
"""

ASKED_TARGETS = _ASKED_TARGETS.format(scope="true")

_ENROL = text(f"""
    INSERT INTO drift_checks (target_id, due_at) {ASKED_TARGETS}
    ON CONFLICT (target_id) DO NOTHING
""")

_ASK_NOW = text(f"""
    INSERT INTO drift_checks AS c (target_id, due_at)
    {_ASKED_TARGETS.format(scope="a.id = :application_id AND e.key = :environment")}
    ON CONFLICT (target_id) DO UPDATE SET due_at = EXCLUDED.due_at, asked_at = NULL
    RETURNING due_at
""")

_IS_BUSY = """EXISTS (
    SELECT 1 FROM deployments b WHERE b.application_id = t.application_id AND b.environment = t.environment
      AND b.status IN ('running', 'paused'))"""

_TAKE_DUE = text(f"""
    WITH taken AS (
        UPDATE drift_checks SET asked_at = clock_timestamp(), due_at = clock_timestamp() + make_interval(secs => :lease_seconds)
        WHERE target_id IN (
            SELECT target_id FROM drift_checks WHERE due_at <= clock_timestamp()
            ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING target_id, asked_at
    )
    SELECT taken.target_id, taken.asked_at, t.name AS target, t.environment, t.application_id, t.active, {_IS_BUSY} AS is_busy,
        a.name AS application, a.pipeline_revision, p.created_at AS pipeline_created_at,
        i.deployment_id, i.release_id, r.version, r.artifact, r.artifact_sha256, d.strategy, d.rolls_back_id,
        NULL AS previous_version,
        (SELECT u.username FROM users u WHERE u.id = d.requested_by) AS requested_by_name
    FROM taken JOIN targets t ON t.id = taken.target_id JOIN applications a ON a.id = t.application_id
    JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision
    LEFT JOIN installations i ON i.target_id = t.id LEFT JOIN releases r ON r.id = i.release_id
    LEFT JOIN deployments d ON d.id = i.deployment_id
    ORDER BY t.application_id, t.environment, t.position, t.id
""")

_IS_DUE = text("SELECT EXISTS (SELECT 1 FROM drift_checks WHERE due_at <= (SELECT clock_timestamp()))")

_ASKED_SLOTS = text(f"""
    SELECT a.name AS application, asked.environment
    FROM ({_ASKED.format(scope="a.name = ANY(:applications)")}) asked JOIN applications a ON a.id = asked.application_id
""")

_DROP = text("DELETE FROM drift_checks WHERE target_id = ANY(:ids)")

# What was asked about must be what is installed still, and nothing may be changing it.
_PUT = text(f"""
    WITH said AS (
        SELECT x.*, c.told AND c.deployment_id = x.deployment_id AS was_told, t.name AS target, t.environment
        FROM json_to_recordset(CAST(:answers AS json)) AS x(target_id bigint, deployment_id bigint, asked_at timestamptz,
            state text, detail text, every_seconds float)
        JOIN drift_checks c ON c.target_id = x.target_id AND c.asked_at = x.asked_at
        JOIN installations i ON i.target_id = x.target_id AND i.deployment_id = x.deployment_id
        JOIN targets t ON t.id = x.target_id
        WHERE NOT {_IS_BUSY}
    ), written AS (
        UPDATE drift_checks c SET deployment_id = s.deployment_id, state = s.state, detail = s.detail,
            since = CASE WHEN c.state = s.state AND c.deployment_id = s.deployment_id THEN c.since ELSE s.asked_at END,
            checked_at = s.asked_at, due_at = s.asked_at + make_interval(secs => s.every_seconds),
            told = CASE s.state WHEN 'differs' THEN true WHEN 'same' THEN false ELSE coalesce(s.was_told, false) END
        FROM said s WHERE c.target_id = s.target_id
    )
    SELECT deployment_id, environment, target, state, detail, clock_timestamp() AS now FROM said
    WHERE (state = 'differs' AND was_told IS NOT TRUE) OR (state = 'same' AND was_told)
    ORDER BY deployment_id, target_id
""")


def enrol(session: Session) -> None:
    """Have every target asked that has something and whose pipeline says how; the others stay as they are."""
    session.execute(_ENROL)


def ask_now(session: Session, application_id: int, environment: str) -> list[datetime]:
    """Have the targets of a slot asked at once; for each of them, since when it is."""
    params = {"application_id": application_id, "environment": environment}
    return list(session.execute(_ASK_NOW, params).scalars())


def asked_slots(session: Session, applications: Sequence[str]) -> set[tuple[str, str]]:
    """Of these applications: each with every environment in which the pipeline says how targets are asked."""
    found = session.execute(_ASKED_SLOTS, {"applications": list(applications)})
    return {(row.application, row.environment) for row in found}


def is_due(session: Session) -> bool:
    """Whether anybody is to be asked now."""
    return bool(execute(session, _IS_DUE, {}).scalar_one())


def take_due(session: Session, *, limit: int, lease_seconds: float) -> list[Row[Any]]:
    """Targets that are due, slot by slot, each given to one caller only, and again if no answer comes."""
    return list(session.execute(_TAKE_DUE, {"limit": limit, "lease_seconds": lease_seconds}))


def drop(session: Session, target_ids: Sequence[int]) -> None:
    """Ask these targets no more."""
    session.execute(_DROP, {"ids": list(target_ids)})


def put(session: Session, answers: Sequence[Mapping[str, Any]]) -> list[Row[Any]]:
    """Write what targets said; those that differ, or no longer do, and of which nobody was told yet."""
    return list(session.execute(_PUT, {"answers": orjson.dumps(answers).decode()}))
