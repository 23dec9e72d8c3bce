"""Steps: their statuses as attempts begin and end, and reading them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.statuses import STEP_TERMINAL, StepStatus
from orchestrator.models.step import Step
from orchestrator.repositories.began import BEGAN, CHANGES
from orchestrator.repositories.columns import columns
from orchestrator.repositories.plans import WAVE_ACTION

_SETTLE = text("""
    UPDATE steps SET status = :status, exit_code = :exit_code, failure = :failure,
        ended_at = CASE WHEN :ended THEN clock_timestamp() END
    WHERE id = :id AND status = :old
""")

_TRY_AGAIN = text("""
    WITH again AS (UPDATE steps SET attempt = attempt + 1 WHERE id = :id RETURNING id, deployment_id, attempt)
    INSERT INTO attempts (deployment_id, step_id, number, not_before)
    SELECT deployment_id, id, attempt, coalesce(CAST(:not_before AS timestamptz), clock_timestamp()) FROM again
    RETURNING id
""")

_FAILED_IN = text("""
    SELECT id, target_name FROM steps
    WHERE deployment_id = :id AND wave_index = :wave AND status = 'failed' ORDER BY id
""")

# Not what is before them: somebody has said of it that it happened.
_UNSKIP = text("""
    WITH opened AS (
        UPDATE steps s SET status = 'waiting', ended_at = NULL, failure = NULL FROM steps f
        WHERE f.id = ANY(:steps) AND s.deployment_id = f.deployment_id AND s.target_id = f.target_id
          AND s.status = 'skipped' AND (s.wave_index, s.position) > (f.wave_index, f.position)
        RETURNING s.wave_index
    )
    UPDATE waves SET waiting = waiting + n, skipped = skipped - n
    FROM (SELECT wave_index, count(*) AS n FROM opened GROUP BY wave_index) o
    WHERE deployment_id = :id AND index = wave_index
""")

# Who only had its traffic moved was not changed.
_IS_CHANGED = text(f"""
    SELECT EXISTS (
        SELECT 1 FROM steps s JOIN plans p ON p.deployment_id = s.deployment_id
        WHERE s.deployment_id = :id AND s.target_id = :target AND s.id <> :but AND {BEGAN}
          AND p.document #>> ARRAY['actions', s.action_index::text, 'kind'] <> 'traffic'
    )
""")

_NEVER_BEGAN = text("UPDATE steps SET started_at = NULL WHERE id = :id AND status = 'skipped'")

_READ = f"""
    SELECT {columns(Step, "s")}, p.document #> ARRAY['actions', s.action_index::text] AS action, a.output_bytes,
        a.left_out_bytes, a.id AS attempt_id
    FROM steps s JOIN plans p ON p.deployment_id = s.deployment_id
    LEFT JOIN attempts a ON a.step_id = s.id AND a.number = s.attempt
"""

# What a rollback puts back is touched until that rollback has succeeded.
_TOUCHED = text(f"""
    SELECT s.targets, s.of_targets, s.since,
        CASE WHEN b.id IS NULL THEN d.ended_at WHEN b.status = 'succeeded' THEN b.ended_at END AS until,
        clock_timestamp() AS now
    FROM deployments d JOIN plans p ON p.deployment_id = d.id
    JOIN LATERAL (
        SELECT count(DISTINCT s.target_id) AS of_targets, min(s.started_at) FILTER (WHERE s.began) AS since,
            count(DISTINCT s.target_id) FILTER (WHERE s.began AND {CHANGES}) AS targets
        FROM (SELECT s.target_id, s.action_index, s.started_at, {BEGAN} AS began FROM steps s WHERE s.deployment_id = d.id) s
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT b.id, b.status, b.ended_at FROM deployments b WHERE b.rolls_back_id = d.id ORDER BY b.id DESC LIMIT 1
    ) b ON true
    WHERE d.id = :id
""")


def settle(
    session: Session,
    step_id: int,
    *,
    old: StepStatus,
    new: StepStatus,
    exit_code: int | None = None,
    failure: str | None = None,
) -> bool:
    """Compare and set a step's status with how it ended; whether it was `old` until now."""
    params = {
        "id": step_id,
        "old": str(old),
        "status": str(new),
        "exit_code": exit_code,
        "failure": failure,
        "ended": new in STEP_TERMINAL,
    }
    return bool(session.execute(_SETTLE, params).rowcount)  # type: ignore[attr-defined]


def try_again(session: Session, step_id: int, *, not_before: datetime | None) -> int:
    """Add the step's next attempt; the last one has ended. Its id."""
    found: int = session.execute(_TRY_AGAIN, {"id": step_id, "not_before": not_before}).scalar_one()
    return found


def is_changed(session: Session, deployment_id: int, target_id: int, *, but: int) -> bool:
    """Whether another step of the deployment than this has begun to change the target."""
    params = {"id": deployment_id, "target": target_id, "but": but}
    return bool(session.execute(_IS_CHANGED, params).scalar())


def never_began(session: Session, step_id: int) -> None:
    """Note of a step that was skipped that nothing of it was started, although it was taken."""
    session.execute(_NEVER_BEGAN, {"id": step_id})


def get(session: Session, deployment_id: int, step_id: int) -> Row[Any]:
    """One step of a deployment. Raises NotFoundError."""
    statement = text(_READ + " WHERE s.id = :id AND s.deployment_id = :deployment_id")
    row = session.execute(statement, {"id": step_id, "deployment_id": deployment_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"deployment {deployment_id} has no step {step_id}")
    return row


def unknown_ids(session: Session, deployment_id: int) -> list[int]:
    """The steps of which their targets cannot say what happened."""
    statement = text("SELECT id FROM steps WHERE deployment_id = :id AND status = 'unknown' ORDER BY id")
    return list(session.execute(statement, {"id": deployment_id}).scalars())


def failed_in(session: Session, deployment_id: int, wave: int) -> list[Row[Any]]:
    """The steps of a wave that failed."""
    return list(session.execute(_FAILED_IN, {"id": deployment_id, "wave": wave}))


def unskip(session: Session, deployment_id: int, step_ids: list[int]) -> None:
    """Have the targets of these steps wait again for what comes behind them."""
    session.execute(_UNSKIP, {"id": deployment_id, "steps": step_ids})


def page(
    session: Session,
    deployment_id: int,
    *,
    wave: int | None,
    status: str | None,
    after: tuple[int, int],
    skip: int,
    limit: int,
) -> list[Row[Any]]:
    """Steps in order of wave and position, after a cursor."""
    conditions = "s.deployment_id = :id AND (s.wave_index, s.position) > (:wave_after, :position_after)"
    if wave is not None:
        conditions += " AND s.wave_index = :wave"
    if status is not None:
        conditions += " AND s.status = :status"
    statement = text(
        f"{_READ} WHERE {conditions} ORDER BY s.wave_index, s.position OFFSET :skip LIMIT :limit"
    )
    params = {
        "id": deployment_id,
        "wave": wave,
        "status": status,
        "wave_after": after[0],
        "position_after": after[1],
        "skip": skip,
        "limit": limit,
    }
    return list(session.execute(statement, params))


_FIRST = text(f"""
    {_READ} WHERE s.deployment_id = :id
    ORDER BY array_position(ARRAY['failed', 'unknown', 'running', 'ready'], s.status) NULLS LAST, s.wave_index, s.position
    LIMIT :limit
""")

_WAVES = text(f"""
    SELECT w.index AS wave_index, w.total, w.waiting, w.ready, w.running, w.succeeded, w.failed, w.skipped, w.cancelled,
        w.unknown, {WAVE_ACTION} AS action
    FROM waves w JOIN plans p ON p.deployment_id = w.deployment_id
    WHERE w.deployment_id = :id
    ORDER BY (w.failed + w.unknown + w.running + w.ready > 0) DESC, w.index LIMIT :limit
""")


_PAGE_OF_WAVES = text(f"""
    SELECT w.index AS wave_index, w.batch, w.total, w.waiting, w.ready, w.running, w.succeeded, w.failed, w.skipped,
        w.cancelled, w.unknown, {WAVE_ACTION} AS action
    FROM waves w JOIN plans p ON p.deployment_id = w.deployment_id
    WHERE w.deployment_id = :id AND w.index >= :first
    ORDER BY w.index OFFSET :skip LIMIT :limit
""")


def most_urgent(session: Session, deployment_id: int, *, limit: int) -> list[Row[Any]]:
    """What failed first, then what nobody knows, then what runs, then the others."""
    return list(session.execute(_FIRST, {"id": deployment_id, "limit": limit}))


def waves(session: Session, deployment_id: int, *, limit: int) -> list[Row[Any]]:
    """The waves with their counts and their action, in order; of too many those in which something happens."""
    found = list(session.execute(_WAVES, {"id": deployment_id, "limit": limit}))
    return sorted(found, key=lambda row: int(row.wave_index))


def page_of_waves(
    session: Session, deployment_id: int, *, first: int, skip: int, limit: int
) -> list[Row[Any]]:
    """The waves with their counts and their action, from one on."""
    params = {"id": deployment_id, "first": first, "skip": skip, "limit": limit}
    return list(session.execute(_PAGE_OF_WAVES, params))


def touched(session: Session, deployment_id: int) -> Row[Any]:
    """On how many of its targets a deployment began to change something, from when to when. Raises NotFoundError.

    `until`: when it ended, or when what it did was put back; null until then. `since`: null where nothing began.
    """
    row = session.execute(_TOUCHED, {"id": deployment_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    return row
