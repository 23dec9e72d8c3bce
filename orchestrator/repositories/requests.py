"""What is asked before a deployment is requested, and writing it with its plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute
from orchestrator.repositories.deployments import AROUND, COUNTED
from orchestrator.repositories.events import FROM_JSON

_SUBJECT = text("""
    SELECT a.id, a.name, a.pipeline_revision, p.document, p.created_at AS pipeline_created_at, r.id AS release_id,
        r.version, r.status AS release_status, r.artifact_sha256,
        (SELECT gone.version FROM (
            SELECT d.release_id, x.version FROM deployments d JOIN releases x ON x.id = d.release_id
            WHERE d.application_id = a.id AND d.environment = :environment AND d.status = 'succeeded'
            ORDER BY d.id DESC LIMIT 1) gone WHERE gone.release_id > r.id) AS newer_version,
        nextval('deployments_id_seq') AS new_id
    FROM applications a
    LEFT JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision
    LEFT JOIN releases r ON r.name = a.name AND (r.version = :version OR r.id = :release_id)
    WHERE a.name = :application
""")

_LOOKED_AT = ", ".join(f"{what} AS {name}" for name, what in AROUND.items() if name != "approvers")
# Only what is said of it and what its gates look at, as each column costs on its way; and what cannot be yet is not asked.
_NEW = f"""
    SELECT d.id, d.release_id, d.environment, d.status, d.reason, d.rolls_back_id, d.retry_of_id, d.scheduled_for, d.expires_at,
        d.approval_rules, d.override_windows, d.strategy, d.plan_hash, d.promote_after, d.soak_seconds, d.jitter_seconds,
        d.wave_index, d.wave_count, d.step_count, d.created_at, r.version, r.name AS application,
        u.username AS requested_by_name, {_LOOKED_AT}, NULL AS approvers, NULL AS rolled_back_by_id, NULL AS replaced_by_id,
        NULL AS started_at, NULL AS ended_at, NULL AS deployed_at, NULL AS failure, NULL AS cancel_requested_at,
        {", ".join(f"0 AS n_{each}" for each in COUNTED)}
    FROM made d
    JOIN releases r ON r.id = d.release_id
    LEFT JOIN users u ON u.id = d.requested_by
"""
# It is read as it was written: a statement of its own for that would cost a third as much again.
_INSERT = text(f"""
    WITH made AS (
        INSERT INTO deployments (id, application_id, release_id, environment, reason, requested_by, rolls_back_id,
            retry_of_id, priority, scheduled_for, expires_at,
            approval_rules, override_windows, strategy, plan_hash, max_failures, max_batch_failures, max_parallel, on_failure,
            answer_seconds, unanswered, undoes, side, promote_after, soak_seconds, health, promotes, when_closed,
            jitter_seconds, wave_count, step_count, traceparent, event_seq, event_hash, wake_at)
        VALUES (:id, :application_id, :release_id, :environment, :reason, :requested_by, :rolls_back_id,
            :retry_of_id, :priority, :scheduled_for, :expires_at,
            CAST(:approval_rules AS jsonb), :override_windows,
            :strategy, :plan_hash, :max_failures, :max_batch_failures, :max_parallel, :on_failure, :answer_seconds,
            :unanswered, :undoes, :side, :promote_after,
            :soak_seconds, CAST(:health AS jsonb), :promotes, :when_closed, :jitter_seconds, :wave_count, :step_count,
            :traceparent, :event_seq, :event_hash, clock_timestamp() + make_interval(secs => :first_wake_seconds))
        RETURNING id, application_id, release_id, environment, status, reason, requested_by, rolls_back_id, retry_of_id,
            priority, scheduled_for, expires_at, approval_rules, override_windows, strategy, plan_hash, promote_after,
            soak_seconds, jitter_seconds, wave_index, wave_count, step_count, created_at
    ), h AS (
        -- Its release has soaked for the lengths that were asked for before; this one may be another.
        UPDATE health_watches SET soaks = array_append(soaks, CAST(:soak_seconds AS bigint)), due_at = clock_timestamp()
        WHERE application_id = :application_id AND environment = ANY(:promote_after) AND left_by IS NULL
          AND release_id = :release_id AND :soak_seconds > 0 AND NOT :soak_seconds = ANY(soaks)
    ), p AS (
        INSERT INTO plans (deployment_id, document) VALUES (:id, CAST(:document AS jsonb))
    ), w AS (
        INSERT INTO waves (deployment_id, index, batch, action_index, total, waiting, wait_seconds, asks, sliding)
        SELECT :id, index, batch, action_index, total, total, wait_seconds, asks, sliding
        FROM json_to_recordset(CAST(:waves AS json)) AS x(index bigint, batch bigint, action_index bigint, total bigint,
            wait_seconds bigint, asks boolean, sliding boolean)
    ), s AS (
        INSERT INTO steps (deployment_id, wave_index, position, action_index, target_id, target_name, target)
        SELECT :id, s.wave_index, s.position, s.action_index, t.id, t.name, CAST(:targets AS jsonb) -> t.name
        FROM json_to_recordset(CAST(:steps AS json))
            AS s(wave_index bigint, position bigint, action_index bigint, target text)
        JOIN targets t ON t.application_id = :application_id AND t.environment = :environment AND t.name = s.target
    ), noted AS (
        {FROM_JSON}
    )
    {_NEW}
""")

# Whoever asks about a queue holds its application, so that two do not both find it empty.
_QUEUED = text("""
    WITH held AS (SELECT id FROM applications WHERE id = :application_id FOR NO KEY UPDATE)
    SELECT d.id, d.status FROM held JOIN deployments d ON d.application_id = held.id
    WHERE d.environment = :environment AND d.id < :id AND d.rolls_back_id IS NULL
      AND d.status IN ('pending', 'running', 'paused') ORDER BY d.id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """The columns of a deployment that is requested."""

    id: int
    application_id: int
    release_id: int
    environment: str
    reason: str
    requested_by: int | None
    rolls_back_id: int | None
    retry_of_id: int | None
    priority: int
    approval_rules: str | None
    override_windows: bool
    scheduled_for: datetime | None
    expires_at: datetime | None
    strategy: str
    plan_hash: str
    max_failures: int
    max_batch_failures: int | None
    max_parallel: int
    on_failure: str
    answer_seconds: int
    unanswered: str
    undoes: bool
    side: str | None
    promote_after: list[str]
    soak_seconds: int
    health: str | None
    promotes: bool
    when_closed: str
    jitter_seconds: int
    wave_count: int
    step_count: int
    traceparent: str | None
    first_wake_seconds: float
    event_seq: int
    event_hash: bytes


def subject(
    session: Session, application: str, *, version: str | None, release_id: int | None, environment: str
) -> Row[Any] | None:
    """What a new deployment is about: the application with its pipeline, the release (null where there is none), a new id.

    `newer_version`: what succeeded last in the environment, if it was recorded after the release.
    """
    params = {
        "application": application,
        "version": version,
        "release_id": release_id,
        "environment": environment,
    }
    return execute(session, _SUBJECT, params).one_or_none()


def insert(
    session: Session,
    new: NewDeployment,
    *,
    document: Mapping[str, Any],
    waves: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
) -> Row[Any]:
    """Add a pending deployment with its plan, waves, steps and first events, all in one statement; what there is to say of it."""
    values = {name: getattr(new, name) for name in new.__dataclass_fields__}
    documents = {"document": document, "waves": waves, "steps": steps, "targets": targets, "events": events}
    params = values | {name: orjson.dumps(value).decode() for name, value in documents.items()}
    return execute(session, _INSERT, params).one()


def queued_before(
    session: Session, deployment_id: int, *, application_id: int, environment: str
) -> list[Row[Any]]:
    """Deployments of the slot that were requested before and have not ended, rollbacks aside."""
    params = {"id": deployment_id, "application_id": application_id, "environment": environment}
    return list(session.execute(_QUEUED, params))
