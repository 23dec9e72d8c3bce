"""What deployments, their steps and events look like. (Their logs: `api/schemas/logs.py`.)"""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from api.pagination import PageArgs
from api.parsing import JsonBoolean, JsonId, Text
from api.schemas.common import APPLICATION, VERSION, Reason, instant, page_of
from orchestrator.domain.statuses import DeploymentStatus, StepStatus
from orchestrator.presenting.deployments import COUNTS, WAVE_COUNTS
from orchestrator.services.deployments import ANSWERS

STATUSES = [str(status) for status in DeploymentStatus]
STEP_STATUSES = [str(status) for status in StepStatus]


class DeploymentIn(ma.Schema):
    """A deployment to request."""

    application = Text(required=True, longest=63, pattern=APPLICATION)
    version = Text(load_default=None, longest=128, pattern=VERSION)
    from_environment = Text(
        load_default=None,
        longest=63,
        pattern=APPLICATION,
        metadata={"description": "Instead of a version: what succeeded there last."},
    )
    environment = Text(required=True, longest=63, pattern=APPLICATION)
    reason = Text(load_default="", longest=1000)
    scheduled_for = instant(
        load_default=None, allow_none=True, metadata={"description": "It does not start before this."}
    )
    expires_at = instant(
        load_default=None,
        allow_none=True,
        metadata={"description": "If it has not started by then, it is given up."},
    )
    allow_downgrade = JsonBoolean(
        load_default=False,
        metadata={"description": "Let it be an older release than the one that runs there."},
    )
    override_windows = JsonBoolean(
        load_default=False,
        metadata={
            "description": "Start outside the windows, not inside a freeze; for operators, with a reason."
        },
    )

    @ma.validates_schema
    def _check_what(self, data: dict[str, Any], **_: Any) -> None:
        if (data.get("version") is None) == (data.get("from_environment") is None):
            raise ma.ValidationError("Write either a version or from_environment.", "version")


class Approve(Reason):
    """A yes; with `plan_hash` to that plan and no other."""

    plan_hash = Text(load_default=None, allow_none=True, longest=100)


class Answer(ma.Schema):
    """What became of the steps of which their targets cannot say; or what to do when too many targets failed."""

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


class WaveQuery(PageArgs):
    """Which waves."""

    first = fields.Integer(
        load_default=0,
        validate=validate.Range(min=0, max=2**31 - 1),
        metadata={"description": "The number of the wave to begin with; they count from 0."},
    )


class WaitingFor(ma.Schema):
    """One reason to wait."""

    kind = fields.String(required=True)
    message = fields.String(required=True)
    until = instant(
        required=True,
        allow_none=True,
        metadata={"description": "When it goes away by itself; null: nobody knows."},
    )


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
    scheduled_for = instant(required=True, allow_none=True)
    expires_at = instant(required=True, allow_none=True)
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
    replaced_by_id = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Of one that is superseded: the same release with another plan, which has its place."
        },
    )
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
    left_out_bytes = fields.Integer(
        required=True, metadata={"description": "How much of the output is not kept; see LOG_LIMIT_BYTES."}
    )


# Not a class, as above.
Wave = ma.Schema.from_dict(
    {
        "wave": fields.Integer(required=True),
        "batch": fields.Integer(required=True),
        "action": fields.String(required=True),
        "title": fields.String(required=True),
        **{name: fields.Integer(required=True) for name in ("total", *WAVE_COUNTS)},
    },
    name="Wave",
)
"""One action on the targets of one batch, or (`sliding`) every action, target by target; and how many steps are where.

`wave` and `batch` count from 0.
"""


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
WavePage = page_of(Wave)
EventPage = page_of(Event)
