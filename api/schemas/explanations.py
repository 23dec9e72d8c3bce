"""What an explanation looks like."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas.common import instant
from api.schemas.deployments import STATUSES
from orchestrator.domain.gates import KINDS


class GateOut(ma.Schema):
    """What one gate says about a pending deployment."""

    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    verdict = fields.String(required=True, validate=validate.OneOf(["passes", "waits"]))
    evidence = fields.String(required=True)
    changed_by = fields.String(
        required=True, allow_none=True, metadata={"description": "Who or what would let it pass."}
    )
    until = instant(
        required=True,
        allow_none=True,
        metadata={"description": "When it passes by itself; null: nobody knows."},
    )


class QueueOut(ma.Schema):
    """The queue of its slot."""

    active_id = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The deployment that holds the slot."}
    )
    ahead = fields.Integer(required=True, metadata={"description": "How many that could start come first."})


class ForecastOut(ma.Schema):
    """When it will start, as far as is known now."""

    starts_at = instant(
        required=True,
        allow_none=True,
        metadata={"description": "Null where it depends on people or deployments."},
    )
    because = fields.String(required=True)


class RemedyOut(ma.Schema):
    """What whoever asks may do about it."""

    action = fields.String(required=True)
    enough = fields.Boolean(required=True, metadata={"description": "It would start now."})


class FailedStepOut(ma.Schema):
    """A step that failed."""

    id = fields.Integer(required=True)
    target = fields.String(required=True)
    failure = fields.String(required=True)


class TroubleOut(ma.Schema):
    """A step that runs and does not go on at its target; it is tried again."""

    id = fields.Integer(required=True)
    target = fields.String(required=True)
    trouble = fields.String(required=True)


class Explanation(ma.Schema):
    """Why a deployment stands as it does. `gates`, `queue`, `forecast` and `remedies` are of a pending one."""

    deployment_id = fields.Integer(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    at = instant(required=True, metadata={"description": "When this was so."})
    because = fields.String(required=True)
    gates = fields.List(fields.Nested(GateOut), required=True)
    queue = fields.Nested(QueueOut, required=True, allow_none=True)
    forecast = fields.Nested(ForecastOut, required=True, allow_none=True)
    remedies = fields.List(fields.Nested(RemedyOut), required=True)
    ends_about = instant(
        required=True,
        allow_none=True,
        metadata={
            "description": "When one that runs will have ended, if it takes as long as those before it."
        },
    )
    failed_steps = fields.List(fields.Nested(FailedStepOut), required=True)
    troubles = fields.List(fields.Nested(TroubleOut), required=True)
