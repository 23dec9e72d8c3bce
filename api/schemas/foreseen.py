"""What a deployment would do."""

import marshmallow as ma
from marshmallow import fields

from api.schemas.common import instant
from api.schemas.explanations import ForecastOut, GateOut, QueueOut, RemedyOut
from orchestrator.services.explaining import MOST_HISTORY
from orchestrator.services.foreseeing import MOST_RELEASES, MOST_TARGETS, MOST_WAVES


class RequestQuery(ma.Schema):
    """Whether to do it at all."""

    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "Only say what it would do: 200, and nothing is made."}
    )


class WaveOut(ma.Schema):
    """Steps that would run side by side."""

    wave = fields.Integer(required=True)
    action = fields.String(required=True)
    total = fields.Integer(required=True)
    targets = fields.List(
        fields.String(), required=True, metadata={"description": f"The first {MOST_TARGETS} of them."}
    )
    wait_seconds = fields.Integer(
        required=True, metadata={"description": "How long after its end the next one begins."}
    )


class ScriptOut(ma.Schema):
    """What is run on targets."""

    action = fields.String(required=True)
    script = fields.String(required=True)


class BroughtOut(ma.Schema):
    """A release that comes with it."""

    release_id = fields.Integer(required=True)
    version = fields.String(required=True)
    changes = fields.String(required=True)


class ReplacedOut(ma.Schema):
    """What succeeded there last."""

    deployment_id = fields.Integer(required=True)
    version = fields.String(required=True)
    since = instant(required=True)


class ChangedVariable(ma.Schema):
    """A variable of the pipeline that is not what the last one was given; null: it is not there."""

    name = fields.String(required=True)
    before = fields.String(required=True, allow_none=True)
    after = fields.String(required=True, allow_none=True)


class DurationOut(ma.Schema):
    """How long the last ones took that succeeded there; null where there were none."""

    deployments = fields.Integer(
        required=True, metadata={"description": f"Of how many; the last {MOST_HISTORY} at most."}
    )
    p50 = fields.Float(required=True, allow_none=True)
    p90 = fields.Float(required=True, allow_none=True)


class Foreseen(ma.Schema):
    """A deployment as it would be if it were requested now."""

    application = fields.String(required=True)
    version = fields.String(required=True)
    environment = fields.String(required=True)
    strategy = fields.String(required=True)
    max_failures = fields.Integer(required=True)
    max_batch_failures = fields.Integer(required=True, allow_none=True)
    max_parallel = fields.Integer(required=True)
    on_failure = fields.String(required=True)
    answer_seconds = fields.Integer(
        required=True, metadata={"description": "How long a person is asked, where `on_failure` is `pause`."}
    )
    unanswered = fields.String(required=True, metadata={"description": "What is done then."})
    plan_hash = fields.String(required=True)
    steps = fields.Integer(required=True)
    wave_count = fields.Integer(required=True)
    waves = fields.List(
        fields.Nested(WaveOut), required=True, metadata={"description": f"The first {MOST_WAVES}."}
    )
    scripts = fields.List(
        fields.Nested(ScriptOut), required=True, metadata={"description": "Each once, in order."}
    )
    replaces = fields.Nested(ReplacedOut, required=True, allow_none=True)
    brings = fields.List(
        fields.Nested(BroughtOut),
        required=True,
        metadata={
            "description": f"The releases since what is there, the newest first, at most {MOST_RELEASES}; "
            "its own where nothing is there yet, and none where it is older."
        },
    )
    changed_variables = fields.List(fields.Nested(ChangedVariable), required=True)
    duration_seconds = fields.Nested(DurationOut, required=True)
    because = fields.String(required=True)
    gates = fields.List(fields.Nested(GateOut), required=True)
    queue = fields.Nested(QueueOut, required=True)
    forecast = fields.Nested(ForecastOut, required=True)
    remedies = fields.List(fields.Nested(RemedyOut), required=True)
