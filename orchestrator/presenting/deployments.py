"""Deployments, their steps and events as they are sent."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.gates import WINDOW, Blocker
from orchestrator.domain.statuses import DeploymentStatus
from orchestrator.services import standing

ANSWER, PROMOTE, WAIT = "answer", "promote", "wait"
"""What a deployment that has begun may wait for beside gates: a person, or the time that its plan has between two batches."""
COUNTS = ("succeeded", "failed", "running", "skipped", "cancelled", "unknown")
WAVE_COUNTS = (*COUNTS, "waiting", "ready")


def present_whole(session: Session, row: Row[Any]) -> dict[str, Any]:
    """A deployment with every reason for which it waits."""
    now = clock.now()
    if row.status == DeploymentStatus.PENDING:
        return present(row, standing.reasons(session, row, row, now))
    return present(row, standing.closed(session, row, now) if row.status == DeploymentStatus.PAUSED else ())


def present(row: Row[Any], blockers: Iterable[Blocker] | None = None) -> dict[str, Any]:
    """A deployment as it is sent. Without `blockers` (in lists) a pending one names only the kind of gate that holds it."""
    progress = {name: getattr(row, f"n_{name}") or 0 for name in COUNTS}
    return {
        "id": row.id,
        "application": row.application,
        "version": row.version,
        "release_id": row.release_id,
        "environment": row.environment,
        "status": row.status,
        "reason": row.reason,
        "waiting_for": _waiting_for(row, blockers),
        "scheduled_for": row.scheduled_for,
        "expires_at": row.expires_at,
        "strategy": row.strategy,
        "requested_by": row.requested_by_name,
        "requested_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "deployed_at": row.deployed_at,
        "failure": row.failure,
        "cancel_requested_at": row.cancel_requested_at,
        "rolls_back_id": row.rolls_back_id,
        "retry_of_id": row.retry_of_id,
        "rolled_back_by_id": row.rolled_back_by_id,
        "replaced_by_id": row.replaced_by_id,
        "plan_hash": row.plan_hash,
        "progress": {"steps": row.step_count, **progress, "wave": row.wave_index, "waves": row.wave_count},
    }


def _waiting_for(row: Row[Any], blockers: Iterable[Blocker] | None) -> list[dict[str, Any]]:
    if row.status == DeploymentStatus.RUNNING:
        return _between_waves(row)
    if row.status == DeploymentStatus.PAUSED and (asked := _asked(row)):
        return asked
    if row.status not in {DeploymentStatus.PENDING, DeploymentStatus.PAUSED}:
        return []
    if blockers is not None:
        return [{"kind": each.kind, "message": each.message, "until": each.until} for each in blockers]
    return _in_a_list(row)


def _asked(row: Row[Any]) -> list[dict[str, Any]]:
    """What a person has to say, if anything, and who has taken that on."""
    by = f"; {row.claimed_by_name} has claimed it" if row.claimed_by_name else ""
    return [{**each, "message": each["message"] + by} for each in _questions(row)]


def _questions(row: Row[Any]) -> list[dict[str, Any]]:
    if row.n_unknown:
        steps = "1 step is" if row.n_unknown == 1 else f"{row.n_unknown} steps are"
        message = f"the end of {steps} unknown; a person has to say what became of it"
        return [{"kind": ANSWER, "message": message, "until": None}]
    if row.answer_by is not None:
        return _what_to_do(row)
    return [] if row.promotion_asked_at is None else _promotion(row)


def _between_waves(row: Row[Any]) -> list[dict[str, Any]]:
    """The wait that its plan has after the wave that is over."""
    if row.next_wave_at is None or row.cancel_requested_at is not None:
        return []
    done = f"{row.wave_index + 1} of {row.wave_count} waves are done"
    message = f"{done}; by its plan the next begins at {row.next_wave_at:%Y-%m-%d %H:%M:%S} UTC"
    return [{"kind": WAIT, "message": message, "until": row.next_wave_at}]


def _promotion(row: Row[Any]) -> list[dict[str, Any]]:
    """The question whether what did well on a few targets goes to the others."""
    message = (
        f"{row.wave_index + 1} of {row.wave_count} waves are done; a person has to say that it goes on"
        f" (promote), or end it (cancel){', which puts back any traffic that was moved' if row.undoes else ''}"
    )
    return [{"kind": PROMOTE, "message": message, "until": None}]


def _what_to_do(row: Row[Any]) -> list[dict[str, Any]]:
    """The question that is asked when too many targets failed, and what is done when nobody answers."""
    failed = "1 target" if row.failed_targets == 1 else f"{row.failed_targets} targets"
    back = row.unanswered == "rollback" and row.rolls_back_id is None
    then = "it is rolled back" if back else "it fails"
    message = (
        f"{failed} failed; a person has to say what to do (retry, skip, rollback or fail);"
        f" if nobody has by {row.answer_by:%Y-%m-%d %H:%M:%S} UTC, {then}"
    )
    return [{"kind": ANSWER, "message": message, "until": row.answer_by}]


def _in_a_list(row: Row[Any]) -> list[dict[str, Any]]:
    """What a deployment can say of itself without looking around."""
    if row.status == DeploymentStatus.PAUSED:
        message = (
            "deploying was not allowed any more between two of its waves; the deployment itself tells why"
        )
        return [{"kind": WINDOW, "message": message, "until": None}]
    if row.held_by is None:
        return []
    message = f"held by {row.held_by}; the deployment itself tells all reasons"
    return [{"kind": row.held_by, "message": message, "until": None}]


def present_step(row: Row[Any]) -> dict[str, Any]:
    """A step as it is sent."""
    action = row.action or {}
    return {
        "id": row.id,
        "wave": row.wave_index,
        "position": row.position,
        "target": row.target_name,
        "action": action.get("kind", ""),
        "title": action.get("title", ""),
        "status": row.status,
        "attempt": row.attempt,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "exit_code": row.exit_code,
        "failure": row.failure,
        "output_bytes": row.output_bytes or 0,
        "left_out_bytes": row.left_out_bytes or 0,
    }


def present_wave(row: Row[Any]) -> dict[str, Any]:
    """A wave as it is sent: one action on the targets of one batch, and how many of its steps are where."""
    return {
        "wave": row.wave_index,
        "batch": row.batch,
        "action": row.action["kind"],
        "title": row.action["title"],
        "total": row.total,
        **{name: getattr(row, name) for name in WAVE_COUNTS},
    }


def present_event(row: Row[Any]) -> dict[str, Any]:
    """An event as it is sent."""
    return {
        "id": row.id,
        "seq": row.seq,
        "kind": row.kind,
        "at": row.at,
        "actor": row.username,
        "data": row.data,
    }
