"""Deployments, their steps and events. (Their logs: `api/schemas/logs.py`.)"""

from collections.abc import Iterable
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import JsonId, Text
from api.schemas.common import APPLICATION, VERSION, instant, page_of
from orchestrator.domain.gates import Blocker
from orchestrator.domain.statuses import DeploymentStatus, StepStatus
from orchestrator.services.deployments import ANSWERS

STATUSES = [str(status) for status in DeploymentStatus]
STEP_STATUSES = [str(status) for status in StepStatus]
COUNTS = ("succeeded", "failed", "running", "skipped", "cancelled", "unknown")


class DeploymentIn(ma.Schema):
    """A deployment to request."""

    application = Text(required=True, longest=63, pattern=APPLICATION)
    version = Text(required=True, longest=128, pattern=VERSION)
    environment = Text(required=True, longest=63, pattern=APPLICATION)
    reason = Text(load_default="", longest=1000)


class Answer(ma.Schema):
    """What became of the steps of which their targets cannot say."""

    step_id = JsonId(
        load_default=None, allow_none=True, metadata={"description": "Without: all that are unknown."}
    )
    answer = fields.String(required=True, validate=validate.OneOf(ANSWERS))


class DeploymentQuery(PageArgs):
    """Which deployments."""

    application = Text(longest=63)
    environment = Text(longest=63)
    status = fields.String(validate=validate.OneOf(STATUSES))
    version = Text(longest=128)


class StepQuery(PageArgs):
    """Which steps."""

    wave = fields.Integer(load_default=None, validate=validate.Range(min=0, max=2**31 - 1))
    status = fields.String(load_default=None, validate=validate.OneOf(STEP_STATUSES))


class WaitingFor(ma.Schema):
    """One reason to wait."""

    kind = fields.String(required=True)
    message = fields.String(required=True)


# Not a class: one of the fields is named as an attribute of ma.Schema is.
Progress = ma.Schema.from_dict(
    {name: fields.Integer(required=True) for name in ("steps", *COUNTS, "wave", "waves")}, name="Progress"
)
"""How many steps are where; `wave` counts from 0."""


class Deployment(ma.Schema):
    """One release going to one environment."""

    id = fields.Integer(required=True)
    application = fields.String(required=True)
    version = fields.String(required=True)
    release_id = fields.Integer(required=True)
    environment = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    reason = fields.String(required=True)
    waiting_for = fields.List(fields.Nested(WaitingFor), required=True)
    strategy = fields.String(required=True)
    requested_by = fields.String(required=True, allow_none=True)
    requested_at = instant(required=True)
    started_at = instant(required=True, allow_none=True)
    ended_at = instant(required=True, allow_none=True)
    deployed_at = instant(required=True, allow_none=True)
    failure = fields.String(required=True, allow_none=True)
    cancel_requested_at = instant(required=True, allow_none=True)
    rolls_back_id = fields.Integer(required=True, allow_none=True)
    retry_of_id = fields.Integer(required=True, allow_none=True)
    rolled_back_by_id = fields.Integer(required=True, allow_none=True)
    plan_hash = fields.String(required=True)
    progress = fields.Nested(Progress, required=True)


class Step(ma.Schema):
    """One action on one target; `wave` and `position` count from 0."""

    id = fields.Integer(required=True)
    wave = fields.Integer(required=True)
    position = fields.Integer(required=True)
    target = fields.String(required=True)
    action = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STEP_STATUSES))
    attempt = fields.Integer(required=True)
    started_at = instant(required=True, allow_none=True)
    ended_at = instant(required=True, allow_none=True)
    exit_code = fields.Integer(required=True, allow_none=True)
    failure = fields.String(required=True, allow_none=True)
    output_bytes = fields.Integer(required=True)


class Event(ma.Schema):
    """Something that happened to a deployment; `actor` null: the orchestrator itself."""

    id = fields.Integer(required=True)
    seq = fields.Integer(required=True)
    kind = fields.String(required=True)
    at = instant(required=True)
    actor = fields.String(required=True, allow_none=True)
    data = fields.Dict(required=True)


DeploymentPage = page_of(Deployment)
StepPage = page_of(Step)
EventPage = page_of(Event)


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
        "plan_hash": row.plan_hash,
        "progress": {"steps": row.step_count, **progress, "wave": row.wave_index, "waves": row.wave_count},
    }


def _waiting_for(row: Row[Any], blockers: Iterable[Blocker] | None) -> list[dict[str, str]]:
    if row.status == DeploymentStatus.PAUSED and row.n_unknown:
        steps = "1 step is" if row.n_unknown == 1 else f"{row.n_unknown} steps are"
        return [
            {
                "kind": "answer",
                "message": f"the end of {steps} unknown; a person has to say what became of it",
            }
        ]
    if row.status != DeploymentStatus.PENDING:
        return []
    if blockers is not None:
        return [{"kind": each.kind, "message": each.message} for each in blockers]
    if row.held_by is None:
        return []
    return [
        {"kind": row.held_by, "message": f"held by {row.held_by}; the deployment itself tells all reasons"}
    ]


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
